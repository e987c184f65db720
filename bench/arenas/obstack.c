/* obstack.c: libc's obstacks, on its malloc. */
#include <obstack.h>
#include <stdlib.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

typedef struct pool {
    struct obstack stack;
    void *first;
} pool;
enum { pool_frees_each = 0, pool_is_shared = 0 };

static void pools_begin(void) {}

static pool *pool_new(void) {
    pool *made = malloc(sizeof *made);
    if (made == NULL)
        abort();
    obstack_init(&made->stack);
    made->first = obstack_alloc(&made->stack, 0);
    return made;
}

static void pool_end(pool *ended) {
    obstack_free(&ended->stack, NULL);
    free(ended);
}

static void *pool_take(pool *from, size_t size) {
    return obstack_alloc(&from->stack, size);
}

static void pool_clear(pool *cleared, void **pieces, size_t count) {
    (void)pieces, (void)count;
    obstack_free(&cleared->stack, cleared->first);
    cleared->first = obstack_alloc(&cleared->stack, 0);
}

static void pool_free(pool *from, void *piece) {
    (void)from, (void)piece;
}

#include "cases.h"
