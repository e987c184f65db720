/* process.c: what the process is and was started with: the facts, the environment, descriptor 2, the clock.
 *
 * Start with os_start. */
#include "memory.h"
#include "os.h"
#include "restart.h"
#include "syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#if RN_VALGRIND_HEADERS && __has_include(<valgrind/valgrind.h>) && !defined(RN_SANITIZE)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

os_facts os;

static struct stat stderr_at_start;
static bool stderr_known;

static bool read_strict_overcommit(void) {
    char mode = 0;
    long file = os_syscall(SYS_openat, AT_FDCWD, (long)"/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (file < 0)
        return false;
    os_syscall(SYS_read, file, (long)&mode, 1, 0, 0, 0);
    os_syscall(SYS_close, file, 0, 0, 0, 0, 0);
    return mode == '2';
}

static bool has_address_limit(void) {
    struct rlimit limit = {0};
    return os_syscall(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

static bool stat_stderr(struct stat *out) {
    return os_syscall(SYS_fstat, 2, (long)out, 0, 0, 0, 0) == 0;
}

bool os_is_secure(void) {
    return getauxval(AT_SECURE) != 0;
}

void os_start(void) {
    os.page_size = getauxval(AT_PAGESZ);
    os.secure = os_is_secure();
    os.valgrind = RUNNING_ON_VALGRIND != 0;
    os.strict_overcommit = read_strict_overcommit();
    os.address_limit = has_address_limit();
    os_restart_start();
    os_memory_start();
    stderr_known = stat_stderr(&stderr_at_start);
}

const char *os_variable(char **environment, const char *name) {
    size_t length = strlen(name);
    for (char **entry = environment; *entry != NULL; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

int os_process_id(void) {
    return (int)os_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

int os_thread_id(void) {
    return (int)os_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

bool os_thread_lives(int process, int thread) {
    return !os_may_look() || os_syscall(SYS_tgkill, process, thread, 0, 0, 0, 0) != -ESRCH;
}

void os_thread_name(char name[OS_NAME_MAX]) {
    if (os_syscall(SYS_prctl, PR_GET_NAME, (long)name, 0, 0, 0, 0) != 0)
        name[0] = 0;
}

uint64_t os_date(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

uint64_t os_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t os_clock_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void os_exit(int code) {
    for (;;)
        os_syscall(SYS_exit_group, code, 0, 0, 0, 0, 0);
}

uint64_t os_random(void) {
    uint64_t value = 0;
    if (os_syscall(SYS_getrandom, (long)&value, sizeof value, 1 /* GRND_NONBLOCK */, 0, 0, 0) == sizeof value)
        return value;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uintptr_t)&value) * 0x9e3779b97f4a7c15u;
}

bool os_write_file(const char *path, const char *text, size_t length) {
    long file = os_syscall(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666, 0, 0);
    if (file < 0)
        return false;
    bool written = os_write((int)file, text, length);
    return os_syscall(SYS_close, file, 0, 0, 0, 0, 0) == 0 && written;
}

/* The kernel's own set of signals, which is shorter than libc's. */
typedef uint64_t signal_set;

static const signal_set broken_pipe = (signal_set)1 << (SIGPIPE - 1);

/* Blocks SIGPIPE. Gives what was blocked; and whether one was waiting, which is the program's. */
static signal_set block_broken_pipe(bool *waiting) {
    signal_set before = 0, pending = 0;
    os_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&broken_pipe, (long)&before, sizeof before, 0, 0);
    os_syscall(SYS_rt_sigpending, (long)&pending, sizeof pending, 0, 0, 0, 0);
    *waiting = (pending & broken_pipe) != 0;
    return before;
}

/* A write to a pipe that nobody reads raises the signal in the thread that writes. */
static void swallow_broken_pipe(void) {
    const struct timespec at_once = {0};
    os_syscall(SYS_rt_sigtimedwait, (long)&broken_pipe, 0, (long)&at_once, sizeof broken_pipe, 0, 0);
}

/* Nobody may read what is said: that is no reason to be killed. */
static void write_unsignalled(const char *line, size_t length) {
    bool waiting;
    signal_set before = block_broken_pipe(&waiting);
    if (!os_write(2, line, length) && !waiting)
        swallow_broken_pipe();
    os_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before, 0, 0);
}

void os_say(const char *line, size_t length) {
    struct stat now = {0};
    if (!stderr_known || !stat_stderr(&now) || now.st_dev != stderr_at_start.st_dev ||
        now.st_ino != stderr_at_start.st_ino)
        return;
    if (os_may_look())
        write_unsignalled(line, length);
    else
        os_write(2, line, length); /* a filter of system calls may kill for the others */
}
