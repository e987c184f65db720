/* stock.h: the chunks of an arena that are not in use: kept for their next use, taken away by pressure.
 *
 * Whoever takes some takes all, and puts back what it does not want, so that nobody waits for anybody. Start with stock_take. */
#ifndef RATION_SHAPE_STOCK_H
#define RATION_SHAPE_STOCK_H

#include "../heap/shapes.h"

#pragma GCC visibility push(hidden)

typedef struct stock {
    shape shape;
    span *waiting;      /* by next; an atomic */
    size_t chunk_size;  /* of the next chunk that is new; an atomic */
    size_t gap;         /* between pieces: 0, or somebody watches what is in bounds (watch.h) */
    size_t most_in_use; /* bytes of chunks since the last reset; */
    size_t most_before; /* and between the two before */
} stock;

/* Of a shape that was just made. */
void stock_begin(stock *, size_t chunk_size);
/* A chunk with room for size bytes at a multiple of align. NULL if there is none, which is no denial yet. */
span *stock_take(stock *, size_t size, size_t align);
void stock_put(stock *, span *chunk);
/* Gives back all that wait, or those that are more than was in use lately. Gives the bytes. */
size_t stock_release(stock *);
size_t stock_settle(stock *);
/* The chunks of the list, and those that wait, are gone with the heap. */
void stock_forget(stock *, const span *list);

static inline bool has_room(const span *chunk, size_t size, size_t align) {
    size_t skipped = (size_t)-chunk->start & (align - 1);
    return skipped <= chunk->size && size <= chunk->size - skipped;
}

static inline size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* What a piece of so many bytes takes of a chunk; one that is nothing has a place, too. */
static inline size_t room_for(const stock *s, size_t size) {
    return size > PTRDIFF_MAX ? size : larger(size, 1) + s->gap;
}

static inline bool is_power_of_two(size_t n) {
    return n != 0 && (n & (n - 1)) == 0;
}

#pragma GCC visibility pop

#endif
