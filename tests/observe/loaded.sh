#!/bin/sh
# loaded.sh: the autopsy of programs as they are: with libration-preload.so loaded before them, linked with libration.so and with
# libration.a.
#
# Usage: loaded.sh SOURCE BUILD COMPILER.
set -eu
source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd -P)
compiler=$3
work=$build/tests/observe-loaded
status=0

rm -rf "$work"
mkdir -p "$work/left"
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >asks.c <<'END'
#include <errno.h>
#include <ration/ration.h>

int main(void) {
    rn_heap *heap = rn_heap_new(0, "narrow", 1 << 20);
    return heap == 0 || rn_heap_malloc(heap, 2 << 20) != 0 || errno != ENOMEM;
}
END
$compiler -I"$source/include" asks.c -o linked -L"$build/lib" -Wl,-rpath,"$build/lib" -lration
$compiler -I"$source/include" asks.c -o static "$build/lib/libration.a" -pthread

# leaves CLAIM COUNT COMMAND...: so many files that are whole, and the directory empty again.
leaves() {
    claim=$1 count=$2
    shift 2
    "$@" || { echo "FAIL $claim: status $?"; status=1; }
    found=$(find left -name 'ration-*.autopsy' -exec grep -l '^What to try next' {} + | wc -l)
    [ "$found" -eq "$count" ] || { echo "FAIL $claim: expected $count files, got $found"; status=1; }
    rm -f left/*
}

leaves "a program that links libration.so" 1 env RATION_AUTOPSY=left ./linked
leaves "a program that links libration.a" 1 env RATION_AUTOPSY=left ./static
leaves "a program with the preload library" 1 env RATION_AUTOPSY=left LD_PRELOAD="$build/lib/libration-preload.so" ./linked
leaves "no directory named" 0 ./linked
leaves "no directory named, with the preload library" 0 env LD_PRELOAD="$build/lib/libration-preload.so" ./linked
leaves "a program that is denied nothing" 0 env RATION_AUTOPSY=left LD_PRELOAD="$build/lib/libration-preload.so" true

said=$(RATION_AUTOPSY='' ./linked 2>&1)
if [ "$said" != "ration: RATION_AUTOPSY=: RATION_AUTOPSY takes a directory, of at most 511 bytes; ignored" ]; then
    echo "FAIL an empty name: got: $said"
    status=1
fi
exit "$status"
