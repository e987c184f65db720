/* shared.h: the limit that a process shares with others of one `ration run`. */
#ifndef RATION_HEAP_SHARED_H
#define RATION_HEAP_SHARED_H

#include "heap.h"

#pragma GCC visibility push(hidden)

/* Whether there is one, and what it is. */
bool shared_limited(void);
size_t shared_limit(void);
/* Makes sure that what the process has taken of it covers so many bytes, with so much of the limit withheld. False where there
 * is no room. */
bool shared_cover(size_t bytes, size_t withheld);
/* Gives back what the process has taken beyond so many bytes, and a little. */
void shared_settle(size_t bytes);

#pragma GCC visibility pop

#endif
