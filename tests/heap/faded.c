/* faded.c: what was kept for a program that soon wanted it again goes back when it no longer does, though no span is given back.
 *
 * The clock is the test's. Start with the last function. */
#include "accounts.h"
#include "heap/heap.h"

enum { MIB = 1 << 20, SMALL = 1000, LARGE = 5000, KEPT_ONE_IN = 8, SECONDS = 10 };

static uint64_t now_ms = 1000;

uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void) {
    return now_ms;
}

typedef struct batch {
    void *blocks[16 * MIB / SMALL];
    size_t count;
} batch;

static batch thinned, churned;

static void take(batch *b, size_t size, size_t bytes) {
    for (b->count = 0; b->count < bytes / size; b->count++) {
        void *block = b->blocks[b->count] = rn_malloc(size);
        REQUIRE(block != NULL);
        memset(block, 1, size);
    }
}

static void give(batch *b, size_t kept_one_in) {
    for (size_t i = 0; i < b->count; i++)
        if (kept_one_in == 0 || i % kept_one_in != 0)
            rn_free(b->blocks[i]);
}

/* Takes what is free in the spans of the thinned batch, and gives it back: none of them becomes empty. */
static void use_thinned(void) {
    take(&churned, SMALL, 6 * MIB);
    give(&churned, 0);
}

static size_t beyond_allowance(void) {
    page_heap_figures figures = page_heap_read();
    return figures.dirty > figures.allowance ? figures.dirty - figures.allowance : 0;
}

static void free_spans_go_back_without_another(void) {
    take(&thinned, SMALL, 8 * MIB);
    give(&thinned, KEPT_ONE_IN);
    for (unsigned i = 0; i < 3; i++) {
        take(&churned, LARGE, 16 * MIB);
        give(&churned, 0);
    }
    size_t before = page_heap_read().dirty;
    CHECK(before >= 8 * MIB);
    for (unsigned i = 0; i < SECONDS; i++) {
        now_ms += 1500; /* what is wanted again within a second was given back too early */
        use_thinned();
        CHECK_EQ(0u, beyond_allowance());
    }
    CHECK(page_heap_read().dirty < before / 4);
}

static void so_do_idle_pages_of_a_heap_that_nobody_uses(void) {
    rn_heap *quiet = made(NULL, "quiet", 0);
    rn_heap_push(quiet);
    take(&thinned, SMALL, 8 * MIB);
    for (unsigned i = 0; i < 4; i++) {
        give(&thinned, KEPT_ONE_IN);
        for (size_t j = 0; j < thinned.count; j++)
            if (j % KEPT_ONE_IN != 0)
                memset(thinned.blocks[j] = rn_malloc(SMALL), 1, SMALL);
    }
    give(&thinned, KEPT_ONE_IN);
    rn_heap_pop();
    size_t before = stats_of(quiet).used;
    for (unsigned i = 0; i < SECONDS; i++) {
        now_ms += 1500;
        use_thinned();
    }
    CHECK(stats_of(quiet).used < before / 4 * 3 || os.page_size > KEPT_ONE_IN * SMALL / 2); /* none is idle then */
    rn_heap_destroy(quiet);
}

/* --- what lies idle in many heaps --------------------------------------------------------------------------------- */

enum { IDLE_HEAPS = 60, PER_HEAP = 448, LEFT_ONE_IN = 16 };

static void leave_idle_pages(rn_heap *heap) {
    void *blocks[PER_HEAP];
    for (size_t i = 0; i < PER_HEAP; i++)
        REQUIRE((blocks[i] = rn_heap_malloc(heap, SMALL)) != NULL);
    for (size_t i = 0; i < PER_HEAP; i++)
        if (i % LEFT_ONE_IN != 0)
            rn_free(blocks[i]);
    thread_drain_own();
}

/* Each leaves less than may lie idle, so that only some of them are found to have passed it. */
static void idle_pages_of_many_heaps_are_bounded_together(void) {
    rn_heap *heaps[IDLE_HEAPS];
    for (size_t i = 0; i < IDLE_HEAPS; i++)
        leave_idle_pages(heaps[i] = made(NULL, "idle", 0));
    size_t before = stats_of(rn_heap_root()).used;
    rn_heap_trim(rn_heap_root());
    CHECK(before - stats_of(rn_heap_root()).used < 2 * MIB);
    for (size_t i = 0; i < IDLE_HEAPS; i++)
        rn_heap_destroy(heaps[i]);
}

/* The first: nothing that was purged before is used again. */
TESTS(TEST(idle_pages_of_many_heaps_are_bounded_together), TEST(free_spans_go_back_without_another),
      TEST(so_do_idle_pages_of_a_heap_that_nobody_uses))
