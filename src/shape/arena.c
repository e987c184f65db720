/* arena.c: chunks, and how the pointer moves through them. The usual way is inline, in the public header.
 *
 * The chunks in use form a list, the newest first; large pieces have chunks of their own, in another, so that the rest of the newest
 * is not lost for their sake. What a chunk's descriptor has for its user: asked, how much of it was in use as the next was opened, and
 * front, its place in the order in which chunks were opened. Start with rn_arena_alloc_slow. */
#include "arena.h"
#include "watch.h"

#include <errno.h>
#include <string.h>

/* Behind the end, so that nothing fits, not even a piece that is nothing. */
#define NOWHERE ((char *)1)

/* --- the pointer -------------------------------------------------------------------------------------------------- */

static void set_next(arena *a, char *next) {
    a->face.next = next;
    a->face.end = a->stock.gap == 0 || a->top == NULL ? a->limit : next;
}

static size_t used_of_top(const arena *a) {
    return a->top == NULL ? 0 : (size_t)((uintptr_t)a->face.next - a->top->start);
}

static size_t used(const arena *a) {
    return a->below + used_of_top(a) + a->large_bytes;
}

static void note_most(arena *a) {
    a->most = larger(a->most, used(a));
}

/* --- chunks ------------------------------------------------------------------------------------------------------- */

enum { LARGE_FROM = 64 << 10 }; /* a chunk of its own wastes a quarter at most */

static void note_chunks(arena *a) {
    size_t in_use = a->below + a->large_bytes + (a->top == NULL ? 0 : a->top->size);
    a->stock.most_in_use = larger(a->stock.most_in_use, in_use);
}

static void enter(arena *a, span *chunk, char *next) {
    a->top = chunk;
    a->limit = chunk == NULL ? NULL : (char *)chunk->start + chunk->size;
    set_next(a, next);
}

static void open_chunk(arena *a, span *chunk) {
    note_most(a);
    if (a->top != NULL) {
        a->top->asked = used_of_top(a);
        a->below += a->top->size;
    }
    chunk->next = a->top;
    chunk->front = ++a->opened;
    enter(a, chunk, (char *)chunk->start);
    note_chunks(a);
}

/* For one piece. */
static void open_large(arena *a, span *chunk) {
    chunk->next = a->large;
    chunk->front = ++a->opened;
    a->large = chunk;
    a->large_bytes += chunk->size;
    note_most(a);
    note_chunks(a);
}

static void close_large(arena *a) {
    span *chunk = a->large;
    a->large = chunk->next;
    a->large_bytes -= chunk->size;
    if (a->stock.gap != 0)
        watch_gone((void *)chunk->start, chunk->asked);
    stock_put(&a->stock, chunk);
}

static void close_chunk(arena *a) {
    span *chunk = a->top, *older = chunk->next;
    if (a->stock.gap != 0)
        watch_gone((void *)chunk->start, used_of_top(a));
    if (older != NULL)
        a->below -= older->size;
    enter(a, older, older == NULL ? NOWHERE : (char *)older->start + older->asked);
    stock_put(&a->stock, chunk);
}

/* --- handing out -------------------------------------------------------------------------------------------------- */

/* From the newest chunk; NULL if it has no room. */
static void *hand_out(arena *a, size_t size, size_t align) {
    uintptr_t start = ((uintptr_t)a->face.next + align - 1) & ~(uintptr_t)(align - 1), limit = (uintptr_t)a->limit;
    if (start < (uintptr_t)a->face.next || start > limit || room_for(&a->stock, size) > limit - start)
        return NULL;
    if (a->stock.gap != 0)
        watch_in_bounds((void *)start, size);
    set_next(a, (char *)start + size + a->stock.gap);
    return (void *)start;
}

static void *hand_out_whole(arena *a, span *chunk, size_t size, size_t align) {
    char *piece = (char *)chunk->start + ((size_t)-chunk->start & (align - 1));
    open_large(a, chunk);
    chunk->asked = (size_t)(piece - (char *)chunk->start) + size;
    if (a->stock.gap != 0)
        watch_in_bounds(piece, size);
    return piece;
}

void *rn_arena_alloc_slow(rn_arena *face, size_t size, size_t align) {
    arena *a = arena_of(face);
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    void *piece = a->top == NULL ? NULL : hand_out(a, size, align);
    if (piece != NULL)
        return piece;
    span *chunk = stock_take(&a->stock, room_for(&a->stock, size), align);
    if (chunk == NULL) {
        chunk_deny(&a->stock.shape, size);
        return NULL;
    }
    if (size >= LARGE_FROM && a->top != NULL)
        return hand_out_whole(a, chunk, size, align);
    open_chunk(a, chunk);
    return hand_out(a, size, align);
}

void *rn_arena_calloc(rn_arena *face, size_t count, size_t size, size_t align) {
    size_t bytes = rn_arena_bytes(count, size);
    void *piece = rn_arena_alloc(face, bytes, align);
    return piece == NULL ? NULL : memset(piece, 0, bytes);
}

static bool is_newest(const arena *a, const char *piece, size_t size) {
    return a->top != NULL && (uintptr_t)piece >= a->top->start && piece + size + a->stock.gap == a->face.next;
}

static bool resize_newest(arena *a, char *piece, size_t old_size, size_t size) {
    if (room_for(&a->stock, size) > (size_t)(a->limit - piece))
        return false;
    note_most(a);
    if (a->stock.gap != 0 && size < old_size)
        watch_gone(piece + size, old_size - size);
    else if (a->stock.gap != 0)
        watch_in_bounds(piece + old_size, size - old_size);
    set_next(a, piece + size + a->stock.gap);
    return true;
}

void *rn_arena_extend(rn_arena *face, void *ptr, size_t old_size, size_t size, size_t align) {
    arena *a = arena_of(face);
    if (ptr != NULL && is_newest(a, ptr, old_size) && resize_newest(a, ptr, old_size, size))
        return ptr;
    if (ptr != NULL && size <= old_size)
        return ptr;
    void *piece = rn_arena_alloc(face, size, align);
    if (piece != NULL && ptr != NULL)
        memcpy(piece, ptr, old_size);
    return piece;
}

/* --- going back --------------------------------------------------------------------------------------------------- */

/* Of an empty arena, a mark names the arena. */
rn_mark rn_arena_mark(rn_arena *face) {
    const arena *a = arena_of(face);
    if (a->top == NULL)
        return (rn_mark){.chunk = a, .next = NOWHERE};
    return (rn_mark){.chunk = a->top, .opening = a->top->front, .opened = a->opened, .next = face->next};
}

static bool is_within(const arena *a, const span *chunk, const char *next) {
    size_t in_use = chunk == a->top ? used_of_top(a) : chunk->asked;
    return (uintptr_t)next >= chunk->start && (uintptr_t)next - chunk->start <= in_use;
}

/* The chunk to go back to: NULL where the arena was empty. Only if the arena has been at the mark's place and has not gone back
 * past it. */
static const span *chunk_of(const arena *a, rn_mark mark) {
    if (mark.chunk == a)
        return NULL;
    const span *chunk = a->top;
    while (chunk != NULL && chunk != mark.chunk)
        chunk = chunk->next;
    if (chunk == NULL || chunk->front != mark.opening || !is_within(a, chunk, mark.next))
        misuse(a, "rn_arena_rewind to a mark that is gone");
    return chunk;
}

static void go_back_to(arena *a, const span *chunk, size_t opened) {
    note_most(a);
    while (a->large != NULL && a->large->front > opened)
        close_large(a);
    while (a->top != chunk)
        close_chunk(a);
}

void rn_arena_rewind(rn_arena *face, rn_mark mark) {
    arena *a = arena_of(face);
    go_back_to(a, chunk_of(a, mark), mark.opened);
    if (a->stock.gap != 0 && a->top != NULL)
        watch_gone(mark.next, (size_t)(face->next - mark.next));
    set_next(a, mark.next);
}

void rn_arena_reset(rn_arena *face) {
    arena *a = arena_of(face);
    go_back_to(a, NULL, 0);
    stock_settle(&a->stock);
}

size_t rn_arena_trim(rn_arena *face) {
    return stock_release(&arena_of(face)->stock);
}

void rn_arena_read(rn_arena *face, rn_arena_stats *stats) {
    arena *a = arena_of(face);
    note_most(a);
    *stats = (rn_arena_stats){.used = used(a),
                              .held = __atomic_load_n(&a->stock.shape.held, __ATOMIC_RELAXED),
                              .peak = a->most,
                              .chunks = __atomic_load_n(&a->stock.shape.chunks, __ATOMIC_RELAXED)};
}

/* --- beginning and end -------------------------------------------------------------------------------------------- */

static arena *of_shape(shape *s) {
    return (arena *)(void *)((char *)s - offsetof(arena, stock.shape));
}

static size_t release(shape *s) {
    return stock_release(&of_shape(s)->stock);
}

static void ended(shape *s) {
    arena *a = of_shape(s);
    stock_forget(&a->stock, a->top);
    stock_forget(&a->stock, a->large);
    a->large = NULL;
    enter(a, NULL, NOWHERE);
}

static const shape_kind kind = {"arena", sizeof(arena), offsetof(arena, stock.shape), release, ended};

rn_arena *rn_arena_new(rn_heap *heap, size_t chunk) {
    arena *a = shape_new(&kind, heap);
    if (a == NULL)
        return NULL;
    stock_begin(&a->stock, chunk);
    enter(a, NULL, NOWHERE);
    return &a->face;
}

void rn_arena_set_name(rn_arena *face, const char *name) {
    shape_set_name(&((arena *)(void *)face)->stock.shape, name);
}

void rn_arena_destroy(rn_arena *face) {
    if (face == NULL)
        return;
    arena *a = arena_of(face);
    shape_detach(&a->stock.shape);
    go_back_to(a, NULL, 0);
    stock_release(&a->stock);
    shape_delete(&a->stock.shape);
}
