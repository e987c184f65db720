/* hardened.h: the checked way in and out, taken in place of the ordinary one where RATION_HARDEN=1 was set at start; else by a
 * sample (sample.h). */
#ifndef RATION_HEAP_HARDENED_H
#define RATION_HEAP_HARDENED_H

#include "heap.h"

#pragma GCC visibility push(hidden)

enum { HARDENED_SEAL = 8 /* bytes at the end of every small block */ };

/* Set once, before there is a second thread; spans taken before stay unhardened. */
extern bool hardened;
void hardened_start(void);

/* A block of size bytes from a class with room for them and the seal; NULL if denied. */
void *hardened_take(struct heap *, unsigned class_index, size_t size);
void *hardened_take_large(struct heap *, size_t size, size_t align, bool *clean);
void hardened_give(span *, void *block);
/* The same, past the threads' caches. */
void *hardened_take_uncached(struct heap *, unsigned class_index, size_t size);
void hardened_give_uncached(const span *, void *block);
void hardened_give_large(span *, void *block);
/* Gives a large block's span to the page heap as it is. */
void hardened_release(span *);
/* Bytes in freed large blocks that wait for their next use, in no heap's account; and giving them back. */
size_t hardened_parked_bytes(void);
void hardened_give_parked(void);
/* Around fork: no other thread is giving a large block back. */
void hardened_lock(void);
void hardened_unlock(void);
/* What was asked for. */
size_t hardened_size(const span *, const void *block);
size_t hardened_large_size(const span *, const void *block);

/* What a thread has in quarantine goes back to its stores; or, for a heap about to be destroyed, is forgotten. */
void hardened_drain(thread *);
void hardened_forget(thread *, const struct heap *);
/* Looks at every block that is out. For the program's end, when one thread is left. */
void hardened_check_all(void);
void hardened_check_heap(struct heap *);
/* Looks behind a large block that is out. */
void hardened_check_large(const span *);

#pragma GCC visibility pop

#endif
