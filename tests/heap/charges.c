/* charges.c: a scenario of every kind of request, in which any charge may be refused, as a limit would: once, which is to be
 * tried again; until a request has been denied; or from there on.
 *
 * Start with scenario. */
#include "denial.h"
#include "heap/heap.h"
#include "shape/use_arenas.h"

/* A request that goes on being refused is denied before it has made so many charges. */
enum { LIMIT = 1 << 20, SIZE = 30000, HUGE = 100 << 20, UNTIL_DENIED = 256 };

bool __real_heap_charge(struct heap *heap, size_t bytes);
bool __wrap_heap_charge(struct heap *heap, size_t bytes);
bool __wrap_heap_charge(struct heap *heap, size_t bytes) {
    if (!denial_strikes())
        return __real_heap_charge(heap, bytes);
    this_thread.refused = 1;
    return false;
}

/* --- the scenario ----------------------------------------------------------------------------------------------- */

static void use_a_heap_that_retires(void) {
    rn_heap *heap = rn_heap_new(held.heaps[0], "retired", 0);
    REQUIRE(heap != NULL);
    rn_heap_push(heap);
    for (size_t size = 20; size < 1 << 20; size *= 9) {
        errno = 0;
        hold(rn_malloc(size), size);
    }
    rn_heap_pop();
    rn_heap_retire(heap);
}

/* Whatever is refused, no more is had than the limit allows; and that, once nothing is. */
static void fill_a_limited_heap(void) {
    rn_heap *heap = rn_heap_new(held.heaps[0], "limited", LIMIT);
    REQUIRE(heap != NULL);
    void *blocks[LIMIT / SIZE + 1];
    size_t count = 0;
    while (count <= LIMIT / SIZE && (blocks[count] = rn_heap_malloc(heap, SIZE)) != NULL)
        memset(blocks[count++], 1, SIZE);
    rn_stats stats;
    rn_heap_stats(heap, &stats);
    CHECK(stats.peak <= LIMIT);
    while (count > 0)
        rn_free(blocks[--count]);
    rn_heap_destroy(heap);
}

static void ask_for_a_huge_block(void) {
    errno = 0;
    unsigned char *block = rn_calloc(HUGE / 4096, 4096);
    if (block == NULL)
        note_denied();
    else
        block[0] = block[HUGE - 1] = 1;
    rn_free(block);
}

static void scenario(void) {
    make_heaps();
    allocate_every_size();
    run_a_thread();
    grow_some();
    use_a_heap_that_retires();
    use_arenas();
    release_some();
    rn_heap_trim(rn_heap_root());
    destroy_the_last_heap();
    fill_a_limited_heap();
    ask_for_a_huge_block();
    if (denial.first == denial.last)
        CHECK_EQ(0u, held.denied);
}

/* --- claims ----------------------------------------------------------------------------------------------------- */

static void a_refusal_that_passes_denies_nothing(void) {
    unsigned calls = calls_until_passed(1);
    CHECK(calls > 20 && calls < MOST_CALLS);
}

static void any_request_may_be_refused(void) {
    unsigned calls = calls_until_passed(UNTIL_DENIED);
    CHECK(calls > 20 && calls < MOST_CALLS);
}

static void all_charges_from_any_on_may_be_refused(void) {
    unsigned calls = calls_until_passed(UINT32_MAX);
    CHECK(calls > 20 && calls < MOST_CALLS);
}

TESTS(TEST(a_refusal_that_passes_denies_nothing), TEST(any_request_may_be_refused),
      TEST(all_charges_from_any_on_may_be_refused))
