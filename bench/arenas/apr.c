/* apr.c: pools of the Apache Portable Runtime. */
#include <apr_general.h>
#include <apr_pools.h>
#include <stdlib.h>

typedef apr_pool_t pool;
enum { pool_frees_each = 0, pool_is_shared = 0 };

static void pools_begin(void) {
    if (apr_initialize() != APR_SUCCESS)
        abort();
}

static pool *pool_new(void) {
    pool *made = NULL;
    if (apr_pool_create(&made, NULL) != APR_SUCCESS)
        abort();
    return made;
}

static void pool_end(pool *ended) {
    apr_pool_destroy(ended);
}

static void *pool_take(pool *from, size_t size) {
    return apr_palloc(from, size);
}

static void pool_clear(pool *cleared, void **pieces, size_t count) {
    (void)pieces, (void)count;
    apr_pool_clear(cleared);
}

static void pool_free(pool *from, void *piece) {
    (void)from, (void)piece;
}

#include "cases.h"
