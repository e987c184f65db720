/* misuse.c: what is said when a program has handed back what it must not: one line, then abort(). */
#include "sample.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_MAX_BYTES = 256, BLOCK_MAX_BYTES = LINE_MAX_BYTES / 2 };

static void describe(char out[BLOCK_MAX_BYTES], size_t size, const struct heap *heap) {
    snprintf(out, BLOCK_MAX_BYTES, " (%zu-byte class, heap \"%s\")", size, heap->name);
}

static size_t size_in(const span_former *former) {
    unsigned class_index = former->tag & 0xff;
    return class_index < SIZE_CLASSES_COUNT ? size_classes[class_index].size : former->size;
}

/* NULL if it is gone. */
static const struct heap *heap_of_id(uint32_t id) {
    if (id == root_heap.id || id == sampled_heap.id)
        return &root_heap;
    const struct heap *heap = __atomic_load_n(&heap_places[(uint16_t)id], __ATOMIC_ACQUIRE);
    return heap != NULL && heap->id == id ? heap : NULL;
}

/* Of memory that is free. */
static void describe_former(char out[BLOCK_MAX_BYTES], const void *block) {
    span_former former;
    if (!page_heap_former(block, &former))
        return;
    const struct heap *heap = heap_of_id(former.tag >> TAG_HEAP_SHIFT);
    if (heap != NULL)
        describe(out, size_in(&former), heap);
    else
        snprintf(out, BLOCK_MAX_BYTES, " (%zu-byte class, a heap that is gone)", size_in(&former));
}

static void describe_block(char out[BLOCK_MAX_BYTES], const void *block) {
    page_entry *entry = page_map_entry(block);
    if (entry->tag == 0 || !page_map_reaches(block))
        return;
    if ((entry->tag & 0xff) == TAG_FREE) {
        describe_former(out, block);
        return;
    }
    const span *s = span_of_id(entry->span);
    describe(out, s->state == SPAN_LARGE ? s->size : size_classes[s->class_index].size, s->heap);
}

/* The program's handler of SIGABRT may allocate, though locks are held here and the thread's caches are half given back: its
 * blocks come straight from the stores, and are not looked at. */
static void make_ready_for_handler(void) {
    this_thread.aborting = 1;
    this_thread.inside++; /* so that nothing is judged if the handler exits */
    os_hold_all(true);
    thread_abandon_caches();
    __atomic_store_n(&sample_first, 0, __ATOMIC_RELAXED);
}

static _Noreturn void abort_past_handler(void) {
    signal(SIGABRT, SIG_DFL);
    abort();
}

static _Noreturn void tell(const void *block, const char *description, const char *what) {
    if (this_thread.aborting)
        abort_past_handler();
    start_once(); /* which remembers what descriptor 2 was */
    char line[LINE_MAX_BYTES];
    int length = snprintf(line, sizeof line, "ration: %p%s: %s\n", block, description, what);
    if (length > 0)
        os_say(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    make_ready_for_handler();
    abort();
}

void misuse(const void *block, const char *what) {
    char description[BLOCK_MAX_BYTES] = "";
    describe_block(description, block);
    tell(block, description, what);
}

void misuse_of_gone(const void *block, const struct heap *heap, unsigned class_index) {
    char description[BLOCK_MAX_BYTES];
    describe(description, size_classes[class_index].size, heap);
    tell(block, description, "double free");
}

static bool was_large(const void *block) {
    span_former former;
    return page_heap_former(block, &former) && (former.tag & 0xff) == TAG_LARGE && former.start == (uintptr_t)block;
}

void misuse_block(const void *block, span_verdict verdict) {
    static const char *const words[] = {
        [SPAN_BLOCK_FINE] = "corrupted",
        [SPAN_BLOCK_FREE_ALREADY] = "double free",
        [SPAN_BLOCK_INTERIOR] = "free of an address inside a block",
        [SPAN_BLOCK_UNUSED] = "free of an address that was never handed out",
        [SPAN_BLOCK_FOREIGN] = "free of an address that is not Ration's",
        [SPAN_BLOCK_PIECE] = "free of a piece of an arena",
        [SPAN_BLOCK_GONE] = "double free, or free of an address that was never handed out",
    };
    bool twice = verdict == SPAN_BLOCK_GONE && was_large(block);
    misuse(block, words[twice ? SPAN_BLOCK_FREE_ALREADY : verdict]);
}

void misuse_use(const void *block, span_verdict verdict) {
    static const char *const words[] = {
        [SPAN_BLOCK_FINE] = "corrupted",
        [SPAN_BLOCK_FREE_ALREADY] = "use of a block after it was freed",
        [SPAN_BLOCK_INTERIOR] = "use of an address inside a block",
        [SPAN_BLOCK_UNUSED] = "use of an address that was never handed out",
        [SPAN_BLOCK_FOREIGN] = "not a block of Ration's",
        [SPAN_BLOCK_PIECE] = "use of a piece of an arena as a block",
        [SPAN_BLOCK_GONE] = "use of a block after it was freed",
    };
    misuse(block, words[verdict]);
}
