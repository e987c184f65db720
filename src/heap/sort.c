/* sort.c: puts the tree of heaps in order for a reader: where it lies, since there may be no memory to be had.
 *
 * Nothing depends on the order of siblings. Start with heap_sort_tree. */
#include "heap.h"

static size_t used(const struct heap *heap) {
    return __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
}

/* Cuts a list behind so many; gives the rest. */
static struct heap *cut_behind(struct heap *list, size_t count) {
    while (list != NULL && --count != 0)
        list = list->next_sibling;
    if (list == NULL)
        return NULL;
    struct heap *rest = list->next_sibling;
    list->next_sibling = NULL;
    return rest;
}

/* Merges two lists behind link. Gives the link behind them. */
static struct heap **merge(struct heap **link, struct heap *a, struct heap *b) {
    while (a != NULL || b != NULL) {
        struct heap **first = b == NULL || (a != NULL && used(a) >= used(b)) ? &a : &b;
        *link = *first;
        *first = (*first)->next_sibling;
        link = &(*link)->next_sibling;
    }
    *link = NULL;
    return link;
}

/* One round of a merge sort from the bottom up: runs of so many become runs of twice as many. Gives how many merges it took. */
static size_t merge_runs(struct heap **list, size_t run) {
    size_t merges = 0;
    struct heap *rest = *list, **link = list;
    for (; rest != NULL; merges++) {
        struct heap *a = rest, *b = cut_behind(a, run);
        rest = cut_behind(b, run);
        link = merge(link, a, b);
    }
    return merges;
}

static void link_back(struct heap *list) {
    for (struct heap *before = NULL; list != NULL; before = list, list = list->next_sibling)
        list->prev_sibling = before;
}

static void sort_children(struct heap *heap) {
    for (size_t run = 1; merge_runs(&heap->first_child, run) > 1; run *= 2)
        ;
    link_back(heap->first_child);
}

void heap_sort_tree(void) {
    for (struct heap *heap = &root_heap; heap != NULL;) {
        sort_children(heap);
        if (heap->first_child != NULL) {
            heap = heap->first_child;
            continue;
        }
        while (heap != NULL && heap->next_sibling == NULL)
            heap = heap->parent;
        if (heap != NULL)
            heap = heap->next_sibling;
    }
}
