/* events.c: tells who listens. */
#include "events.h"

#include "hardened.h"

const struct heap_events *heap_events;

/* Small blocks are made a page at a time, and hardened ones lie between guards. */
struct heap *heap_that_denied(struct heap *asked, size_t bytes) {
    size_t beside = (hardened ? 4 : 1) * os.page_size;
    return page_map_reaches((const void *)bytes) ? heap_without_room(asked, bytes + beside) : NULL;
}

COLD void heap_tell_denied(struct heap *asked, size_t bytes) {
    const struct heap_events *listening = __atomic_load_n(&heap_events, __ATOMIC_ACQUIRE);
    if (listening != NULL)
        listening->denied(asked, heap_that_denied(asked, bytes), bytes);
}
