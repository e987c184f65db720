#!/bin/sh
# gdb.sh: the gdb command `ration address` says of each address of a stopped program what it is.
#
# Usage: gdb.sh SOURCE BUILD COMPILER. The program here makes one block of each kind and stops in look(); what gdb is
# asked, and what it must answer, stand side by side at the end.
set -u
export LC_ALL=C

source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd -P)
compiler=$3
work=$build/tests/cmd-gdb
passed=0
failed=0

command -v gdb >/dev/null || {
    echo "skipped: gdb is missing"
    exit 0
}
rm -rf "$work"
mkdir -p "$work" && cd "$work" || exit 1
trap 'rm -rf "$work"' EXIT

cat >program.c <<'END'
#include <pthread.h>
#include <ration/ration.h>
#include <stdlib.h>

/* Weak: the preload library, which has these too, is not there when this is linked. */
#pragma weak rn_heap_new
#pragma weak rn_heap_malloc

char *live, *cached, *cached_elsewhere, *large, *in_a_heap, *given_back, in_the_program;

__attribute__((noinline)) static void look(void) {
    __asm__ volatile("" ::: "memory");
}

static pthread_barrier_t barrier;

static void *other_thread(void *nothing) {
    free(cached_elsewhere);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return nothing;
}

int main(void) {
    pthread_t thread;
    live = malloc(40);
    cached = malloc(100);
    free(cached);
    large = malloc(1 << 20);
    in_a_heap = rn_heap_malloc(rn_heap_new(NULL, "xml", 0), 3000);
    cached_elsewhere = malloc(200);
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, other_thread, NULL);
    pthread_barrier_wait(&barrier);
    given_back = malloc(8 << 20);
    free(given_back);
    look();
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    return 0;
}
END
"$compiler" -g -O1 -fno-builtin -I "$source/include" -o program program.c -pthread || exit 1

# Asks gdb all of the expressions in the file questions; every answer begins with a line "? EXPRESSION".
ask() {
    {
        echo "source $source/scripts/gdb/ration-gdb.py"
        echo "set exec-wrapper env LD_PRELOAD=$build/lib/libration-preload.so"
        echo "break look"
        echo "run"
        while read -r question; do
            printf 'echo ? %s\\n\n' "$question"
            printf 'ration address %s\n' "$question"
        done <questions
    } >commands
    HOME=$work gdb -q -batch -nx -x commands program </dev/null 2>&1
}

# What gdb said of an expression, in one line; addresses, and the numbers of spans and threads, depend on the run.
answer() {
    awk -v question="? $1" '$0 == question { on = 1; next } /^\? / { on = 0 } on' answers |
        sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/thread [0-9]+/thread N/; s/(span   )[0-9]+/\1N/; s/(free, ADDRESS, ).*/\1SIZE/; s/^ +//; s/  +/ /g' |
        paste -s -d '|'
}

# The thread in whose cache an expression's block is.
caching() {
    awk -v question="? $1" '$0 == question { getline; print $NF }' answers
}

# says EXPRESSION EXPECTED
says() {
    got=$(answer "$1")
    if [ "$got" = "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL ration address %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$got"
    fi
}

cat >questions <<'END'
live
live + 5
live + 16368
cached
cached_elsewhere
large + 70000
in_a_heap
given_back
&in_the_program
in_the_program
END
ask >answers
if ! grep -q 'Breakpoint 1, look' answers; then
    echo "skipped: gdb can't run a program here: $(grep -v '^$' answers | head -n 1)"
    exit 0
fi

# The block and the heap it is in, and a small span of a size.
small() {
    echo "block ADDRESS, $1|heap $2|span N, small, ADDRESS, $3"
}

says live "ADDRESS: the start of a live block|$(small "48 bytes, number 1 of 1024" root "48 KiB")"
says "live + 5" "ADDRESS: 5 bytes into a live block|$(small "48 bytes, number 1 of 1024" root "48 KiB")"
says "live + 16368" "ADDRESS: the start of a never used block|$(small "48 bytes, number 342 of 1024" root "48 KiB")"
says cached "ADDRESS: the start of a free block, cached by thread N|$(small "112 bytes, number 1 of 585" root "64 KiB")"
says cached_elsewhere \
    "ADDRESS: the start of a free block, cached by thread N|$(small "208 bytes, number 1 of 315" root "64 KiB")"
says "large + 70000" "ADDRESS: 70000 bytes into a live block|block ADDRESS, 1 MiB|heap root|span N, large, ADDRESS, 1 MiB"
says in_a_heap "ADDRESS: the start of a live block|$(small "3 KiB, number 1 of 21" xml "64 KiB")"
says given_back "ADDRESS: in free memory|span N, free, ADDRESS, SIZE"
says "&in_the_program" "ADDRESS: not Ration's"
says in_the_program "ADDRESS: not Ration's"
if [ "$(caching cached)" = "$(caching cached_elsewhere)" ]; then
    echo "FAIL two threads' caches are told apart: both are said to be $(caching cached)'s"
    failed=$((failed + 1))
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
