/* soft.c: beyond a soft limit memory is given back early, by the thread that charges, and nothing is denied for it.
 *
 * A large block is charged at once, and more than a step of 64 KiB: so each that is taken makes a slice of work due. Start with
 * grow. */
#include "accounts.h"
#include "heap/heap.h"

#include <pthread.h>

enum { MIB = 1 << 20, GROWTH = 68 << 10, MOST = 400 };

static struct {
    void *blocks[MOST];
    size_t count;
} grown;

/* What such a block is charged: whole pages. */
static size_t charged(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (GROWTH + page - 1) / page * page;
}

/* Takes large blocks; gives how many bytes. */
static size_t grow(rn_heap *heap, size_t times) {
    for (size_t i = 0; i < times; i++) {
        void *block = rn_heap_malloc(heap, GROWTH);
        REQUIRE(block != NULL && grown.count < MOST);
        grown.blocks[grown.count++] = block;
    }
    return times * GROWTH;
}

static void free_grown(void) {
    while (grown.count > 0)
        rn_free(grown.blocks[--grown.count]);
}

static rn_heap *made_soft(rn_heap *parent, size_t limit, size_t soft) {
    rn_heap *heap = made(parent, "soft", limit);
    rn_heap_set_soft_limit(heap, soft);
    return heap;
}

/* --- callbacks ------------------------------------------------------------------------------------------------------ */

typedef struct caller {
    unsigned calls;
    size_t want;
    pthread_t by;
} caller;

static size_t note_call(void *noted, size_t want) {
    caller *c = noted;
    c->calls++;
    c->want = want;
    c->by = pthread_self();
    return 0;
}

static void listen(rn_heap *heap, caller *c) {
    *c = (caller){0};
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, note_call, c));
}

static void *grow_elsewhere(void *heap) {
    grow(heap, 20);
    return NULL;
}

static void the_thread_that_charges_calls_back_with_the_excess(void) {
    caller c;
    pthread_t other;
    rn_heap *heap = made_soft(NULL, 0, MIB);
    listen(heap, &c);
    REQUIRE(pthread_create(&other, NULL, grow_elsewhere, heap) == 0);
    pthread_join(other, NULL);
    CHECK(c.calls > 0 && pthread_equal(c.by, other));
    CHECK(c.want > 0 && c.want <= stats_of(heap).used - MIB);
    free_grown();
    rn_heap_destroy(heap);
}

static void below_it_nobody_is_called(void) {
    caller c;
    rn_heap *heap = made_soft(NULL, 0, MIB);
    listen(heap, &c);
    grow(heap, MIB / (charged() + 4096));
    CHECK_EQ(0u, c.calls);
    free_grown();
    rn_heap_destroy(heap);
}

static void a_block_that_grows_beyond_it_makes_calls_too(void) {
    caller c;
    rn_heap *heap = made_soft(NULL, 0, MIB);
    listen(heap, &c);
    void *block = rn_heap_malloc(heap, MIB / 2);
    for (size_t size = MIB / 2; size < 4 * MIB && block != NULL; size += GROWTH)
        block = rn_realloc(block, size);
    CHECK(block != NULL && c.calls > 0);
    rn_free(block);
    rn_heap_destroy(heap);
}

static size_t free_what_was_grown(void *noted, size_t want) {
    note_call(noted, want);
    size_t bytes = grown.count * GROWTH;
    free_grown();
    return bytes;
}

static void what_a_callback_frees_ends_it(void) {
    caller c = {0};
    rn_heap *heap = made_soft(NULL, 0, MIB);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, free_what_was_grown, &c));
    for (size_t i = 0; i < 1000; i++) {
        grow(heap, 1);
        CHECK(stats_of(heap).used <= 2 * MIB);
    }
    CHECK(c.calls > 10 && c.calls < 200);
    free_grown();
    rn_heap_destroy(heap);
}

/* --- denials -------------------------------------------------------------------------------------------------------- */

static void nothing_is_denied_for_it(void) {
    rn_heap *heap = made_soft(NULL, 0, 1);
    for (size_t size = 1; size < 16 * MIB; size *= 3)
        CHECK(rn_heap_malloc(heap, size) != NULL);
    CHECK_EQ(0u, stats_of(heap).denied);
    rn_heap_destroy(heap);
}

static void above_the_limit_it_does_nothing(void) {
    caller c;
    rn_heap *heap = made_soft(NULL, 4 * MIB, 64 * MIB);
    listen(heap, &c);
    grow(heap, (4 * MIB - WITHHELD) / charged());
    CHECK_EQ(0u, c.calls);
    CHECK(rn_heap_malloc(heap, MIB) == NULL);
    CHECK_EQ(1u, c.calls); /* the denial's */
    free_grown();
    rn_heap_destroy(heap);
}

/* --- changing it ---------------------------------------------------------------------------------------------------- */

static void raised_or_taken_away_it_ends(void) {
    static const size_t others[] = {0, 64 * MIB};
    for (size_t i = 0; i < 2; i++) {
        caller c;
        rn_heap *heap = made_soft(NULL, 0, MIB);
        listen(heap, &c);
        grow(heap, 40);
        unsigned calls = c.calls;
        CHECK(calls > 0);
        rn_heap_set_soft_limit(heap, others[i]);
        grow(heap, 40);
        CHECK_EQ(calls, c.calls);
        rn_heap_set_soft_limit(heap, MIB);
        grow(heap, 40);
        CHECK(c.calls > calls);
        free_grown();
        rn_heap_destroy(heap);
    }
}

/* --- idle pages ----------------------------------------------------------------------------------------------------- */

enum { SMALL = 1024, BLOCKS = 448, KEPT = 16, IDLE = BLOCKS / 2 * SMALL };

/* Of each sixteen blocks one remains. So little may lie idle, where there is no soft limit. */
static void scatter(rn_heap *heap) {
    void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        REQUIRE((blocks[i] = rn_heap_malloc(heap, SMALL)) != NULL);
    for (size_t i = 0; i < BLOCKS; i++)
        if (i % KEPT != 0)
            rn_free(blocks[i]);
    thread_drain_own();
}

/* By slices, while the heap grows: a trim finds little after them. */
static void check_that_idle_pages_go(rn_heap *growing, rn_heap *over) {
    size_t before = stats_of(over).used;
    size_t held = before + grow(growing, 100);
    size_t eased = stats_of(over).used;
    rn_heap_trim(over);
    size_t idle = held - stats_of(over).used;
    CHECK(idle >= IDLE || os.page_size > PAGE);
    CHECK(held - eased >= idle - idle / 10);
    free_grown();
}

static void idle_pages_are_given_back(void) {
    rn_heap *heap = made_soft(NULL, 0, 0);
    scatter(heap);
    rn_heap_set_soft_limit(heap, 1);
    check_that_idle_pages_go(heap, heap);
    rn_heap_destroy(heap);
}

/* --- trees ---------------------------------------------------------------------------------------------------------- */

static void so_are_those_of_the_heaps_below(void) {
    rn_heap *top = made(NULL, "top", 0), *idle = made(top, "idle", 0), *growing = made(top, "growing", 0);
    scatter(idle);
    rn_heap_set_soft_limit(top, 1);
    check_that_idle_pages_go(growing, top);
    rn_heap_destroy(top);
}

static void each_of_those_that_are_passed_has_its_turns(void) {
    caller at_top, at_middle, at_bottom;
    rn_heap *top = made_soft(NULL, 0, 1), *middle = made_soft(top, 0, 1), *bottom = made_soft(middle, 0, 1);
    rn_heap *beside_middle = made(top, "beside", 0), *beside_bottom = made(middle, "beside", 0);
    listen(beside_middle, &at_top);
    listen(beside_bottom, &at_middle);
    listen(bottom, &at_bottom);
    grow(bottom, 300);
    CHECK(at_top.calls > 0 && at_middle.calls > 0 && at_bottom.calls > 0);
    free_grown();
    rn_heap_destroy(top);
}

static void the_roots_returns_free_spans(void) {
    enum { FREE = 400 << 10 }; /* less than may lie free, where there is no soft limit */
    rn_heap_trim(rn_heap_root());
    void *volatile block = rn_malloc(FREE), *behind = rn_malloc(MIB);
    REQUIRE(block != NULL && behind != NULL);
    memset(block, 1, FREE);
    rn_free(block);
    page_heap_figures before = page_heap_read();
    CHECK(before.dirty >= FREE);
    rn_heap_set_soft_limit(rn_heap_root(), 1);
    void *large[MOST];
    size_t count = 0;
    while (count < MOST && page_heap_read().dirty != 0)
        CHECK((large[count++] = rn_malloc(2 * MIB)) != NULL);
    CHECK(page_heap_read().purged >= before.purged + FREE);
    rn_heap_set_soft_limit(rn_heap_root(), 0);
    while (count > 0)
        rn_free(large[--count]);
    rn_free(behind);
}

TESTS(TEST(the_thread_that_charges_calls_back_with_the_excess), TEST(below_it_nobody_is_called),
      TEST(a_block_that_grows_beyond_it_makes_calls_too), TEST(what_a_callback_frees_ends_it),
      TEST(nothing_is_denied_for_it), TEST(above_the_limit_it_does_nothing), TEST(raised_or_taken_away_it_ends),
      TEST(idle_pages_are_given_back), TEST(so_are_those_of_the_heaps_below),
      TEST(each_of_those_that_are_passed_has_its_turns), TEST(the_roots_returns_free_spans))
