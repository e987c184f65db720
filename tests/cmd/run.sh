#!/bin/sh
# run.sh: what the command says and does, every message compared whole.
#
# Usage: run.sh SOURCE BUILD COMPILER. Start at the claims at the end: a program is called by expect(), with the status,
# the output and the complaint that it must give. The programs that `ration run` must refuse are made here.
# shellcheck disable=SC2016 # what stands in single quotes is for another shell, or for C
# shellcheck disable=SC3045 # ulimit -c and -v are in every shell that Debian has as sh
set -u
. "${0%/*}/begin"
source=$(cd "$1" && pwd)
compiler=$3
begin run "$2"
library=$build/lib/libration-preload.so
ulimit -c 0

# expect CLAIM STATUS OUTPUT COMPLAINT COMMAND…: all three of the command's answers, compared whole.
expect() {
    claim=$1 expected="status $2, output '$3', complaint '$4'"
    shift 4
    "$@" >output 2>complaint </dev/null
    status=$?
    same "$claim" "$expected" "status $status, output '$(cat output)', complaint '$(cat complaint)'"
}

# make NAME 'SOURCE' FLAGS…: a program, or the end of all tests.
make() {
    name=$1 code=$2
    shift 2
    printf '%s\n' "$code" >"$name.c"
    "$compiler" -o "$name" "$name.c" "$@" || {
        echo "run.sh: $compiler can't make $name"
        exit 1
    }
}

# patch FILE OFFSET BYTE: writes one byte, in octal, into a file.
patch() {
    printf '%b' "\\0$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

empty_main='int main(void) { return 0; }'
version=$(sed -n 's/^#define RN_VERSION_[MP][A-Z]* //p' "$source/include/ration/base.h" | paste -s -d .)

general_help="Usage: ration VERB [OPTIONS]
Memory for C programs that must live within a fixed allowance.

Verbs:
  doctor    show what this system offers, and what Ration does with it
  run       start a program with Ration as its malloc

Options:
  -h, --help  show this; 'ration help VERB' tells more about a verb
  --version   show the version"

run_help="Usage: ration run [OPTIONS] [--] PROGRAM [ARGUMENTS]
Starts PROGRAM, unmodified, with Ration as its malloc, and the programs that
it starts; stays as its parent and tells at the end where the memory went.

Options:
  --limit SIZE       what all processes together may hold: 500M, 1.5G, 64KiB;
                     40% of the machine's memory; auto: 95% of what the
                     container leaves, followed while it changes
  --soft SIZE        beyond this, memory is given back early; nothing is denied
  --on-limit WHAT    deny (NULL and ENOMEM; the default), wait:TIME (as 2s, then
                     deny), abort, exit:CODE
  --reserve SIZE     what of the limit is kept for a thread that was just denied
                     something, to say so with (64K)
  --children WHICH   share: one limit for all (the default); each: the limit for
                     each process; none: what PROGRAM starts runs without Ration
  --autopsy DIR      where ration-PID.autopsy is written at the first denial (.)
  --harden           check every free at once, guard large blocks, detect
                     overflows and writes after free; costs some time
  --stats FILE       write PROGRAM's figures at its end; %p in FILE is a process's
                     number, and each process writes its own then
  --quiet            tell nothing at the end
  -h, --help         show this

Environment:
  LD_PRELOAD           kept: Ration is put before what it names
  RATION_PRELOAD_PATH  the libration-preload.so to use, instead of the one that
                       is installed with this command

Exit status: the program's own; 2 where Ration can't be its malloc, 126 where it
can't be started, 127 where there is no such program."

doctor_help="Usage: ration doctor [--json]
Shows what this system offers to a memory manager, and what Ration does with it.

Options:
  --json      the same for programs
  -h, --help  show this

Exit status: 0; 1 where libration-preload.so is missing."

# --- the command itself

expect "help is printed" 0 "$general_help" "" "$ration" --help
for way in -h help; do
    expect "help is printed by $way, too" 0 "$general_help" "" "$ration" $way
done
expect "a verb's help is printed by help VERB" 0 "$run_help" "" "$ration" help run
expect "help for no verb is misuse" 2 "" "ration: unknown verb 'walk'; see 'ration --help'" "$ration" help walk
expect "no verb is misuse, and help the complaint" 2 "" "$general_help" "$ration"
expect "the version is the headers'" 0 "ration $version" "" "$ration" --version
expect "an unknown verb is named" 2 "" "ration: unknown verb 'walk'; see 'ration --help'" "$ration" walk
expect "an unknown option is named" 2 "" "ration: unknown option '-x'; see 'ration --help'" "$ration" -x
expect "a full disk is told" 1 "" "ration: standard output: No space left on device" \
    sh -c '"$1" --version >/dev/full' sh "$ration"
expect "help is told from a verb's full disk" 1 "" "ration run: standard output: No space left on device" \
    sh -c '"$1" run --help >/dev/full' sh "$ration"

# --- run: its command line

for way in --help -h; do
    expect "run: help is printed by $way" 0 "$run_help" "" "$ration" run $way
done
expect "run: no program is misuse" 2 "" "ration run: no program named; see 'ration run --help'" "$ration" run
expect "run: no program after the options is misuse" 2 "" "ration run: no program named; see 'ration run --help'" \
    "$ration" run --harden --
expect "run: an unknown option is named" 2 "" "ration run: unknown option '--limits'; see 'ration run --help'" \
    "$ration" run --limits 5M true

expect "run: an unknown short option is named, in a group, too" 2 "" \
    "ration run: unknown option '-xy'; see 'ration run --help'" "$ration" run --quiet -xy true
expect "run: a value for an option that takes none is named" 2 "" \
    "ration run: unknown option '--quiet=3'; see 'ration run --help'" "$ration" run --quiet=3 true
expect "run: help wins over a missing program" 0 "$run_help" "" "$ration" run --quiet --help
for option in limit soft on-limit reserve children stats autopsy; do
    expect "run: --$option takes a value" 2 "" "ration run: --$option takes a value; see 'ration run --help'" \
        "$ration" run --$option
done

# misuse COMPLAINT OPTION…: with a program that would run.
misuse() {
    complaint=$1
    shift
    expect "run: $*" 2 "" "ration run: $complaint" "$ration" run --quiet "$@" true
}

size="a size with its unit, as 500M"
for value in '' 0 5 M -5M 5X 1e9M 5MB 5mb .5G 5.M ' 5M' 5M5 0M 9999999T 1.2.3M 101% 0% % -1% 40%%; do
    misuse "--limit '$value': takes $size, a percentage of the machine's memory, as 40%, or auto" --limit "$value"
done
for value in '' 0 5 -5M 5X 40%; do
    misuse "--soft '$value': takes $size or 64KiB" --soft "$value"
done
for value in '' 00 5 -5K 5X 40%; do
    misuse "--reserve '$value': takes $size or 64KiB" --limit 64M --reserve "$value"
done
for value in '' refuse wait wait: wait:2 wait:-1s wait:99999m exit exit: exit:256 exit:-1 exit:3x denyx; do
    misuse "--on-limit '$value': takes deny, wait:TIME as wait:2s, abort, or exit:CODE with a code below 256" \
        --limit 64M --on-limit "$value"
done
for value in '' all Share nonex; do
    misuse "--children '$value': takes share, each or none" --children "$value"
done
for value in '' nowhere /dev/null; do
    misuse "--autopsy '$value': takes a directory" --limit 64M --autopsy "$value"
done
for value in '' nowhere/figures nowhere/%p /; do
    misuse "--stats '$value': takes a file that can be written: $([ "$value" = / ] && echo Is a directory ||
        echo No such file or directory)" --stats "$value"
done
misuse "--stats '/dev/null/x': takes a file that can be written: Not a directory" --stats /dev/null/x
misuse "--limit 1M: a program needs more to start; give 2.0 MiB or more" --limit 1M
misuse "--limit 2097151B: a program needs more to start; give 2.0 MiB or more" --limit=2097151B
misuse "--soft 64.01M is more than --limit 64M, which is met first" --soft 64.01M --limit 64M
misuse "--on-limit means nothing without --limit" --on-limit deny
misuse "--on-limit means nothing without --limit" --soft 64M --on-limit exit:3
misuse "--reserve means nothing without --limit" --reserve 0
misuse "--autopsy means nothing without --limit" --autopsy .
for value in deny abort wait:2s wait:0ms exit:0 exit:255; do
    expect "run: --on-limit $value is taken" 0 "" "" "$ration" run --quiet --limit 64M --on-limit $value true
done
for how in "env RATION_LIMIT=64M" "$ration run --quiet --limit 64M" "$ration run --quiet --limit 64M --children each"; do
    # shellcheck disable=SC2086 # a command with its arguments
    expect "run: --on-limit has a meaning in $how" 0 "exit:3" "" \
        $how "$ration" run --quiet --on-limit exit:3 printenv RATION_ON_LIMIT
done
for value in 64M 64m 1.5G 2g 65536KiB 67108864B 40% 100%; do
    expect "run: --limit=$value is taken" 0 "" "" "$ration" run --quiet --limit=$value true
done
for value in share each none; do
    expect "run: --children $value is taken" 0 "" "" "$ration" run --quiet --limit 64M --children $value true
done
expect "run: --soft may be the limit" 0 "67108864B" "" \
    "$ration" run --quiet --soft 64M --limit 64M printenv RATION_SOFT
expect "run: --soft is no more than the limit of a run around this one" 0 "33554432B" "" \
    "$ration" run --quiet --limit 32M --children each "$ration" run --quiet --soft 48M --limit 64M printenv RATION_SOFT
expect "run: --soft needs no limit" 0 "67108864B" "" "$ration" run --quiet --soft 64M printenv RATION_SOFT
expect "run: --reserve 0 is taken" 0 0 "" "$ration" run --quiet --limit 64M --reserve 0 printenv RATION_RESERVE
expect "run: a shared limit is no process's own" 1 "" "" "$ration" run --quiet --limit 64M printenv RATION_LIMIT
expect "run: it wins over RATION_LIMIT" 1 "" "" \
    env RATION_LIMIT=32M "$ration" run --quiet --limit 64M printenv RATION_LIMIT
expect "run: RATION_LIMIT stays where no option says otherwise" 0 "32M" "" \
    env RATION_LIMIT=32M "$ration" run --quiet printenv RATION_LIMIT
expect "run: the variables hold for the program, not for the command" 0 "started" "" \
    env RATION_LIMIT=64K "$ration" run --quiet --limit 64M echo started
expect "run: a wrong one is told once, by the program" 0 "started" \
    "ration: RATION_LIMIT=lots: RATION_LIMIT takes a size with its unit, as 500M or 64KiB; ignored" \
    env RATION_LIMIT=lots "$ration" run --quiet echo started
expect "run: a limit for each is" 0 "67108864B" "" \
    "$ration" run --quiet --limit 64M --children each printenv RATION_LIMIT
expect "run: --stats is RATION_STATS, of the program alone" 0 "yes:$work/figures" "" \
    "$ration" run --quiet --stats figures sh -c 'echo "$RATION_STATS" | sed "s/^$$:/yes:/"'
expect "run: --stats of each process is nobody's alone" 0 "$work/figures-%p" "" \
    "$ration" run --quiet --stats figures-%p printenv RATION_STATS
expect "run: RATION_STATS is made absolute and the program's" 0 "yes:$work/figures" "" \
    env RATION_STATS=figures "$ration" run --quiet sh -c 'echo "$RATION_STATS" | sed "s/^$$:/yes:/"'
expect "run: --stats wins over RATION_STATS" 0 "$work/second-%p" "" \
    env RATION_STATS=nowhere/first "$ration" run --quiet --stats second-%p printenv RATION_STATS
expect "run: RATION_STATS that can't be written is told" 2 "" \
    "ration run: RATION_STATS 'nowhere/figures': takes a file that can be written: No such file or directory" \
    env RATION_STATS=nowhere/figures "$ration" run --quiet echo started

# --- run: what the program gets

expect "run: the program's own options stay its own" 0 "--harden --help --" "" \
    "$ration" run --quiet -- echo --harden --help --
expect "run: options end at the program" 0 "--harden" "" "$ration" run --quiet echo --harden
expect "run: the exit status passes through" 7 "" "" "$ration" run --quiet sh -c 'exit 7'
# SIGPIPE, since a shell has a word of its own to say about a program that most other signals killed.
expect "run: a signal passes through" 141 "" "" "$ration" run --quiet sh -c 'kill -PIPE $$'
expect "run: the library is the program's" 0 "$library" "" "$ration" run --quiet printenv LD_PRELOAD
expect "run: what was preloaded is kept, after it" 0 "$library:libm.so.6" "" \
    env LD_PRELOAD=libm.so.6 "$ration" run --quiet printenv LD_PRELOAD
expect "run: an empty LD_PRELOAD is nothing to keep" 0 "$library" "" \
    env LD_PRELOAD= "$ration" run --quiet printenv LD_PRELOAD
expect "run: within a run the library is named once" 0 "$library" "" \
    "$ration" run --quiet sh -c '"$1" run --quiet printenv LD_PRELOAD' sh "$ration"
expect "run: the command, which is on Ration already, can be the program" 0 "$library" "" \
    "$ration" run --quiet "$ration" run --quiet printenv LD_PRELOAD
expect "run: another library whose name begins alike is another" 0 "$library:$library.x" "" \
    sh -c 'cp "$1" "$1.x"; LD_PRELOAD=$1.x "$2" run --quiet printenv LD_PRELOAD; status=$?; rm "$1.x"; exit $status' \
    sh "$library" "$ration"
expect "run: --harden is RATION_HARDEN=1" 0 1 "" "$ration" run --quiet --harden printenv RATION_HARDEN
expect "run: hardening is off by default" 1 "" "" "$ration" run --quiet printenv RATION_HARDEN
same "run: the library is loaded into the program" "$library" \
    "$("$ration" run --quiet cat /proc/self/maps | awk '/libration-preload/ { print $6; exit }')"

# --- run: finding the program

mkdir first second directory
printf '#!/bin/sh\necho second\n' >second/tool
cp second/tool first/tool
chmod 755 second/tool
chmod 644 first/tool
printf 'echo "by a shell, $1"\n' >plain
printf '#!/nowhere/sh\n' >lost
chmod 755 plain lost

expect "run: a missing program is 127" 127 "" "ration run: no-such-program: no such program" \
    "$ration" run --quiet no-such-program
expect "run: a missing file is 127" 127 "" "ration run: ./missing: no such program" "$ration" run --quiet ./missing
expect "run: a file in a file is 127" 127 "" "ration run: ./plain/x: no such program" "$ration" run --quiet ./plain/x
expect "run: an empty name is 127" 127 "" "ration run: : no such program" "$ration" run --quiet ''
expect "run: a directory is 126" 126 "" "ration run: ./directory: Is a directory" "$ration" run --quiet ./directory
expect "run: a file that may not be executed is 126" 126 "" "ration run: ./first/tool: Permission denied" \
    "$ration" run --quiet ./first/tool
expect "run: a device is 126" 126 "" "ration run: /dev/null: Permission denied" "$ration" run --quiet /dev/null
expect "run: PATH goes on after what can't be executed" 0 second "" \
    env PATH="$PATH:$work/first:$work/second" "$ration" run --quiet tool
expect "run: what can't be executed is 126 where PATH has no other" 126 "" "ration run: tool: Permission denied" \
    env PATH="$work/first" "$ration" run --quiet tool
expect "run: an empty part of PATH is this directory" 0 "by a shell, twice" "" \
    env PATH="$PATH:" "$ration" run --quiet plain twice
expect "run: a file without #! goes to the shell" 0 "by a shell, once" "" "$ration" run --quiet ./plain once
expect "run: a script whose interpreter is missing is 126" 126 "" \
    "ration run: ./lost: its interpreter, or its loader, is missing" "$ration" run --quiet ./lost

# --- run: programs that a preloaded malloc would not reach

make static "$empty_main" -static
make go "__attribute__((section(\".go.buildinfo\"), used)) static const char mark[32] = \"Go\"; $empty_main"
make go-static "__attribute__((section(\".go.buildinfo\"), used)) static const char mark[32] = \"Go\"; $empty_main" -static
make sanitized "void __asan_init(void); void __asan_init(void) {} $empty_main" -rdynamic
make own-malloc "#include <stddef.h>
void *malloc(size_t size) { (void)size; return NULL; } $empty_main" -fno-builtin -rdynamic
make libjemalloc.so.2 'int mallctl(void); int mallctl(void) { return 0; }' -shared -fPIC -Wl,-soname,libjemalloc.so.2
make own-library 'int mallctl(void); int main(void) { return mallctl(); }' ./libjemalloc.so.2
make musl "$empty_main" -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1
make plain-elf "$empty_main"
cp plain-elf narrow && patch narrow 4 001
cp plain-elf foreign && patch foreign 18 002
printf '#! %s/static -x\n' "$work" >script
printf '#!%s/script\n' "$work" >script-of-script
chmod 755 script script-of-script

elsewhere="is built for another processor or word size than this Ration"
go="is a Go program: no malloc to replace; use GOMEMLIMIT and a cgroup"
static="is linked statically, so nothing can be preloaded; link it with libration-malloc.a"
# refuses CLAIM FILE REASON
refuses() {
    expect "run: $1" 2 "" "ration run: ./$2: $3" "$ration" run --quiet "./$2"
}

expect "run: a program like any other is started" 0 "" "" "$ration" run --quiet ./plain-elf
refuses "a static program is refused" static "$static"
refuses "a Go program is refused" go "$go"
refuses "a static Go program is refused for being Go" go-static "$go"
refuses "a sanitized program is refused" sanitized "is built with a sanitizer, which needs its own malloc"
refuses "a program with a malloc is refused" own-malloc \
    "brings its own malloc, which the loader prefers to any preloaded one"
refuses "a program with a malloc library is refused" own-library \
    "brings its own malloc (libjemalloc.so.2); two in one process would mix their blocks"
refuses "a program for musl is refused" musl "is linked against musl, and this Ration against glibc"
refuses "a 32-bit program is refused" narrow "$elsewhere"
refuses "another processor's program is refused" foreign "$elsewhere"
refuses "a script is refused for its interpreter" script "its interpreter, $work/static, $static"
refuses "a script of a script is, too" script-of-script "its interpreter, $work/static, $static"

privileged="is set-uid or the like, so the loader ignores what is preloaded"
if [ "$(id -u)" = 0 ]; then
    cp plain-elf set-uid && chown 65534 set-uid && chmod 4755 set-uid
    cp plain-elf set-gid && chgrp 65534 set-gid && chmod 2755 set-gid
    cp plain-elf own-set-uid && chmod 4755 own-set-uid
    refuses "a set-uid program is refused" set-uid "$privileged"
    refuses "a set-gid program is refused" set-gid "$privileged"
    expect "run: set-uid to who runs it changes nothing" 0 "" "" "$ration" run --quiet ./own-set-uid
elif [ -u /usr/bin/su ]; then
    expect "run: a set-uid program is refused" 2 "" "ration run: /usr/bin/su: $privileged" "$ration" run --quiet /usr/bin/su
else
    echo "skipped: set-uid programs, which only root can make here"
fi

# A file that is cut off anywhere, or scribbled on, must not bring the command down: it is refused, or the kernel says no.
size=$(wc -c <plain-elf)
calm=yes
for keep in 0 1 3 4 20 63 64 100 500 $((size / 2)) $((size - 200)) $((size - 1)); do
    dd if=plain-elf of=cut bs=1 count="$keep" 2>/dev/null
    chmod 755 cut
    "$ration" run --quiet ./cut >/dev/null 2>&1
    # 139 is the kernel's word on a program that lost its code, which the command has become by then.
    case $? in 0 | 2 | 126 | 127 | 135 | 139) ;; *) calm="no, cut at $keep" ;; esac
done
for offset in 32 33 39 40 41 47 54 56 58 59 60 61 62 63; do
    cp plain-elf scribbled && patch scribbled "$offset" 377
    "$ration" run --quiet ./scribbled >/dev/null 2>&1
    case $? in 0 | 2 | 126 | 127 | 135 | 139) ;; *) calm="no, scribbled at $offset" ;; esac
done
same "run: damaged programs do no harm" yes "$calm"

# --- run: finding the library

mkdir -p "tree/bin" "tree/lib" "a b/bin" "a b/lib" relative
cp "$ration" tree/bin
cp "$ration" "a b/bin"
expect "run: a missing library is told, with the way out" 2 "" \
    "ration run: $work/tree/bin/../lib/libration-preload.so: No such file or directory; RATION_PRELOAD_PATH can name the library" \
    tree/bin/ration run --quiet true
cp "$library" tree/lib
cp "$library" "a b/lib"
cp "$library" relative
expect "run: a tree can be moved" 0 "$work/tree/lib/libration-preload.so" "" tree/bin/ration run --quiet printenv LD_PRELOAD
ln -s ../tree/bin/ration first/ration
expect "run: a link to the command is followed" 0 "$work/tree/lib/libration-preload.so" "" \
    first/ration run --quiet printenv LD_PRELOAD
expect "run: a path that LD_PRELOAD can't hold is told" 2 "" \
    "ration run: $work/a b/lib/libration-preload.so: a path with a space or a colon can't be preloaded" \
    "a b/bin/ration" run --quiet true
expect "run: RATION_PRELOAD_PATH is made absolute" 0 "$work/relative/libration-preload.so" "" \
    env RATION_PRELOAD_PATH=relative/libration-preload.so "$ration" run --quiet printenv LD_PRELOAD
expect "run: a wrong RATION_PRELOAD_PATH is told" 2 "" \
    "ration run: nowhere.so: No such file or directory; RATION_PRELOAD_PATH can name the library" \
    env RATION_PRELOAD_PATH=nowhere.so "$ration" run --quiet true
expect "run: a library that is none is told" 2 "" "ration run: $work/plain: is no library for this processor" \
    env RATION_PRELOAD_PATH=plain "$ration" run --quiet true

# --- doctor

for way in --help -h; do
    expect "doctor: help is printed by $way" 0 "$doctor_help" "" "$ration" doctor $way
done
expect "doctor: an unknown option is named" 2 "" "ration doctor: unknown option '-j'; see 'ration doctor --help'" \
    "$ration" doctor -j
expect "doctor: an argument is misuse" 2 "" "ration doctor: unknown argument 'all'; see 'ration doctor --help'" \
    "$ration" doctor all

# column FROM FEATURE: what stands in the table from a place on, in the feature's row.
under=
column() {
    # shellcheck disable=SC2086 # a command with its arguments, or nothing
    $under "$ration" doctor | awk -v from="$1" -v name="$2" 'substr($0, 1, 15) == sprintf("%-15s", name) {
        row = substr($0, from, from == 16 ? 23 : 99); sub(/ *$/, "", row); print row }'
}
found() {
    column 16 "$1"
}
use() {
    column 40 "$1"
}

"$ration" doctor >table
same "doctor: it names the system" "Ration $version, $(uname -s) $(uname -r), $(uname -m)" "$(sed -n 1p table)"
same "doctor: it names the library" "library  $library" "$(sed -n 2p table)"
same "doctor: these are the features, in this order" \
    "FEATURE,page size,address space,overcommit,huge pages,membarrier,rseq,guard advice,mremap,mapping names,cgroup,limit auto" \
    "$(sed '1,4d; s/   *.*//' table | sed 's/^\(address space\|mapping names\|limit auto\) .*/\1/; s/^\(FEATURE\) .*/\1/' | paste -s -d ,)"
same "doctor: every row fits a terminal" "" "$(sed 1,4d table | awk 'length($0) > 79')"
same "doctor: every row says all three things" "" "$(sed 1,4d table | awk 'substr($0, 15, 1) != " " ||
    substr($0, 39, 1) != " " || substr($0, 16, 1) == " " || substr($0, 40, 1) == " " || length($0) < 40')"
same "doctor: the page size is the system's" "$(($(getconf PAGESIZE) / 1024)) KiB" "$(found "page size")"
mode=$(cat /proc/sys/vm/overcommit_memory)
same "doctor: overcommit is the system's" "$mode" "$(found overcommit | cut -c 1)"
same "doctor: huge pages are the system's" \
    "$(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null || echo absent)" \
    "$(found "huge pages")"
same "doctor: an address space limit is seen" "391 MiB" "$(ulimit -v 400000; found "address space")"
# What the library found, told by its own code: the page size, then strict overcommit, an address space limit, takeover,
# and whether a thread may use the fast paths.
make facts '#include "os/os.h"
#include <stdio.h>
int main(void) {
    os_start();
    printf("%zu %d %d %d %d\n", os.page_size, os.strict_overcommit, os.address_limit, os.membarrier, os_restart_begin());
    return 0;
}' -std=gnu17 -D_GNU_SOURCE -I "$source/src" "$source"/src/os/*.c -pthread
# The same, read back from what doctor says that Ration does.
doctor_facts() {
    echo "$(($(found "page size" | cut -d ' ' -f 1) * 1024))" \
        "$(use overcommit | grep -c 'PROT_NONE')" \
        "$(use "address space" | grep -c 'small steps')" \
        "$(use membarrier | grep -c 'can be taken over')" \
        "$(use rseq | grep -c 'fast paths')"
}
# deny CALL COMMAND…: the command, to which the kernel does not offer a system call, or not one command of membarrier's.
make deny '#include <errno.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int one_command = strcmp(argv[1], "restarts") == 0;
    unsigned call = strcmp(argv[1], "rseq") == 0 ? SYS_rseq : SYS_membarrier;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, one_command),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (argc < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 125;
    execvp(argv[2], argv + 2);
    return 125;
}'
# knows CLAIM COMMAND…: doctor, run by that command, says what the library decides by there.
knows() {
    claim=$1
    shift
    under=$*
    same "doctor: the library decides by what doctor says$claim" "$("$@" ./facts)" "$(doctor_facts)"
    under=
}
knows "" env
knows " under an address space limit" prlimit --as=409600000
knows " where libc leaves rseq alone" env GLIBC_TUNABLES=glibc.pthread.rseq=0
knows " where the kernel has no rseq" ./deny rseq
knows " where the kernel has no membarrier" ./deny membarrier
knows " where membarrier can't restart" ./deny restarts
same "doctor: without membarrier neither takeover nor fast paths" "0 0" "$(./deny membarrier ./facts | cut -d ' ' -f 4,5)"
same "doctor: without rseq no fast paths" 0 "$(./deny rseq ./facts | cut -d ' ' -f 5)"
same "doctor: without restarts no fast paths" 0 "$(./deny restarts ./facts | cut -d ' ' -f 5)"
# Names can only be seen where the kernel shows them (CONFIG_ANON_VMA_NAME).
named=$(RATION_NAMES=1 "$ration" run --quiet cat /proc/self/maps | grep -c 'anon:ration')
same "doctor: it says whether memory is named" "$([ "$named" = 0 ] && echo no || echo yes)" \
    "$(case $(found "mapping names"),$(use "mapping names") in absent,* | *,"not used") echo no ;; *) echo yes ;; esac)"
expect "doctor: a missing library is an exit status" 1 "library  $work/second/bin/../lib/libration-preload.so (missing)" "" \
    sh -c 'mkdir second/bin && cp "$1" second/bin && { second/bin/ration doctor; status=$?; } >table
        sed -n 2p table; exit $status' sh "$ration"

# The JSON says what the table says: each feature's line is turned into the table's row.
"$ration" doctor --json >json
same "doctor: the JSON has the table's rows" "$("$ration" doctor | sed 1,5d)" \
    "$(sed -n 's/^    {"name": "\(.*\)", "found": "\(.*\)", "use": "\(.*\)"},\{0,1\}$/\1|\2|\3/p' json |
        awk -F'|' '{ printf "%-14s %-23s %s\n", $1, $2, $3 }')"
same "doctor: the JSON names the library" "  \"library\": \"$library\"," "$(grep '"library"' json)"
same "doctor: the JSON has a limit for auto where the table has one" \
    "$(case $(found "limit auto") in none) echo none ;; *) echo some ;; esac)" \
    "$(case $(sed -n 's/^  "auto_limit": \(.*\),$/\1/p' json) in null) echo none ;; [0-9]*) echo some ;; esac)"
# The answer is that of a group which is made here for it, where that can be done.
group=$(sed -n 's/^  "cgroup": "\(.*\)",$/\1/p' json)/ration-doctor-$$
if [ -f "${group%/*}/memory.limit_in_bytes" ] && mkdir "$group" 2>/dev/null; then
    echo 268435456 >"$group/memory.limit_in_bytes"
    sh -c 'echo $$ >"$1/cgroup.procs"; exec "$2" doctor --json' sh "$group" "$ration" >json
    rmdir "$group"
    same "doctor: a group's limit is seen" '  "cgroup_limit": 268435456,' "$(grep '"cgroup_limit"' json)"
    same "doctor: auto is 95 % of a group that nobody else is in, less what the command holds" yes \
        "$(sed -n 's/^  "auto_limit": \(.*\),$/\1/p' json | awk '{ print ($1 <= 255013684 && $1 > 200000000 ? "yes" : $1) }')"
else
    echo "skipped: doctor in a cgroup, for which no memory controller of version 1 can be written here"
fi
if command -v jq >/dev/null; then
    same "doctor: the JSON is JSON" "$version" "$(jq -r .version json)"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
