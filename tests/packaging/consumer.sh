#!/bin/bash
# A program is built on Ration in each way that the installed tree and the sources offer, and runs.
. "${0%/*}/tally.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
# Moved after it was installed: nothing in it may remember where it was.
installs() {
    cmake --install "$build_directory" --prefix "$work/first" && mv "$work/first" "$prefix" && cp "$here/consumer.c" "$work"
}
is_complete() {
    local file
    for file in bin/ration lib/libration.so.0 lib/libration.a lib/libration-preload.so lib/libration-malloc.a \
        include/ration/ration.h share/man/man1/ration.1 share/man/man3/libration.3 share/ration/ration-gdb.py; do
        [ -f "$prefix/$file" ] || { echo "$file is missing"; return 1; }
    done
}
forgets_where() { ! grep -rIlF -e "$source_directory" -e "$build_directory" -e "$work/first" "$prefix"; }

says_hello() { LD_LIBRARY_PATH=$prefix/lib "$@" | grep -x 'consumer: 100 bytes in heap of its own'; }

by_pkg_config() {
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
    # shellcheck disable=SC2046 # flags are words
    "$compiler" -o "$work/by-pkg-config" "$work/consumer.c" $(pkg-config --cflags --libs ration) &&
        says_hello "$work/by-pkg-config"
}

# by_cmake DIRECTORY TARGET LINES: the lines of CMake say where Ration comes from.
by_cmake() {
    local target=$2 directory=$work/$1
    mkdir -p "$directory"
    cp "$work/consumer.c" "$directory"
    cat >"$directory/CMakeLists.txt" <<LISTS
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
$3
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE $target)
LISTS
    cmake -G Ninja -S "$directory" -B "$directory/build" -DCMAKE_C_COMPILER="$compiler" \
        -DCMAKE_PREFIX_PATH="$prefix" && cmake --build "$directory/build" -j 2 &&
        says_hello "$(find "$directory/build" -name consumer -type f)"
}
found="find_package(Ration 0.1 REQUIRED)"
fetched="include(FetchContent)
FetchContent_Declare(Ration SOURCE_DIR $source_directory)
FetchContent_MakeAvailable(Ration)"

claim "the tree installs" installs
claim "all of it is there" is_complete
claim "it forgets where it was built" forgets_where
claim "by pkg-config" by_pkg_config
for kind in shared static malloc; do
    claim "by find_package, Ration::$kind" by_cmake "found-$kind" "Ration::$kind" "$found"
done
claim "by FetchContent, Ration::shared" by_cmake fetched-shared Ration::shared "$fetched"
claim "by FetchContent, Ration::malloc" by_cmake fetched-malloc Ration::malloc "$fetched"
finish
