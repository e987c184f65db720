/* memory.h: what os_start asks of memory.c. */
#ifndef RATION_OS_MEMORY_H
#define RATION_OS_MEMORY_H

/* Finds out whether pages can be moved. At start, since the calls it takes may be forbidden later (seccomp(2)). */
void os_memory_start(void);

#endif
