/* large.c: blocks above SMALL_MAX, each a span of its own, in whole system pages.
 *
 * Growing takes the free granules behind the block first, then moves its pages to a place with room to grow further,
 * and copies only what is too small for that to pay. Start with large_take. */
#include "heap.h"

#include <string.h>

enum {
    /* Below this, copying is cheaper than moving page tables now and faulting pages in later. */
    MOVE_PAGES_MIN = 1 << 20,
};

static size_t whole_pages(size_t size) {
    return (size + os.page_size - 1) & ~(os.page_size - 1);
}

static void count_large(struct heap *heap, size_t bytes, size_t blocks) {
    __atomic_fetch_add(&heap->large_bytes, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&heap->large_blocks, blocks, __ATOMIC_RELAXED);
    __atomic_fetch_add(&live_bytes.large, bytes, __ATOMIC_RELAXED);
}

static span *take_span(struct heap *heap, size_t bytes, size_t align) {
    span *s = page_heap_take(bytes, align, SPAN_LARGE, heap->id << TAG_HEAP_SHIFT | TAG_LARGE, heap);
    if (s != NULL) {
        heap_add_span(heap, s);
        count_large(heap, bytes, 1);
    }
    return s;
}

void large_detach(span *s) {
    heap_remove_span(s->heap, s);
    count_large(s->heap, -s->size, (size_t)-1);
}

/* empty: its pages were moved away. */
static void give_span(span *s, bool empty) {
    struct heap *heap = s->heap;
    size_t bytes = s->size;
    large_detach(s);
    bool renewed = s->moved && os_renew((void *)s->start, (size_t)s->granules << GRANULE_SHIFT);
    page_heap_give(s, renewed || empty ? (span_pages){0} : span_used_pages(s));
    heap_uncharge(heap, bytes);
}

void *large_take(struct heap *heap, size_t size, size_t align, bool *clean) {
    if (size > PTRDIFF_MAX)
        return NULL;
    size_t bytes = size == 0 ? os.page_size : whole_pages(size);
    if (!heap_charge(heap, bytes))
        return NULL;
    span *s = take_span(heap, bytes, align);
    if (s == NULL) {
        heap_uncharge(heap, bytes);
        return NULL;
    }
    *clean = s->clean;
    return (void *)s->start;
}

void large_give(span *s, void *block) {
    if ((uintptr_t)block != s->start)
        misuse_block(block, SPAN_BLOCK_INTERIOR);
    give_span(s, false);
}

/* Pages behind the block in its last granule are nobody's: neither charged nor, from here on, resident. */
static void return_tail(span *s, size_t less) {
    size_t tail = ((size_t)s->granules << GRANULE_SHIFT) - s->size;
    tail = tail < less ? tail : less;
    if (tail != 0 && !os.strict_overcommit)
        os_purge((void *)(s->start + s->size), tail);
}

static void shrink(span *s, size_t bytes) {
    size_t less = s->size - bytes;
    page_heap_shrink(s, bytes);
    return_tail(s, less);
    count_large(s->heap, -less, 0);
    heap_uncharge(s->heap, less);
}

/* A place for a block that is growing, with as much again free behind it. */
static span *place_to_grow(struct heap *heap, size_t bytes) {
    span *s = bytes > PTRDIFF_MAX / 2 ? NULL : take_span(heap, 2 * bytes, 0);
    if (s == NULL)
        return take_span(heap, bytes, 0);
    count_large(heap, -bytes, 0);
    s->size = bytes; /* what lies behind was never used */
    page_heap_shrink(s, bytes);
    return s;
}

static void *move(span *s, struct heap *heap, size_t bytes) {
    size_t old = s->size;
    span *target = place_to_grow(heap, bytes);
    if (target == NULL)
        return NULL;
    void *to = (void *)target->start;
    target->moved = old >= MOVE_PAGES_MIN && os_move((void *)s->start, to, old);
    if (!target->moved)
        memcpy(to, (void *)s->start, old);
    give_span(s, target->moved && s->tail == 0);
    return to;
}

void *large_resize(span *s, size_t size) {
    if (size > PTRDIFF_MAX)
        return NULL;
    size_t bytes = whole_pages(size), old = s->size;
    if (bytes <= old) {
        if (bytes < old)
            shrink(s, bytes);
        return (void *)s->start;
    }
    size_t more = bytes - old;
    if (!heap_charge(s->heap, more))
        return NULL;
    if (page_heap_extend(s, bytes)) {
        count_large(s->heap, more, 0);
        return (void *)s->start;
    }
    heap_uncharge(s->heap, more);
    struct heap *heap = heap_in_service(s->heap); /* what is left in a retired heap moves out of it */
    if (!heap_charge(heap, bytes))
        return NULL;
    void *moved = move(s, heap, bytes);
    if (moved == NULL)
        heap_uncharge(heap, bytes);
    return moved;
}
