#!/bin/sh
# gdb.sh: the gdb command `ration address` says of each address of a stopped program what it is.
#
# Usage: gdb.sh SOURCE BUILD COMPILER. The program here makes one block of each kind and stops in look(); what gdb is
# asked, and what it must answer, stand side by side at the end: for the program as it is, with RATION_HARDEN=1, and as
# a core. How large a block's class and span are is the library's business: the class is asked of the program, and
# numbers that depend on a span's size are held to each other (adds_up).
set -u
export LC_ALL=C
unset LD_PRELOAD RATION_HARDEN

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
#include <stdlib.h>
#include <string.h>

/* Weak: the preload library, which has these too, is not there when this is linked. */
#pragma weak rn_heap_new
#pragma weak rn_heap_malloc

enum { FREED = 7 }; /* a name that the library has, too */

char *live, *cached, *cached_elsewhere, *large, *in_a_heap, *given_back, *overrun, in_the_program;
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
    cached_elsewhere = malloc(200);
    overrun = malloc(60);
    memset(overrun, 1, getenv("RATION_HARDEN") == NULL ? 60 : 64);
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

# gdb FILES, told what stands on its input; nothing of the user's own settings.
run_gdb() {
    cat >commands
    HOME=$work gdb -q -batch -nx -x commands "$@" </dev/null 2>&1
}

# The commands that ask gdb all of the expressions in the file questions; every answer begins with "? EXPRESSION".
asking() {
    echo "source $source/scripts/gdb/ration-gdb.py"
    printf 'printf "sizes %%d %%d\\n", live_size, in_a_heap_size\n'
    while read -r question; do
        printf 'echo ? %s\\n\n' "$question"
        printf 'ration address %s\n' "$question"
    done <questions
}

# Runs the program up to look(), its environment being the arguments, and asks; what comes then is on the input.
ask() {
    {
        echo "set exec-wrapper env LD_PRELOAD=$build/lib/libration-preload.so $*"
        echo "break look"
        echo "run"
        asking
        cat
    } | run_gdb program
}

# The lines that gdb said of an expression.
answer() {
    awk -v question="? $1" '$0 == question { on = 1; next } /^\? / { on = 0 } on' answers
}

# In one line, without what depends on the run and on the size of spans.
without_numbers() {
    sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/thread [0-9]+/thread N/; s/number [0-9]+ of [0-9]+/number N/
        s/(span   )[0-9]+(, .*ADDRESS).*/\1N\2/; s/^ +//; s/  +/ /g' | paste -s -d '|'
}

# same CLAIM EXPECTED GOT
same() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    fi
}

# says EXPRESSION EXPECTED
says() {
    same "$run: ration address $1" "$2" "$(answer "$1" | without_numbers)"
}

# Whether a small block's place follows from its span's start, its number and its size, which must be in bytes.
adds_up() {
    answer "$1" | tr -d , | while read -r word first size unit number ordinal of count; do
        case $word in
        block) block=$((first)) before=$(((ordinal - 1) * size)) after=$(((count - ordinal) * size)) && of=$of$unit$number ;;
        span) [ $((unit + before)) = "$block" ] && [ $((before + after)) -lt $((number * 1024)) ] && echo yes ;;
        esac
    done
}

# The thread that keeps an expression's block.
keeping() {
    answer "$1" | awk '/ thread / { print $NF; exit }'
}

# "48 bytes", "3 KiB": a number of bytes as the script writes it, for sizes below 1 MiB.
in_words() {
    if [ $(($1 % 1024)) = 0 ]; then
        echo "$(($1 / 1024)) KiB"
    else
        echo "$1 bytes"
    fi
}

# The lines below the first about a small block: of a size in words, in a heap.
small() {
    echo "block ADDRESS, $1, number N|heap $2|span N, small, ADDRESS"
}

# What is the same hardened or not, and in a core; the argument follows the first line about live blocks.
says_of_all() {
    says in_a_heap "ADDRESS: the start of a live block$1|$(small "$heap_class" xml)"
    says "in_a_heap + 40 * in_a_heap_size" "ADDRESS: $never_used block|$(small "$heap_class" xml)"
}

cat >questions <<'END'
live
live + 5
cached
cached_elsewhere
overrun
in_a_heap
in_a_heap + 40 * in_a_heap_size
large
large + 70000
large - 16
large + (1 << 20) + 8
given_back
&in_the_program
in_the_program
END
