/* arena.h (private): what the files of the arena share. */
#ifndef RATION_SHAPE_ARENA_PRIVATE_H
#define RATION_SHAPE_ARENA_PRIVATE_H

#include "stock.h"

#include <ration/arena.h>

#pragma GCC visibility push(hidden)

/* A watched arena has no room as its inline functions see it, so that every request comes here. */
typedef struct arena {
    rn_arena face; /* first: what the program has is its address */
    stock stock;
    span *top;          /* the newest chunk; by next, the older ones */
    span *large;        /* those with one large piece, the newest first */
    char *limit;        /* the newest chunk's end: face.end, but in a watched arena */
    size_t below;       /* bytes of the older chunks, */
    size_t large_bytes; /* and of those with one piece */
    size_t opened;      /* so many chunks so far: tells one use of a chunk from the next */
    size_t most;        /* that were used, ever */
} arena;

static inline arena *arena_of(rn_arena *face) {
    arena *a = (arena *)(void *)face;
    shape_check(&a->stock.shape);
    return a;
}

#pragma GCC visibility pop

#endif
