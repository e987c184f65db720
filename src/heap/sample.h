/* sample.h: which blocks of the root heap are checked where RATION_HARDEN does not say: the first of a process, and later a few,
 * by lot. */
#ifndef RATION_HEAP_SAMPLE_H
#define RATION_HEAP_SAMPLE_H

#include "hardened.h"

#pragma GCC visibility push(hidden)

enum { SAMPLE_NONE = 0 /* in place of a class's number and one */ };

/* Checked blocks lie in a heap of their own, below the root's, of which no thread has a cache. */
extern struct heap sampled_heap;
/* How many more requests are checked one and all. */
extern int sample_first;

/* From here on there is a sample, unless the hardened mode checks every block. */
void sample_start(void);
bool sample_is_taken(void);
/* Whether a request that the thread's cache did not serve is to be checked, if it may. */
static inline bool sample_is_due(const struct heap *heap, unsigned class_index) {
    const thread *t = this_thread.thread;
    bool drawn = t != NULL && t->sampled == class_index + 1;
    return heap == &root_heap && (drawn || UNLIKELY(__atomic_load_n(&sample_first, __ATOMIC_RELAXED) > 0));
}
/* A checked block for a request that is due, from a class with room for it and the seal; NULL where none is to be had. */
void *sample_take(unsigned class_index, size_t size);
/* This thread's cache of the root heap got so many blocks of a class: the lot may fall on the next request. */
void sample_refilled(unsigned class_index, unsigned blocks);
/* Looks at every checked block. For the program's end, when one thread is left. */
void sample_check_all(void);

/* The heap that a block of s counts for. */
static inline struct heap *heap_served(const span *s) {
    return s->heap == &sampled_heap ? &root_heap : s->heap;
}

#pragma GCC visibility pop

#endif
