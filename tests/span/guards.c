/* guards.c: no write that runs on from a block comes to a table: something that can't be written lies between.
 *
 * Pages are looked at by writing back to them what they hold. Start with no_table_is_next_to_blocks. */
#include "apart.h"
#include "span/page_map.h"
#include "whole.h"

enum { HELD = 4096, TABLES = 1024, PIECE = 256 << 10, FAR = 4 << 20 };

/* Of tables: what is sought, and what was taken for the sake of the test. */
static struct {
    char *start;
    size_t size;
} tables[TABLES];
static size_t table_count;

static span *held[HELD];
static size_t held_count;

/* --- what there is ---------------------------------------------------------------------------------------------- */

static void note_table(void *start, size_t size) {
    REQUIRE(table_count < TABLES);
    tables[table_count].start = start;
    tables[table_count++].size = (size + os.page_size - 1) & ~(os.page_size - 1);
}

static void take_table(void) {
    void *piece = table_take(PIECE);
    if (piece != NULL)
        note_table(piece, PIECE);
}

static void note_the_page_heaps_tables(void) {
    for (size_t part = 0; part < PAGE_MAP_ROOT; part++)
        if (page_map.leaf[part] != 0)
            note_table((char *)page_map.nobodys + page_map.leaf[part], sizeof(page_map_part));
    for (size_t i = 0; i < SPAN_TABLES; i++)
        if (span_tables[i] != NULL)
            note_table(span_tables[i], sizeof(span) << SPAN_TABLE_SHIFT);
}

static bool is_table(const char *address) {
    for (size_t i = 0; i < table_count; i++)
        if (address >= tables[i].start && address < tables[i].start + tables[i].size)
            return true;
    return false;
}

/* False if the system has no more of it. */
static bool take_span(size_t size) {
    REQUIRE(held_count < HELD);
    held[held_count] = page_heap_take(size, 0, SPAN_LARGE, TAG_LARGE, NULL);
    return held[held_count] != NULL && ++held_count != 0;
}

/* --- looking ---------------------------------------------------------------------------------------------------- */

static bool can_overwrite(char *address) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    bool can = write(ends[1], address, 1) == 1 && read(ends[0], address, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return can;
}

/* How many tables an overflow meets that goes on page by page, to the first that can't be written. */
static size_t tables_met(char *page, ptrdiff_t step) {
    for (size_t gone = 0; gone < FAR && can_overwrite(page); gone += os.page_size, page += step)
        if (is_table(page))
            return 1;
    return 0;
}

static void look_from_the_blocks(void) {
    ptrdiff_t page = (ptrdiff_t)os.page_size;
    size_t met = 0, ends = 0;
    for (size_t i = 0; i < held_count; i++) {
        uintptr_t start = held[i]->start, end = start + (size_t)held[i]->granules * GRANULE;
        if (whole_entry(start - GRANULE).tag == 0 && ++ends != 0)
            met += tables_met((char *)start - page, -page);
        if (whole_entry(end).tag == 0 && ++ends != 0)
            met += tables_met((char *)end, page);
    }
    CHECK(ends >= 2);
    CHECK_EQ(0u, met);
}

static void look_around_the_tables(void) {
    for (size_t i = 0; i < table_count; i++) {
        CHECK(can_overwrite(tables[i].start));
        CHECK(can_overwrite(tables[i].start + tables[i].size - 1));
        CHECK(!can_overwrite(tables[i].start - 1));
        CHECK(!can_overwrite(tables[i].start + tables[i].size));
    }
}

static void look(void) {
    note_the_page_heaps_tables();
    look_from_the_blocks();
    look_around_the_tables();
}

/* --- claims ----------------------------------------------------------------------------------------------------- */

static void fill_regions(const void *nothing) {
    (void)nothing;
    enum { ENOUGH = 1500 }; /* of 4 MiB: more than one leaf of the page map, and some regions */
    os_start();
    while (held_count < ENOUGH && take_span(4 << 20))
        if (held_count % 100 == 1)
            take_table();
    look();
}

static void no_table_is_next_to_blocks(void) {
    const char *text;
    CHECK_EQ(0, ending(fill_regions, NULL, &text));
}

#ifdef RN_SANITIZE
enum { HAS_SHADOW = 1 };
#else
enum { HAS_SHADOW = 0 };
#endif

/* The last tables are cut from what blocks are made of. */
static void fill_address_space(const void *room) {
    struct rlimit limit = {.rlim_cur = *(const rlim_t *)room, .rlim_max = RLIM_INFINITY};
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    os_start();
    size_t dirtied = 0;
    while (take_span(1 << 20))
        memset((void *)held[held_count - 1]->start, 0xff, held[held_count - 1]->size);
    while (take_span(GRANULE))
        continue;
    size_t mapped = table_count;
    for (size_t i = 0; i < held_count; i++)
        if (held[i]->size == 1 << 20 && ++dirtied % 4 != 0) {
            page_heap_give(held[i], span_used_pages(held[i]));
            held[i--] = held[--held_count];
            take_table();
        }
    CHECK(table_count > mapped + 4);
    for (size_t i = mapped; i < table_count; i++)
        for (size_t at = 0; at < PIECE; at++)
            REQUIRE(tables[i].start[at] == 0);
    while (held_count < HELD && take_span(GRANULE))
        continue;
    whole_look();
    look();
}

static void no_table_is_next_to_blocks_where_address_space_has_run_out(void) {
    const rlim_t room = 200 << 20;
    const char *text;
    if (HAS_SHADOW || emulated()) /* which itself would have no room */
        return;
    CHECK_EQ(0, ending(fill_address_space, &room, &text));
}

TESTS(TEST(no_table_is_next_to_blocks), TEST(no_table_is_next_to_blocks_where_address_space_has_run_out))
