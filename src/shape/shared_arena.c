/* shared_arena.c: an arena for several threads: each moves the newest chunk's pointer by an atomic exchange.
 *
 * What a chunk's descriptor has for its user: asked, how many bytes of it were handed out. Start with rn_shared_arena_alloc. */
#include "stock.h"
#include "watch.h"

#include <errno.h>
#include <ration/arena.h>

struct rn_shared_arena {
    stock stock;
    span *top;     /* the newest chunk; by next, the older ones. An atomic */
    size_t in_use; /* bytes of these; an atomic */
    size_t most;   /* that were handed out, as far as was looked; likewise */
};

static rn_shared_arena *checked(rn_shared_arena *a) {
    shape_check(&a->stock.shape);
    return a;
}

/* NULL if the chunk has no room. */
static void *hand_out(const rn_shared_arena *a, span *chunk, size_t size, size_t align) {
    size_t needed = room_for(&a->stock, size), used = __atomic_load_n(&chunk->asked, __ATOMIC_RELAXED), skipped;
    do {
        skipped = (size_t) - (chunk->start + used) & (align - 1);
        if (skipped > chunk->size - used || needed > chunk->size - used - skipped)
            return NULL;
    } while (!__atomic_compare_exchange_n(&chunk->asked, &used, used + skipped + needed, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    char *piece = (char *)chunk->start + used + skipped;
    if (a->stock.gap != 0)
        watch_in_bounds(piece, size);
    return piece;
}

static void open_chunk(rn_shared_arena *a, span *chunk) {
    size_t in_use = __atomic_add_fetch(&a->in_use, chunk->size, __ATOMIC_RELAXED);
    os_raise(&a->stock.most_in_use, in_use);
    span *older = __atomic_load_n(&a->top, __ATOMIC_RELAXED);
    do
        chunk->next = older;
    while (!__atomic_compare_exchange_n(&a->top, &older, chunk, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static void *hand_out_of_newest(const rn_shared_arena *a, span **newest, size_t size, size_t align) {
    *newest = __atomic_load_n(&a->top, __ATOMIC_ACQUIRE);
    return *newest == NULL ? NULL : hand_out(a, *newest, size, align);
}

/* Another thread may have opened a chunk meanwhile: then this one waits. */
static void *hand_out_of_next(rn_shared_arena *a, span *next, size_t size, size_t align) {
    span *newest;
    next->asked = 0;
    void *piece = hand_out_of_newest(a, &newest, size, align);
    if (piece != NULL) {
        stock_put(&a->stock, next);
        return piece;
    }
    piece = hand_out(a, next, size, align);
    open_chunk(a, next);
    return piece;
}

/* Where no chunk is to be had, another thread may have had the last one. */
static COLD void *alloc_slow(rn_shared_arena *a, const span *seen, size_t size, size_t align) {
    size_t needed = room_for(&a->stock, size);
    for (;;) {
        span *next = stock_take(&checked(a)->stock, needed, align), *newest;
        if (next != NULL)
            return hand_out_of_next(a, next, size, align);
        void *piece = hand_out_of_newest(a, &newest, size, align);
        if (piece != NULL)
            return piece;
        if (newest == seen) {
            chunk_deny(&a->stock.shape, size);
            return NULL;
        }
        seen = newest;
    }
}

void *rn_shared_arena_alloc(rn_shared_arena *a, size_t size, size_t align) {
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    span *newest;
    void *piece = hand_out_of_newest(a, &newest, size, align);
    return piece != NULL ? piece : alloc_slow(a, newest, size, align);
}

static size_t used(const rn_shared_arena *a) {
    size_t bytes = 0;
    for (const span *chunk = __atomic_load_n(&a->top, __ATOMIC_ACQUIRE); chunk != NULL; chunk = chunk->next)
        bytes += __atomic_load_n(&chunk->asked, __ATOMIC_RELAXED);
    return bytes;
}

static void close_all(rn_shared_arena *a) {
    os_raise(&a->most, used(a));
    for (span *chunk = a->top, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        if (a->stock.gap != 0)
            watch_gone((void *)chunk->start, chunk->asked);
        stock_put(&a->stock, chunk);
    }
    a->top = NULL;
    a->in_use = 0;
}

void rn_shared_arena_reset(rn_shared_arena *a) {
    close_all(checked(a));
    stock_settle(&a->stock);
}

void rn_shared_arena_read(rn_shared_arena *a, rn_arena_stats *stats) {
    size_t now = used(checked(a));
    os_raise(&a->most, now);
    *stats = (rn_arena_stats){.used = now,
                              .held = __atomic_load_n(&a->stock.shape.held, __ATOMIC_RELAXED),
                              .peak = __atomic_load_n(&a->most, __ATOMIC_RELAXED),
                              .chunks = __atomic_load_n(&a->stock.shape.chunks, __ATOMIC_RELAXED)};
}

/* --- beginning and end -------------------------------------------------------------------------------------------- */

static rn_shared_arena *of_shape(shape *s) {
    return (rn_shared_arena *)(void *)((char *)s - offsetof(rn_shared_arena, stock.shape));
}

static size_t release(shape *s) {
    return stock_release(&of_shape(s)->stock);
}

static void ended(shape *s) {
    rn_shared_arena *a = of_shape(s);
    stock_forget(&a->stock, a->top);
    a->top = NULL;
}

static const shape_kind kind = {"arena", sizeof(rn_shared_arena), offsetof(rn_shared_arena, stock.shape), release,
                                ended};

rn_shared_arena *rn_shared_arena_new(rn_heap *heap, size_t chunk) {
    rn_shared_arena *a = shape_new(&kind, heap);
    if (a != NULL)
        stock_begin(&a->stock, chunk);
    return a;
}

void rn_shared_arena_set_name(rn_shared_arena *a, const char *name) {
    shape_set_name(&a->stock.shape, name);
}

void rn_shared_arena_destroy(rn_shared_arena *a) {
    if (a == NULL)
        return;
    shape_detach(&checked(a)->stock.shape);
    close_all(a);
    stock_release(&a->stock);
    shape_delete(&a->stock.shape);
}
