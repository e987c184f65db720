/* heaps.c: everything that threads can do to each other at once, for a while: allocate, free what others allocated,
 * make and destroy heaps, take each other's caches over, end, and fork.
 *
 * CHECK_SECONDS in the environment makes it longer than its two seconds. Under ThreadSanitizer nothing forks: its
 * runtime does not let a forked child of many threads go on. Start with one_round. */
#include "check.h"
#include "random.h"

#include <pthread.h>
#include <ration/ration.h>
#include <time.h>

enum { THREADS = 5, SHELVES = 256, HEAPS = 3, BLOCKS_OF_A_HEAP = 200, LIFE = 3000 };

#if defined(__SANITIZE_THREAD__)
#define FORKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FORKS 0
#endif
#endif
#ifndef FORKS
#define FORKS 1
#endif

static rn_heap *heaps[HEAPS];
static time_t end;
static unsigned forks, takeovers, heaps_made;

/* A block on a shelf begins with its size and ends with a byte that follows from it. */
static unsigned char *shelves[SHELVES];

static unsigned char *make(random_source *source) {
    size_t size = sizeof(size_t) + 1 + random_size(source, 17);
    unsigned char *block = rn_heap_malloc(heaps[random_below(source, HEAPS)], size);
    REQUIRE(block != NULL);
    memcpy(block, &size, sizeof size);
    block[size - 1] = (unsigned char)size;
    return block;
}

static void drop(unsigned char *block) {
    size_t size;
    if (block == NULL)
        return;
    memcpy(&size, block, sizeof size);
    CHECK(block[size - 1] == (unsigned char)size);
    rn_free(block);
}

/* What comes off the shelf was made by anyone. */
static void exchange(random_source *source) {
    unsigned char *fresh = random_below(source, 3) == 0 ? NULL : make(source);
    drop(__atomic_exchange_n(&shelves[random_below(source, SHELVES)], fresh, __ATOMIC_ACQ_REL));
}

static void make_and_destroy_a_heap(random_source *source) {
    rn_heap *heap = rn_heap_new(heaps[random_below(source, HEAPS)], "brief", 0);
    REQUIRE(heap != NULL);
    rn_heap_push(heap);
    for (int i = 0; i < BLOCKS_OF_A_HEAP; i++) {
        size_t size = random_size(source, 15);
        unsigned char *block = rn_malloc(size);
        REQUIRE(block != NULL);
        memset(block, i, size);
        if (i % 3 == 0)
            rn_free(block);
    }
    rn_heap_pop();
    rn_heap_destroy(heap);
    __atomic_fetch_add(&heaps_made, 1, __ATOMIC_RELAXED);
}

static void take_over(random_source *source) {
    rn_heap_trim(random_below(source, 2) == 0 ? rn_heap_root() : heaps[random_below(source, HEAPS)]);
    __atomic_fetch_add(&takeovers, 1, __ATOMIC_RELAXED);
}

static void fork_a_child(random_source *source) {
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(60);
        for (int i = 0; i < 100; i++)
            drop(make(source));
        make_and_destroy_a_heap(source);
        rn_heap_trim(rn_heap_root());
        _exit(__atomic_load_n(&check.failures, __ATOMIC_RELAXED) != 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(0, status);
    __atomic_fetch_add(&forks, 1, __ATOMIC_RELAXED);
}

static void one_round(random_source *source) {
    size_t kind = random_below(source, 2000);
    if (kind == 0 && FORKS)
        fork_a_child(source);
    else if (kind < 4)
        take_over(source);
    else if (kind < 8)
        make_and_destroy_a_heap(source);
    else
        exchange(source);
}

static void *live(void *argument) {
    for (int i = 0; i < LIFE && time(NULL) < end; i++)
        one_round(argument);
    return NULL;
}

/* Threads end and others take their places until the time is up. */
static void run_threads(void) {
    pthread_t threads[THREADS];
    random_source sources[THREADS];
    for (uint64_t generation = 0; time(NULL) < end; generation++) {
        for (size_t i = 0; i < THREADS; i++) {
            sources[i] = random_start(generation * THREADS + i);
            REQUIRE(pthread_create(&threads[i], NULL, live, &sources[i]) == 0);
        }
        for (size_t i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
}

static void threads_that_do_everything_at_once_lose_nothing(void) {
    const char *seconds = getenv("CHECK_SECONDS");
    end = time(NULL) + (seconds == NULL ? 2 : atoi(seconds));
    for (size_t i = 0; i < HEAPS; i++)
        REQUIRE((heaps[i] = rn_heap_new(NULL, "shared", 0)) != NULL);
    run_threads();
    for (size_t i = 0; i < SHELVES; i++)
        drop(shelves[i]);
    rn_heap_trim(rn_heap_root());
    for (size_t i = 0; i < HEAPS; i++) {
        rn_stats stats;
        rn_heap_stats(heaps[i], &stats);
        CHECK_EQ(0u, stats.objects);
        CHECK_EQ(0u, stats.used);
        rn_heap_destroy(heaps[i]);
    }
    printf("%u takeovers, %u heaps, %u forks\n", takeovers, heaps_made, forks);
}

TESTS(TEST(threads_that_do_everything_at_once_lose_nothing))
