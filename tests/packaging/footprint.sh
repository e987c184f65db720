#!/bin/bash
# What a process has resident for Ration once it has allocated one block: of the library's file the first 64 KiB, since
# src/libration-preload.ld has put there what is needed; and few pages of its own. x86-64 only, where pages are of 4 KiB.
. "${0%/*}/tally.bash"

case $("$compiler" -dumpmachine) in
x86_64*) ;;
*)
    echo "not x86-64: nothing to look at"
    finish
    ;;
esac

# The order is made for the library that is installed, which gcc builds: clang's is larger.
if "$compiler" --version | grep -q clang; then
    echo "not gcc: nothing to look at"
    finish
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

builds() { "$compiler" -O1 -Wall -Werror -fno-builtin -o "$work/footprint" "$here/footprint.c"; }
# The least of some runs: where the system puts stack and mappings decides about a page or two.
least_written() {
    for _ in {1..20}; do
        LD_PRELOAD=$1 "$work/footprint"
    done | sort -n -k 2 | head -n 1
}
at_most() { echo "$1 KiB"; [ "$1" -gt 0 ] && [ "$1" -le "$2" ]; }

claim "the program builds" builds
read -r _ written_without < <(least_written "")
read -r of_file written < <(least_written "$build_directory/lib/libration-preload.so")
claim "64 KiB of the library's file are resident at most" at_most "$of_file" 64
claim "at most 56 KiB are written to beyond what libc's malloc writes to" at_most "$((written - written_without))" 56
finish
