/* page_map.h: how the page heap makes entries and descriptors. The page heap's lock guards all of it. */
#ifndef RATION_SPAN_PAGE_MAP_H
#define RATION_SPAN_PAGE_MAP_H

#include "span.h"

/* Makes sure that every address in [start, end) has an entry. False if refused. */
bool page_map_cover(uintptr_t start, uintptr_t end);
span *span_descriptor_take(void);
void span_descriptor_give(span *);
/* Bytes of descriptors ever in use. */
size_t page_map_bytes(void);

#endif
