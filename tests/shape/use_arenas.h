/* use_arenas.h: a part of the scenarios in which anything may be refused (heap/denial.h): arenas that live and end in every way.
 * Start with use_arenas. */
#ifndef RATION_USE_ARENAS_H
#define RATION_USE_ARENAS_H

#include "heap/held.h"

enum { LARGEST_PIECE = 300000 };

static void write_piece(unsigned char *piece, size_t size) {
    if (piece == NULL)
        note_denied();
    else
        memset(piece, 0x77, size);
}

/* Whatever is refused behind it, the first piece stays as it is. */
static void fill_and_rewind(rn_arena *arena) {
    errno = 0;
    unsigned char *first = rn_arena_alloc(arena, 1000, 16);
    write_piece(first, 1000);
    rn_mark mark = rn_arena_mark(arena);
    for (size_t size = 10; size <= LARGEST_PIECE; size = size * 9 + 7) {
        errno = 0;
        unsigned char *piece = rn_arena_alloc(arena, size, 64);
        write_piece(piece, size);
        errno = 0;
        unsigned char *grown = piece == NULL ? NULL : rn_arena_extend(arena, piece, size, 3 * size, 64);
        if (piece != NULL && grown == NULL)
            note_denied();
        if (grown != NULL)
            CHECK(all_are(grown, size, 0x77));
    }
    rn_arena_rewind(arena, mark);
    CHECK(first == NULL || all_are(first, 1000, 0x77));
}

static void use_arena(rn_heap *heap) {
    errno = 0;
    rn_arena *arena = rn_arena_new(heap, 0);
    if (arena == NULL) {
        note_denied();
        return;
    }
    fill_and_rewind(arena);
    rn_arena_reset(arena);
    fill_and_rewind(arena);
    rn_arena_destroy(arena);
}

static void use_shared_arena(rn_heap *heap) {
    errno = 0;
    rn_shared_arena *arena = rn_shared_arena_new(heap, 0);
    if (arena == NULL) {
        note_denied();
        return;
    }
    for (size_t size = 10; size <= LARGEST_PIECE; size *= 9) {
        errno = 0;
        write_piece(rn_shared_arena_alloc(arena, size, 1), size);
    }
    rn_shared_arena_destroy(arena);
}

/* One ends with its heap, one draws on what is above it once that is retired. */
static void leave_arenas(void) {
    rn_heap *ends = rn_heap_new(held.heaps[0], "ends", 0), *retires = rn_heap_new(held.heaps[0], "retires", 0);
    rn_arena *arena = retires == NULL ? NULL : rn_arena_new(retires, 0);
    if (ends != NULL && rn_arena_new(ends, 0) != NULL)
        use_arena(ends);
    if (arena != NULL)
        fill_and_rewind(arena);
    rn_heap_retire(retires);
    if (arena != NULL)
        fill_and_rewind(arena);
    rn_arena_destroy(arena);
    rn_heap_destroy(ends);
}

static void use_arenas(void) {
    use_arena(held.heaps[0]);
    use_shared_arena(held.heaps[HEAPS - 1]);
    leave_arenas();
}

#endif
