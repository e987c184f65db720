/* whole.h: looks at the whole page map and says whether the page heap is in order.
 *
 * Every granule is nobody's, part of a span in use, or part of a free span whose ends name it, whose dirty pages are
 * as many as its granules' bits say, and which has no free neighbour it could merge with. Start with whole_look; no
 * other thread may be inside the page heap. */
#ifndef RATION_WHOLE_H
#define RATION_WHOLE_H

#include "check.h"
#include "span/span.h"

typedef struct whole {
    size_t free_spans, used_spans;
    size_t free_granules, used_granules;
    size_t dirty_pages;
} whole;

static inline page_entry whole_entry(uintptr_t address) {
    return *page_map_entry((const void *)address);
}

static inline unsigned whole_dirty(page_entry entry) {
    return (unsigned)__builtin_popcount(entry.tag >> TAG_HEAP_SHIFT & 15);
}

/* Looks at the free span that begins at address; gives its granules. */
static inline size_t whole_look_free(uintptr_t address, whole *sum, bool after_free) {
    const span *s = span_of_id(whole_entry(address).span);
    CHECK(!after_free);
    CHECK_EQ(SPAN_FREE, s->state);
    CHECK_EQ(address, s->start);
    REQUIRE(s->granules > 0);
    size_t dirty = 0;
    for (size_t i = 0; i < s->granules; i++) {
        page_entry entry = whole_entry(address + i * GRANULE);
        CHECK(entry.tag == 0 || (entry.tag & 0xff) == TAG_FREE); /* 0: never used */
        dirty += whole_dirty(entry);
    }
    CHECK_EQ(s->id, whole_entry(address + ((size_t)s->granules - 1) * GRANULE).span);
    CHECK_EQ(dirty, s->dirty_pages);
    sum->free_spans++;
    sum->free_granules += s->granules;
    sum->dirty_pages += dirty;
    return s->granules;
}

static inline size_t whole_look_used(uintptr_t address, whole *sum) {
    page_entry first = whole_entry(address);
    const span *s = span_of_id(first.span);
    CHECK(s->state == SPAN_SMALL || s->state == SPAN_LARGE);
    CHECK_EQ(address, s->start);
    REQUIRE(s->granules > 0);
    for (size_t i = 0; i < s->granules; i++) {
        page_entry entry = whole_entry(address + i * GRANULE);
        CHECK(entry.tag == first.tag && entry.span == first.span);
    }
    sum->used_spans++;
    sum->used_granules += s->granules;
    return s->granules;
}

CHECK_UNUSED static whole whole_look(void) {
    whole sum = {0};
    bool after_free = false;
    uintptr_t address = 0;
    while (address >> 32 < PAGE_MAP_ROOT) {
        if (page_map.leaf[address >> 32] == 0) {
            address = ((address >> 32) + 1) << 32;
            after_free = false;
            continue;
        }
        uint32_t tag = whole_entry(address).tag;
        bool is_free = (tag & 0xff) == TAG_FREE;
        size_t granules = tag == 0  ? 1
                          : is_free ? whole_look_free(address, &sum, after_free)
                                    : whole_look_used(address, &sum);
        address += granules * GRANULE;
        after_free = is_free;
    }
    CHECK_EQ(sum.dirty_pages * PAGE, page_heap_read().dirty);
    return sum;
}

#endif
