/* blocks.c: the blocks of a small span, of every class, against an array of what each block is.
 *
 * Contents are written to every block taken and read when it is given, so that a page purged under a live block shows.
 * Start with one_operation. */
#include "check.h"
#include "random.h"
#include "whole.h"

enum { OPERATIONS = 400 };

typedef enum block_state { NEVER, FREE, OUT } block_state;

static struct {
    span *span;
    size_t size;
    unsigned capacity;
    uint8_t state[SPAN_BLOCKS_MAX];
    uint64_t stamp[SPAN_BLOCKS_MAX];
} model;

static random_source source;

static void *block_at(unsigned index) {
    return (void *)(model.span->start + index * model.size);
}

static unsigned index_of(const void *block) {
    return (unsigned)(((uintptr_t)block - model.span->start) / model.size);
}

/* The count of free blocks is the caller's to keep. */
static bool mark_free(const void *block) {
    unsigned index = span_carved_index(model.span, &size_classes[model.span->class_index], block);
    bool marked = index != SPAN_NOT_A_BLOCK && span_mark_free(model.span, index);
    model.span->free = (uint16_t)(model.span->free + marked);
    return marked;
}

static unsigned count_of(block_state state) {
    unsigned count = 0;
    for (unsigned i = 0; i < model.capacity; i++)
        count += model.state[i] == state;
    return count;
}

static uint64_t *last_word(unsigned index) {
    return (uint64_t *)((char *)block_at(index) + model.size - sizeof(uint64_t));
}

static void begin(unsigned class_index) {
    size_t bytes = size_class_span(&size_classes[class_index], random_below(&source, 2) == 0 ? 0 : UINT32_MAX);
    memset(&model, 0, sizeof model);
    model.size = size_classes[class_index].size;
    model.span = page_heap_take(bytes, 0, SPAN_SMALL, class_index, NULL);
    REQUIRE(model.span != NULL);
    model.capacity = model.span->capacity;
    CHECK(model.capacity >= bytes / model.size || model.capacity == SPAN_BLOCKS_MAX);
    CHECK_EQ(class_index, model.span->class_index);
}

static void end(void) {
    page_heap_give(model.span, span_used_pages(model.span));
}

static bool on_purged_page(unsigned index) {
    size_t first = index * model.size / PAGE, last = ((index + 1) * model.size - 1) / PAGE;
    for (size_t page = first; page <= last; page++)
        if (model.span->purged >> page & 1)
            return true;
    return false;
}

/* --- operations ------------------------------------------------------------------------------------------------- */

static void take(void) {
    void *blocks[SPAN_BLOCKS_MAX];
    unsigned want = (unsigned)random_below(&source, 100) + 1;
    unsigned taken = span_take_blocks(model.span, blocks + want, want);
    unsigned expected = 0;
    for (unsigned i = 0; i < model.capacity && expected < want; i++) {
        if (model.state[i] != FREE || on_purged_page(i))
            continue;
        if (expected < taken)
            CHECK_EQ(block_at(i), blocks[want - 1 - expected]); /* the lowest first, downwards */
        expected++;
        model.state[i] = OUT;
        model.stamp[i] = random_next(&source);
        *(uint64_t *)block_at(i) = model.stamp[i];
        *last_word(i) = model.stamp[i];
    }
    CHECK_EQ(expected, taken);
}

static void give(void) {
    for (unsigned tries = 0; tries < 64; tries++) {
        unsigned i = (unsigned)random_below(&source, model.capacity);
        if (model.state[i] != OUT)
            continue;
        CHECK_EQ(model.stamp[i], *(uint64_t *)block_at(i));
        CHECK_EQ(model.stamp[i], *last_word(i));
        model.state[i] = FREE;
        CHECK(mark_free(block_at(i)));
    }
}

static void carve(void) {
    size_t cost = span_carve_cost(model.span), before = span_committed(model.span);
    unsigned carved = model.span->carved;
    bool done = span_carve(model.span);
    CHECK_EQ(carved < model.capacity, done);
    CHECK_EQ(before + cost, span_committed(model.span));
    for (unsigned i = carved; i < model.span->carved; i++)
        model.state[i] = FREE;
}

static void purge(void) {
    size_t before = span_committed(model.span);
    size_t bytes = span_purge(model.span, NULL);
    CHECK_EQ(before, span_committed(model.span) + bytes);
    for (unsigned i = 0; i < model.capacity; i++)
        CHECK(model.state[i] != OUT || !on_purged_page(i));
}

static void revive(void) {
    size_t cost = span_revive_cost(model.span), before = span_committed(model.span);
    CHECK_EQ(model.span->purged != 0, cost != 0);
    if (cost != 0)
        CHECK(span_revive(model.span));
    CHECK_EQ(before + cost, span_committed(model.span));
}

/* --- judging ---------------------------------------------------------------------------------------------------- */

static void judge(unsigned i) {
    static const span_verdict verdicts[] = {SPAN_BLOCK_UNUSED, SPAN_BLOCK_FREE_ALREADY, SPAN_BLOCK_FINE};
    CHECK_EQ(verdicts[model.state[i]], span_judge(model.span, block_at(i)));
    CHECK_EQ(SPAN_BLOCK_INTERIOR, span_judge(model.span, (char *)block_at(i) + 1));
    CHECK_EQ(SPAN_BLOCK_INTERIOR, span_judge(model.span, (char *)block_at(i) + model.size - 1));
}

static void judge_all(void) {
    for (unsigned i = 0; i < model.capacity; i++)
        judge(i);
    CHECK_EQ(SPAN_BLOCK_INTERIOR, span_judge(model.span, (char *)model.span->start - 1));
    uintptr_t behind = model.span->start + (size_t)model.span->granules * GRANULE;
    CHECK_EQ(SPAN_BLOCK_INTERIOR, span_judge(model.span, (void *)behind));
    CHECK_EQ(count_of(FREE), model.span->free);
    CHECK_EQ(count_of(NEVER), model.capacity - model.span->carved);
}

static void one_operation(void) {
    static void (*const operations[])(void) = {take, take, give, give, give, carve, purge, revive};
    operations[random_below(&source, sizeof operations / sizeof *operations)]();
}

static void every_class_follows_the_model(void) {
    os_start();
    source = random_start(3);
    for (unsigned class_index = 0; class_index < SIZE_CLASSES_COUNT; class_index++) {
        begin(class_index);
        judge_all();
        for (unsigned i = 0; i < OPERATIONS; i++)
            one_operation();
        judge_all();
        end();
    }
    CHECK_EQ(0u, whole_look().used_spans);
}

static void a_fresh_span_has_nothing_committed(void) {
    os_start();
    page_heap_purge(0);
    begin(size_class_index(16));
    CHECK_EQ(0u, span_committed(model.span));
    carve();
    CHECK_EQ(os.page_size, span_committed(model.span));
    end();
}

static void begin_carved(size_t size) {
    os_start();
    begin(size_class_index(size));
    while (span_carve(model.span))
        continue;
    memset(model.state, FREE, model.capacity);
}

static void what_is_no_live_block_is_not_marked(void) {
    begin_carved(64);
    void *blocks[4];
    CHECK_EQ(4u, span_take_blocks(model.span, blocks + 4, 4));
    CHECK(mark_free(blocks[0]));
    CHECK(!mark_free(blocks[0]));
    CHECK(!mark_free((char *)blocks[1] + 8));
    CHECK_EQ(model.capacity - 3u, model.span->free);
    end();
}

static void all_blocks_can_be_out_at_once(void) {
    for (unsigned class_index = 0; class_index < SIZE_CLASSES_COUNT; class_index++) {
        void *blocks[SPAN_BLOCKS_MAX + 1], **above = blocks + SPAN_BLOCKS_MAX + 1;
        begin_carved(size_classes[class_index].size);
        CHECK_EQ(model.capacity, span_take_blocks(model.span, above, SPAN_BLOCKS_MAX + 1));
        CHECK_EQ(0u, span_take_blocks(model.span, blocks + 1, 1));
        for (unsigned i = 0; i < model.capacity; i++)
            CHECK_EQ(i, index_of(above[-1 - (int)i]));
        for (unsigned i = 0; i < model.capacity; i++)
            CHECK(mark_free(above[-1 - (int)i]));
        CHECK_EQ(model.capacity, model.span->free);
        end();
    }
}

TESTS(TEST(every_class_follows_the_model), TEST(a_fresh_span_has_nothing_committed),
      TEST(what_is_no_live_block_is_not_marked), TEST(all_blocks_can_be_out_at_once))
