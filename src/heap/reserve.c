/* reserve.c: what is withheld of a heap's limit, and for whom.
 *
 * Only a thread that was just denied something in the heap or below it may use that part, to unwind its stack and say why, until
 * there is room again. The root's is the process's (footprint.c). Start with heap_note_need. */
#include "heap.h"

/* Whole pages: charges are made of these, so that a part of one would withhold all of it. */
size_t heap_withheld(size_t limit) {
    size_t part = limit / RESERVE_PART;
    return (part < RESERVE ? part : RESERVE) & ~(os.page_size - 1);
}

static bool is_short(const struct heap *heap) {
    size_t limit = __atomic_load_n(&heap->limit, __ATOMIC_RELAXED), withheld = heap_withheld(limit);
    size_t used = __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
    return limit != 0 && used + withheld > limit - withheld;
}

/* --- the heaps where this thread is in need -------------------------------------------------------------------- */

static unsigned find(const rn_heap *handle) {
    unsigned i = 0;
    while (i < this_thread.needs_count && this_thread.needs[i] != handle)
        i++;
    return i;
}

bool heap_is_needed(const struct heap *heap) {
    return find(heap->handle) < this_thread.needs_count;
}

static void forget(unsigned need) {
    for (this_thread.needs_count--; need < this_thread.needs_count; need++)
        this_thread.needs[need] = this_thread.needs[need + 1];
}

static void note(const rn_heap *handle) {
    if (this_thread.needs_count == NEEDS)
        forget(0);
    this_thread.needs[this_thread.needs_count++] = handle;
}

/* Of more that are short than a thread remembers, the lowest. Where as much again as the reserve is to be had, need would only
 * begin anew later. */
void heap_note_need(const struct heap *heap) {
    for (unsigned noted = 0; heap->parent != NULL && noted < NEEDS; heap = heap->parent)
        if (is_short(heap) && !heap_is_needed(heap) && heap->handle != NULL) {
            note(heap->handle);
            noted++;
        }
}

void heap_end_need(const struct heap *heap) {
    unsigned need = find(heap->handle);
    if (need < this_thread.needs_count && !is_short(heap))
        forget(need);
}
