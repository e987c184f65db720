#!/bin/bash
# What the examples print, in each way that one can be linked with Ration.
. "${0%/*}/tally.bash"

[ -x "$build_directory/examples/cage" ] || {
    echo "skipped: expat's headers are missing"
    exit 0
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# prints EXPECTED COMMAND...: each line that is printed matches the line of EXPECTED, an extended expression.
prints() {
    local expected=$1 output line
    output=$("${@:2}") || { echo "exit status $?: $output"; return 1; }
    paste -d '\n' <(echo "$expected") <(echo "$output") | while IFS= read -r expected && IFS= read -r line; do
        grep -Exq -- "$expected" <<<"$line" || { printf 'expected %s\ngot %s\n' "$expected" "$line"; exit 1; }
    done
}

documents='  a good document: parsed; [0-9]+ KiB held before, [0-9]+ after, [1-8] MiB at most; 0 denied
  a name without end: out of memory; [0-9]+ KiB held before, [0-9]+ after, [1-8] MiB at most; [1-9][0-9]* denied
  a good document: parsed; [0-9]+ KiB held before, [0-9]+ after, [1-8] MiB at most; 0 denied'
told="expat, told to call rn_malloc:
$documents"
goes_on="the process goes on"
on_malloc="$told
expat as it is:
$documents
$goes_on"

shared() {
    "$compiler" -I "$source_directory/include" -o "$work/cage" "$source_directory/examples/cage.c" \
        -L "$build_directory/lib" -lration -lexpat
}
loaded() { env LD_LIBRARY_PATH="$build_directory/lib" "$@"; }
preloaded() { loaded LD_PRELOAD="$build_directory/lib/libration-preload.so" "$@"; }

claim "expat in a cage, by the rn_ functions" prints "$told
$goes_on" "$build_directory/examples/cage"
claim "expat in a cage, by malloc that is linked in" prints "$on_malloc" "$build_directory/examples/cage-on-malloc"
claim "the cage builds with libration.so" shared
claim "expat in a cage, with libration.so" prints "$told
$goes_on" loaded "$work/cage"
claim "expat in a cage, by malloc that is preloaded" prints "$on_malloc" preloaded "$work/cage"
claim "a heap for each request" prints '100 pages: served
1000 pages: denied
100 pages again: served
the current heap is the root' "$build_directory/examples/heaps"
claim "orders in an arena" prints 'Anna: [0-9]+ bytes in use
malformed: [0-9]+ bytes in use
Cleo: [0-9]+ bytes in use
over 40000 more orders fit into 1 MiB, then one is denied' "$build_directory/examples/arena"
finish
