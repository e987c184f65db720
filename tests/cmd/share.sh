#!/bin/sh
# share.sh: the limit that a program and all it starts share under `ration run`: crowds, deaths, runs within runs, the command's
# own death, and processes that leave their environment, user, root or namespace behind.
#
# Usage: share.sh SOURCE BUILD COMPILER. Start at the claims, below the program that asks for memory. What is waited for is a
# file, or memory, never a time.
# shellcheck disable=SC2016 # what stands in single quotes is for another shell, or for C
set -u
. "${0%/*}/begin"
begin share "$2"
library=$build/lib/libration-preload.so
# Where a command that is killed leaves its socket.
mkdir -m 700 runtime && XDG_RUNTIME_DIR=$PWD/runtime
export XDG_RUNTIME_DIR

cat >member.c <<'END_OF_MEMBER'
/* member take MIB         asks for so much: 0, or 7 where it is denied
 * member until MIB        asks until it gets it
 * member hold MIB FILE    keeps it, and says in the file whether it got it
 * member leave MIB FILE   the same, but then becomes a program that is not on Ration
 * member wait FILE        until something is in it
 * member crowd COUNT MIB  starts so many that together ask for more than so much, and tells how they fared */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, BLOCKS = 64, STEPS = 200, SECONDS = 200 };

static void pause_little(void) {
    usleep(10000);
}

static char *get(size_t bytes) {
    char *volatile block = malloc(bytes);
    if (block != NULL)
        memset(block, 1, bytes);
    return block;
}

static void tell(size_t bytes, const char *name) {
    FILE *file = fopen(name, "w");
    fputs(get(bytes) == NULL ? "denied" : "held", file);
    fclose(file);
}

static int hold(size_t bytes, const char *name) {
    tell(bytes, name);
    for (;;)
        pause();
}

static int leave(size_t bytes, const char *name) {
    char *nothing[] = {NULL};
    tell(bytes, name);
    return execle("/bin/sleep", "sleep", "200", (char *)NULL, nothing);
}

static int wait_for(const char *name) {
    struct stat status;
    while (stat(name, &status) != 0 || status.st_size == 0)
        pause_little();
    return 0;
}

static struct crowd {
    size_t held, most;
    int arrived, count, denied;
} * crowd;

static void open_crowd(int more_flags) {
    int file = open("crowd", O_RDWR | more_flags, 0600);
    if (ftruncate(file, sizeof *crowd) != 0)
        exit(1);
    crowd = mmap(NULL, sizeof *crowd, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
}

/* What is held is counted once it is there, and no longer before it goes: so the sum is never too large. */
static void count_held(size_t bytes) {
    size_t held = __atomic_add_fetch(&crowd->held, bytes, __ATOMIC_SEQ_CST), most = crowd->most;
    while (held > most && !__atomic_compare_exchange_n(&crowd->most, &most, held, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

static void stop_counting(size_t bytes) {
    __atomic_sub_fetch(&crowd->held, bytes, __ATOMIC_SEQ_CST);
}

static void arrive_and_wait(void) {
    __atomic_add_fetch(&crowd->arrived, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&crowd->arrived, __ATOMIC_SEQ_CST) < crowd->count)
        pause_little();
}

static int press(void) {
    char *blocks[BLOCKS] = {NULL};
    size_t sizes[BLOCKS] = {0};
    unsigned seed = (unsigned)getpid();
    open_crowd(0);
    arrive_and_wait();
    for (int i = 0; i < STEPS; i++) {
        unsigned at = (unsigned)rand_r(&seed) % BLOCKS;
        stop_counting(sizes[at]);
        free(blocks[at]);
        sizes[at] = (size_t)rand_r(&seed) % (MIB / 4);
        blocks[at] = get(sizes[at]);
        if (blocks[at] == NULL) {
            sizes[at] = 0;
            __atomic_add_fetch(&crowd->denied, 1, __ATOMIC_SEQ_CST);
        }
        count_held(sizes[at]);
    }
    for (int i = 0; i < BLOCKS; i++)
        stop_counting(sizes[i]);
    return 0;
}

static int gather(int count, size_t limit, char *self) {
    int status, ended_well = 0;
    open_crowd(O_CREAT);
    crowd->count = count;
    for (int i = 0; i < count; i++)
        if (fork() == 0) {
            execl(self, self, "press", (char *)NULL);
            _exit(1);
        }
    while (wait(&status) > 0)
        ended_well += status == 0;
    printf("%d of %d ended well, %s, %s, %s\n", ended_well, count, crowd->denied > 0 ? "some denied" : "none denied",
           crowd->most <= limit ? "never beyond the limit" : "beyond the limit",
           crowd->most > limit / 2 ? "most of it used" : "little of it used");
    return 0;
}

int main(int argc, char **argv) {
    size_t bytes = argc < 3 ? 0 : strtoul(argv[argc == 4 && argv[1][0] == 'c' ? 3 : 2], NULL, 10) * MIB;
    alarm(SECONDS);
    switch (argv[1][0]) {
    case 'p':
        return press();
    case 'c':
        return gather(atoi(argv[2]), bytes, argv[0]);
    case 'h':
        return hold(bytes, argv[3]);
    case 'l':
        return leave(bytes, argv[3]);
    case 'w':
        return wait_for(argv[2]);
    case 'u':
        while (get(bytes) == NULL)
            pause_little();
        return 0;
    default:
        return get(bytes) == NULL ? 7 : 0;
    }
}
END_OF_MEMBER
"$3" -o member member.c || exit 1
mkdir autopsies

# run OPTION… PROGRAM…: under 64 MiB, silently; gives the status.
run() {
    "$ration" run --quiet --limit 64M --autopsy autopsies "$@" >output 2>complaint </dev/null
    echo $?
}

# answers SCRIPT ARGUMENT…: what a shell under 64 MiB says.
answers() {
    script=$1
    shift
    "$ration" run --quiet --limit 64M --autopsy autopsies sh -c "$script" sh "$@" 2>complaint </dev/null
}

# shares CLAIM COMMAND…: a program that is started by the command is limited, and together with the other programs of the run.
shares() {
    claim=$1
    shift
    same "$claim: it has a share of the limit" 0 "$(run "$@" ./member take 32)"
    same "$claim: it has no more than the limit" 7 "$(run "$@" ./member take 80)"
    same "$claim: the limit is that of all together" "held 7" \
        "$(answers 'rm -f held; ./member hold 40 held & ./member wait held; "$@" ./member take 40; echo "$(cat held) $?"; kill $!' "$@")"
}

# --- many

same "fifty processes together never hold more than the limit" \
    "50 of 50 ended well, some denied, never beyond the limit, most of it used" \
    "$("$ration" run --limit 64M --autopsy autopsies ./member crowd 50 64 2>complaint)"
same "nor had they taken more" yes "$(tr -s '\n ' ' ' <complaint | grep -o 'held [0-9.]* MiB at most' |
    awk '$2 > 32 && $2 <= 64 { print "yes" }')"

# --- deaths

same "what a killed process held the others get, before anybody waits for it" "held 7 0" "$(answers '
    rm -f held; ./member hold 40 held & holder=$!
    ./member wait held; ./member take 40; denied=$?
    kill -KILL $holder; ./member until 40; echo "$(cat held) $denied $?"')"
same "and so it is with what it had started" "held 7 0" "$(answers '
    rm -f held; (./member hold 40 held; true) & shell=$!
    ./member wait held; ./member take 40; denied=$?
    kill -KILL $(ps -o pid= --ppid $shell); ./member until 40; echo "$(cat held) $denied $?"')"
same "what a program held before it became one without Ration the others get" "held 0" "$(answers '
    rm -f held; ./member leave 40 held & member=$!
    ./member wait held; ./member until 40; echo "$(cat held) $?"; kill $member')"

# --- who shares

same "so it is where the run began without standard files" "held 7" "$("$ration" run --quiet --limit 64M --autopsy autopsies \
    sh -c 'rm -f held; ./member hold 40 held & ./member wait held; ./member take 40; echo "$(cat held) $?" >told; kill $!' \
    <&- >&-; cat told)"
same "a run within a run that gives each process a limit has none above it" 7 "$("$ration" run --quiet --limit 64M \
    --children each --autopsy autopsies "$ration" run --quiet --limit 1G ./member take 80; echo $?)"
same "what happens at the limit of the outer run happens in the inner one" 9 "$("$ration" run --quiet --limit 64M \
    --on-limit exit:9 --autopsy autopsies "$ration" run --quiet ./member take 80 2>/dev/null; echo $?)"
mkdir -p elsewhere relative && rm -f relative/* elsewhere/*
"$ration" run --quiet --limit 64M --autopsy relative sh -c 'cd elsewhere; ../member take 80'
same "an autopsy lies where the command was told, whatever the program's directory" 1 "$(find relative -name '*.autopsy' | wc -l)"
same "each: two processes have the limit for themselves" "held 0 7" "$("$ration" run --quiet --limit 64M --children each \
    --autopsy autopsies sh -c 'rm -f held; ./member hold 40 held & ./member wait held; ./member take 40; second=$?
    ./member take 80; echo "$(cat held) $second $?"; kill $!')"

same "none: the program is limited" 7 "$(run --children none ./member take 80)"
same "none: what it starts is not, and knows nothing of it" "0 none" "$("$ration" run --quiet --limit 64M --children none \
    --autopsy autopsies sh -c './member take 80; echo "$? ${LD_PRELOAD-${RATION_RUN-none}}"')"

# --- a run within a run

shares "a run within a run" "$ration" run
shares "a run within a run that a shell starts" sh -c '"$0" run "$@"; exit $?' "$ration"
same "a run within a run has its own limit, too" 7 "$(run "$ration" run --limit 16M ./member take 32)"
same "a run within a run tells nothing" " " "$(run "$ration" run true >/dev/null; cat output) $(cat complaint)"
same "a run within a run passes the status on" 3 "$(run "$ration" run sh -c 'exit 3')"
# SIGPIPE, since a shell has a word of its own to say about a program that most other signals killed.
same "a run within a run passes the signal on" 141 "$(run "$ration" run sh -c 'kill -PIPE $$')"
same "another verb within a run answers" "$("$ration" --version)" "$(run "$ration" --version >/dev/null; cat output)"

# --- without the command

"$ration" run --quiet --limit 64M --autopsy autopsies sh -c 'rm -f held; ./member hold 40 held & holder=$!
    ./member wait held; echo >ready; until [ -e killed ]; do sleep 0.1; done
    ./member take 32; started=$?; ./member take 80; echo "$(cat held) $started $?" >after
    kill $holder' 2>complaint &
command=$!
./member wait ready && kill -KILL "$command"
wait "$command" 2>/dev/null
same "the command can be killed" 137 $?
echo >killed
./member wait after
same "its program goes on without it, and what that starts has the limit for itself" "held 0 7" "$(cat after)"

# --- within a run that has ended

cat >daemon.sh <<'END_OF_DAEMON'
# daemon.sh COMMAND OPTION…: once the command has ended, what two processes of a run of our own get, of 16 MiB each.
outer=$1
shift
while kill -0 "$outer" 2>/dev/null; do sleep 0.1; done
"$RATION" run "$@" --autopsy autopsies sh -c 'rm -f held; ./member hold 16 held & ./member wait held
    ./member take 16; second=$?; ./member take 80; echo "$(cat held) $second $?"; kill $!' >got 2>said
echo >done
END_OF_DAEMON
# leaves OPTION…: a run under 64 MiB that ends, and leaves a daemon which starts another run with these.
leaves() {
    rm -f "done"
    RATION=$ration "$ration" run --quiet --limit 64M sh -c 'setsid sh daemon.sh $PPID "$@" >/dev/null 2>&1 &' sh "$@" <&-
    ./member wait "done"
    tr -s '\n ' ' ' <said | sed -n 's/.* held [0-9.]* [KM]iB at most of \([0-9.]* MiB\);.*/\1/p' >limit
}
leaves --limit 24M
same "a daemon's run has its own limit, for all together" "held 7 7, of 24.0 MiB" "$(cat got), of $(cat limit)"
leaves
same "without one, that of the run which has ended" "held 0 7, of 64.0 MiB" "$(cat got), of $(cat limit)"
leaves --limit 128M
same "which it may not pass" "held 0 7, of 64.0 MiB" "$(cat got), of $(cat limit)"
leaves --limit 24M --children each
same "nor may each of its processes" "held 0 7, of " "$(cat got), of $(cat limit)"
leaves --children each
same "nor each that has no other" "held 0 7, of " "$(cat got), of $(cat limit)"

# --- those that leave something behind

same "with an empty environment a program is without Ration" 0 "$(run env -i ./member take 80)"
# It is seen when it lives for a while: how long, the machine decides.
for seconds in 1 4 16 64; do
    "$ration" run env -i sleep $seconds 2>complaint
    tr -s '\n ' ' ' <complaint | grep -q '1 program did not run on Ration (sleep)' && break
done
same "and is told of" "1 program did not run on Ration (sleep)" \
    "$(tr -s '\n ' ' ' <complaint | grep -o '[0-9]* programs* did not run on Ration ([a-z]*)')"
# The loader waits for somebody to write to the pipe, then says that it is no library.
mkfifo slow
"$ration" run sh -c 'LD_PRELOAD=$LD_PRELOAD:./slow ./member take 1 & sleep 3; echo >slow; wait $!' 2>complaint
same "one that is slow to begin is not told of" "1 0" \
    "$(grep -c 'slow.*cannot be preloaded' complaint) $(grep -c 'did not run' complaint)"
# By the raw call, of which nobody tells; what runs in the child is the library still.
"$ration" run /usr/bin/python3 -c '
import ctypes, os, signal, time
clone = 220 if os.uname().machine == "aarch64" else 56
if ctypes.CDLL(None).syscall(clone, signal.SIGCHLD, 0, 0, 0, 0) == 0:
    time.sleep(3)
    os._exit(0)
os.wait()' 2>complaint
same "nor is one that was forked past libc" "0 1" "$(grep -c 'did not run' complaint) $(grep -c 'Next: ' complaint)"

if unprivileged="setpriv --reuid=65534 --regid=65534 --clear-groups" &&
    $unprivileged test -x "$library" -a -x member 2>/dev/null; then
    # shellcheck disable=SC2086 # a command with its arguments
    shares "as another user" $unprivileged
else
    echo "skipped: other users, which can't be had here"
fi

# A root with the program, the library, and what these are linked with.
mkdir -p root
for file in $(ldd "$library" member | grep -o '/[^ :]*' | sort -u) "$library"; do
    mkdir -p "root${file%/*}" && cp -L "$file" "root$file"
done
cp member root
if chroot root ./member take 1 2>/dev/null; then
    shares "in another root that has the library" chroot root
    rm "root$library"
    same "in one that has it not, a program is without Ration" 0 "$(run chroot root ./member take 80)"
    same "which the loader tells" 1 "$(grep -c 'cannot be preloaded' complaint)"
else
    echo "skipped: other roots, which can't be had here"
fi

# By a socket with a path, which is gone when the command is.
if unshare -rn true 2>/dev/null; then
    rm -rf runtime/*
    shares "in another namespace of networks" unshare -rn
    shares "in another namespace of networks and users and processes" unshare -rn --pid --fork
    same "it has no file open of ours" "$(run ls /proc/self/fd >/dev/null; cat output)" \
        "$(run unshare -rn ls /proc/self/fd >/dev/null; cat output)"
    same "and knows its network from ours" yes "$(run unshare -rn readlink /proc/self/ns/net >/dev/null
        [ "$(cat output)" != "$(readlink /proc/self/ns/net)" ] && echo yes)"
    printf '#!/no/such/interpreter\n' >broken && chmod +x broken
    same "a program that can't be started is told of" 126 "$(run ./broken)"
    same "no socket is left" "" "$(ls runtime)"
    same "where the user has no directory, it is in /tmp" "/tmp/ration-XXXXXX/socket 67108864B" "$(unset XDG_RUNTIME_DIR
        answers 'echo "${RATION_RUN#*:}"' | sed 's/ration-....../ration-XXXXXX/')"
    hide='mount -t tmpfs none "$XDG_RUNTIME_DIR" && exec "$@"'
    if unshare -rnm sh -c "$hide" sh true 2>/dev/null; then
        same "one that can't see the socket has the limit for itself" "held 0 7" "$(answers '
            rm -f held; hide=$1; ./member hold 40 held & ./member wait held
            unshare -rnm sh -c "$hide" sh ./member take 40; first=$?
            unshare -rnm sh -c "$hide" sh ./member take 80; echo "$(cat held) $first $?"; kill $!' "$hide")"
    fi
else
    echo "skipped: namespaces of networks, which can't be made here"
fi

if unshare --pid --fork true 2>/dev/null; then
    shares "in another namespace of processes" unshare --pid --fork
else
    echo "skipped: namespaces, which can't be made here"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
