/* talloc.c: a context of talloc's with a pool behind it, its nearest thing to an arena. */
#include <stdlib.h>
#include <talloc.h>

typedef void pool;
enum { pool_frees_each = 0, pool_is_shared = 0, POOL_BYTES = 2 << 20 };

static void pools_begin(void) {}

static pool *pool_new(void) {
    pool *made = talloc_pool(NULL, POOL_BYTES);
    if (made == NULL)
        abort();
    return made;
}

static void pool_end(pool *ended) {
    talloc_free(ended);
}

static void *pool_take(pool *from, size_t size) {
    return talloc_size(from, size);
}

static void pool_clear(pool *cleared, void **pieces, size_t count) {
    (void)pieces, (void)count;
    talloc_free_children(cleared);
}

static void pool_free(pool *from, void *piece) {
    (void)from, (void)piece;
}

#include "cases.h"
