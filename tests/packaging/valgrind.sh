#!/bin/bash
# What memcheck finds in a program whose blocks come from Ration is what it finds with libc's malloc: reads past a block,
# of a freed one and of bytes never written, and blocks that are lost; and nothing where there is nothing.
#
# valgrind puts its own malloc in the place of any other; nouserintercepts makes it leave Ration's alone, so that the
# library itself must tell what is a block (src/heap/tell_valgrind.h). The first rounds, as a measure, are on libc's.
. "${0%/*}/tally.bash"
unset LD_PRELOAD

command -v valgrind >/dev/null || {
    echo "skipped: valgrind is missing"
    exit 0
}
echo '#include <valgrind/memcheck.h>' | "$compiler" -E - >/dev/null 2>&1 || {
    echo "skipped: valgrind's headers are missing"
    exit 0
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lib=$build_directory/lib

# What valgrind looks at has no debug information: it gives up over that of newer compilers.
for file in libration.a libration-malloc.a libration-preload.so; do
    strip --strip-debug -o "$work/$file" "$lib/$file"
done

build() { "$compiler" -O1 -fno-builtin -Wall -Werror -o "$work/$1" "$here/valgrind.c" "${@:2}" -pthread; }

# says PROGRAM MISTAKE SIZE: what memcheck says, without its marks, to $work/said. The program runs to its end.
says() {
    valgrind --tool=memcheck --leak-check=full --soname-synonyms=somalloc=nouserintercepts "$work/$1" "$2" "$3" \
        >"$work/raw" 2>&1
    local status=$?
    sed 's/^==[0-9]*== *//' "$work/raw" >"$work/said"
    return "$status"
}

# finds PROGRAM MISTAKE SIZE LINE...: there is one mistake, and each LINE, an extended expression, is one that is said.
finds() {
    local line
    says "$1" "$2" "$3" || { cat "$work/said"; return 1; }
    for line in "${@:4}" 'ERROR SUMMARY: 1 errors from 1 contexts.*'; do
        grep -Exq -- "$line" "$work/said" || { echo "not said: $line"; cat "$work/said"; return 1; }
    done
}

finds_nothing() {
    says "$1" none 100 && grep -q '^ERROR SUMMARY: 0 errors' "$work/said" &&
        grep -q '^All heap blocks were freed' "$work/said" && return
    cat "$work/said"
    return 1
}

look_at() {
    local program=$1 size words
    for size in 100 100000; do
        words=$size
        [ $size = 100000 ] && words=100,000
        claim "$program: a read past a block of $size" finds "$program" read-past $size 'Invalid read of size 1' \
            "Address 0x[0-9a-f]+ is 0 bytes after a block of size $words alloc'd"
        claim "$program: a read of a freed block of $size" finds "$program" read-freed $size 'Invalid read of size 1' \
            "Address 0x[0-9a-f]+ is [0-9,]+ bytes inside a block of size $words free'd"
    done
    claim "$program: a use of what was never written" finds "$program" use-unwritten 100 \
        'Conditional jump or move depends on uninitialised value\(s\)'
    claim "$program: a block is lost" finds "$program" lose 100 '100 bytes in 1 blocks are definitely lost.*'
    claim "$program: nothing is found where there is nothing" finds_nothing "$program"
}

claim "the program builds on libc" build on-libc
claim "the program builds on libration-malloc.a" build on-malloc "$work/libration-malloc.a"
claim "the program builds on the rn_ names" build on-names -DON_NAMES -I "$source_directory/include" "$work/libration.a"
look_at on-libc
look_at on-malloc
look_at on-names
preloaded() { LD_PRELOAD=$work/libration-preload.so finds "$@"; }
claim "preloaded: a read of a freed block" preloaded on-libc read-freed 100 'Invalid read of size 1' \
    "Address 0x[0-9a-f]+ is 50 bytes inside a block of size 100 free'd"
claim "preloaded: a block is lost" preloaded on-libc lose 100 '100 bytes in 1 blocks are definitely lost.*'
finish
