/* reserve.c: a part of a heap's limit is for a thread that was just denied something there, and for no other; it never takes
 * the heap beyond its limit. Start with can_take. */
#include "accounts.h"
#include "heap/heap.h"

#include <pthread.h>

enum { MIB = 1 << 20, PIECE = 4096 };

/* Until one is denied. */
static void take_all(rn_heap *heap, size_t size) {
    while (rn_heap_malloc(heap, size) != NULL)
        ;
}

static bool can_take(rn_heap *heap) {
    void *block = rn_heap_malloc(heap, 32 << 10);
    rn_free(block);
    return block != NULL;
}

typedef struct task {
    rn_heap *heap;
    bool (*does)(rn_heap *);
    bool result;
} task;

static void *run(void *given) {
    task *t = given;
    t->result = t->does(t->heap);
    return NULL;
}

static bool by_another(bool (*does)(rn_heap *), rn_heap *heap) {
    pthread_t other;
    task t = {.heap = heap, .does = does};
    REQUIRE(pthread_create(&other, NULL, run, &t) == 0);
    pthread_join(other, NULL);
    return t.result;
}

/* All but so much and what is withheld: no thread was denied anything. */
static void *fill_but_for(rn_heap *heap, size_t limit, size_t left) {
    void *block = rn_heap_malloc(heap, limit - WITHHELD - left);
    CHECK(block != NULL);
    return block;
}

static void a_thread_that_was_denied_has_a_little_more_and_no_other(void) {
    rn_heap *heap = made(NULL, "full", 4 * MIB);
    void *all = fill_but_for(heap, 4 * MIB, 0);
    CHECK(!by_another(can_take, heap));
    CHECK_EQ(4u * MIB - WITHHELD, stats_of(heap).used);
    CHECK(rn_heap_malloc(heap, PIECE) == NULL);
    CHECK(can_take(heap));
    CHECK(!by_another(can_take, heap));
    take_all(heap, PIECE);
    CHECK_EQ(4u * MIB, stats_of(heap).used);
    CHECK_EQ(4u * MIB, stats_of(heap).peak);
    CHECK(!can_take(heap));
    rn_free(all);
    CHECK(by_another(can_take, heap));
    rn_heap_destroy(heap);
}

/* As an error's text and an exception are made: small blocks of several sizes, each on a page of its own. */
static void what_tells_of_a_denial_can_be_had_however_much_was_left(void) {
    static const size_t sizes[] = {150, 40, 700, 24, 2000, 60};
    for (size_t left = 0; left <= WITHHELD; left += PIECE) {
        rn_heap *heap = made(NULL, "library", 4 * MIB);
        fill_but_for(heap, 4 * MIB, left);
        CHECK(rn_heap_malloc(heap, 3 * MIB) == NULL);
        rn_heap_push(heap);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            CHECK(rn_malloc(sizes[i]) != NULL || os.page_size != PIECE);
        CHECK(stats_of(heap).denied == 1 || os.page_size != PIECE);
        rn_heap_pop();
        rn_heap_destroy(heap);
    }
}

static void it_is_so_through_all_limits_that_were_met(void) {
    rn_heap *outer = made(NULL, "outer", 4 * MIB), *inner = made(outer, "inner", 2 * MIB), *low = made(inner, "low", 0);
    fill_but_for(outer, 4 * MIB, 2 * MIB - WITHHELD);
    fill_but_for(inner, 2 * MIB, 0);
    CHECK(rn_heap_malloc(low, PIECE) == NULL);
    CHECK(can_take(low));
    CHECK(can_take(outer));
    CHECK_EQ(1u, stats_of(outer).denied);
    rn_heap_destroy(outer);
}

static void it_is_not_so_in_another_heap(void) {
    rn_heap *here = made(NULL, "here", 4 * MIB), *there = made(NULL, "there", 4 * MIB);
    fill_but_for(there, 4 * MIB, 0);
    fill_but_for(here, 4 * MIB, 0);
    CHECK(rn_heap_malloc(here, PIECE) == NULL);
    CHECK(can_take(here));
    CHECK(!can_take(there));
    rn_heap_destroy(here);
    rn_heap_destroy(there);
}

static void it_ends_once_there_is_room(void) {
    rn_heap *heap = made(NULL, "short", 4 * MIB);
    void *all = fill_but_for(heap, 4 * MIB, 0);
    CHECK(rn_heap_malloc(heap, PIECE) == NULL);
    rn_free(all);
    CHECK(can_take(heap));
    fill_but_for(heap, 4 * MIB, 0);
    CHECK(!can_take(heap)); /* a denial of its own */
    CHECK(can_take(heap));
    rn_heap_destroy(heap);
}

/* More of them than a thread is told apart in: the last count. */
static void it_is_so_in_the_heaps_where_it_was_denied_last(void) {
    rn_heap *heaps[NEEDS + 2];
    for (size_t i = 0; i < NEEDS + 2; i++) {
        heaps[i] = made(NULL, "one of many", 4 * MIB);
        fill_but_for(heaps[i], 4 * MIB, 0);
        CHECK(rn_heap_malloc(heaps[i], PIECE) == NULL);
    }
    for (size_t i = 2; i < NEEDS + 2; i++)
        CHECK(can_take(heaps[i]));
    CHECK(!can_take(heaps[0]));
    for (size_t i = 0; i < NEEDS + 2; i++)
        rn_heap_destroy(heaps[i]);
}

/* Beyond what it needs a heap asks its parent for nothing then. */
static void none_of_it_is_put_by(void) {
    rn_heap *parent = made(NULL, "parent", 8 * MIB), *child = made(parent, "child", 0);
    fill_but_for(child, 8 * MIB, 10 * PIECE);
    CHECK(rn_heap_malloc(child, 7 * MIB) == NULL);
    CHECK(rn_heap_malloc(child, 16) != NULL);
    CHECK_EQ(0u, heap_of(child)->credit);
    rn_heap_destroy(parent);
}

static void none_of_it_lies_in_a_cache(void) {
    rn_heap *heap = made(NULL, "frugal", 4 * MIB);
    rn_heap_trim(rn_heap_root()); /* what is free with old contents is charged a span at a time */
    fill_but_for(heap, 4 * MIB, 0);
    CHECK(rn_heap_malloc(heap, PIECE) == NULL);
    CHECK(rn_heap_malloc(heap, 2000) != NULL);
    CHECK_EQ(4u * MIB - WITHHELD + os.page_size, stats_of(heap).used);
    rn_heap_destroy(heap);
}

static size_t had_at_once(size_t limit) {
    size_t had = 0;
    rn_heap *heap = made(NULL, "small", limit);
    while (rn_heap_malloc(heap, os.page_size) != NULL)
        had += os.page_size;
    rn_heap_destroy(heap);
    return had;
}

static void of_a_small_limit_it_is_a_sixteenth_in_whole_pages(void) {
    size_t page = os.page_size;
    if (page != PIECE)
        return; /* small blocks share a larger one */
    CHECK_EQ(15 * page, had_at_once(15 * page));
    CHECK_EQ(15 * page, had_at_once(16 * page));
    CHECK_EQ(30 * page, had_at_once(31 * page));
    CHECK_EQ(30 * page, had_at_once(32 * page));
    CHECK_EQ((size_t)MIB - WITHHELD, had_at_once(MIB));
    CHECK_EQ((size_t)2 * MIB - WITHHELD, had_at_once(2 * MIB));
}

static void a_limit_may_be_lowered_to_what_is_used(void) {
    rn_heap *heap = made(NULL, "lowered", 8 * MIB);
    void *block = rn_heap_malloc(heap, 2 * MIB);
    CHECK_EQ(0, rn_heap_set_limit(heap, 2 * MIB));
    CHECK(!by_another(can_take, heap));
    CHECK(!can_take(heap)); /* what is withheld is in use */
    CHECK_EQ(2u * MIB, stats_of(heap).peak);
    rn_free(block);
    CHECK(can_take(heap));
    rn_heap_destroy(heap);
}

static size_t credit_of_one_that_grows(void) {
    rn_heap *parent = made(NULL, "parent", 0), *child = made(parent, "child", 0);
    for (int i = 0; i < 40; i++)
        CHECK(rn_heap_malloc(child, 64 << 10) != NULL);
    size_t credit = heap_of(child)->credit;
    rn_heap_destroy(parent);
    return credit;
}

static void who_was_denied_elsewhere_is_as_others(void) {
    size_t before = credit_of_one_that_grows();
    CHECK(before != 0);
    rn_heap *gone = made(NULL, "gone", MIB);
    take_all(gone, PIECE);
    rn_heap_destroy(gone);
    CHECK_EQ(before, credit_of_one_that_grows());
}

static void what_is_given_back_of_it_is_no_credit_either(void) {
    rn_heap *parent = made(NULL, "parent", 4 * MIB), *child = made(parent, "child", 0);
    fill_but_for(child, 4 * MIB, 0);
    CHECK(rn_heap_malloc(child, PIECE) == NULL);
    void *block = rn_heap_malloc(child, 32 << 10);
    CHECK(block != NULL);
    size_t before = heap_of(child)->credit;
    rn_free(block);
    CHECK(heap_of(child)->credit <= before);
    rn_heap_destroy(parent);
}

static size_t ask_for_a_line(void *heap, size_t want) {
    (void)want;
    CHECK(rn_heap_malloc(heap, 32 << 10) == NULL);
    return 1; /* as it believes */
}

/* Else its own denial would open the reserve to the request that it is called for. */
static void what_a_callback_is_denied_gives_no_right_to_it(void) {
    rn_heap *heap = made(NULL, "called", 4 * MIB);
    fill_but_for(heap, 4 * MIB, 0);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, ask_for_a_line, heap));
    CHECK(rn_heap_malloc(heap, 32 << 10) == NULL);
    rn_heap_destroy(heap);
}

TESTS(TEST(a_thread_that_was_denied_has_a_little_more_and_no_other),
      TEST(what_tells_of_a_denial_can_be_had_however_much_was_left), TEST(it_is_so_through_all_limits_that_were_met),
      TEST(it_is_not_so_in_another_heap), TEST(it_ends_once_there_is_room),
      TEST(it_is_so_in_the_heaps_where_it_was_denied_last), TEST(none_of_it_is_put_by),
      TEST(none_of_it_lies_in_a_cache), TEST(who_was_denied_elsewhere_is_as_others),
      TEST(what_is_given_back_of_it_is_no_credit_either), TEST(what_a_callback_is_denied_gives_no_right_to_it),
      TEST(of_a_small_limit_it_is_a_sixteenth_in_whole_pages), TEST(a_limit_may_be_lowered_to_what_is_used))
