#!/bin/bash
# Built in two directories, from sources that lie in two directories, the libraries and the command are the same bits.
. "${0%/*}/tally.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() {
    local sources=$1 directory=$2
    mkdir -p "$sources"
    (cd "$source_directory" && tar -cf - CMakeLists.txt LICENSE CHANGELOG.md cmake cmd include man scripts src) |
        tar -xf - -C "$sources"
    cmake -G Ninja -S "$sources" -B "$directory" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Release \
        -DRN_BUILD_TESTS=OFF && cmake --build "$directory" -j 2
}
files() { find "$1/lib" "$1/bin" -type f -printf '%P\n' | sort; }
same() {
    [ "$(files "$work/a/build" | wc -l)" -ge 5 ] || { files "$work/a/build"; return 1; }
    (cd "$work/a/build" && find lib bin -type f -exec sha256sum {} +) >"$work/sums"
    cd "$work/another/directory/out" && sha256sum --quiet -c "$work/sums"
}

claim "the first copy builds" build "$work/a" "$work/a/build"
claim "the second copy builds" build "$work/another/sources" "$work/another/directory/out"
claim "both are the same" same
finish
