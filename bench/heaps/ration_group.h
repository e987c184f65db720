/* ration_group.h: what is the same of heaps of Ration's, pushed or named. */
#include <ration/ration.h>
#include <stdlib.h>

typedef rn_heap group;

static void group_begin(void) {}

static group *group_new(group *parent) {
    return rn_heap_new(parent, "group", 0);
}

static void group_limit(group *heap, size_t limit) {
    if (rn_heap_set_limit(heap, limit))
        abort();
}

static void group_give(group *heap, void *block) {
    (void)heap;
    rn_free(block);
}

static void group_end(group *heap, void **blocks, size_t count) {
    (void)blocks, (void)count;
    rn_heap_destroy(heap);
}
