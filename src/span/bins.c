/* bins.c: the free spans, by size; those with dirty pages also by when they were freed.
 *
 * Spans of the same few granules share a bin, larger ones a bin for each doubling. Start with bins_best_fit. */
#include "bins.h"

static unsigned bin_of(size_t granules) {
    if (granules < EXACT_BINS)
        return (unsigned)granules;
    return EXACT_BINS + (unsigned)(63 - __builtin_clzl(granules)) - 6;
}

static bins *bins_of(free_spans *spans, const span *free) {
    return free->dirty_pages != 0 ? &spans->dirty : &spans->clean;
}

void free_spans_add(free_spans *spans, span *free) {
    bins *set = bins_of(spans, free);
    unsigned bin = bin_of(free->granules);
    free->prev = NULL;
    free->next = set->first[bin];
    if (free->next != NULL)
        free->next->prev = free;
    set->first[bin] = free;
    set->filled[bin / 64] |= 1ull << bin % 64;
    if (free->dirty_pages == 0)
        return;
    free->newer = NULL;
    free->older = spans->newest;
    if (spans->newest != NULL)
        spans->newest->newer = free;
    else
        spans->oldest = free;
    spans->newest = free;
}

void free_spans_remove(free_spans *spans, span *free) {
    bins *set = bins_of(spans, free);
    unsigned bin = bin_of(free->granules);
    if (free->next != NULL)
        free->next->prev = free->prev;
    if (free->prev != NULL)
        free->prev->next = free->next;
    else if ((set->first[bin] = free->next) == NULL)
        set->filled[bin / 64] &= ~(1ull << bin % 64);
    if (free->dirty_pages == 0)
        return;
    if (free->newer != NULL)
        free->newer->older = free->older;
    else
        spans->newest = free->older;
    if (free->older != NULL)
        free->older->newer = free->newer;
    else
        spans->oldest = free->newer;
}

static unsigned next_filled(const bins *set, unsigned bin) {
    for (unsigned word = bin / 64; word < BIN_WORDS; word++) {
        uint64_t filled = set->filled[word];
        if (word == bin / 64)
            filled &= ~0ull << bin % 64;
        if (filled != 0)
            return word * 64 + (unsigned)__builtin_ctzl(filled);
    }
    return BINS;
}

span *bins_best_fit(const bins *set, size_t granules) {
    for (unsigned bin = next_filled(set, bin_of(granules)); bin < BINS; bin = next_filled(set, bin + 1)) {
        if (bin < EXACT_BINS)
            return set->first[bin];
        span *best = NULL;
        for (span *free = set->first[bin]; free != NULL; free = free->next)
            if (free->granules >= granules && (best == NULL || free->granules < best->granules ||
                                               (free->granules == best->granules && free->start < best->start)))
                best = free;
        if (best != NULL)
            return best;
    }
    return NULL;
}
