/* ration_shared.c: an arena of Ration's that threads share. */
#include <ration/arena.h>
#include <stdlib.h>

typedef rn_shared_arena pool;
enum { pool_frees_each = 0, pool_is_shared = 1 };

static void pools_begin(void) {}

static pool *pool_new(void) {
    pool *arena = rn_shared_arena_new(NULL, 0);
    if (!arena)
        abort();
    return arena;
}

static void pool_end(pool *arena) {
    rn_shared_arena_destroy(arena);
}

static void *pool_take(pool *arena, size_t size) {
    return rn_shared_arena_alloc(arena, size, 8);
}

static void pool_clear(pool *arena, void **pieces, size_t count) {
    (void)pieces, (void)count;
    rn_shared_arena_reset(arena);
}

static void pool_free(pool *arena, void *piece) {
    (void)arena, (void)piece;
}

#include "cases.h"
