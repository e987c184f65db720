/* footprint.h: what the whole process holds, beside its limit: the root's account, which is all heaps', the library's own, what
 * the program maps itself, and the rest. */
#ifndef RATION_HEAP_FOOTPRINT_H
#define RATION_HEAP_FOOTPRINT_H

#include "heap.h"

#pragma GCC visibility push(hidden)

/* All that the process holds, in bytes. */
size_t footprint_bytes(void);
/* The same of all processes that share a limit with this one. */
size_t footprint_of_all(void);
/* The least of the limits that bound it; 0 where none does. */
size_t footprint_limit(void);
/* Whether the process may hold what it does, were the root's account so much, for a thread that is in need there or is not; asking
 * changes nothing. */
bool footprint_allows(size_t root_used, bool in_need);
/* The same of what it does hold: room for it is taken of the limit that it shares. False where there is none. */
bool footprint_cover(void);
/* The root's account was charged so much more. */
void footprint_grew(size_t bytes);
/* After this thread's charges: tells the command of them where they come to something. No lock is held. */
void footprint_tell_if_due(void);
/* The root's account, or something else that the process holds, has become less. */
void footprint_shrunk(void);

#pragma GCC visibility pop

#endif
