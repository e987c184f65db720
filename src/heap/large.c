/* large.c: blocks above SMALL_MAX, each a span of its own, in whole system pages; and chunks, which differ in their tag.
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

static span *take_tagged(struct heap *heap, size_t bytes, size_t align, unsigned tag) {
    return page_heap_take(bytes, align, SPAN_LARGE, heap->id << TAG_HEAP_SHIFT | tag, heap);
}

static span *take_pages(struct heap *heap, size_t bytes, size_t align) {
    return take_tagged(heap, bytes, align, TAG_LARGE);
}

/* Its old contents counted for nothing meanwhile, and there may be no room left for them. */
static void put_back(span *s) {
    bool empty = s->clean || os_purge((void *)s->start, (size_t)s->granules << GRANULE_SHIFT);
    page_heap_give(s, empty ? (span_pages){0} : span_used_pages(s));
}

/* Charges the heap for pages that were taken: only now, so that no account ever shows what the system refused. */
static bool own(struct heap *heap, span *s) {
    if (!heap_charge(heap, s->size)) {
        put_back(s);
        return false;
    }
    heap_add_span(heap, s);
    count_large(heap, s->size, 1);
    return true;
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
    if (!heap_may_charge(heap, bytes))
        return NULL;
    span *s = take_pages(heap, bytes, align);
    if (s == NULL || !own(heap, s))
        return NULL;
    *clean = s->clean;
    return (void *)s->start;
}

void large_give(span *s, void *block) {
    if ((uintptr_t)block != s->start)
        misuse_block(block, SPAN_BLOCK_INTERIOR);
    give_span(s, false);
}

span *large_take_chunk(struct heap *heap, size_t bytes, size_t align) {
    if (!heap_may_charge(heap, bytes))
        return NULL;
    span *s = take_tagged(heap, bytes, align, TAG_CHUNK);
    return s != NULL && own(heap, s) ? s : NULL;
}

void large_give_chunk(span *s) {
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
    span *s = bytes > PTRDIFF_MAX / 2 ? NULL : take_pages(heap, 2 * bytes, 0);
    if (s == NULL)
        return take_pages(heap, bytes, 0);
    s->size = bytes; /* what lies behind was never used */
    page_heap_shrink(s, bytes);
    return s;
}

static void *move(span *s, struct heap *heap, size_t bytes) {
    size_t old = s->size;
    span *target = place_to_grow(heap, bytes);
    if (target == NULL || !own(heap, target))
        return NULL;
    void *to = (void *)target->start;
    target->moved = old >= MOVE_PAGES_MIN && os_move((void *)s->start, to, old);
    if (!target->moved)
        memcpy(to, (void *)s->start, old);
    give_span(s, target->moved && s->tail == 0);
    return to;
}

/* Takes what is free behind the block; false where that is too little. */
static bool extend(span *s, size_t bytes, bool *charged) {
    size_t old = s->size;
    if (!page_heap_extend(s, bytes))
        return false;
    *charged = heap_charge(s->heap, bytes - old);
    if (*charged)
        count_large(s->heap, bytes - old, 0);
    else
        page_heap_shrink(s, old);
    return true;
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
    if (!heap_may_charge(s->heap, bytes - old))
        return NULL;
    bool charged;
    if (extend(s, bytes, &charged))
        return charged ? (void *)s->start : NULL;
    struct heap *heap = heap_in_service(s->heap); /* what is left in a retired heap moves out of it */
    return heap_may_charge(heap, bytes) ? move(s, heap, bytes) : NULL;
}
