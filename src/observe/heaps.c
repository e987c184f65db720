/* heaps.c: the tree of heaps in an autopsy: every one of them, whole, in time that grows with their number. */
#include "parts.h"

#include "../heap/sample.h"
#include "paper.h"

enum { DEEPEST = 8, USED_COLUMN = 28, SIZE_CELL = 7, OBJECTS_CELL = 9, DENIED_CELL = 8 };

static size_t read_size(const size_t *value) {
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void tell_name(const struct heap *heap, unsigned depth) {
    for (unsigned i = depth < DEEPEST ? depth : DEEPEST; i > 0; i--)
        paper_text("  ");
    if (heap == &sampled_heap)
        paper_text("(blocks that are checked)");
    else
        paper_name(heap->name[0] == 0 ? "(no name)" : heap->name, HEAP_NAME_MAX);
    if (heap != &sampled_heap && __atomic_load_n(&heap->handle, __ATOMIC_RELAXED) == NULL)
        paper_text(", retired");
    paper_column(USED_COLUMN);
}

static void tell_bound(size_t bytes) {
    if (bytes == 0)
        paper_text("      -");
    else
        paper_size(bytes, SIZE_CELL);
}

static void tell_own(const struct heap *heap) {
    size_t bytes = read_size(&heap->large_bytes), blocks = read_size(&heap->large_blocks);
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        size_t out = __atomic_load_n(&heap->stores[i].blocks_out, __ATOMIC_RELAXED);
        blocks += out;
        bytes += out * size_classes[i].size;
    }
    paper_size(bytes, SIZE_CELL);
    paper_number(blocks, OBJECTS_CELL);
}

static void tell_heap(const struct heap *heap, unsigned depth) {
    tell_name(heap, depth);
    paper_size(read_size(&heap->used), SIZE_CELL);
    paper_size(read_size(&heap->peak), SIZE_CELL);
    tell_bound(read_size(&heap->limit));
    tell_bound(read_size(&heap->soft));
    tell_own(heap);
    paper_number(read_size(&heap->denied), DENIED_CELL);
    paper_line();
}

/* The next in an order that has parents before their children. */
static const struct heap *next_down(const struct heap *heap, unsigned *depth) {
    if (heap->first_child != NULL) {
        ++*depth;
        return heap->first_child;
    }
    for (; heap != NULL && heap->next_sibling == NULL; heap = heap->parent)
        --*depth;
    return heap == NULL ? NULL : heap->next_sibling;
}

void tell_heaps(void) {
    paper_title("The heaps");
    paper_text("used and peak take in the heaps below one; live and objects are its own.\n");
    if (!heap_lock_tree_within(PART_WAIT_MS)) {
        paper_text("Missing: another thread holds the tree of heaps, and did not let go of it.\n");
        return;
    }
    heap_recall_credit(&root_heap);
    heap_sort_tree();
    paper_text("heap                           used   peak  limit   soft   live  objects  denied\n");
    unsigned depth = 0;
    for (const struct heap *heap = &root_heap; heap != NULL; heap = next_down(heap, &depth))
        tell_heap(heap, depth);
    heap_unlock_tree();
}
