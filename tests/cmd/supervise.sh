#!/bin/sh
# supervise.sh: `ration run` as a parent: exit status, signals, terminals, orphans, descriptors, and the summary.
#
# Usage: supervise.sh SOURCE BUILD COMPILER. Start at the claims at the end. Programs tell by files in the working directory
# what they have seen; what is waited for is a file, never a time.
# shellcheck disable=SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC3045 # ulimit -c is in every shell that Debian has as sh
set -u
. "${0%/*}/begin"
source=$(cd "$1" && pwd)
begin supervise "$2"

# wait_for FILE: until it is there and has something in it; a minute at most.
wait_for() {
    tries=0
    while [ ! -s "$1" ] && [ "$tries" -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ -s "$1" ]
}

# status_of COMMAND…: how it ends, as a shell sees it, without the shell's own word on it.
status_of() {
    sh -c '"$@"; exit $?' sh "$@" >output 2>complaint </dev/null
    echo $?
}

# --- how it ends

for code in 0 1 3 126 127 255; do
    same "exit status $code passes through" $code "$(status_of "$ration" run --quiet sh -c "exit $code")"
done
for number in 1 2 3 6 9 10 11 12 13 14 15 31; do
    same "a program ended by signal $number is 128 and that" $((128 + number)) \
        "$(status_of "$ration" run --quiet sh -c "ulimit -c 0; kill -$number \$\$")"
done
ulimit -c unlimited 2>/dev/null
same "the command dies of the same signal, without a core" "-15 False" "$(python3 -c '
import subprocess, sys, os
got = subprocess.run([sys.argv[1], "run", "--quiet", "sh", "-c", "kill -TERM $$"]).returncode
print(got, any(name.startswith("core") for name in os.listdir(".")))' "$ration")"
same "a missing program is 127" 127 "$(status_of "$ration" run no-such-program)"
printf '#!/nowhere/sh\n' >lost && chmod 755 lost
same "one that can't be executed is 126" 126 "$(status_of "$ration" run ./lost)"
same "and only that is said" "ration run: ./lost: its interpreter, or its loader, is missing" "$(cat complaint)"

# --- what it says

status_of "$ration" run sh -c 'echo out' >/dev/null
same "standard output is the program's" out "$(cat output)"
same "the summary is one paragraph on standard error" "1 0" \
    "$(grep -c '^ration: ' complaint) $(grep -vcE '^(ration: |  )' complaint)"
same "no line of it is longer than 80 columns, none ends in a blank" "" "$(grep -E '.{81}| $' complaint)"
status_of "$ration" run --quiet sh -c 'echo out' >/dev/null
same "--quiet is silent" "" "$(cat complaint)"
status_of "$ration" run sh -c 'kill -KILL $$' >/dev/null
same "the summary comes for a program that was killed" "ration: sh was ended by signal 9 (Killed)." \
    "$(grep -o '^ration: sh was ended by signal 9 (Killed)\.' complaint)"
status_of "$ration" run sh -c 'exec <&- >&- 2>&-; exit 5' >/dev/null
same "a program that closes its files is told of all the same" 1 "$(grep -c '^ration: ' complaint)"

cat >denied.c <<'END'
#include <stdlib.h>
#include <unistd.h>
int main(void) {
    void *volatile block = malloc((size_t)100 << 20);
    _exit(block == NULL ? 7 : 0);
}
END
"$3" -o denied denied.c || exit 1
same "a program ends by what it was denied" 7 "$(status_of "$ration" run --limit 32M ./denied)"
same "and that is told" 1 "$(grep -c '1 request of 1 process was' complaint)"

# holds MIB [HOW]: keeps so much. HOW has it end where nothing is told: cached, by _exit, after blocks that the cache has now; killed;
# left, by _exit; grown, likewise, after the block has come to that size.
cat >holds.c <<'END'
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
enum { BLOCKS = 20000 };
static char *volatile kept, *small[BLOCKS];
static void keep(size_t bytes) {
    kept = realloc(kept, bytes);
    memset(kept, 1, bytes);
}
static void fill_cache(void) {
    for (int i = 0; i < BLOCKS; i++)
        small[i] = malloc(64);
    for (int i = 0; i < BLOCKS; i++)
        free(small[i]);
}
int main(int argc, char **argv) {
    size_t bytes = strtoul(argv[1], NULL, 10) << 20;
    if (argc == 2) {
        keep(bytes);
        return 0;
    }
    if (strcmp(argv[2], "cached") == 0)
        fill_cache();
    if (strcmp(argv[2], "grown") == 0)
        keep(bytes / 4);
    keep(bytes);
    if (strcmp(argv[2], "killed") == 0)
        kill(getpid(), SIGKILL);
    _exit(0);
}
END
"$3" -o holds holds.c || exit 1
# shape: the paragraph without its sizes; what had been returned is no matter, nor what rounding makes of a limit.
shape() {
    tr -s '\n ' ' ' <complaint | sed 's/[0-9.]\{1,\} [KMG]\{0,1\}i\{0,1\}B/SIZE/g; s/ SIZE had been returned\.//
        s/--limit 28M/--limit 27M/; s/--limit 40M/--limit 39M/; s/ $//'
}
# mib_before WORDS: what it says that so much is, in whole MiB.
mib_before() {
    tr -s '\n ' ' ' <complaint | sed -n "s/.* (\{0,1\}\([0-9]*\)[0-9.]* MiB $1.*/\1/p"
}
told="Of SIZE in the end (SIZE resident) SIZE was live, SIZE free between live blocks, SIZE free, SIZE mapped, SIZE the rest."
status_of "$ration" run --limit 64M ./holds 20 >/dev/null
same "where nothing was denied a lower limit that would do is named" \
    "ration: holds held SIZE at most of SIZE; nothing was denied. $told Next: ration run --limit 27M" "$(shape)"
same "what is kept is live, and resident" "20 20" "$(mib_before 'was live') $(mib_before resident)"
status_of "$ration" run --limit 28M ./holds 20 >/dev/null
same "where none would do, where the figures are to be had" \
    "ration: holds held SIZE at most of SIZE; nothing was denied. $told Next: ration run --stats FILE" "$(shape)"
status_of "$ration" run --limit 28M --stats figures ./holds 20 >/dev/null
same "or where they are" "Next: less $work/figures" "$(shape | grep -o 'Next: .*')"
status_of "$ration" run --limit 28M --stats figures-%p ./holds 20 >/dev/null
same "also where they have the program's number in their name" "Next: less $(ls "$work"/figures-*)" \
    "$(shape | grep -o 'Next: .*')"
# The shell that Debian has as sh ends without.
for how in 'exit 0' 'kill -KILL $$'; do
    rm -f figures
    status_of "$ration" run --limit 3M --stats figures sh -c "$how" >/dev/null
    same "where a program has not written them, that is told: $how" \
        "$work/figures was not written: only a program that ends by exit writes its figures." \
        "$(tr -s '\n ' ' ' <complaint | grep -o "$work.*figures\.")"
done
status_of "$ration" run ./holds 20 >/dev/null
same "without a limit, one that would do" \
    "ration: holds held SIZE at most; nothing was denied. $told Next: ration run --limit 27M" "$(shape)"
status_of "$ration" run --limit 64M ./holds 20 cached >/dev/null
same "what a thread has cached is not live" "SIZE was live, SIZE cached, SIZE free between live blocks," \
    "$(shape | grep -o '[A-Z]* was live,.*blocks,')"
# kib_held: what it says that the program held at most.
kib_held() {
    sed -n '1s/.* held \([0-9]*\)[0-9.]* KiB at most.*/\1/p' complaint
}
status_of "$ration" run true >/dev/null
without=$(kib_held)
status_of "$ration" run --limit 64M true >/dev/null
same "what is taken of a limit ahead of its use is not told as held" yes \
    "$([ "$(kib_held)" -le $((without + 64)) ] && echo yes || echo "$(kib_held) KiB, and $without without a limit")"
for how in left killed grown; do
    for limit in "--limit 64M" ""; do
        # shellcheck disable=SC2086 # an option, or none
        status_of "$ration" run $limit ./holds 20 "$how" >/dev/null
        same "what is kept is live where the program can't tell of its end: $how $limit" \
            "20 when it last told, 20 live, at most 20 resident" \
            "$(mib_before 'when it last') when it last told, $(mib_before 'was live') live, at most $(mib_before resident) resident"
        same "and hardly anything is free between it: $how $limit" "" "$(mib_before 'free between live blocks')"
    done
done

for how in "" "--limit 64M --children each"; do
    # shellcheck disable=SC2086 # options, or none
    status_of "$ration" run $how sh -c './holds 30; ./holds 20; exit 0' >/dev/null
    same "what the largest process held is told where nobody counts what all hold: $how" \
        "30 ration: the largest process held SIZE at most${how:+, each may hold SIZE}; nothing was denied. Next: ration run --limit 39M" \
        "$(mib_before 'at most') $(shape)"
done
status_of "$ration" run --limit 64M sh -c './holds 30; exit 0' >/dev/null
same "what all held is told where they share a limit" \
    "30 ration: the processes held SIZE at most of SIZE; nothing was denied. Next: ration run --limit 39M" \
    "$(mib_before 'at most' | sed 's/31/30/') $(shape)" # two programs have near a MiB beside the block

cat >forked.c <<'END'
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    void *volatile block = malloc((size_t)100 << 20);
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            exit(0);
    while (wait(NULL) > 0)
        ;
    return block == NULL ? 7 : 0;
}
END
"$3" -o forked forked.c || exit 1
mkdir autopsies
same "what a parent was denied is not its children's denial" 7 \
    "$(status_of "$ration" run --limit 32M --autopsy autopsies sh -c './forked; exit $?')"
same "and counts once" 1 "$(tr -s '\n ' ' ' <complaint | grep -c '1 request of 1 process was')"
same "a child's autopsy is named" "$(ls autopsies)" "$(tr -d '\n ' <complaint | grep -o 'ration-[0-9]*\.autopsy')"
mkdir stale
same "where an older process of that number has left one, too" 7 "$(status_of "$ration" run --limit 32M --autopsy stale \
    sh -c 'echo old >stale/ration-$$.autopsy; echo old >stale/ration-$$.1.autopsy; exec ./denied')"
same "the new one is named" "$(ls stale/*.2.autopsy)" "$(tr -d '\n ' <complaint | grep -o 'stale/ration-[0-9.]*\.autopsy')"
status_of "$ration" run sh -c 'kill -KILL $$' >/dev/null
same "a program that could not tell what it held held little" 1 \
    "$(tr -s '\n ' ' ' <complaint | grep -c 'sh held less than 1 MiB; nothing')"

# next: the last line, where the next step stands by itself.
next() {
    grep '^  ' complaint | tail -n 1
}
preload=$build/lib/libration-preload.so
long=autopsies-in-a-directory-whose-name-fills-so-much-of-a-line-that-it-is-wrapped-in-a-paragraph
mkdir "$long"
status_of "$ration" run --limit 32M --autopsy "$long" ./denied >/dev/null
same "the next step is in one piece" "  Who held it: less $(ls "$long"/*)" "$(next)"
rm -f "$long"/*
status_of env RATION_AUTOPSY="$long" "$ration" run --limit 32M ./denied >/dev/null
same "the variable says where the autopsy goes, too" "  Who held it: less $(ls "$long"/*)" "$(next)"
status_of env RATION_LIMIT=32M "$ration" run ./denied >/dev/null
same "where the limit is none of the command's, the next step is an autopsy" "  Next: RATION_AUTOPSY=. ration run" "$(next)"
cat >grows.c <<'END'
#include <stdlib.h>
int main(void) {
    for (void *volatile block; (block = malloc(1 << 20)) != NULL;)
        ;
    return 0;
}
END
"$3" -o grows grows.c || exit 1
mkdir gone
status_of "$ration" run --limit 32M --autopsy gone sh -c 'rmdir gone; exec ./grows' >/dev/null
same "where there is no autopsy, twice the limit" "  Next: ration run --limit 66M" "$(next)"
rm -f "$long"/*
status_of "$ration" run --limit 32M --autopsy "$long" ./grows >/dev/null
same "which the autopsy says, too" "ration run --limit 66M" "$(grep -oh 'ration run --limit [0-9A-Z]*' "$long"/*)"
rm -f "$long"/*
status_of "$ration" run sh -c 'ulimit -c 0; kill -SEGV $$' >/dev/null
same "after a crash, to be hardened" "  Next: ration run --harden" "$(next)"
status_of "$ration" run --harden sh -c 'ulimit -c 0; kill -ABRT $$' >/dev/null
same "and then a debugger" "  Next: gdb --args env RATION_HARDEN=1 LD_PRELOAD=$preload sh ..." "$(next)"

cat >linked.c <<'END'
#include <ration/ration.h>
int main(void) {
    return rn_heap_malloc(rn_heap_root(), 100) == 0;
}
END
"$3" -I"$source/include" -o linked linked.c -L"$build/lib" -Wl,-rpath,"$build/lib" -lration || exit 1
status_of "$ration" run --limit 32M ./linked >/dev/null
same "a program that links libration.so has one Ration, and is one process" 1 "$(grep -c '^ration: linked held ' complaint)"

cat >maps.c <<'END'
#include <stdlib.h>
#include <sys/mman.h>
int main(void) {
    void *mapped = mmap(0, 20 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *volatile block = malloc((size_t)100 << 20);
    return mapped == MAP_FAILED || block != NULL;
}
END
"$3" -o maps maps.c || exit 1
# mib_used: what the autopsy says is used of the limit.
mib_used() {
    sed -n 's/^no room .* used \([0-9]*\)$/\1/p' "$long"/* | awk '{ print int($1 / 1048576) }'
    rm -f "$long"/*
}
rm -f "$long"/*
status_of "$ration" run --limit 32M --autopsy "$long" ./maps >/dev/null
same "what is used of a shared limit takes in what is mapped" 20 "$(mib_used)"
status_of env RATION_LIMIT=32M RATION_AUTOPSY="$long" LD_PRELOAD="$preload" ./maps >/dev/null
same "so does what is used of a process's own" 20 "$(mib_used)"

# --- signals to the command alone

# Not INT and QUIT, which a shell has its background ignore.
for name in TERM HUP USR1 USR2; do
    rm -f ready got
    "$ration" run --quiet sh -c 'trap "echo once >>got" "$1"; echo $$ >ready
        i=0; until [ -s got ] || [ $i = 600 ]; do sleep 0.1; i=$((i + 1)); done; exit 9' sh "$name" &
    command=$!
    wait_for ready && kill -"$name" "$command"
    wait "$command"
    same "SIG$name sent to the command reaches the program once" "9 once" "$? $(cat got)"
done

# waits: has the shell stay until something is in the file got.
waits='i=0; until [ -s got ] || [ $i = 600 ]; do sleep 0.1; i=$((i + 1)); done'
rm -f got
same "so does one that a child of the program sends" "9 once" "$(status_of "$ration" run --quiet sh -c '
    trap "echo once >>got" USR1; (kill -USR1 "$PPID") & '"$waits"'; exit 9') $(cat got)"
# The second comes by way of the command, which takes those of lower numbers first.
rm -f got
same "the program gets once what it sends to its group" "9 group child" "$(status_of setsid -w "$ration" run --quiet sh -c '
    trap "echo group >>told" USR1; trap "cat told >got; echo child >>got" USR2
    kill -USR1 0; (kill -USR2 "$PPID") & '"$waits"'; exit 9') $(tr '\n' ' ' <got | sed 's/ $//')"
same "what it sends to its parent does not come back to it" 9 "$(status_of "$ration" run --quiet sh -c '
    kill -USR1 "$PPID"; trap "exit 9" USR2; (kill -USR2 "$PPID") & while :; do sleep 0.1; done')"
same "an alarm that was set before reaches the program" 142 "$(status_of python3 -c 'import os, signal, sys
signal.alarm(1)
os.execv(sys.argv[1], sys.argv[1:])' "$ration" run --quiet sleep 300)"

# --- where nothing happens

# reads_of PROCESS: how often it has read something.
reads_of() {
    sed -n 's/^syscr: //p' "/proc/$1/io" 2>/dev/null
}

# Each look at processes takes some reads; ten looks a second would take more than are allowed here.
for how in "" "--limit 64M"; do
    rm -f ready idle && mkfifo idle
    # shellcheck disable=SC2086 # options, or none
    "$ration" run --quiet $how sh -c 'echo $PPID >ready; read line <idle' &
    wait_for ready
    if [ -n "$(reads_of "$(cat ready)")" ]; then
        sleep 2
        begin=$(date +%s) before=$(reads_of "$(cat ready)")
        sleep 3
        reads=$(($(reads_of "$(cat ready)") - before)) seconds=$(($(date +%s) - begin + 1))
        same "an idle run is looked at about once a second: $how" yes \
            "$([ "$reads" -le $((15 * seconds)) ] && echo yes || echo "$reads reads in $seconds s")"
        same "and it is looked at: $how" yes "$([ "$reads" -gt 0 ] && echo yes)"
    else
        echo "skipped: idle runs, since this kernel counts no reads"
    fi
    echo >idle
    wait $!
done

# --- orphans

"$ration" run --quiet sh -c 'i=0; while [ $i -lt 20 ]; do (true &); i=$((i + 1)); done; command=$PPID
    i=0; while ps -o stat= --ppid "$command" | grep -q Z && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done
    ps -o stat= --ppid "$command" | grep -c Z' >zombies
same "orphans are reaped" 0 "$(cat zombies)"

# --- descriptors

"$ration" run --quiet sh -c 'ls /proc/$$/fd | tr "\n" " "' >files 2>/dev/null </dev/null
same "the program gets no descriptor of the command's" "$(sh -c 'ls /proc/$$/fd | tr "\n" " "' </dev/null 2>/dev/null)" "$(cat files)"
mkfifo pipe
"$ration" run --quiet sh -c 'exec >&-; i=0; until [ -e release ] || [ $i = 600 ]; do sleep 0.1; i=$((i + 1)); done' >pipe &
command=$!
cat pipe >/dev/null
same "a pipe ends when the program closes it" running "$(kill -0 "$command" 2>/dev/null && echo running)"
echo >release
wait "$command"
same "standard input is the program's" "line" "$(echo line | "$ration" run --quiet cat)"

# --- namespaces

if unshare --pid --fork --mount-proc true 2>/dev/null; then
    same "as a namespace's first process it ends with 128 and the number" 143 \
        "$(status_of unshare --pid --fork --mount-proc "$ration" run --quiet sh -c 'kill -TERM $$')"
    rm -f got
    same "as a namespace's first process it passes on what is sent to it from within" "5 once" \
        "$(status_of unshare --pid --fork --mount-proc "$ration" run --quiet sh -c '
        trap "echo once >>got; exit 5" TERM; sh -c "kill -TERM 1; exit"; '"$waits"'; exit 9') $(cat got)"
    same "as a namespace's first process it passes the status on" 4 \
        "$(status_of unshare --pid --fork --mount-proc "$ration" run --quiet sh -c 'exit 4')"
    same "one in another namespace is denied" 7 \
        "$(status_of "$ration" run --limit 32M --autopsy stale unshare --pid --fork ./denied)"
    same "and its autopsy is named by the number that it has there" stale/ration-1.autopsy \
        "$(tr -d '\n ' <complaint | grep -o 'stale/ration-[0-9.]*\.autopsy')"
else
    echo "skipped: namespaces, which can't be made here"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
