/* heaps.c: the tree of heaps in an autopsy: every one of them, whole, in time that grows with their number. */
#include "parts.h"

#include "../heap/sample.h"
#include "../heap/shapes.h"
#include "paper.h"

enum { DEEPEST = 8, SHAPES_TOLD = 3, USED_COLUMN = 28, SIZE_CELL = 7, OBJECTS_CELL = 9, DENIED_CELL = 8 };

static size_t read_size(const size_t *value) {
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void indent(unsigned depth) {
    for (unsigned i = depth < DEEPEST ? depth : DEEPEST; i > 0; i--)
        paper_text("  ");
}

static void tell_name(const struct heap *heap, unsigned depth) {
    indent(depth);
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

/* --- shapes: below their heap's line, those that hold most ---------------------------------------------------------- */

static bool holds_less(const shape *a, const shape *b) {
    size_t by_a = read_size(&a->held), by_b = read_size(&b->held);
    return by_a != by_b ? by_a < by_b : a < b;
}

static const shape *largest_below(const struct heap *heap, const shape *bound) {
    const shape *largest = NULL;
    for (const shape *s = heap->shapes; s != NULL; s = s->next)
        if ((bound == NULL || holds_less(s, bound)) && (largest == NULL || holds_less(largest, s)))
            largest = s;
    return largest;
}

static void tell_held(size_t bytes, size_t chunks) {
    paper_column(USED_COLUMN + 4 * SIZE_CELL);
    paper_size(bytes, SIZE_CELL);
    paper_number(chunks, OBJECTS_CELL);
    paper_line();
}

static void tell_shape(const shape *s, unsigned depth) {
    indent(depth);
    paper_text(s->kind->noun);
    if (s->name[0] != 0)
        paper_text(" ");
    paper_name(s->name, HEAP_NAME_MAX);
    tell_held(read_size(&s->held), read_size(&s->chunks));
}

static void tell_rest(const struct heap *heap, const shape *least, unsigned depth) {
    size_t count = 0, bytes = 0, chunks = 0;
    for (const shape *s = heap->shapes; s != NULL; s = s->next)
        if (holds_less(s, least)) {
            count++;
            bytes += read_size(&s->held);
            chunks += read_size(&s->chunks);
        }
    if (count == 0)
        return;
    indent(depth);
    paper_text("more of these: ");
    paper_number(count, 1);
    tell_held(bytes, chunks);
}

static void tell_shapes(const struct heap *heap, unsigned depth) {
    const shape *last = NULL, *next;
    for (unsigned i = 0; i < SHAPES_TOLD && (next = largest_below(heap, last)) != NULL; i++) {
        tell_shape(next, depth);
        last = next;
    }
    if (last != NULL)
        tell_rest(heap, last, depth);
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
    tell_shapes(heap, depth + 1);
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
    paper_text("used and peak take in the heaps below one; live and objects are its own, and of\narenas the chunks.\n");
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
