#!/bin/bash
# Loading libration.so does nothing: malloc stays libc's, no thread, no mapping, no signal handler, nothing resident.
. "${0%/*}/tally.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

builds() { "$compiler" -O1 -Wall -Werror -I "$source_directory/tests" -o "$work/loading" "$here/loading.c"; }
runs() { "$work/loading" "$build_directory/lib/libration.so"; }

claim "the program builds" builds
claim "loading libration.so changes nothing" runs
finish
