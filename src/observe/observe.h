/* observe.h: what is told of a process that is watched. So far the autopsy: a file that says who held the memory when a request
 * was denied for a limit for the first time.
 *
 * Start with autopsy.c; what it writes with is paper.h, and its parts are in parts.h. */
#ifndef RATION_OBSERVE_OBSERVE_H
#define RATION_OBSERVE_OBSERVE_H

#include "../heap/heap.h"

#pragma GCC visibility push(hidden)

/* Reads RATION_AUTOPSY, the directory for autopsies. Where it is not set nothing will be written. Called by itself when the
 * library is loaded. */
void observe_start(char **environment);
/* Writes the autopsy, once in a process, and not where the system refused (without_room is NULL): those are counted. Returns when
 * the file is there, be it another thread that writes it, or cannot be; after some seconds in any case. Takes no memory, and no
 * lock for which it would wait long; keeps errno. */
void autopsy(struct heap *asked, struct heap *without_room, size_t bytes);

#pragma GCC visibility pop

#endif
