/* surroundings.c: processes that have less than usual: a limit on the address space, no /proc, stacks of the least
 * size, all memory locked. Each is a fresh start of this program (see main) with the thing taken away before. */
#define _GNU_SOURCE
#include "again.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>

enum { LIMIT_KIB = 300000 };

/* Allocates, checks and frees blocks of many sizes; the exit code tells how it went. */
static int ordinary_work(void) {
    enum { KEPT = 300 };
    static struct {
        unsigned char *block;
        size_t size;
    } kept[KEPT];
    random_source state = {99};
    for (size_t round = 0; round < 30000; round++) {
        size_t slot = random_next(&state) % KEPT;
        if (!pattern_holds(kept[slot].block, kept[slot].size, kept[slot].size, slot))
            return 1;
        free(kept[slot].block);
        kept[slot].size = random_next(&state) % ((size_t)1 << (4 + random_next(&state) % 13));
        kept[slot].block = malloc(kept[slot].size);
        if (kept[slot].block == NULL)
            return 2;
        pattern_write(kept[slot].block, kept[slot].size, slot);
    }
    for (size_t slot = 0; slot < KEPT; slot++)
        free(kept[slot].block);
    return 0;
}

/* Takes blocks of one size until none is left, writes to each, frees them all; gives the usable bytes that were had.
 * The blocks are chained through their first words, so that nothing else is needed. */
static size_t take_all(size_t size) {
    void **last = NULL;
    size_t had = 0;
    for (void **block; (block = malloc(size)) != NULL;) {
        for (size_t i = 0; i < size; i += 4096)
            ((char *)block)[i] = 1;
        had += malloc_usable_size(block);
        *block = last;
        last = block;
    }
    while (last) {
        void **next = *last;
        free(last);
        last = next;
    }
    return had;
}

/* What the process maps already, in bytes. */
static size_t mapped_bytes(void) {
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* In one size, then in others: each time almost all of the room is to be had. glibc leaves more of it in headers, and
 * so does the hardened mode in guards and quarantines. */
static int fill_the_address_space(void) {
    static const size_t sizes[] = {100, 40000, 1000, 3 << 20, 32, 300000, 8};
    size_t least = on_ration() && !getenv("RATION_HARDEN") ? 95 : 20;
    size_t room = (size_t)LIMIT_KIB * 1024 - mapped_bytes();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t had = take_all(sizes[i]);
        printf("blocks of %zu: %zu of %zu KiB\n", sizes[i], had / 1024, room / 1024);
        if (had * 100 < room * least)
            return 10 + (int)i;
    }
    return ordinary_work();
}

static void limit_address_space(void) {
    struct rlimit limit = {(rlim_t)LIMIT_KIB * 1024, (rlim_t)LIMIT_KIB * 1024};
    setrlimit(RLIMIT_AS, &limit);
}

static void check_exit(int status) {
    if (WIFSIGNALED(status))
        check_fail(__FILE__, __LINE__, "ended by signal %d", WTERMSIG(status));
    else
        CHECK_EQ(0, WEXITSTATUS(status));
}

static void almost_all_of_a_limited_address_space_can_be_had(void) {
    if (emulated())
        skip("the emulator lives in the same address space");
    else
        check_exit(run_again("--fill", limit_address_space));
}

/* Just enough to start in: the manager must not want more than the program. */
static void limit_to_little(void) {
    struct rlimit limit = {24 << 20, 24 << 20};
    setrlimit(RLIMIT_AS, &limit);
}

static void little_address_space_is_enough_to_work(void) {
    if (emulated())
        skip("the emulator lives in the same address space");
    else
        check_exit(run_again("--work", limit_to_little));
}

static void limit_data(void) {
    struct rlimit limit = {32 << 20, 32 << 20};
    setrlimit(RLIMIT_DATA, &limit);
}

static void a_limit_on_data_is_borne(void) {
    check_exit(run_again("--work", limit_data));
}

static void hide_proc(void) {
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0 || mount("none", "/sys", "tmpfs", 0, NULL) != 0)
        _exit(77);
}

static void no_proc_is_borne(void) {
    int status = run_again("--work", hide_proc);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip("only root can hide /proc");
    else
        check_exit(status);
}

static void close_descriptors(void) {
    for (int descriptor = 0; descriptor < 3; descriptor++)
        close(descriptor);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &none);
}

/* No descriptor open and none to be had: dynamic linking needs one, so the work happens after a fork. */
static void no_descriptors_are_borne(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close_descriptors();
        _exit(ordinary_work());
    }
    int status = -1;
    waitpid(child, &status, 0);
    check_exit(status);
}

static int lock_and_work(void) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return 77;
    int result = ordinary_work();
    char *large = malloc(8 << 20);
    if (large)
        memset(large, 1, 8 << 20);
    free(large);
    free(realloc(malloc(3 << 20), 5 << 20));
    return result;
}

static void locked_memory_is_borne(void) {
    int status = run_again("--lock", NULL);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip("may not lock memory");
    else
        check_exit(status);
}

static void *work_on_a_small_stack(void *unused) {
    for (size_t i = 0; i < 3000; i++) {
        size_t size = 1 + i * i % 70000;
        void *block = i % 3 ? malloc(size) : calloc(1, size);
        block = realloc(block, size * 2);
        if (block == NULL)
            return hide(&check);
        pattern_write(block, size, i);
        free(block);
        free(aligned_alloc(4096, 5000));
    }
    return unused;
}

static void stacks_of_the_least_size_are_enough(void) {
    size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    if (least > 16384)
        printf("note: the least stack is %zu bytes here\n", least);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    REQUIRE(pthread_attr_setstacksize(&attributes, least < 16384 ? 16384 : least) == 0);
    for (int round = 0; round < 20; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            REQUIRE(pthread_create(&threads[i], &attributes, work_on_a_small_stack, NULL) == 0);
        for (int i = 0; i < 4; i++) {
            void *result = NULL;
            pthread_join(threads[i], &result);
            CHECK_EQ((void *)NULL, result);
        }
    }
    pthread_attr_destroy(&attributes);
}

static const check_test tests[] = {
    TEST(almost_all_of_a_limited_address_space_can_be_had),
    TEST(little_address_space_is_enough_to_work),
    TEST(a_limit_on_data_is_borne),
    TEST(no_proc_is_borne),
    TEST(no_descriptors_are_borne),
    TEST(locked_memory_is_borne),
    TEST(stacks_of_the_least_size_are_enough),
};

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--fill") == 0)
        return fill_the_address_space();
    if (argc == 2 && strcmp(argv[1], "--work") == 0)
        return ordinary_work();
    if (argc == 2 && strcmp(argv[1], "--lock") == 0)
        return lock_and_work();
    return check_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
