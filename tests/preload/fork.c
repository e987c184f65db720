/* fork.c: fork while threads allocate, CHECK_FORKS times (1000 if that is not said), from the main thread and from others;
 * parent and child must both be able to go on. A child that hangs is a failure: the whole program has a limit of time. */
#define _GNU_SOURCE
#include "again.h"

#include <pthread.h>
#include <sys/prctl.h>

enum { ALLOCATORS = 1, FORKERS = 2, SLOTS = 100, SECONDS = 400 };

static bool stop;
static size_t forks = 1000;

typedef struct work_state {
    struct {
        unsigned char *block;
        size_t size;
    } slots[SLOTS];
    random_source random;
} work_state;

static bool work(work_state *state, size_t rounds) {
    for (size_t round = 0; round < rounds; round++) {
        size_t i = random_next(&state->random) % SLOTS;
        size_t size = 1 + random_next(&state->random) % (random_next(&state->random) % 50 ? 500 : 70000);
        if (!pattern_holds(state->slots[i].block, state->slots[i].size, state->slots[i].size, i))
            return false;
        free(state->slots[i].block);
        state->slots[i].block = malloc(size);
        state->slots[i].size = size;
        if (state->slots[i].block == NULL)
            return false;
        pattern_write(state->slots[i].block, size, i);
    }
    return true;
}

static void finish(work_state *state) {
    for (size_t i = 0; i < SLOTS; i++) {
        free(state->slots[i].block);
        state->slots[i].block = NULL;
        state->slots[i].size = 0;
    }
}

static void *allocate_all_along(void *seed) {
    static work_state states[16];
    work_state *state = &states[(size_t)seed];
    state->random.state = (uint64_t)seed + 1;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        CHECK(work(state, 50));
    finish(state);
    return NULL;
}

static void *allocate_a_little(void *unused) {
    static work_state state;
    state.random.state = 77;
    if (!work(&state, 200))
        return hide(&check);
    finish(&state);
    return unused;
}

/* The child has a copy of all blocks, of threads it does not have. It frees some of its own, makes new ones, and now
 * and then a thread or a child. */
static int be_the_child(work_state *state, size_t number) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!work(state, 30))
        return 1;
    free(calloc(1, 300000));
    if (number % 100 == 0) {
        pthread_t thread;
        void *result = NULL;
        if (pthread_create(&thread, NULL, allocate_a_little, NULL) != 0 || pthread_join(thread, &result) != 0 || result)
            return 2;
    }
    if (number % 150 == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(work(state, 60) ? 0 : 1);
        int status = 1;
        if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
            return 3;
    }
    if (number % 10 == 0)
        finish(state);
    return 0;
}

static void *fork_again_and_again(void *seed) {
    static work_state states[16];
    work_state *state = &states[(size_t)seed];
    state->random.state = (uint64_t)seed + 100;
    for (size_t number = 0; number < forks / FORKERS; number++) {
        CHECK(work(state, 10));
        pid_t child = fork();
        if (child == 0)
            _exit(be_the_child(state, number));
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            check_fail(__FILE__, __LINE__, "fork %zu: child %d ended with status %d", number, (int)child, status);
            break;
        }
    }
    finish(state);
    return NULL;
}

static void forks_amid_allocating_threads_go_on(void) {
    if (emulated()) {
        skip("the emulator can't fork amid threads");
        return;
    }
    const char *wanted = getenv("CHECK_FORKS");
    if (wanted != NULL)
        forks = strtoul(wanted, NULL, 10);
    pthread_t allocators[ALLOCATORS], forkers[FORKERS];
    alarm(SECONDS);
    fflush(stdout);
    for (size_t i = 0; i < ALLOCATORS; i++)
        REQUIRE(pthread_create(&allocators[i], NULL, allocate_all_along, (void *)i) == 0);
    for (size_t i = 0; i < FORKERS; i++)
        REQUIRE(pthread_create(&forkers[i], NULL, fork_again_and_again, (void *)i) == 0);
    for (size_t i = 0; i < FORKERS; i++)
        pthread_join(forkers[i], NULL);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < ALLOCATORS; i++)
        pthread_join(allocators[i], NULL);
    alarm(0);
}

static int prepared, resumed, continued;

/* Handlers of the program run around ours, and allocate. */
static void allocate_in_prepare(void) {
    prepared++;
    free(malloc(100));
}

static void allocate_in_parent(void) {
    resumed++;
    free(malloc(3000));
}

static void allocate_in_child(void) {
    continued++;
    free(malloc(100000));
}

static void fork_handlers_may_allocate(void) {
    REQUIRE(pthread_atfork(allocate_in_prepare, allocate_in_parent, allocate_in_child) == 0);
    alarm(60);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            free(malloc(1000));
            _exit(continued == 1 ? 0 : 1);
        }
        int status = -1;
        CHECK_EQ(child, waitpid(child, &status, 0));
        CHECK_EQ(0, status);
    }
    CHECK_EQ(100, prepared);
    CHECK_EQ(100, resumed);
    alarm(0);
}

/* Generation after generation, each the child of the one before. */
static void a_line_of_descendants_goes_on(void) {
    static work_state state;
    state.random.state = 5;
    fflush(stdout);
    pid_t first = fork();
    if (first == 0) {
        alarm(60);
        for (int generation = 0; generation < 100; generation++) {
            if (!work(&state, 200))
                _exit(1);
            pid_t next = fork();
            int status = -1;
            if (next != 0)
                _exit(waitpid(next, &status, 0) == next && status == 0 ? 0 : 1);
        }
        finish(&state);
        _exit(0);
    }
    int status = -1;
    CHECK_EQ(first, waitpid(first, &status, 0));
    CHECK_EQ(0, status);
}

TESTS(TEST(forks_amid_allocating_threads_go_on), TEST(fork_handlers_may_allocate), TEST(a_line_of_descendants_goes_on))
