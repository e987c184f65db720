/* mapped.h: memory that the program maps itself, by calls of libc's (class b) and otherwise (class c), as the root's limit sees
 * it. */
#ifndef RATION_HEAP_MAPPED_H
#define RATION_HEAP_MAPPED_H

#include "heap.h"

#pragma GCC visibility push(hidden)

/* Private writable memory that the program has mapped through libc, and 64 KiB for each thread it made. */
size_t mapped_bytes(void);
/* What else is the process's own, as last measured. */
size_t rest_bytes(void);
/* Measures the rest anew. Costs some 20 us; any lock may be held. */
void mapped_measure(void);
/* Trues both up by what is resident, where that has not just been done. Gives the bytes that count no longer. */
size_t mapped_examine(void);

#pragma GCC visibility pop

#endif
