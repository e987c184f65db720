/* limits.c: what happens at a heap's limit: it is never passed, and nothing is denied that could be had.
 *
 * Blocks are chained through their first words, so that a test needs no table of them. Start with fill. */
#include "accounts.h"
#include "span/span.h"

#include <pthread.h>

enum { MIB = 1 << 20 };

typedef struct chain {
    struct chain *next;
} chain;

/* Takes blocks until one is denied. Gives how many bytes they are. */
static size_t fill(rn_heap *heap, size_t size, chain **blocks) {
    size_t bytes = 0;
    errno = 0;
    for (chain *block; (block = rn_heap_malloc(heap, size)) != NULL; bytes += size) {
        block->next = *blocks;
        *blocks = block;
    }
    CHECK_EQ(ENOMEM, errno);
    return bytes;
}

/* Frees all but each keep-th; 0: all. */
static void thin(chain **blocks, size_t keep) {
    chain *left = NULL, *next;
    size_t number = 0;
    for (chain *block = *blocks; block != NULL; block = next) {
        next = block->next;
        if (keep != 0 && number++ % keep == 0) {
            block->next = left;
            left = block;
        } else {
            rn_free(block);
        }
    }
    *blocks = left;
}

/* How much of a limit must be to be had: one system page of each span may be beyond reach. */
static size_t nearly_all(size_t limit) {
    return limit - limit / (os.page_size > PAGE ? 4 : 32);
}

/* --- what fits ------------------------------------------------------------------------------------------------- */

static void nearly_all_of_a_limit_can_be_filled_in_any_size_after_any(void) {
    static const size_t sizes[] = {64, 3000, 100, 20000, 1000, 200000, 16, 500};
    rn_heap *heap = made(NULL, "any size", 16 * MIB);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        chain *blocks = NULL;
        size_t bytes = fill(heap, sizes[i], &blocks);
        /* A span has at most SPAN_BLOCKS_MAX blocks, and a system page at least. */
        bool whole_pages = sizes[i] * SPAN_BLOCKS_MAX >= os.page_size;
        if ((whole_pages && bytes < nearly_all(16 * MIB) * 9 / 10) || stats_of(heap).peak > 16 * MIB)
            check_fail(__FILE__, __LINE__, "size %zu: %zu bytes to be had", sizes[i], bytes);
        if (sizes[i] == 64)
            CHECK(bytes >= nearly_all(16 * MIB));
        thin(&blocks, 0);
    }
    rn_heap_destroy(heap);
}

static void idle_pages_of_one_size_serve_another(void) {
    rn_heap *heap = made(NULL, "idle pages", 16 * MIB);
    chain *kept = NULL, *others = NULL;
    fill(heap, 64, &kept);
    thin(&kept, 1000); /* a block every fifteen pages or so */
    size_t bytes = fill(heap, 2048, &others);
    if (os.page_size == PAGE)
        CHECK(bytes >= (size_t)14 * MIB);
    thin(&kept, 0);
    thin(&others, 0);
    rn_heap_destroy(heap);
}

static struct {
    rn_heap *heap;
    size_t bytes;
    pthread_barrier_t barrier;
} sleeper;

static void *cache_and_sleep(void *unused) {
    chain *blocks = NULL;
    rn_heap_push(sleeper.heap);
    for (size_t size = 16; size < 4096; size += 64)
        for (int i = 0; i < 16; i++) {
            chain *block = rn_malloc(size);
            REQUIRE(block != NULL);
            block->next = blocks;
            blocks = block;
        }
    thin(&blocks, 0);
    pthread_barrier_wait(&sleeper.barrier);
    pthread_barrier_wait(&sleeper.barrier);
    rn_heap_pop();
    return unused;
}

static void what_a_sleeping_thread_has_cached_is_to_be_had(void) {
    enum { SLEEPERS = 4 };
    pthread_t threads[SLEEPERS];
    size_t limit = (os.page_size > PAGE ? 128 : 32) * (size_t)MIB;
    sleeper.heap = made(NULL, "sleepers", limit);
    pthread_barrier_init(&sleeper.barrier, NULL, SLEEPERS + 1);
    for (int i = 0; i < SLEEPERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, cache_and_sleep, NULL) == 0);
    pthread_barrier_wait(&sleeper.barrier);
    chain *blocks = NULL;
    CHECK(fill(sleeper.heap, 128 << 10, &blocks) >= limit - limit / 16);
    thin(&blocks, 0);
    pthread_barrier_wait(&sleeper.barrier);
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(threads[i], NULL);
    rn_heap_destroy(sleeper.heap);
}

static void a_limit_bounds_the_subtree(void) {
    rn_heap *parent = made(NULL, "parent", 8 * MIB), *child = made(parent, "child", 64 * MIB);
    chain *in_child = NULL, *in_parent = NULL;
    fill(child, 1000, &in_child);
    CHECK(stats_of(parent).used <= 8 * MIB);
    CHECK(fill(parent, 10000, &in_parent) <= WITHHELD);
    CHECK(stats_of(parent).used <= 8 * MIB);
    CHECK(stats_of(parent).denied >= 2);
    thin(&in_child, 0);
    rn_heap_destroy(parent);
}

static void realloc_is_denied_with_the_block_as_it_was(void) {
    rn_heap *heap = made(NULL, "growing", 4 * MIB);
    unsigned char *block = rn_heap_malloc(heap, MIB);
    REQUIRE(block != NULL);
    memset(block, 7, MIB);
    CHECK(rn_realloc(block, 5 * MIB) == NULL);
    CHECK(block[0] == 7 && block[MIB - 1] == 7);
    rn_heap_destroy(heap);
}

/* --- changing it ------------------------------------------------------------------------------------------------ */

static void a_limit_may_be_raised_and_lowered(void) {
    rn_heap *heap = made(NULL, "changing", 4 * MIB);
    chain *blocks = NULL;
    fill(heap, 1000, &blocks);
    CHECK_EQ(0, rn_heap_set_limit(heap, 8 * MIB));
    CHECK(fill(heap, 1000, &blocks) > 3 * MIB);
    CHECK_EQ(RN_EBUSY, rn_heap_set_limit(heap, 2 * MIB));
    CHECK_EQ((size_t)8 * MIB, stats_of(heap).limit);
    thin(&blocks, 0);
    CHECK_EQ(0, rn_heap_set_limit(heap, 2 * MIB)); /* what is cached gives way */
    CHECK(stats_of(heap).used <= 2 * MIB);
    CHECK_EQ(0, rn_heap_set_limit(heap, 0));
    void *block = rn_heap_malloc(heap, 64 * MIB);
    CHECK(block != NULL);
    rn_heap_destroy(heap);
}

static void the_roots_limit_bounds_what_is_nobodys_too(void) {
    const size_t tables = 64 << 10; /* tables are had even so; the next request sees them */
    rn_heap_trim(rn_heap_root());
    size_t limit = stats_of(rn_heap_root()).used + span_overhead_bytes() + 16 * MIB;
    CHECK_EQ(0, rn_heap_set_limit(rn_heap_root(), limit));
    chain *blocks = NULL;
    for (size_t size = 100; size < 300000; size = size * 7) {
        CHECK(fill(rn_heap_root(), size, &blocks) >= (size_t)12 * MIB || os.page_size > PAGE);
        CHECK(stats_of(rn_heap_root()).used + span_overhead_bytes() <= limit + tables);
        thin(&blocks, 0);
        CHECK(stats_of(rn_heap_root()).used + span_overhead_bytes() <= limit + tables);
    }
    CHECK_EQ(0, rn_heap_set_limit(rn_heap_root(), 0));
}

/* --- callbacks -------------------------------------------------------------------------------------------------- */

enum { CALLS = 16 };

static struct {
    rn_heap *heap;
    chain *blocks;
    size_t piece; /* how many bytes a call frees */
    int calls, running, order[CALLS];
} held;

static size_t release_some(void *number, size_t want) {
    CHECK(want >= 50000);
    CHECK_EQ(1, __atomic_add_fetch(&held.running, 1, __ATOMIC_RELAXED));
    if (held.calls < CALLS)
        held.order[held.calls] = *(int *)number;
    held.calls++;
    rn_free(rn_malloc(100)); /* it may allocate */
    size_t freed = 0;
    for (chain *block; freed < held.piece && (block = held.blocks) != NULL; freed += 1000) {
        held.blocks = block->next;
        rn_free(block);
    }
    __atomic_sub_fetch(&held.running, 1, __ATOMIC_RELAXED);
    return freed;
}

static int numbers[] = {0, 1, 2};

static void hold(size_t limit) {
    memset(&held, 0, sizeof held);
    held.heap = made(NULL, "held", limit);
    fill(held.heap, 1000, &held.blocks);
}

static void callbacks_run_in_order_and_no_more_than_needed(void) {
    hold(8 * MIB);
    held.piece = MIB;
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 20, release_some, &numbers[2]));
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 10, release_some, &numbers[1]));
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 0, release_some, &numbers[0]));
    CHECK(rn_heap_malloc(held.heap, MIB / 2) != NULL);
    CHECK_EQ(1, held.calls);
    CHECK(rn_heap_malloc(held.heap, 2 * MIB) != NULL);
    CHECK_EQ(3, held.calls);
    CHECK(held.order[0] == 0 && held.order[1] == 0 && held.order[2] == 1);
    CHECK(rn_heap_malloc(held.heap, 9 * MIB) == NULL); /* could never be had: nobody is asked */
    CHECK_EQ(3, held.calls);
    rn_heap_destroy(held.heap);
}

static void callbacks_run_only_when_nothing_else_helps(void) {
    hold(8 * MIB);
    thin(&held.blocks, 0);
    held.piece = MIB;
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 0, release_some, &numbers[0]));
    CHECK(rn_heap_malloc(held.heap, 7 * MIB) != NULL); /* what is free and cached is enough */
    CHECK_EQ(0, held.calls);
    CHECK(rn_heap_malloc(held.heap, 7 * MIB) == NULL);
    CHECK_EQ(1, held.calls);
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 0, NULL, &numbers[0]));
    CHECK_EQ(RN_EINVAL, rn_heap_on_pressure(held.heap, 0, NULL, &numbers[0]));
    CHECK(rn_heap_malloc(held.heap, 7 * MIB) == NULL);
    CHECK_EQ(1, held.calls);
    rn_heap_destroy(held.heap);
}

static size_t remove_itself(void *number, size_t want) {
    CHECK(want >= MIB);
    held.calls++;
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 5, NULL, number));
    return 0;
}

static void a_callback_may_take_itself_back(void) {
    hold(4 * MIB);
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 5, remove_itself, &numbers[0]));
    CHECK(rn_heap_malloc(held.heap, MIB) == NULL);
    CHECK(rn_heap_malloc(held.heap, MIB) == NULL);
    CHECK_EQ(1, held.calls);
    CHECK_EQ(RN_EINVAL, rn_heap_on_pressure(held.heap, 5, NULL, &numbers[0]));
    rn_heap_destroy(held.heap);
}

static size_t destroy_its_heap(void *child, size_t want) {
    (void)want;
    held.calls++;
    rn_heap_destroy(child);
    return MIB;
}

static void a_callback_may_destroy_its_own_heap(void) {
    hold(8 * MIB);
    thin(&held.blocks, 0);
    rn_heap *child = made(held.heap, "cache", 0);
    CHECK(rn_heap_malloc(child, 4 * MIB) != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(child, 0, destroy_its_heap, child));
    CHECK(rn_heap_malloc(held.heap, 6 * MIB) != NULL);
    CHECK_EQ(1, held.calls);
    rn_heap_destroy(held.heap);
}

static size_t ask_for_more(void *unused, size_t want) {
    CHECK(want >= MIB);
    (void)unused;
    held.calls++;
    CHECK(rn_heap_malloc(held.heap, MIB) == NULL); /* denied at once */
    return 0;
}

static void a_callback_is_not_called_by_what_it_asks_for(void) {
    hold(4 * MIB);
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 0, ask_for_more, NULL));
    CHECK(rn_heap_malloc(held.heap, MIB) == NULL);
    CHECK_EQ(1, held.calls);
    rn_heap_destroy(held.heap);
}

static void *press(void *unused) {
    for (int i = 0; i < 50; i++) {
        void *block = rn_heap_malloc(held.heap, 50000);
        rn_free(block);
    }
    return unused;
}

static void threads_at_the_limit_do_not_call_at_once(void) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    hold(8 * MIB);
    held.piece = 20000;
    CHECK_EQ(0, rn_heap_on_pressure(held.heap, 0, release_some, &numbers[0]));
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, press, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(held.calls > 0);
    CHECK(stats_of(held.heap).peak <= 8 * MIB);
    rn_heap_destroy(held.heap);
}

/* --- limits that can't be ---------------------------------------------------------------------------------------- */

enum { LOWERINGS = 500 };

static struct {
    rn_heap *heap;
    bool over;
} lowered;

static void *lower_in_vain(void *limit) {
    for (int i = 0; i < LOWERINGS; i++)
        CHECK_EQ(RN_EBUSY, rn_heap_set_limit(lowered.heap, (size_t)limit));
    __atomic_store_n(&lowered.over, true, __ATOMIC_RELEASE);
    return NULL;
}

/* Neither while it is tried, nor by one thread's giving back what another tried. */
static void a_limit_that_is_refused_denies_nothing(void) {
    lowered.heap = made(NULL, "lowered", 100 * MIB);
    void *kept = rn_heap_malloc(lowered.heap, 8 * MIB);
    pthread_t threads[2];
    lowered.over = false;
    for (size_t i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, lower_in_vain, (void *)((i + 1) * MIB)) == 0);
    while (!__atomic_load_n(&lowered.over, __ATOMIC_ACQUIRE)) {
        void *block = rn_heap_malloc(lowered.heap, 200 << 10);
        CHECK(block != NULL);
        rn_free(block);
    }
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ((size_t)100 * MIB, stats_of(lowered.heap).limit);
    CHECK_EQ((size_t)0, stats_of(lowered.heap).denied);
    rn_free(kept);
    rn_heap_destroy(lowered.heap);
}

TESTS(TEST(nearly_all_of_a_limit_can_be_filled_in_any_size_after_any), TEST(idle_pages_of_one_size_serve_another),
      TEST(what_a_sleeping_thread_has_cached_is_to_be_had), TEST(a_limit_bounds_the_subtree),
      TEST(realloc_is_denied_with_the_block_as_it_was), TEST(a_limit_may_be_raised_and_lowered),
      TEST(the_roots_limit_bounds_what_is_nobodys_too), TEST(callbacks_run_in_order_and_no_more_than_needed),
      TEST(callbacks_run_only_when_nothing_else_helps), TEST(a_callback_may_take_itself_back),
      TEST(a_callback_may_destroy_its_own_heap), TEST(a_callback_is_not_called_by_what_it_asks_for),
      TEST(threads_at_the_limit_do_not_call_at_once), TEST(a_limit_that_is_refused_denies_nothing))
