#!/bin/sh
# statistics.sh: whose figures --stats and RATION_STATS write, and where.
#
# Usage: statistics.sh SOURCE BUILD COMPILER. Start at the claims at the end. The shell that Debian has as sh ends without writing
# any, so what is to write them is another program.
# shellcheck disable=SC2016 # what stands in single quotes is for another shell, or for C
set -u
. "${0%/*}/begin"
begin statistics "$2"
unset RATION_STATS

# Starts a child and a forked one that end before it. 0 if the file that is named is not there then, 7 if it is.
cat >family.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    void *volatile block = malloc(1 << 20);
    if (fork() == 0)
        exit(block == NULL);
    if (fork() == 0)
        execlp("true", "true", (char *)NULL);
    while (wait(NULL) > 0)
        ;
    return argc > 1 && access(argv[1], F_OK) == 0 ? 7 : 0;
}
END
"$3" -o family family.c || exit 1
mkdir elsewhere

# lives FILE: whether figures are there of a program with 1 MiB, "no" where they are another's, or none.
lives() {
    awk '$1 == "live" && $2 >= 1048576 { found = 1 } END { print found ? "yes" : "no" }' "$1" 2>/dev/null || echo none
}

# status_of COMMAND…: silently.
status_of() {
    "$@" >output 2>complaint </dev/null
    echo $?
}

same "children leave the file to the program" 0 "$(status_of "$ration" run --quiet --stats one ./family one)"
same "which writes it" yes "$(lives one)"
same "so it is with RATION_STATS" 0 "$(RATION_STATS=two status_of "$ration" run --quiet ./family two)"
same "and the command does not write over it" yes "$(lives two)"
same "it is the program's, too, where that becomes another" "0 yes" \
    "$(status_of "$ration" run --quiet --stats three sh -c 'exec ./family three') $(lives three)"
same "it lies where the command was started" "0 yes no" \
    "$(status_of "$ration" run --quiet --stats four sh -c 'cd elsewhere && exec ../family') $(lives four) $(
        [ -e elsewhere/four ] && echo yes || echo no)"
same "a file from before stays until then" old "$(echo old >five; "$ration" run --quiet --stats five cat five)"
same "with %p each process has its own" "0 3" \
    "$(status_of "$ration" run --quiet --stats each-%p.txt ./family) $(find . -name 'each-[0-9]*.txt' | wc -l)"
same "named by its number" "yes" \
    "$("$ration" run --quiet --stats number-%p-%p sh -c 'echo $$ >number; exec ./family'; n=$(cat number)
    lives "number-$n-$n")"
same "nothing is started where it can't be written" "2 " \
    "$(status_of "$ration" run --quiet --stats nowhere/figures touch started) $(find . -name started)"
same "a program that starts a run of its own has the file that it names for that one" "0 yes" \
    "$(status_of "$ration" run --quiet --stats outer "$ration" run --quiet --stats inner ./family inner) $(lives inner)"
same "and its own figures are those of the command that it is" "no yes" "$(lives outer) $([ -s outer ] && echo yes)"
same "without the command a name is looked up where the program was started" "0 yes" \
    "$(LD_PRELOAD=$build/lib/libration-preload.so RATION_STATS=six status_of python3 -c '
import os
keep = bytearray(1 << 20)
os.chdir("elsewhere")') $([ -s six ] && echo yes)"
LD_PRELOAD=$build/lib/libration-preload.so RATION_STATS=nowhere/seven ./family 2>complaint
same "a file that can't be written is told" "ration: RATION_STATS=$work/nowhere/seven: RATION_STATS takes the name of a file that can be written; ignored" \
    "$(sort -u complaint)"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
