/* seccomp.c: processes that, once started, may make only the calls that a manager of memory needs, and processes in
 * which each of these calls fails. malloc may then give NULL; it may not crash, and what it gives must be whole. */
#define _GNU_SOURCE
#include "again.h"

#if __has_include(<linux/filter.h>)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const struct {
    const char *name;
    unsigned number;
} needed[] = {
    {"mmap", SYS_mmap},       {"munmap", SYS_munmap}, {"mremap", SYS_mremap},         {"mprotect", SYS_mprotect},
    {"madvise", SYS_madvise}, {"futex", SYS_futex},   {"membarrier", SYS_membarrier},
};
enum { NEEDED = sizeof needed / sizeof needed[0], NONE = NEEDED, ALL = NEEDED + 1 };

/* What the program itself may do besides; the last place is for what another manager needs. */
static unsigned others[] = {SYS_write, SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_exit};
enum { OTHERS = sizeof others / sizeof others[0] };

/* How the child's work can end, as its exit code. */
enum { FINE = 0, BROKEN_CONTENTS, NOT_ZERO, WRONG_ERRNO, DENIED_WITHOUT_CAUSE, NO_FILTER = 77 };

#define STATEMENT(code, k) \
    { (unsigned short)(code), 0, 0, k }
#define ANSWER_IF(nr, answer)                \
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, nr}, { \
        BPF_RET | BPF_K, 0, 0, answer        \
    }

/* Lets the needed calls through, but for `failing` (or ALL), which gets the error. Anything else kills; where the
 * manager isn't ours it may have brk, and is only refused the rest. */
static bool install_filter(unsigned failing, unsigned error) {
    struct sock_filter filter[1 + 2 * (NEEDED + OTHERS) + 1] = {
        STATEMENT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    size_t used = 1;
    unsigned rest = on_ration() ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
    if (!on_ration())
        others[OTHERS - 1] = SYS_brk;
    for (unsigned i = 0; i < NEEDED + OTHERS; i++) {
        bool fails = i < NEEDED && (failing == i || failing == ALL);
        unsigned answer = fails ? SECCOMP_RET_ERRNO | error : SECCOMP_RET_ALLOW;
        struct sock_filter pair[] = {ANSWER_IF(i < NEEDED ? needed[i].number : others[i - NEEDED], answer)};
        memcpy(&filter[used], pair, sizeof pair);
        used += 2;
    }
    filter[used++] = (struct sock_filter)STATEMENT(BPF_RET | BPF_K, rest);
    struct sock_fprog program = {(unsigned short)used, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

enum { SLOTS = 256 };

typedef struct block {
    unsigned char *bytes;
    size_t size;
} block;

/* Mostly small, some of a few pages, now and then large. */
static size_t draw_size(random_source *state) {
    uint64_t kind = random_next(state) % 100;
    size_t top = kind < 80 ? 1000 : kind < 97 ? 60000 : 3 << 20;
    return 1 + random_next(state) % top;
}

static bool is_zero(const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* One new block in the slot, by one of the ways there are; gives what is wrong with it. */
static int fill_slot(block *slot, size_t seed, random_source *state) {
    size_t size = draw_size(state), way = random_next(state) % 4;
    errno = 0;
    unsigned char *given;
    if (way == 0 && slot->bytes) {
        given = realloc(slot->bytes, size);
        if (given == NULL)
            return errno == ENOMEM ? FINE : WRONG_ERRNO;
        if (!pattern_holds(given, slot->size, size < slot->size ? size : slot->size, seed))
            return BROKEN_CONTENTS;
    } else {
        free(slot->bytes);
        *slot = (block){NULL, 0};
        given = way == 1 ? calloc(1, size) : way == 2 ? aligned_alloc((size_t)64 << size % 8, size) : malloc(size);
        if (given == NULL)
            return errno == ENOMEM ? FINE : WRONG_ERRNO;
        if (way == 1 && !is_zero(given, size))
            return NOT_ZERO;
    }
    *slot = (block){given, size};
    pattern_write(given, size, seed);
    return FINE;
}

/* Gives what went wrong first; `denied` counts the slots that stayed empty. */
static int work(size_t rounds, uint64_t seed, size_t *denied) {
    static _Thread_local block slots[SLOTS];
    random_source state = {seed};
    for (size_t round = 0; round < rounds; round++) {
        size_t i = random_next(&state) % SLOTS;
        if (!pattern_holds(slots[i].bytes, slots[i].size, slots[i].size, i))
            return BROKEN_CONTENTS;
        int result = fill_slot(&slots[i], i, &state);
        if (result != FINE)
            return result;
        *denied += slots[i].bytes == NULL;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (!pattern_holds(slots[i].bytes, slots[i].size, slots[i].size, i))
            return BROKEN_CONTENTS;
        free(slots[i].bytes);
        slots[i] = (block){NULL, 0};
    }
    return FINE;
}

static int filtered_work(unsigned failing, unsigned error) {
    size_t denied = 0;
    if (work(1000, 3, &denied) != FINE || !install_filter(failing, error))
        return NO_FILTER;
    int result = work(5000, 5, &denied);
    return result == FINE && denied > 0 && failing == NONE ? DENIED_WITHOUT_CAUSE : result;
}

enum { WORKERS = 3 };

/* Threads that wait for the filter, work under it, and stay: ending a thread takes other calls. */
static int phase, started, done, worst;
static unsigned char *_Atomic crossing[64];

static void *work_in_a_thread(void *seed) {
    size_t denied = 0;
    __atomic_fetch_add(&started, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) == 0)
        continue;
    for (size_t i = 0; i < 5000; i++) {
        unsigned char *fresh = malloc(16 + i % 3000);
        if (fresh)
            fresh[0] = 1;
        free(__atomic_exchange_n((unsigned char **)&crossing[i % 64], fresh, __ATOMIC_ACQ_REL));
    }
    int result = work(2000, (uint64_t)seed, &denied);
    if (result != FINE)
        __atomic_store_n(&worst, result, __ATOMIC_RELAXED);
    __atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) != 2)
        continue;
    return NULL;
}

static int filtered_work_in_threads(unsigned failing, unsigned error) {
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work_in_a_thread, (void *)(i + 11)) != 0)
            return NO_FILTER;
    }
    while (__atomic_load_n(&started, __ATOMIC_ACQUIRE) < WORKERS)
        continue;
    if (!install_filter(failing, error))
        return NO_FILTER;
    __atomic_store_n(&phase, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < WORKERS)
        continue;
    return __atomic_load_n(&worst, __ATOMIC_RELAXED);
}

/* The preload library's, where it is there. */
extern void *root_of_ration(void) __asm__("rn_heap_root") __attribute__((weak));
extern int limit_of_ration(void *, size_t) __asm__("rn_heap_set_limit") __attribute__((weak));

/* A limit that the work meets: what is resident would be looked at before each denial, were it not forbidden. */
static int filtered_work_at_a_limit(unsigned failing, unsigned error) {
    size_t denied = 0;
    if (root_of_ration == NULL || limit_of_ration(root_of_ration(), 24 << 20) != 0)
        return NO_FILTER;
    if (work(1000, 3, &denied) != FINE || !install_filter(failing, error))
        return NO_FILTER;
    int result = work(5000, 5, &denied);
    for (int i = 0; result == FINE && i < 8; i++)
        mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return result;
}

static int run_filtered(int (*function)(unsigned, unsigned), unsigned failing, unsigned error) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(120);
        _exit(function(failing, error));
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static void check_filtered(int (*function)(unsigned, unsigned), unsigned failing, unsigned error) {
    const char *name = failing < NEEDED ? needed[failing].name : failing == ALL ? "all" : "nothing";
    int status = run_filtered(function, failing, error);
    if (WIFSIGNALED(status))
        check_fail(__FILE__, __LINE__, "%s failing with %d: ended by signal %d", name, (int)error, WTERMSIG(status));
    else if (WEXITSTATUS(status) == NO_FILTER)
        skip("no seccomp filter here");
    else if (WEXITSTATUS(status) != FINE)
        check_fail(__FILE__, __LINE__, "%s failing with %d: work ended with %d", name, (int)error, WEXITSTATUS(status));
}

static void few_system_calls_are_enough(void) {
    check_filtered(filtered_work, NONE, 0);
}

static void few_system_calls_are_enough_at_a_limit(void) {
    check_filtered(filtered_work_at_a_limit, NONE, 0);
}

static void few_system_calls_are_enough_for_threads(void) {
    check_filtered(filtered_work_in_threads, NONE, 0);
}

static void each_may_fail_for_want_of_memory(void) {
    for (unsigned i = 0; i < NEEDED; i++)
        check_filtered(filtered_work, i, ENOMEM);
}

static void each_may_be_forbidden(void) {
    for (unsigned i = 0; i < NEEDED; i++)
        check_filtered(filtered_work, i, EPERM);
}

static void all_may_fail(void) {
    check_filtered(filtered_work, ALL, ENOMEM);
    check_filtered(filtered_work, ALL, EPERM);
}

/* Not futex: libc itself ends a program whose locks can't wait. */
static void each_may_fail_under_threads(void) {
    for (unsigned i = 0; i < NEEDED; i++)
        if (needed[i].number != SYS_futex)
            check_filtered(filtered_work_in_threads, i, i % 2 ? EPERM : ENOMEM);
}

TESTS(TEST(few_system_calls_are_enough), TEST(few_system_calls_are_enough_at_a_limit),
      TEST(few_system_calls_are_enough_for_threads), TEST(each_may_fail_for_want_of_memory),
      TEST(each_may_be_forbidden), TEST(all_may_fail), TEST(each_may_fail_under_threads))
#else
static void the_kernels_headers_are_missing(void) {
    skip("no linux/filter.h for this compiler");
}

TESTS(TEST(the_kernels_headers_are_missing))
#endif
