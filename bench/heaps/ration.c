/* ration.c: heaps of Ration's, the current heap of the thread while blocks are taken. */
#include "ration_group.h"

static void group_enter(group *heap) {
    rn_heap_push(heap);
}

static void group_leave(void) {
    rn_heap_pop();
}

static void *group_take(group *heap, size_t size) {
    (void)heap;
    return rn_malloc(size);
}

#include "cases.h"
