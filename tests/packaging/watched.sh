#!/bin/bash
# Who uses what an arena has not handed out, or no longer: AddressSanitizer in the program, valgrind, and RATION_HARDEN=1 show it, with
# the library as it is shipped.
. "${0%/*}/tally.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH=$build_directory/lib

builds() {
    "$compiler" -O1 "${@:2}" -I "$source_directory/include" -o "$work/$1" "$here/watched.c" -L "$build_directory/lib" -lration
}

# says PATTERN COMMAND...: the command ends with an error and says so.
says() {
    local output
    output=$("${@:2}" 2>&1) && { echo "no error: $output"; return 1; }
    grep -q -- "$1" <<<"$output" || { echo "$output"; return 1; }
}
prints() { [ "$("${@:2}" 2>&1)" = "$1" ] || { "${@:2}"; return 1; }; }
# What it looks at has no debug information: it gives up over that of newer compilers.
mkdir "$work/stripped"
strip --strip-debug -o "$work/stripped/libration.so.0" "$build_directory/lib/libration.so.0"
with_valgrind() { LD_LIBRARY_PATH=$work/stripped valgrind -q --error-exitcode=9 "$@"; }
hardened() { RATION_HARDEN=1 "$@"; }

claim "a program is built" builds plain
claim "nobody watches: the rewound piece is as it was" prints 0x1 "$work/plain" rewound
claim "hardened: it is overwritten" prints 0xdf hardened "$work/plain" rewound
claim "hardened: handed out again it is the program's" prints 0x3 hardened "$work/plain" again
if builds asan -fsanitize=address; then
    claim "AddressSanitizer sees the rewound piece" says use-after-poison "$work/asan" rewound
    claim "AddressSanitizer sees what is behind a piece" says use-after-poison "$work/asan" behind
    claim "AddressSanitizer: handed out again it is in bounds" prints 0x3 "$work/asan" again
    claim "AddressSanitizer: so is memory that was an arena's" prints 0x4 "$work/asan" block
else
    echo "skipped: no AddressSanitizer for this compiler"
fi
if type valgrind >/dev/null && valgrind -q true; then
    claim "valgrind sees the rewound piece" says 'Invalid read' with_valgrind "$work/plain" rewound
    claim "valgrind sees what is behind a piece" says 'Invalid read' with_valgrind "$work/plain" behind
    claim "valgrind: handed out again it is in bounds" prints 0x3 with_valgrind "$work/plain" again
    claim "valgrind: so is memory that was an arena's" prints 0x4 with_valgrind "$work/plain" block
fi
finish
