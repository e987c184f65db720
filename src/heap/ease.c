/* ease.c: what a soft limit does: beyond it, threads that charge give memory back, a little each time.
 *
 * A slice is short, so that it goes unnoticed, and is due again when the heap has grown by a step. One thread is at it at a
 * time. Start with pressure_ease. */
#include "footprint.h"
#include "pressure.h"

enum {
    SLICE_US = 25, /* the last call of the system, begun before, takes no longer: 100 us in all */
    STEP = 64 << 10,
};

static struct {
    uint32_t busy;
    struct heap *heap; /* whose idle pages come next, under the tree's lock; NULL: any */
    unsigned class_index, spans;
} easing OWN_LINE;

size_t heap_soft_excess(const struct heap *heap) {
    size_t soft = __atomic_load_n(&heap->soft, __ATOMIC_RELAXED);
    if (LIKELY(soft == 0))
        return 0;
    size_t held = heap == &root_heap ? footprint_of_all() : __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
    return held > soft ? held - soft : 0;
}

/* How far the heap has passed what makes the next slice for it due: growing by a step. One that has shrunk by as much begins
 * anew. */
static size_t overdue(const struct heap *heap) {
    size_t used = __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
    size_t next = __atomic_load_n(&heap->ease_at, __ATOMIC_RELAXED);
    if (used >= next)
        return used - next + 1;
    return next - used > STEP ? next - used - STEP : 0;
}

/* Of the heap and those above it that are beyond their soft limits, the one whose turn it is; NULL if none is due. */
static struct heap *most_overdue(struct heap *heap) {
    struct heap *chosen = NULL;
    for (size_t most = 0; heap != NULL; heap = heap->parent) {
        size_t by = heap_soft_excess(heap) == 0 ? 0 : overdue(heap);
        if (by > most) {
            most = by;
            chosen = heap;
        }
    }
    return chosen;
}

/* Free spans are in no account but the root's. */
static void give_free_spans(const struct heap *heap, purge_slice *slice) {
    size_t dirty, before;
    while (heap == &root_heap && slice->bytes < STEP && !purge_slice_is_over(slice)) {
        before = slice->bytes;
        dirty = page_heap_read().dirty;
        size_t piece = before > os.page_size ? before : os.page_size;
        slice->bytes += dirty == 0 ? 0 : page_heap_purge(dirty > piece ? dirty - piece : 0);
        if (slice->bytes == before)
            break;
    }
}

static void go_to(struct heap *heap) {
    easing.heap = heap;
    easing.class_index = easing.spans = 0;
}

static bool lies_in(const struct heap *top, const struct heap *heap) {
    while (heap != NULL && heap != top)
        heap = heap->parent;
    return heap != NULL;
}

static void give_idle_pages_of_one(purge_slice *slice) {
    while (easing.class_index < SIZE_CLASSES_COUNT && !purge_slice_is_over(slice)) {
        store_purge_class(easing.heap, easing.class_index, &easing.spans, slice);
        easing.class_index += easing.spans == 0;
    }
}

/* Goes on where the last slice ended, once through the subtree at most. Who holds the tree's lock may hold it for long. */
static void give_idle_pages(const struct heap *top, purge_slice *slice) {
    if (!heap_lock_tree_within(0))
        return;
    if (!lies_in(top, easing.heap))
        go_to(heap_first_in(top));
    const struct heap *first = easing.heap;
    do {
        give_idle_pages_of_one(slice);
        if (easing.class_index < SIZE_CLASSES_COUNT)
            break;
        struct heap *next = heap_next_in(top, easing.heap);
        go_to(next == NULL ? heap_first_in(top) : next);
    } while (easing.heap != first);
    heap_unlock_tree();
}

/* What can be given back without asking the program. False where there was nothing. */
static bool give_own(const struct heap *heap) {
    purge_slice slice = {.end = os_clock_us() + SLICE_US};
    give_free_spans(heap, &slice);
    give_idle_pages(heap, &slice);
    return slice.bytes != 0;
}

void ease_forget(const struct heap *heap) {
    if (easing.heap == heap)
        go_to(NULL);
}

static void ask_program(const struct heap *heap, size_t excess) {
    size_t released;
    if (!callbacks_begin())
        return;
    if (!callbacks_call_next(heap, excess, &released))
        callbacks_new_round(); /* for the next slice */
    callbacks_end();
}

static void ease(struct heap *heap) {
    size_t excess = heap_soft_excess(heap);
    __atomic_store_n(&heap->ease_at, __atomic_load_n(&heap->used, __ATOMIC_RELAXED) + STEP, __ATOMIC_RELAXED);
    this_thread.relieving = 1;
    if (!give_own(heap) && excess != 0)
        ask_program(heap, excess);
    this_thread.relieving = 0;
}

void pressure_ease(struct heap *heap) {
    this_thread.due &= (uint8_t)~DUE_EASING;
    if (this_thread.relieving || __atomic_exchange_n(&easing.busy, 1, __ATOMIC_ACQUIRE))
        return;
    heap = most_overdue(heap);
    if (heap != NULL)
        ease(heap);
    __atomic_store_n(&easing.busy, 0, __ATOMIC_RELEASE);
}

COLD void do_what_is_due(struct heap *heap) {
    footprint_tell_if_due();
    if ((this_thread.due & DUE_EASING) != 0)
        pressure_ease(heap);
}

/* In a child, nobody else is at it. */
void ease_after_fork_in_child(void) {
    easing.busy = 0;
}
