/* spawn.c: the other ways to make a process: vfork, posix_spawn, popen, clone with and without a shared address space,
 * while threads allocate. The parent's memory must be whole afterwards. */
#define _GNU_SOURCE
#include "again.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;

static bool stop;

/* musl does not declare it. */
int malloc_trim(size_t unused);

static void *allocate_all_along(void *unused) {
    for (size_t i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        size_t size = 1 + i * 7919 % 40000;
        unsigned char *block = malloc(size);
        if (block == NULL)
            return hide(&check);
        pattern_write(block, size, i);
        CHECK(pattern_holds(block, size, size, i));
        free(block);
    }
    return unused;
}

static void amid_threads(void (*function)(void)) {
    pthread_t threads[2];
    __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, allocate_all_along, NULL) == 0);
    alarm(120);
    function();
    alarm(0);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        CHECK_EQ((void *)NULL, result);
    }
}

static void wait_for(pid_t child) {
    int status = -1;
    CHECK(child > 0);
    CHECK_EQ(child, waitpid(child, &status, 0));
    CHECK_EQ(0, status);
}

static void spawn_many(void) {
    char *arguments[] = {(char *)"true", NULL};
    for (int i = 0; i < 100; i++) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        pid_t child = -1;
        CHECK_EQ(0, posix_spawnp(&child, "true", &actions, NULL, arguments, environ));
        posix_spawn_file_actions_destroy(&actions);
        wait_for(child);
    }
}

static void posix_spawn_amid_threads(void) {
    amid_threads(spawn_many);
}

/* vfork has a function of its own: the child shares its frame with the parent. */
__attribute__((noinline)) static pid_t vfork_once(bool start_a_program) {
    pid_t child = vfork();
    if (child == 0) {
        if (start_a_program)
            execlp("true", "true", (char *)NULL);
        _exit(start_a_program);
    }
    return child;
}

static void vfork_many(void) {
    for (int i = 0; i < 100; i++)
        wait_for(vfork_once(i % 2));
}

static void vfork_amid_threads(void) {
    amid_threads(vfork_many);
}

/* As above: what the child calls has frames of its own below. The block is the parent's to free. */
__attribute__((noinline)) static pid_t vfork_to_allocate(size_t seed, unsigned char *volatile *kept) {
    pid_t child = vfork();
    if (child == 0) {
        for (size_t i = 0; i < 20; i++)
            free(malloc(1 + (seed + i) * 37 % (i == 0 ? 300000 : 3000)));
        *kept = malloc(100);
        if (*kept)
            pattern_write(*kept, 100, seed);
        _exit(0);
    }
    return child;
}

static void vfork_to_allocate_many(void) {
    static unsigned char *volatile kept[1000];
    for (size_t i = 0; i < 1000; i++) {
        wait_for(vfork_to_allocate(i, &kept[i]));
        free(malloc(1 + i * 31 % 7000));
        if (i % 10 == 0)
            malloc_trim(0);
    }
    for (size_t i = 0; i < 1000; i++) {
        REQUIRE(kept[i] != NULL);
        CHECK(pattern_holds(kept[i], 100, 100, i));
        free(kept[i]);
    }
}

static void *trim_all_along(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        malloc_trim(0);
        usleep(50);
    }
    return unused;
}

/* While one of the threads takes the others' caches over, the child's, which are its parent's, with them. */
static void vfork_to_allocate_beside_takeovers(void) {
    pthread_t trimmer;
    REQUIRE(pthread_create(&trimmer, NULL, trim_all_along, NULL) == 0);
    vfork_to_allocate_many();
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(trimmer, NULL);
}

static void a_vfork_child_may_allocate_amid_threads(void) {
    if (emulated())
        skip("the emulator gives the child memory of its own");
    else
        amid_threads(vfork_to_allocate_beside_takeovers);
}

static void popen_many(void) {
    for (int i = 0; i < 30; i++) {
        char line[64] = "";
        FILE *stream = popen("echo hello", "r");
        REQUIRE(stream != NULL);
        CHECK(fgets(line, sizeof line, stream) != NULL);
        CHECK_TEXT("hello\n", line);
        CHECK_EQ(0, pclose(stream));
    }
}

static void popen_amid_threads(void) {
    amid_threads(popen_many);
}

static char *made_by_child;

/* What programs do between vfork and exec although they shouldn't: the child allocates in its parent's memory. */
static int allocate_in_shared_memory(void *unused) {
    (void)unused;
    for (size_t i = 0; i < 2000; i++)
        free(malloc(1 + i * 37 % 9000));
    made_by_child = malloc(5000);
    if (made_by_child)
        pattern_write(made_by_child, 5000, 9);
    return 0;
}

static void a_child_in_our_address_space_may_allocate(void) {
    enum { STACK = 256 << 10 };
    if (emulated()) {
        skip("the emulator knows no such clone");
        return;
    }
    char *stack = malloc(STACK);
    REQUIRE(stack != NULL);
    for (int i = 0; i < 100; i++) {
        pid_t child = clone(allocate_in_shared_memory, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        wait_for(child);
        REQUIRE(made_by_child != NULL);
        CHECK(pattern_holds(made_by_child, 5000, 5000, 9));
        free(made_by_child);
        for (size_t j = 0; j < 1000; j++)
            free(malloc(1 + j * 31 % 7000));
    }
    free(stack);
}

/* clone without libc's knowledge: no handler of fork runs. With one thread, the child's memory is in order all the
 * same. */
static void a_raw_clone_may_allocate(void) {
    unsigned char *kept = malloc(10000);
    REQUIRE(kept != NULL);
    pattern_write(kept, 10000, 4);
    fflush(stdout);
    for (int i = 0; i < 200; i++) {
        long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            for (size_t j = 0; j < 3000; j++)
                free(malloc(1 + j * 41 % 60000));
            bool whole = pattern_holds(kept, 10000, 10000, 4);
            free(kept);
            _exit(whole ? 0 : 1);
        }
        wait_for((pid_t)child);
    }
    CHECK(pattern_holds(kept, 10000, 10000, 4));
    free(kept);
}

/* struct clone_args as clone(2) has it: eleven numbers, of which we need one. */
static void a_raw_clone3_may_allocate(void) {
    enum { EXIT_SIGNAL = 4 };
    fflush(stdout);
    for (int i = 0; i < 50; i++) {
        uint64_t arguments[11] = {[EXIT_SIGNAL] = SIGCHLD};
        long child = syscall(SYS_clone3, arguments, sizeof arguments);
        if (child < 0) {
            skip("no clone3");
            return;
        }
        if (child == 0) {
            for (size_t j = 0; j < 3000; j++)
                free(malloc(1 + j * 43 % 60000));
            _exit(0);
        }
        wait_for((pid_t)child);
    }
}

TESTS(TEST(a_child_in_our_address_space_may_allocate), TEST(a_raw_clone_may_allocate), TEST(a_raw_clone3_may_allocate),
      TEST(posix_spawn_amid_threads), TEST(vfork_amid_threads), TEST(a_vfork_child_may_allocate_amid_threads),
      TEST(popen_amid_threads))
