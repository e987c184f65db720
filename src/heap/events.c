/* events.c: tells who listens. */
#include "events.h"

#include "hardened.h"

const struct heap_events *heap_events;

/* Small blocks are made a page at a time, and hardened ones lie between guards. */
static size_t most_needed(size_t bytes) {
    size_t beside = (hardened ? 4 : 1) * os.page_size;
    return bytes > PTRDIFF_MAX - beside ? PTRDIFF_MAX : bytes + beside;
}

COLD void heap_tell_denied(struct heap *asked, size_t bytes) {
    const struct heap_events *listening = __atomic_load_n(&heap_events, __ATOMIC_ACQUIRE);
    if (listening != NULL)
        listening->denied(asked, heap_without_room(asked, most_needed(bytes)), bytes);
}
