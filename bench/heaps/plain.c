/* plain.c: no heaps at all: libc's malloc, and a free for each block. */
#include <stdlib.h>

typedef void group;

static void group_begin(void) {}

static group *group_new(group *parent) {
    return parent;
}

static void group_limit(group *none, size_t limit) {
    (void)none, (void)limit;
}

static void group_enter(group *none) {
    (void)none;
}

static void group_leave(void) {}

static void *group_take(group *none, size_t size) {
    (void)none;
    return malloc(size);
}

static void group_give(group *none, void *block) {
    (void)none;
    free(block);
}

static void group_end(group *none, void **blocks, size_t count) {
    (void)none;
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

#include "cases.h"
