/* memory.h: what the rest of this room asks of memory.c. */
#ifndef RATION_OS_MEMORY_H
#define RATION_OS_MEMORY_H

#include <stddef.h>

/* Finds out whether pages can be moved. At start, since the calls it takes may be forbidden later (seccomp(2)). */
void os_memory_start(void);
/* As os_map, of a file's memory: what is written there, others who map it see. NULL if refused. */
void *os_map_shared(int file, size_t size);

#endif
