#!/bin/sh
# gdb.sh: the gdb command `ration address` says of each address of a stopped program what it is.
#
# Usage: gdb.sh SOURCE BUILD COMPILER. The program here makes one block of each kind and stops in look(); what gdb is
# asked, and what it must answer, stand side by side at the end: for the program as it is, with RATION_HARDEN=1, and as
# a core. How large classes and spans are is the library's business: the numbers in an answer are held to each other,
# and to what the program says.
# shellcheck disable=SC3045 # ulimit -v is in every shell that Debian has as sh
set -u
export LC_ALL=C
unset LD_PRELOAD

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
#include <malloc.h>
#include <pthread.h>
#include <ration/ration.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Weak: the preload library, which has these too, is not there when this is linked. */
#pragma weak rn_heap_new
#pragma weak rn_heap_malloc

enum { FREED = 7 }; /* a name that the library has, too */

char *live, *cached, *cached_elsewhere, *large, *in_a_heap, *never_used, *given_back, *overrun, in_the_program;
size_t live_size, in_a_heap_size;

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
    live_size = malloc_usable_size(live);
    cached = malloc(100);
    free(cached);
    large = malloc(1 << 20);
    in_a_heap = rn_heap_malloc(rn_heap_new(NULL, "xml", 0), 1000);
    in_a_heap_size = malloc_usable_size(in_a_heap);
    never_used = (char *)((uintptr_t)in_a_heap | 0x3fff) + 1 - 1024; /* the last in 16 KiB */
    cached_elsewhere = malloc(200);
    overrun = malloc(60);
    memset(overrun, 1, *getenv("RATION_HARDEN") == '1' ? 61 : 60);
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

cat >questions <<'END'
live
live + 5
cached
cached_elsewhere
overrun
in_a_heap
never_used
large
large + 70000
large - 16
large + (1 << 20) + 8
given_back
given_back + (1 << 20)
&in_the_program
in_the_program
END
{
    echo "source $source/scripts/gdb/ration-gdb.py"
    while read -r question; do
        printf 'echo ? %s\\n\nration address %s\n' "$question" "$question"
    done <questions
    printf 'echo ? end\\n\n'
} >asking

# gdb WHAT…: as told by its input, with none of the user's settings; it answers in the file answers.
run_gdb() {
    cat >commands
    HOME=$work gdb -q -batch -nx -x commands "$@" >answers 2>&1 </dev/null
}

# ask HARDEN COMMAND…: runs the program up to look(), asks all of the questions, and does what is left to do.
ask() {
    {
        echo "set exec-wrapper env LD_PRELOAD=$build/lib/libration-preload.so RATION_HARDEN=$1"
        printf 'break look\nrun\nprintf "? sizes\\n%%d %%d\\n", live_size, in_a_heap_size\n'
        cat asking
        shift
        printf '%s\n' "$@"
    } | run_gdb program
}

# What gdb said of an expression.
answer() {
    awk -v question="? $1" '$0 == question { on = 1; next } /^\? / { on = 0 } on' answers
}

# same CLAIM EXPECTED GOT
same() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s: %s\n  expected: %s\n  got:      %s\n' "$run" "$1" "$2" "$3"
    fi
}

# says EXPRESSION EXPECTED: the answer in one line, without the numbers that depend on the run or on the library.
says() {
    same "ration address $1" "$2" "$(answer "$1" | sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/thread [0-9]+/thread N/
        s/, [0-9]+ ([KM]iB|bytes), number .*/, SIZE, NUMBER/; s/span +[0-9]+(, .*), .*/span N\1, SIZE/
        s/^ +//; s/  +/ /g' | paste -s -d '|')"
}

# The numbers of an answer about a small block: its address, bytes, number, how many there are, and the span's address.
numbers() {
    answer "$1" | tr -d , | awk '
        $1 == "block" { print $2, $3 * ($4 == "KiB" ? 1024 : 1), $6, $8 }
        $1 == "span" { print $4 }' | paste -s -d ' '
}

# adds_up EXPRESSION: a block's place follows from its span's, its number and its size.
adds_up() {
    read -r block size number count span <<END
$(numbers "$1")
END
    same "the numbers for $1 add up" "$((block)), one of $count" \
        "$((span + (number - 1) * size)), one of $((number > count ? number : count))"
}

# The bytes of the class that a block is said to be of.
class() {
    numbers "$1" | cut -d ' ' -f 2
}

# The thread that is said to keep a free block.
keeper() {
    answer "$1" | awk '{ print $NF; exit }'
}

small="block ADDRESS, SIZE, NUMBER"
in_root="heap root|span N, small, ADDRESS, SIZE"
in_xml="heap xml|span N, small, ADDRESS, SIZE"
in_large="heap root|span N, large, ADDRESS, SIZE"

# What holds in every run. Its argument follows the word "block" where a live one's size is known.
says_always() {
    says live "ADDRESS: the start of a live block$1|$small|$in_root"
    says "live + 5" "ADDRESS: 5 bytes into a live block$1|$small|$in_root"
    says never_used "ADDRESS: the start of a never used block|$small|$in_xml"
    says large "ADDRESS: the start of a live block|block ADDRESS, 1 MiB|$in_large"
    says "large + 70000" "ADDRESS: 70000 bytes into a live block|block ADDRESS, 1 MiB|$in_large"
    says "&in_the_program" "ADDRESS: not Ration's"
    says in_the_program "ADDRESS: not Ration's"
    for expression in live cached cached_elsewhere overrun in_a_heap never_used; do
        adds_up "$expression"
    done
    same "each thread keeps its own" "1 2" "$(keeper cached) $(keeper cached_elsewhere)"
}

# What holds without RATION_HARDEN.
says_plain() {
    says_always ""
    says cached "ADDRESS: the start of a free block, cached by thread N|$small|$in_root"
    says cached_elsewhere "ADDRESS: the start of a free block, cached by thread N|$small|$in_root"
    says overrun "ADDRESS: the start of a live block|$small|$in_root"
    says in_a_heap "ADDRESS: the start of a live block|$small|$in_xml"
    says given_back "ADDRESS: in free memory|span N, free, ADDRESS, SIZE"
    says "given_back + (1 << 20)" "ADDRESS: in free memory|span N, free, ADDRESS, SIZE"
}

run=plain
ask 0
if ! grep -q 'Breakpoint 1, look' answers; then
    echo "skipped: gdb can't run a program here: $(grep -v '^$' answers | head -n 1)"
    exit 0
fi
says_plain
same "a block's size is its class's" "$(answer sizes)" "$(class live) $(class in_a_heap)"

# Where address space is limited, little of it is reserved, and a core stays small.
run="under a limit"
(ulimit -v 4000000 && ask 0 "generate-core-file core")
says_plain
run="a core"
run_gdb program core <asking
says_plain

run=hardened
ask 1
says_always " for which 40 bytes were asked"
says cached "ADDRESS: the start of a free block, in the quarantine of thread N|$small|$in_root"
says cached_elsewhere "ADDRESS: the start of a free block, in the quarantine of thread N|$small|$in_root"
says overrun "ADDRESS: the start of a live block whose end was overwritten|$small|$in_root"
says in_a_heap "ADDRESS: the start of a live block for which 1000 bytes were asked|$small|$in_xml"
says "large - 16" "ADDRESS: 16 bytes before a live block|block ADDRESS, 1 MiB|$in_large"
says "large + (1 << 20) + 8" "ADDRESS: 8 bytes behind the end of a live block|block ADDRESS, 1 MiB|$in_large"
says given_back "ADDRESS: the start of a free block that waits for a while|$in_large"
says "given_back + (1 << 20)" "ADDRESS: 1048576 bytes into a free block that waits for a while|$in_large"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
