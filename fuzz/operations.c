/* operations.c: the input is a program: a sequence of calls of the rn_ functions, checked against a model.
 *
 * The model knows each live block's size, heap and contents. An operation is a byte, its arguments follow; see
 * operations[] for which there are. What is wrong is said in one line before the process aborts. Start at
 * LLVMFuzzerTestOneInput. */
#include <errno.h>
#include <ration/ration.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 64, HEAPS = 8, DEEPEST = 16 };

static const size_t BIGGEST = (size_t)8 << 20;

typedef struct block {
    unsigned char *start; /* NULL: the slot is free */
    size_t size;
    rn_heap *heap;
    unsigned char stamp; /* what its bytes are counted up from */
} block;

/* All that one input builds up; it starts empty and ends empty. */
static struct {
    const uint8_t *next, *end; /* what is left of the input */
    block blocks[SLOTS];
    rn_heap *heaps[HEAPS]; /* the first is the root; NULL: none there */
    rn_heap *pushed[DEEPEST];
    int depth;
    unsigned char stamp;
} model;

#define EXPECT(condition) ((condition) ? (void)0 : complain(__LINE__, #condition))

static void complain(int line, const char *condition) {
    fprintf(stderr, "operations.c:%d: expected: %s\n", line, condition);
    abort();
}

/* The next byte of the input, 0 beyond its end. */
static unsigned take_byte(void) {
    return model.next < model.end ? *model.next++ : 0;
}

/* A size whose magnitude is as likely to be small as big: the shapes that blocks take depend on the magnitude. */
static size_t take_size(void) {
    unsigned magnitude = take_byte() % 24;
    size_t low = take_byte() | take_byte() << 8 | take_byte() << 16;
    size_t size = ((size_t)1 << magnitude) + (low & (((size_t)1 << magnitude) - 1)) - 1;
    return size < BIGGEST ? size : BIGGEST;
}

static size_t take_align(void) {
    return (size_t)1 << take_byte() % 22;
}

static block *take_slot(void) {
    return &model.blocks[take_byte() % SLOTS];
}

static rn_heap *current_heap(void) {
    return model.depth == 0 ? rn_heap_root() : model.pushed[model.depth - 1];
}

/* A heap that is there: the root, where the one asked for is not. */
static rn_heap *take_heap(void) {
    rn_heap *heap = model.heaps[take_byte() % HEAPS];
    return heap ? heap : rn_heap_root();
}

/* Every byte of a small block counts; of a big one, the ends, where neighbours would write. */
static bool is_watched(size_t offset, size_t size) {
    return offset < 4096 || size - offset <= 4096 || offset % 4096 == 0;
}

static void stamp_block(const block *b) {
    for (size_t i = 0; i < b->size; i++)
        if (is_watched(i, b->size))
            b->start[i] = (unsigned char)(b->stamp + i);
}

static void check_contents(const block *b, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (is_watched(i, b->size))
            EXPECT(b->start[i] == (unsigned char)(b->stamp + i));
}

/* Puts a block just obtained into its slot, after looking at what can be said of it. */
static void keep(block *slot, void *start, size_t size, size_t align, rn_heap *heap) {
    if (!start) {
        EXPECT(errno == ENOMEM);
        slot->start = NULL;
        return;
    }
    EXPECT((uintptr_t)start % align == 0);
    EXPECT(rn_usable_size(start) >= size);
    EXPECT(rn_heap_of(start) == heap);
    block kept = {start, size, heap, model.stamp++};
    *slot = kept;
    stamp_block(slot);
}

static void drop(block *slot) {
    if (!slot->start)
        return;
    check_contents(slot, slot->size);
    errno = E2BIG;
    rn_free(slot->start);
    EXPECT(errno == E2BIG);
    slot->start = NULL;
}

static void do_malloc(void) {
    block *slot = take_slot();
    size_t size = take_size();
    drop(slot);
    keep(slot, rn_malloc(size), size, 16, current_heap());
}

static void do_calloc(void) {
    block *slot = take_slot();
    size_t size = take_size(), count = take_byte() % 4;
    drop(slot);
    unsigned char *start = rn_calloc(count, size);
    for (size_t i = 0; start && i < count * size; i++)
        EXPECT(start[i] == 0);
    keep(slot, start, count * size, 16, current_heap());
}

static void do_aligned_alloc(void) {
    block *slot = take_slot();
    size_t align = take_align(), size = take_size();
    drop(slot);
    keep(slot, rn_aligned_alloc(align, size), size, align, current_heap());
}

static void do_heap_malloc(void) {
    block *slot = take_slot();
    rn_heap *heap = take_heap();
    size_t size = take_size();
    drop(slot);
    keep(slot, rn_heap_malloc(heap, size), size, 16, heap);
}

static void do_heap_aligned_alloc(void) {
    block *slot = take_slot();
    rn_heap *heap = take_heap();
    size_t align = take_align(), size = take_size();
    drop(slot);
    keep(slot, rn_heap_aligned_alloc(heap, align, size), size, align, heap);
}

static void do_realloc(void) {
    block *slot = take_slot();
    size_t size = take_size();
    if (!slot->start) {
        keep(slot, rn_realloc(NULL, size), size, 16, current_heap());
        return;
    }
    check_contents(slot, slot->size);
    block old = *slot;
    void *moved = rn_realloc(old.start, size);
    if (!moved) {
        EXPECT(errno == ENOMEM);
        check_contents(&old, old.size);
        return;
    }
    slot->start = moved;
    check_contents(slot, size < old.size ? size : old.size);
    keep(slot, moved, size, 16, old.heap);
}

static void do_free(void) {
    drop(take_slot());
}

/* Uses all that may be used, not only what was asked for. */
static void do_fill(void) {
    block *slot = take_slot();
    if (!slot->start)
        return;
    check_contents(slot, slot->size);
    slot->size = rn_usable_size(slot->start);
    stamp_block(slot);
}

static void do_impossible(void) {
    errno = 0;
    /* volatile: the compiler knows that these can't be had */
    volatile size_t too_much = SIZE_MAX - take_byte();
    EXPECT(rn_malloc(too_much) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(rn_calloc(too_much / 2, 3) == NULL && errno == ENOMEM);
    volatile size_t crooked = 3 * take_align();
    errno = 0;
    EXPECT(rn_aligned_alloc(crooked, 1) == NULL && errno == EINVAL);
}

static void do_heap_new(void) {
    rn_heap **heap = &model.heaps[1 + take_byte() % (HEAPS - 1)];
    if (!*heap)
        *heap = rn_heap_new(NULL, "fuzzed", 0);
}

/* A heap goes with everything in it, unless it is pushed, which would be a mistake of ours. */
static void do_heap_destroy(void) {
    rn_heap **heap = &model.heaps[1 + take_byte() % (HEAPS - 1)];
    if (!*heap)
        return;
    for (int i = 0; i < model.depth; i++)
        if (model.pushed[i] == *heap)
            return;
    for (block *slot = model.blocks; slot < model.blocks + SLOTS; slot++) {
        if (slot->start && slot->heap == *heap) {
            check_contents(slot, slot->size);
            slot->start = NULL;
        }
    }
    rn_heap_destroy(*heap);
    *heap = NULL;
}

static void do_push(void) {
    rn_heap *heap = take_heap();
    if (model.depth == DEEPEST)
        return;
    rn_heap_push(heap);
    model.pushed[model.depth++] = heap;
    EXPECT(rn_heap_mark() == model.depth);
}

static void do_pop(void) {
    if (model.depth == 0)
        return;
    rn_heap_pop();
    model.depth--;
}

static void do_pop_to(void) {
    int mark = (int)take_byte() % (model.depth + 1);
    rn_heap_pop_to(mark);
    model.depth = mark;
    EXPECT(rn_heap_mark() == mark);
}

static void do_trim(void) {
    rn_heap_trim(take_heap());
}

static void do_stats(void) {
    rn_heap *heap = take_heap();
    rn_stats stats;
    rn_heap_stats(heap, &stats);
    size_t objects = 0, bytes = 0;
    for (block *slot = model.blocks; slot < model.blocks + SLOTS; slot++) {
        if (slot->start && (slot->heap == heap || heap == rn_heap_root())) {
            objects++;
            bytes += slot->size;
        }
    }
    EXPECT(stats.objects >= objects && stats.live >= bytes);
    EXPECT(stats.used >= stats.live && stats.peak >= stats.used);
}

static void (*const operations[])(void) = {
    do_malloc, do_calloc, do_aligned_alloc, do_heap_malloc, do_heap_aligned_alloc, do_realloc,      do_free,
    do_free,   do_free,   do_fill,          do_impossible,  do_heap_new,           do_heap_destroy, do_push,
    do_pop,    do_pop_to, do_trim,          do_stats,
};

static void finish(void) {
    rn_heap_pop_to(0);
    for (block *slot = model.blocks; slot < model.blocks + SLOTS; slot++)
        drop(slot);
    for (int i = 1; i < HEAPS; i++)
        rn_heap_destroy(model.heaps[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    memset(&model, 0, sizeof model);
    model.next = data;
    model.end = data + size;
    model.heaps[0] = rn_heap_root();
    while (model.next < model.end)
        operations[take_byte() % (sizeof operations / sizeof *operations)]();
    finish();
    return 0;
}
