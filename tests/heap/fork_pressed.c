/* fork_pressed.c: processes forked by threads that are at a limit all the time: requests are denied, caches taken over and
 * callbacks called while any of the threads forks. Parent and child go on, and nothing is lost.
 *
 * The pressed threads are in a process of their own, in which the library starts anew. Start with press. */
#include "accounts.h"
#include "apart.h"

#include <pthread.h>

enum { MIB = 1 << 20, THREADS = 4, FORKS = 200, BLOCKS = 64, SECONDS = 300, CHILD_SECONDS = 60 };

static rn_heap *heap;
static unsigned forks, calls;
static void *spare; /* what callbacks may free */

static size_t release_spare(void *unused, size_t want) {
    (void)unused;
    (void)want;
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    void *block = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQ_REL);
    rn_free(block);
    return block == NULL ? 0 : MIB / 4;
}

static void put_spare_back(void) {
    void *none = NULL, *block = rn_heap_malloc(heap, MIB / 4);
    if (block != NULL && !__atomic_compare_exchange_n(&spare, &none, block, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        rn_free(block);
}

/* Takes blocks of a size until one is denied, or there are BLOCKS; frees them. */
static void hit_the_limit(size_t size) {
    unsigned char *blocks[BLOCKS];
    size_t count = 0;
    while (count < BLOCKS && (blocks[count] = rn_heap_malloc(heap, size)) != NULL)
        memset(blocks[count++], (int)size, 64);
    CHECK(count == BLOCKS || errno == ENOMEM);
    while (count > 0) {
        CHECK_EQ((unsigned char)size, blocks[--count][63]);
        rn_free(blocks[count]);
    }
}

/* What others held when it was forked is lost to the child, but the limit is still to be had but for that, and kept. */
static void live_as_a_child(void) {
    alarm(CHILD_SECONDS);
    for (size_t size = 64; size < MIB; size *= 3)
        hit_the_limit(size);
    rn_heap_trim(rn_heap_root());
    rn_free(rn_malloc(100));
    CHECK(stats_of(heap).used <= stats_of(heap).limit);
    fflush(stdout);
    _exit(__atomic_load_n(&check.failures, __ATOMIC_RELAXED) != 0);
}

static void fork_a_child(void) {
    pid_t child = fork();
    if (child == 0)
        live_as_a_child();
    CHECK(ended_well(child));
}

static void *press(void *unused) {
    rn_heap_push(heap);
    for (size_t turn = 0; __atomic_load_n(&forks, __ATOMIC_RELAXED) < FORKS; turn++) {
        hit_the_limit((turn % 2 == 0 ? 500 : 80000) + 1000 * (turn % 30));
        put_spare_back();
        if (turn % 4 == 0 && __atomic_fetch_add(&forks, 1, __ATOMIC_RELAXED) < FORKS)
            fork_a_child();
    }
    rn_heap_pop();
    return unused;
}

static void fork_from_pressed_threads(const void *unused) {
    (void)unused;
    pthread_t threads[THREADS];
    alarm(SECONDS);
    heap = made(NULL, "pressed", 2 * MIB);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, release_spare, NULL));
    for (size_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, press, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rn_free(spare);
    CHECK(calls > 0 && stats_of(heap).denied > 0 && stats_of(heap).peak <= 2 * MIB);
    rn_heap_trim(heap);
    CHECK_EQ(0u, stats_of(heap).objects);
    CHECK_EQ(0u, stats_of(heap).used);
    CHECK(rn_heap_malloc(heap, 2 * MIB - WITHHELD) != NULL);
    rn_heap_destroy(heap);
    rn_heap_trim(rn_heap_root());
    CHECK_EQ(0u, stats_of(rn_heap_root()).used);
}

static void threads_at_a_limit_may_fork(void) {
    if (threads_can_fork())
        CHECK_TEXT("", said_by(fork_from_pressed_threads, NULL));
    else
        printf("skipped: a process with threads can't fork here\n");
}

TESTS(TEST(threads_at_a_limit_may_fork))
