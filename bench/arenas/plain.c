/* plain.c: no arena: malloc, and a free for each piece. */
#include <stdlib.h>

typedef void pool;
enum { pool_frees_each = 1, pool_is_shared = 0 };

static void pools_begin(void) {}

static pool *pool_new(void) {
    return NULL;
}

static void pool_end(pool *none) {
    (void)none;
}

static void *pool_take(pool *none, size_t size) {
    (void)none;
    return malloc(size);
}

static void pool_clear(pool *none, void **pieces, size_t count) {
    (void)none;
    for (size_t i = 0; i < count; i++)
        free(pieces[i]);
}

static void pool_free(pool *none, void *piece) {
    (void)none;
    free(piece);
}

#include "cases.h"
