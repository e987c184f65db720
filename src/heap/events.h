/* events.h: what happens in heaps that others may want to be told. Who listens stands above; nobody does by default. */
#ifndef RATION_HEAP_EVENTS_H
#define RATION_HEAP_EVENTS_H

#include "heap.h"

#pragma GCC visibility push(hidden)

struct heap_events {
    /* A request of so many bytes was denied, for a limit without_room, or, where that is NULL, because the system refused. Called
     * with no lock held, on the thread that asked. */
    void (*denied)(struct heap *asked, struct heap *without_room, size_t bytes);
};

/* NULL where nobody listens. */
extern const struct heap_events *heap_events;

/* The nearest of the heap that was asked and its ancestors whose limit denied so many bytes; NULL where the system did, or would
 * have: there is a size that no process could have. */
struct heap *heap_that_denied(struct heap *asked, size_t bytes);
/* To be called where a request is denied, before heap_note_need. */
void heap_tell_denied(struct heap *asked, size_t bytes);

#pragma GCC visibility pop

#endif
