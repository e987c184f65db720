/* intervals.h: which ranges of addresses the program has mapped itself, and what each is charged.
 *
 * A treap by address (Seidel and Aragon, "Randomized Search Trees", 1996), so that a program with very many mappings pays a
 * logarithm for each. Whoever calls holds a lock. */
#ifndef RATION_HEAP_INTERVALS_H
#define RATION_HEAP_INTERVALS_H

#include "../os/os.h"

#pragma GCC visibility push(hidden)

typedef enum interval_state {
    INTERVAL_WRITABLE,   /* private: written pages are the process's own */
    INTERVAL_PROTECTED,  /* was so: what was written to it may still be there */
    INTERVAL_LATE,       /* written pages are the process's own, and count as they are measured */
    INTERVAL_SHARED,     /* of no file: written pages count as the process's own, as long as there are any */
    INTERVAL_SHARED_FILE /* written pages are the file's */
} interval_state;

typedef struct interval {
    uintptr_t start, end;
    size_t charge; /* at most the length */
    struct interval *left, *right;
    uint32_t priority;
    interval_state state;
} interval;

/* All zero is empty. */
typedef struct intervals {
    interval *root, *free;
    uint64_t random;
    size_t count;       /* of ranges */
    size_t page_tables; /* the kernel's, in pages, once all that counts as the process's own has been written to */
    size_t bytes;       /* of memory taken for the table itself */
} intervals;

/* The range, and what lies in it is forgotten. Where a charge lay on part of a range, a cut shares it out by length.
 * False if there is no memory to note it. *removed is the charge that is no more. */
bool intervals_put(intervals *, interval wanted, size_t *removed);
/* Forgets what lies in the range. Gives the charge that lay on it. */
size_t intervals_remove(intervals *, uintptr_t start, uintptr_t end);
/* The first that ends behind the address, or NULL. Good until the next change. */
interval *intervals_next(const intervals *, uintptr_t address);

#pragma GCC visibility pop

#endif
