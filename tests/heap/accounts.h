/* accounts.h: what tests of heaps begin with: a heap that was made for certain, and its figures. */
#ifndef TESTS_HEAP_ACCOUNTS_H
#define TESTS_HEAP_ACCOUNTS_H

#include "check.h"

#include <ration/ration.h>

/* Of a heap's limit of 1 MiB or more: for threads that were denied something. */
enum { WITHHELD = 64 << 10 };

static inline rn_heap *made(rn_heap *parent, const char *name, size_t limit) {
    rn_heap *heap = rn_heap_new(parent, name, limit);
    REQUIRE(heap != NULL);
    return heap;
}

static inline rn_stats stats_of(const rn_heap *heap) {
    rn_stats stats;
    rn_heap_stats(heap, &stats);
    return stats;
}

#endif
