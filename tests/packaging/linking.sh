#!/bin/bash
# The libraries and the command are linked as a Debian package's are, and need libc only.
. "${0%/*}/tally.bash"

shared=$build_directory/lib/libration.so
preload=$build_directory/lib/libration-preload.so
command=$build_directory/bin/ration

dynamic() { readelf -dW "$1"; }
# libc only; the dynamic linker is part of it.
needs_libc_only() {
    ! dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE '^(libc\.so\.6|ld-linux.*)$'
}
is_called() { dynamic "$1" | grep -F "SONAME" | grep -F "[$2]"; }
has_flags() {
    local file=$1 flag
    shift
    for flag; do
        dynamic "$file" | grep -E '\((FLAGS|FLAGS_1)\)' | grep -qw "$flag" || { echo "$file has no $flag"; return 1; }
    done
}
is_hardened() {
    readelf -lW "$1" | grep -q GNU_RELRO || { echo "$1 has no GNU_RELRO"; return 1; }
    readelf -lW "$1" | awk '/GNU_STACK/ { exit $7 ~ /E/ }' || { echo "$1 has an executable stack"; return 1; }
    if dynamic "$1" | grep TEXTREL; then return 1; fi
    has_flags "$1" NOW
}
is_position_independent() { readelf -hW "$1" | grep -E 'Type: +DYN' && has_flags "$1" PIE; }

claim "libration.so needs libc only" needs_libc_only "$shared"
claim "libration-preload.so needs libc only" needs_libc_only "$preload"
claim "libration.so has the SONAME libration.so.0" is_called "$shared" libration.so.0
claim "libration.so stays once loaded" has_flags "$shared" NODELETE
claim "libration-preload.so stays, and is set up first" has_flags "$preload" NODELETE INITFIRST
for file in "$shared" "$preload" "$command"; do
    claim "${file##*/} is hardened" is_hardened "$file"
done
claim "the command is position-independent" is_position_independent "$command"
finish
