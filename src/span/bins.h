/* bins.h: the free spans, as the page heap looks for them. Its lock guards all of it.
 *
 * Those with dirty pages lie apart from the clean, so that memory that is already resident is used first. */
#ifndef RATION_SPAN_BINS_H
#define RATION_SPAN_BINS_H

#include "span.h"

#pragma GCC visibility push(hidden)

enum {
    EXACT_BINS = 64,
    BINS = EXACT_BINS + 32, /* from 64 granules on, one for each doubling */
    BIN_WORDS = (BINS + 63) / 64,
};

typedef struct bins {
    span *first[BINS];
    uint64_t filled[BIN_WORDS];
} bins;

typedef struct free_spans {
    bins clean, dirty;
    span *oldest, *newest; /* those with dirty pages, by when they were freed */
} free_spans;

/* Where a span lies is told by its granules and dirty_pages: it is taken out before they change. */
void free_spans_add(free_spans *, span *);
void free_spans_remove(free_spans *, span *);
/* The smallest of at least so many granules, the lowest among equals in the bins that mix sizes. NULL where there is none. */
span *bins_best_fit(const bins *, size_t granules);

#pragma GCC visibility pop

#endif
