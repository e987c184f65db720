/* apr.c: pools of the Apache Portable Runtime. A block can't be given back before its pool ends. */
#include <apr_general.h>
#include <apr_pools.h>
#include <stdio.h>
#include <stdlib.h>

typedef apr_pool_t group;

static void group_begin(void) {
    if (apr_initialize() != APR_SUCCESS)
        abort();
}

static group *group_new(group *parent) {
    group *pool = NULL;
    return apr_pool_create(&pool, parent) == APR_SUCCESS ? pool : NULL;
}

static void group_limit(group *pool, size_t limit) {
    (void)pool, (void)limit;
}

static void group_enter(group *pool) {
    (void)pool;
}

static void group_leave(void) {}

static void *group_take(group *pool, size_t size) {
    return apr_palloc(pool, size);
}

static void group_give(group *pool, void *block) {
    (void)pool, (void)block;
    fprintf(stderr, "a pool takes no block back\n");
    abort();
}

static void group_end(group *pool, void **blocks, size_t count) {
    (void)blocks, (void)count;
    apr_pool_destroy(pool);
}

#include "cases.h"
