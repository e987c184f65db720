/* blocks.c: what lies in the spans: how much of each size class, and which blocks are the largest.
 *
 * A span's own figures are read without its store's lock, while other threads may take and give blocks: they are about right.
 * Start with survey_blocks. */
#include "parts.h"

#include "../heap/hardened.h"
#include "paper.h"

#include <string.h>

#define RACY __attribute__((no_sanitize("thread")))

enum {
    LARGEST = 20,
    SIZE_CELL = 8,
    COUNT_CELL = 11,
    BLOCK_COLUMN = 22,
    HEAP_COLUMN = 40,
};

typedef struct class_figures {
    size_t out; /* in programs' hands and in caches */
    size_t free, committed;
} class_figures;

typedef struct large_block {
    uintptr_t address;
    size_t size;
    char heap[HEAP_NAME_MAX];
} large_block;

static struct {
    bool done;
    class_figures classes[SIZE_CLASSES_COUNT];
    size_t cached[SIZE_CLASSES_COUNT];
    bool cached_known;
    unsigned threads_unknown, heaps_unknown;
    large_block largest[LARGEST]; /* in order */
    unsigned largest_count;
} survey;

/* --- looking -------------------------------------------------------------------------------------------------- */

static bool is_among_largest(size_t size) {
    return survey.largest_count < LARGEST || size > survey.largest[LARGEST - 1].size;
}

static void note_block(uintptr_t address, size_t size, const struct heap *heap) {
    if (!is_among_largest(size))
        return;
    unsigned i = survey.largest_count < LARGEST ? survey.largest_count++ : LARGEST - 1;
    for (; i > 0 && survey.largest[i - 1].size < size; i--)
        survey.largest[i] = survey.largest[i - 1];
    survey.largest[i] = (large_block){.address = address, .size = size};
    memcpy(survey.largest[i].heap, heap->name, HEAP_NAME_MAX);
}

RACY static void look_at_blocks(const span *s, const struct heap *heap) {
    size_t size = size_classes[s->class_index].size;
    for (unsigned i = 0; i < s->carved && is_among_largest(size); i++)
        if ((s->free_blocks[i / 64] >> i % 64 & 1) == 0)
            note_block(s->start + i * size, size, heap);
}

RACY static void look_at_span(const span *s, const struct heap *heap) {
    if (s->state == SPAN_LARGE) {
        size_t front = s->hardened ? s->front : 0;
        note_block(s->start + front, s->hardened ? s->asked : s->size, heap);
        return;
    }
    class_figures *class = &survey.classes[s->class_index];
    class->committed += span_committed(s);
    class->free += s->free * (size_t)size_classes[s->class_index].size;
    look_at_blocks(s, heap);
}

static void look_at_heap(struct heap *heap) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        survey.classes[i].out += __atomic_load_n(&heap->stores[i].blocks_out, __ATOMIC_RELAXED);
    /* One lock that nobody lets go of is waited for; after it none is. */
    if (!os_lock_within(&heap->spans_lock, survey.heaps_unknown == 0 ? PART_WAIT_MS : 0)) {
        survey.heaps_unknown++;
        return;
    }
    for (const span *s = heap->spans; s != NULL; s = s->older)
        look_at_span(s, heap);
    os_unlock(&heap->spans_lock);
}

void survey_blocks(void) {
    memset(&survey, 0, sizeof survey);
    survey.cached_known = threads_count_cached(survey.cached, &survey.threads_unknown);
    if (!heap_lock_tree_within(PART_WAIT_MS))
        return;
    for (struct heap *heap = heap_first_in(&root_heap); heap != NULL; heap = heap_next_in(&root_heap, heap))
        look_at_heap(heap);
    heap_unlock_tree();
    survey.done = true;
}

/* --- telling -------------------------------------------------------------------------------------------------- */

static bool tell_missing(void) {
    if (!survey.done)
        paper_text("Missing: another thread holds the tree of heaps, and did not let go of it.\n");
    else if (survey.heaps_unknown != 0) {
        paper_text("Without the spans of so many heaps, which other threads hold: ");
        paper_number(survey.heaps_unknown, 1);
        paper_line();
    }
    return !survey.done;
}

static void tell_caches_missing(void) {
    if (!survey.cached_known)
        paper_text("What threads have cached counts as live: it could not be found out.\n");
    if (survey.threads_unknown != 0) {
        paper_text("Threads that could not be stopped, whose cached blocks count as live: ");
        paper_number(survey.threads_unknown, 1);
        paper_line();
    }
}

static void tell_class(unsigned class_index) {
    const class_figures *class = &survey.classes[class_index];
    size_t size = size_classes[class_index].size, cached = survey.cached[class_index];
    size_t live = class->out > cached ? class->out - cached : 0;
    if (class->out == 0 && class->committed == 0)
        return;
    paper_number(size, SIZE_CELL);
    paper_number(live, COUNT_CELL);
    paper_size(live * size, COUNT_CELL);
    paper_size(cached * size, COUNT_CELL);
    paper_size(class->free, COUNT_CELL);
    paper_size(class->committed, COUNT_CELL);
    paper_line();
}

void tell_classes(void) {
    paper_title("Small blocks by size class, of all heaps");
    paper_text("cached: by threads, ready for use; free: in spans that are partly used.\n");
    tell_caches_missing();
    if (tell_missing())
        return;
    paper_text("    size       live live bytes     cached       free  committed\n");
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        tell_class(i);
}

void tell_largest_blocks(void) {
    paper_title("The largest blocks");
    if (tell_missing())
        return;
    paper_text("address                     size        heap\n");
    for (unsigned i = 0; i < survey.largest_count; i++) {
        const large_block *block = &survey.largest[i];
        paper_hex(block->address);
        paper_column(BLOCK_COLUMN);
        paper_number(block->size, COUNT_CELL - 1);
        paper_column(HEAP_COLUMN);
        paper_name(block->heap[0] == 0 ? "(no name)" : block->heap, HEAP_NAME_MAX);
        paper_line();
    }
}
