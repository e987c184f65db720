/* ease.c: what a soft limit does: beyond it, threads that charge give memory back, a little each time.
 *
 * A slice is short, so that it goes unnoticed, and is due again when the heap has grown by a step. One thread is at it at a
 * time. Start with pressure_ease. */
#include "footprint.h"
#include "pressure.h"

enum {
    SLICE_US = 40, /* work begun before this is finished: 100 us in all */
    STEP = 64 << 10,
    SPANS_AT_ONCE = 4,
};

static struct {
    uint32_t busy;
    unsigned class_index; /* whose idle pages come next */
} easing OWN_LINE;

size_t heap_soft_excess(const struct heap *heap) {
    size_t soft = __atomic_load_n(&heap->soft, __ATOMIC_RELAXED);
    if (LIKELY(soft == 0))
        return 0;
    size_t held = heap == &root_heap ? footprint_bytes() : __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
    return held > soft ? held - soft : 0;
}

/* Whether the heap has grown by a step since the last slice for it; one that has shrunk begins anew. */
static bool is_due(struct heap *heap) {
    size_t used = __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
    size_t next = __atomic_load_n(&heap->ease_at, __ATOMIC_RELAXED);
    if (used < next && next - used <= STEP)
        return false;
    __atomic_store_n(&heap->ease_at, used + STEP, __ATOMIC_RELAXED);
    return true;
}

static size_t purge_free_spans(void) {
    size_t dirty = page_heap_read().dirty;
    return dirty == 0 ? 0 : page_heap_purge(dirty > STEP ? dirty - STEP : 0);
}

static size_t purge_idle_pages(struct heap *heap) {
    easing.class_index = (easing.class_index + 1) % SIZE_CLASSES_COUNT;
    return store_purge_class(heap, easing.class_index, SPANS_AT_ONCE);
}

/* What can be given back without asking the program. False where a whole round of it gave nothing. */
static bool give_own(struct heap *heap) {
    uint64_t end = os_clock_us() + SLICE_US;
    size_t released = purge_free_spans();
    for (unsigned tries = 0; tries < SIZE_CLASSES_COUNT && os_clock_us() < end; tries++)
        released += purge_idle_pages(heap);
    return released != 0;
}

static void ask_program(const struct heap *heap, size_t excess) {
    size_t released;
    if (!callbacks_begin())
        return;
    if (!callbacks_call_next(heap, excess, &released))
        callbacks_new_round(); /* for the next slice */
    callbacks_end();
}

void pressure_ease(void) {
    struct heap *heap = this_thread.over;
    this_thread.over = NULL;
    size_t excess = heap_soft_excess(heap);
    if (excess == 0 || this_thread.relieving || !is_due(heap) || __atomic_exchange_n(&easing.busy, 1, __ATOMIC_ACQUIRE))
        return;
    this_thread.relieving = 1;
    if (!give_own(heap))
        ask_program(heap, excess);
    this_thread.relieving = 0;
    __atomic_store_n(&easing.busy, 0, __ATOMIC_RELEASE);
}

/* In a child, nobody else is at it. */
void ease_after_fork_in_child(void) {
    easing.busy = 0;
}
