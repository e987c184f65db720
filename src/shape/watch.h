/* watch.h: who is told which bytes of a chunk are in bounds: valgrind's memcheck, and AddressSanitizer where the program was built
 * with it; without either, in hardened processes, what goes out of bounds is overwritten. */
#ifndef RATION_SHAPE_WATCH_H
#define RATION_SHAPE_WATCH_H

#include "../heap/shapes.h"

#pragma GCC visibility push(hidden)

/* Whether anybody is. */
bool watch_wanted(void);
/* Memory that is handed out; and memory that goes back to where others may take it. */
void watch_in_bounds(const void *start, size_t size);
/* Memory that was never handed out. */
void watch_out_of_bounds(const void *start, size_t size);
/* Memory that was: it is overwritten, too. */
void watch_gone(void *start, size_t size);

#pragma GCC visibility pop

#endif
