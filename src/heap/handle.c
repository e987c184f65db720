/* handle.c: what a program knows its heaps by.
 *
 * A handle is no address: it names a place in a table and says how often that place had been used before, so that no
 * handle ever comes again, and one whose heap is gone is recognised. It is odd, and so no pointer by mistake. A heap's id,
 * in the tags of the page map, is the same with fewer bits of the count. Start with heap_of, in heap.h. */
#include "heap.h"

#include <stdio.h>
#include <string.h>

enum { PLACE_BITS = 16, USES_SHIFT = PLACE_BITS + 1, USES_IN_ID = 0xff, DEPARTED = 64 };

_Static_assert(HEAP_IDS == 1 << PLACE_BITS, "a place is 16 bits of a handle");

#define HANDLE(place, uses) ((rn_heap *)((uintptr_t)(uses) << USES_SHIFT | (uintptr_t)(place) << 1 | 1))

enum { ROOT_PLACE = 1 };

struct heap root_heap = {.id = ROOT_PLACE, .name = "root", .handle = HANDLE(ROOT_PLACE, 0)};
struct heap *heap_places[HEAP_IDS]; /* nothing yet, not even the root, so that the table is not read from the file */

static uint64_t uses[HEAP_IDS]; /* so far */
static unsigned last_place = ROOT_PLACE;

/* The heaps that went last, for the line about who is gone. */
static struct departed {
    const rn_heap *handle;
    char name[HEAP_NAME_MAX];
    bool retired;
} departed[DEPARTED];
static unsigned departures;

rn_heap *rn_heap_root(void) {
    return (rn_heap *)root_heap.handle;
}

rn_heap *handle_of(const struct heap *heap) {
    const rn_heap *handle = NULL;
    for (; handle == NULL; heap = heap->parent)
        handle = __atomic_load_n(&heap->handle, __ATOMIC_RELAXED);
    return (rn_heap *)handle;
}

struct heap *heap_in_service(struct heap *heap) {
    while (__atomic_load_n(&heap->handle, __ATOMIC_RELAXED) == NULL)
        heap = heap->parent;
    return heap;
}

static unsigned free_place(void) {
    for (unsigned tries = 0; tries < HEAP_IDS; tries++) {
        last_place = last_place + 1 == HEAP_IDS ? ROOT_PLACE + 1 : last_place + 1;
        if (heap_places[last_place] == NULL)
            return last_place;
    }
    return 0;
}

bool heap_place(struct heap *heap) {
    unsigned place = free_place();
    if (place == 0)
        return false;
    heap->id = (uint32_t)(uses[place] & USES_IN_ID) << PLACE_BITS | place;
    heap->handle = HANDLE(place, uses[place]);
    uses[place]++;
    __atomic_store_n(&heap_places[place], heap, __ATOMIC_RELEASE);
    return true;
}

static void note_departure(const struct heap *heap, bool retired) {
    struct departed *note = &departed[departures++ % DEPARTED];
    note->handle = heap->handle;
    note->retired = retired;
    memcpy(note->name, heap->name, HEAP_NAME_MAX);
}

const rn_heap *heap_disavow(struct heap *heap, bool retired) {
    const rn_heap *handle = heap->handle;
    if (handle != NULL)
        note_departure(heap, retired);
    __atomic_store_n(&heap->handle, NULL, __ATOMIC_RELAXED);
    return handle;
}

void heap_unplace(struct heap *heap) {
    __atomic_store_n(&heap_places[(uint16_t)heap->id], NULL, __ATOMIC_RELAXED);
}

static const struct departed *find_departed(const rn_heap *handle) {
    for (unsigned i = 0; i < DEPARTED; i++)
        if (departed[i].handle == handle && handle != NULL)
            return &departed[i];
    return NULL;
}

static bool ever_given(const rn_heap *handle) {
    uintptr_t value = (uintptr_t)handle;
    return (value & 1) != 0 && value >> USES_SHIFT < uses[heap_place_of(handle)];
}

static _Noreturn void stale(const rn_heap *handle) {
    char line[HEAP_NAME_MAX + 64];
    const struct departed *gone = find_departed(handle);
    if (gone != NULL)
        snprintf(line, sizeof line, "use of heap \"%s\" after it was %s", gone->name,
                 gone->retired ? "retired" : "destroyed");
    else
        snprintf(line, sizeof line,
                 ever_given(handle) ? "use of a heap after it was destroyed or retired" : "not a heap");
    misuse(handle, line);
}

COLD struct heap *heap_unplaced(const rn_heap *handle) {
    if (handle != root_heap.handle)
        stale(handle);
    __atomic_store_n(&heap_places[ROOT_PLACE], &root_heap, __ATOMIC_RELAXED);
    return &root_heap;
}
