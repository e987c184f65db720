/* peaks.c: the peak is the most that was granted at once: what the system refuses never shows in it.
 *
 * Start with refused. */
#include "accounts.h"
#include "apart.h"
#include "heap/heap.h"

#include <pthread.h>
#include <sys/resource.h>

enum { MIB = 1 << 20, THREADS = 4 };
static const size_t BEYOND_ALL = PTRDIFF_MAX / 2;

/* Every way to ask a heap for so much more than the system gives; large and small are blocks of the heap. */
static void refused(rn_heap *heap, size_t size, void *large, void *small) {
    CHECK_EQ(NULL, rn_heap_malloc(heap, size));
    CHECK_EQ(NULL, rn_heap_calloc(heap, 1, size));
    CHECK_EQ(NULL, rn_heap_aligned_alloc(heap, 4096, size));
    CHECK_EQ(NULL, rn_realloc(large, size));
    CHECK_EQ(NULL, rn_realloc(small, size));
}

/* Asks a grandchild; its account and those above it remain as they were. */
static void ask_in_vain_for(size_t size) {
    rn_heap *parent = made(NULL, "parent", 0), *child = made(parent, "child", 0);
    void *large = rn_heap_malloc(child, 3 * MIB), *small = rn_heap_malloc(child, 100);
    REQUIRE(large != NULL && small != NULL);
    rn_stats root = stats_of(rn_heap_root()), above = stats_of(parent), own = stats_of(child);
    CHECK_EQ(own.used, own.peak);
    refused(child, size, large, small);
    CHECK_EQ(own.peak, stats_of(child).peak);
    CHECK_EQ(own.used, stats_of(child).used);
    CHECK_EQ(above.peak, stats_of(parent).peak);
    CHECK_EQ(above.used, stats_of(parent).used);
    CHECK_EQ(root.peak, stats_of(rn_heap_root()).peak);
    CHECK_EQ(root.used, stats_of(rn_heap_root()).used);
    rn_heap_destroy(parent);
}

static void what_no_system_has_leaves_the_peaks_as_they_were(void) {
    ask_in_vain_for(BEYOND_ALL);
}

static void ask_for_more_than_the_address_limit(const void *unused) {
    (void)unused;
    const struct rlimit gib = {1 << 30, 1 << 30};
    REQUIRE(setrlimit(RLIMIT_AS, &gib) == 0);
    ask_in_vain_for((size_t)2 << 30);
}

/* A sanitizer needs address space without bound, and an emulator keeps no limit of it. */
static void what_a_limit_on_address_space_refuses_leaves_the_peaks_as_they_were(void) {
    if (!SANITIZED && !emulated())
        said_by(ask_for_more_than_the_address_limit, NULL);
}

/* --- threads ---------------------------------------------------------------------------------------------------- */

static rn_heap *common;
static pthread_barrier_t all_hold;
static bool done;

static void *ask_in_vain(void *unused) {
    while (!__atomic_load_n(&done, __ATOMIC_RELAXED))
        CHECK_EQ(NULL, rn_heap_malloc(common, BEYOND_ALL));
    return unused;
}

static void *hold_one(void *unused) {
    void *block = NULL;
    for (int i = 0; i < 2000; i++) {
        rn_free(block);
        block = rn_heap_malloc(common, MIB);
        REQUIRE(block != NULL);
    }
    pthread_barrier_wait(&all_hold);
    rn_free(block);
    return unused;
}

static void beside_refused_requests_it_is_what_threads_held_at_once(void) {
    pthread_t asking, holding[THREADS];
    common = made(NULL, "common", 0);
    pthread_barrier_init(&all_hold, NULL, THREADS);
    REQUIRE(pthread_create(&asking, NULL, ask_in_vain, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&holding[i], NULL, hold_one, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(holding[i], NULL);
    __atomic_store_n(&done, true, __ATOMIC_RELAXED);
    pthread_join(asking, NULL);
    CHECK_EQ((size_t)THREADS * MIB, stats_of(common).peak);
    CHECK_EQ(0u, stats_of(common).used);
    rn_heap_destroy(common);
}

TESTS(TEST(what_no_system_has_leaves_the_peaks_as_they_were),
      TEST(what_a_limit_on_address_space_refuses_leaves_the_peaks_as_they_were),
      TEST(beside_refused_requests_it_is_what_threads_held_at_once))
