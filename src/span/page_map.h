/* page_map.h: how the page heap makes entries and descriptors. The page heap's lock guards all of it. */
#ifndef RATION_SPAN_PAGE_MAP_H
#define RATION_SPAN_PAGE_MAP_H

#include "span.h"

enum { PAGE_MAP_REACH_SHIFT_MIN = 2 * PAGE_SHIFT - 3 }; /* a page of the kernel's page tables has 8 bytes for a page */

/* What is there of a leaf, and of the kernel's page tables for its addresses. */
typedef struct page_map_coverage {
    uint64_t
        reached[1 << (PAGE_MAP_LEAF_SHIFT - PAGE_MAP_REACH_SHIFT_MIN - 6)]; /* a bit for each page of page tables */
    uint64_t written[PAGE_MAP_LEAF * sizeof(page_entry) / PAGE / 64];       /* and for each page of entries */
} page_map_coverage;

/* For 4 GiB of addresses. Of the first, which the smallest program has, the coverage is elsewhere: so no page is there for it. */
typedef struct page_map_part {
    page_entry leaf[PAGE_MAP_LEAF];
    page_map_coverage coverage;
} page_map_part;

/* Makes sure that every address in [start, end) has an entry. False if refused. */
bool page_map_cover(uintptr_t start, uintptr_t end);
/* Makes sure that so many descriptors can be taken. Their table may be cut from a free span, so this comes before one is
 * chosen. False if refused. */
bool span_descriptors_ready(unsigned count);
span *span_descriptor_take(void);
void span_descriptor_give(span *);
/* Zeroed memory for a table, from a free span where the system has no address space left. Under the lock. */
void *span_table_map(size_t size);
/* Entries are written for so many granules from start on. */
void page_map_note_written(uintptr_t start, size_t granules);
/* So much from start on may be touched: the kernel makes page tables for it. */
void page_map_note_reached(uintptr_t start, size_t size);
/* Bytes of descriptors ever in use. */
size_t page_map_descriptor_bytes(void);

#endif
