/* shapes.c: which shapes draw on a heap, and their chunks. Start with shape_attach. */
#include "shapes.h"

#include "footprint.h"

#include <errno.h>
#include <stdio.h>

/* --- a shape's life ------------------------------------------------------------------------------------------------- */

static size_t count; /* of those that are on a heap; under the tree's lock */

static void link_to(struct heap *heap, shape *s) {
    s->prev = NULL;
    s->next = heap->shapes;
    if (s->next != NULL)
        s->next->prev = s;
    heap->shapes = s;
    __atomic_store_n(&s->heap, (rn_heap *)heap->handle, __ATOMIC_RELAXED);
}

static struct heap *heap_of_shape(const shape *s) {
    return heap_of(__atomic_load_n(&s->heap, __ATOMIC_RELAXED));
}

/* Tables are in no heap's account, but the root's limit bounds them. */
static void *no_tables(const shape_kind *kind) {
    pressure_denied(&root_heap, kind->size);
    errno = ENOMEM;
    return NULL;
}

void *shape_new(const shape_kind *kind, rn_heap *handle) {
    start_once();
    struct heap *heap = handle == NULL ? &root_heap : heap_of(handle);
    char *structure = heap_take_tables(kind->size);
    if (structure == NULL)
        return no_tables(kind);
    shape *s = (shape *)(structure + kind->offset);
    s->kind = kind;
    heap_lock_tree();
    link_to(heap, s);
    count++;
    heap_unlock_tree();
    return structure;
}

void shape_check(const shape *s) {
    if (s->destroyed) {
        char line[64];
        snprintf(line, sizeof line, "use of an %s after it was destroyed", s->kind->noun);
        misuse(s, line);
    }
    heap_of_shape(s);
}

void shape_set_name(shape *s, const char *name) {
    shape_check(s);
    heap_lock_tree();
    heap_copy_name(s->name, name);
    heap_unlock_tree();
}

enum { LATE = 64 };

/* Those that were deleted last. */
static shape *late[LATE];
static unsigned deleted;

void shape_delete(shape *s) {
    unsigned place = __atomic_fetch_add(&deleted, 1, __ATOMIC_RELAXED) % LATE;
    shape *before = __atomic_exchange_n(&late[place], s, __ATOMIC_ACQ_REL);
    if (before != NULL)
        table_give((char *)before - before->kind->offset, before->kind->size);
}

void shape_detach(shape *s) {
    heap_lock_tree();
    struct heap *heap = heap_of_shape(s);
    if (s->next != NULL)
        s->next->prev = s->prev;
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        heap->shapes = s->next;
    count--;
    heap_unlock_tree();
    s->destroyed = true;
}

/* --- what a heap has its shapes do ------------------------------------------------------------------------------------ */

size_t shapes_release(const struct heap *top) {
    size_t bytes = 0;
    if (count == 0)
        return 0;
    for (struct heap *heap = heap_first_in(top); heap != NULL; heap = heap_next_in(top, heap))
        for (shape *s = heap->shapes; s != NULL; s = s->next)
            bytes += s->kind->release(s);
    return bytes;
}

void shapes_end(struct heap *heap) {
    for (shape *s = heap->shapes, *next; s != NULL; s = next) {
        next = s->next;
        s->next = s->prev = NULL;
        s->held = s->chunks = 0;
        s->kind->ended(s);
        shape_delete(s);
        count--;
    }
    heap->shapes = NULL;
}

void shapes_move(struct heap *heap) {
    struct heap *to = heap_in_service(heap->parent);
    for (shape *s = heap->shapes, *next; s != NULL; s = next) {
        next = s->next;
        link_to(to, s);
    }
    heap->shapes = NULL;
}

/* --- chunks --------------------------------------------------------------------------------------------------------- */

/* Whole granules, which the page heap rounds to in any case. */
static size_t whole(size_t size) {
    size_t unit = os.page_size > GRANULE ? os.page_size : GRANULE;
    return (size + unit - 1) & ~(unit - 1);
}

static span *take(struct heap *heap, size_t least, size_t wanted, size_t align) {
    span *chunk = wanted > least ? large_take_chunk(heap, whole(wanted), align) : NULL;
    if (chunk == NULL)
        chunk = large_take_chunk(heap, whole(least), align);
    for (unsigned stages = 0; chunk == NULL && pressure_relieve(heap, whole(least), &stages);)
        chunk = large_take_chunk(heap, whole(least), align);
    return chunk;
}

span *chunk_take(shape *s, size_t least, size_t wanted, size_t align) {
    struct heap *heap = heap_of_shape(s);
    this_thread.inside++;
    span *chunk = least <= PTRDIFF_MAX - GRANULE ? take(heap, least, wanted, align) : NULL;
    this_thread.inside--;
    if (UNLIKELY(this_thread.due))
        do_what_is_due(heap);
    if (chunk == NULL)
        return NULL;
    __atomic_fetch_add(&s->held, chunk->size, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->chunks, 1, __ATOMIC_RELAXED);
    return chunk;
}

void chunk_deny(const shape *s, size_t bytes) {
    pressure_denied(heap_of_shape(s), bytes);
    errno = ENOMEM;
}

void chunk_give(shape *s, span *chunk) {
    __atomic_fetch_sub(&s->held, chunk->size, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&s->chunks, 1, __ATOMIC_RELAXED);
    large_give_chunk(chunk);
}
