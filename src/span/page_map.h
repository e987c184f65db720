/* page_map.h: how the page heap makes entries and descriptors. The page heap's lock guards all of it. */
#ifndef RATION_SPAN_PAGE_MAP_H
#define RATION_SPAN_PAGE_MAP_H

#include "span.h"

/* Makes sure that every address in [start, end) has an entry. False if refused. */
bool page_map_cover(uintptr_t start, uintptr_t end);
/* Makes sure that so many descriptors can be taken. Their table may be cut from a free span, so this comes before one is
 * chosen. False if refused. */
bool span_descriptors_ready(unsigned count);
span *span_descriptor_take(void);
void span_descriptor_give(span *);
/* Zeroed memory for a table, from a free span where the system has no address space left. Under the lock. */
void *span_table_map(size_t size);
/* Bytes of descriptors ever in use. */
size_t page_map_bytes(void);

#endif
