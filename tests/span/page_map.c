/* page_map.c: every address has an entry; it names the span that the address lies in, or nobody. */
#include "check.h"
#include "whole.h"

static char in_the_program;

static void addresses_that_are_not_ours_are_nobodys(void) {
    int on_the_stack = 0;
    const void *const addresses[] = {
        NULL, &in_the_program, &on_the_stack, (void *)UINTPTR_MAX, (void *)(UINTPTR_MAX / 2), &page_map};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        CHECK_EQ(0u, page_map_entry(addresses[i])->tag);
        CHECK_EQ(0u, page_map_entry(addresses[i])->span);
    }
}

static void every_granule_of_a_span_names_it(void) {
    os_start();
    const uint32_t tag = 5 << TAG_HEAP_SHIFT | TAG_LARGE;
    span *s = page_heap_take(10 * GRANULE - 1, 0, SPAN_LARGE, tag, NULL);
    REQUIRE(s != NULL);
    for (uintptr_t address = s->start; address < s->start + (size_t)s->granules * GRANULE; address += 511) {
        CHECK_EQ(tag, page_map_entry((void *)address)->tag);
        CHECK_EQ(s, span_of_id(page_map_entry((void *)address)->span));
    }
    CHECK(page_map_entry((void *)(s->start - 1))->tag != tag);
    CHECK(page_map_entry((void *)(s->start + (size_t)s->granules * GRANULE))->tag != tag);
    page_heap_give(s, span_used_pages(s));
}

static void a_given_span_is_free_in_the_map(void) {
    os_start();
    span *s = page_heap_take(3 * GRANULE, 0, SPAN_LARGE, TAG_LARGE, NULL);
    REQUIRE(s != NULL);
    uintptr_t start = s->start;
    page_heap_give(s, span_used_pages(s));
    for (uintptr_t address = start; address < start + 3 * GRANULE; address += GRANULE)
        CHECK_EQ(TAG_FREE, page_map_entry((void *)address)->tag & 0xff);
    whole_look();
}

/* Spans in more than one 4 GiB part need more than one leaf. Nothing of them is touched. */
static void spans_larger_than_a_leaf_are_mapped_throughout(void) {
    os_start();
    span *s = page_heap_take((size_t)9 << 30, 0, SPAN_LARGE, TAG_LARGE, NULL);
    if (s == NULL) /* no such address space here */
        return;
    for (uintptr_t address = s->start; address < s->start + s->size; address += (size_t)64 << 20)
        CHECK_EQ(s, span_of_id(page_map_entry((void *)address)->span));
    CHECK_EQ(s, span_of_id(page_map_entry((void *)(s->start + s->size - 1))->span));
    page_heap_give(s, (span_pages){0});
    whole_look();
}

enum { REACH = 2 << 20, ENTRIES_REACH = 8 << 20 }; /* of a page of page tables, and of a page of entries */

static void a_page_of_page_tables_counts_once_for_all_that_it_reaches(void) {
    os_start();
    if (os.page_size != PAGE)
        return;
    REQUIRE(page_heap_take(2 * REACH, REACH, SPAN_LARGE, TAG_LARGE, NULL) != NULL);
    size_t before = page_table_bytes();
    span *next = page_heap_take(REACH, REACH, SPAN_LARGE, TAG_LARGE, NULL);
    REQUIRE(next != NULL);
    CHECK_EQ(before + PAGE, page_table_bytes());
    uintptr_t place = next->start;
    page_heap_give(next, (span_pages){.end = REACH / PAGE});
    for (size_t offset = 0; offset < REACH; offset += REACH / 4) {
        span *part = page_heap_take(REACH / 4, 0, SPAN_LARGE, TAG_LARGE, NULL);
        REQUIRE(part != NULL && part->start - place < REACH);
    }
    CHECK_EQ(before + PAGE, page_table_bytes());
}

static void blocks_far_apart_count_a_page_of_page_tables_each(void) {
    enum { COUNT = 100 };
    os_start();
    if (os.page_size != PAGE)
        return;
    for (size_t align = REACH; align <= 8 * (size_t)REACH; align *= 2) {
        size_t tables = page_table_bytes(), all = span_table_bytes();
        for (size_t i = 0; i < COUNT; i++)
            REQUIRE(page_heap_take(PAGE, align, SPAN_LARGE, TAG_LARGE, NULL) != NULL);
        CHECK_EQ(tables + COUNT * PAGE, page_table_bytes());
        CHECK(span_table_bytes() - all >= COUNT * PAGE + COUNT * align / ENTRIES_REACH * PAGE);
    }
}

static void what_spans_parts_of_the_map_is_counted_throughout(void) {
    os_start();
    size_t size = (size_t)9 << 30, before = page_table_bytes();
    span *s = os.page_size == PAGE ? page_heap_take(size, REACH, SPAN_LARGE, TAG_LARGE, NULL) : NULL;
    if (s == NULL)
        return;
    CHECK_EQ(before + size / REACH * PAGE, page_table_bytes());
    page_heap_give(s, (span_pages){0});
    CHECK_EQ(before + size / REACH * PAGE, page_table_bytes());
}

static void tables_come_zeroed_and_are_used_again(void) {
    os_start();
    for (size_t size = 1; size < (size_t)1 << 20; size = size * 3 + 1) {
        size_t before = table_bytes();
        unsigned char *table = table_take(size);
        REQUIRE(table != NULL);
        CHECK(table_bytes() >= before + size);
        for (size_t i = 0; i < size; i++)
            REQUIRE(table[i] == 0);
        memset(table, 1, size);
        table_give(table, size);
        CHECK_EQ(before, table_bytes());
        CHECK_EQ(table, table_take(size));
        for (size_t i = 0; i < size; i++)
            REQUIRE(table[i] == 0);
        table_give(table, size);
    }
}

/* The first of them before others reach far. */
TESTS(TEST(addresses_that_are_not_ours_are_nobodys), TEST(a_page_of_page_tables_counts_once_for_all_that_it_reaches),
      TEST(blocks_far_apart_count_a_page_of_page_tables_each), TEST(what_spans_parts_of_the_map_is_counted_throughout),
      TEST(every_granule_of_a_span_names_it), TEST(a_given_span_is_free_in_the_map),
      TEST(spans_larger_than_a_leaf_are_mapped_throughout), TEST(tables_come_zeroed_and_are_used_again))
