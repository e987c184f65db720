/* reserve.c: what is withheld of a heap's limit, and for whom.
 *
 * Only a thread that was just denied something in the heap or below it may use that part, to unwind its stack and say why, until
 * there is room again. Start with heap_note_need. */
#include "footprint.h"

static size_t of_process = RESERVE;

void heap_set_reserve(size_t bytes) {
    of_process = bytes;
}

/* Whole pages: charges are made of these, so that a part of one would withhold all of it. */
size_t heap_withheld(const struct heap *heap, size_t limit) {
    size_t most = heap->parent == NULL ? of_process : RESERVE, part = limit / RESERVE_PART;
    return (part < most ? part : most) & ~(os.page_size - 1);
}

/* As much again as is withheld is not to be had. */
static bool is_short(const struct heap *heap) {
    size_t used = __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
    if (heap->parent == NULL)
        return !footprint_allows(used + heap_withheld(heap, footprint_limit()), false);
    size_t limit = __atomic_load_n(&heap->limit, __ATOMIC_RELAXED), withheld = heap_withheld(heap, limit);
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
    return heap->parent == NULL ? this_thread.needs_root : find(heap->handle) < this_thread.needs_count;
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
    this_thread.needs_root = this_thread.needs_root || is_short(&root_heap);
}

void heap_end_need(const struct heap *heap) {
    if (heap->parent == NULL) {
        this_thread.needs_root = this_thread.needs_root && is_short(heap);
        return;
    }
    unsigned need = find(heap->handle);
    if (need < this_thread.needs_count && !is_short(heap))
        forget(need);
}

bool heap_is_needed_upwards(const struct heap *heap) {
    bool is_needed = false;
    for (; UNLIKELY(heap_is_any_needed()) && heap != NULL; heap = heap->parent) {
        heap_end_need(heap);
        is_needed |= heap_is_needed(heap);
    }
    return is_needed;
}
