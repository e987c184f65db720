/* shapes.h: what a heap is to the shapes that are built on it: where chunks come from, and who tells them of pressure and of
 * the heap's end.
 *
 * A chunk is a span that a shape divides as it likes; it is charged whole, and nothing of it may be handed to free. Start with
 * shape_new and chunk_take. */
#ifndef RATION_HEAP_SHAPES_H
#define RATION_HEAP_SHAPES_H

#include "heap.h"

#pragma GCC visibility push(hidden)

struct shape;

typedef struct shape_kind {
    const char *noun;    /* "arena" */
    size_t size, offset; /* of the structure that a shape is part of, and where in it that lies */
    /* Gives back what waits for its next use. Gives the bytes. Called under the tree's lock, by any thread, while another uses the
     * shape: it must not wait for that, nor allocate. */
    size_t (*release)(struct shape *);
    /* The heap ends, and all chunks with it: from here on the shape has none. Called under the tree's lock; no thread may be
     * using the shape. */
    void (*ended)(struct shape *);
} shape_kind;

/* Part of every shape. */
typedef struct shape {
    const shape_kind *kind;
    rn_heap *heap;             /* what it draws on; of one that is gone, the handle that it had. An atomic */
    struct shape *next, *prev; /* the heap's others, under the tree's lock; NULL once the heap is gone */
    size_t held;               /* bytes of chunks; an atomic */
    size_t chunks;             /* their number; likewise */
    char name[HEAP_NAME_MAX];  /* for who reads an autopsy; under the tree's lock */
    bool destroyed;
} shape;

/* A structure of the kind, on the heap (NULL: the root). NULL with ENOMEM if there is no memory for it. */
void *shape_new(const shape_kind *, rn_heap *);
/* Aborts with a line where the shape or its heap is gone; what a shape's functions begin with. */
void shape_check(const shape *);
void shape_set_name(shape *, const char *);
/* From here on nobody releases anything of the shape's, which gives its chunks back itself. */
void shape_detach(shape *);
/* Then its structure goes: not at once, so that who still uses it is told. */
void shape_delete(shape *);

/* A span of at least so many bytes at a multiple of align: of as many as wanted if that is to be had without ado, else of
 * the least, for which everything is tried. NULL if that fails; it is no denial before the shape says so, which sets errno. No
 * lock is held. */
span *chunk_take(shape *, size_t least, size_t wanted, size_t align);
void chunk_deny(const shape *, size_t bytes);
void chunk_give(shape *, span *);

/* For heaps. What all shapes of a subtree can spare is given back, bytes; the tree's lock is held. */
size_t shapes_release(const struct heap *top);
/* The heap ends; or is about to be retired, and its shapes draw on the nearest ancestor in service. The tree's lock is held. */
void shapes_end(struct heap *);
void shapes_move(struct heap *);

#pragma GCC visibility pop

#endif
