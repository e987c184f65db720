/* cache.c: a thread's free blocks of one heap, in arrays of pointers.
 *
 * The hottest block comes out first; when an array is full the coldest half goes to the store, and a miss takes half an
 * array from there. Blocks themselves are never touched. Arrays start small and grow while they keep missing, as long
 * as all caches together stay within their share of what may lie idle. Start with cache_refill and cache_put. */
#include "sample.h"

#include <string.h>

enum {
    LEVELS = 10,
    SHARE_MIN = 1 << 20,
    SHARE_PART = 16,
    /* Misses and overflows until a large array is made larger: to ask each time costs as much as a few blocks. */
    PATIENCE = 8,
};

/* The sizes of arrays: places, which with the NULL below the bottom fill a power of two; how many bytes the blocks in
 * one may come to; and how many places there are even so. */
static const struct level {
    unsigned places, bytes, least;
} levels[LEVELS] = {{0, 0, 0},           {15, 16 << 10, 2},   {31, 32 << 10, 3},    {63, 64 << 10, 4},
                    {127, 128 << 10, 6}, {255, 256 << 10, 8}, {511, 512 << 10, 12}, {1023, 1 << 20, 16},
                    {2047, 1 << 20, 16}, {4095, 1 << 20, 16}};

static void *no_places[1] OWN_LINE;

const cache empty_cache = {
    .tag = UINT32_MAX,
    .top = {[0 ... SIZE_CLASSES_COUNT - 1] = no_places + 1},
    .end = {[0 ... SIZE_CLASSES_COUNT - 1] = no_places + 1},
};

/* Bytes that all arrays of all caches could hold beyond the first level, which every class may have. */
static size_t places_bytes OWN_LINE;

static unsigned places(unsigned class_index, unsigned level) {
    const struct level *l = &levels[level];
    unsigned fitting = l->bytes / size_classes[class_index].size;
    unsigned wanted = fitting > l->least ? fitting : l->least;
    return l->places < wanted ? l->places : wanted;
}

static void **bottom(const cache *c, unsigned class_index) {
    return c->end[class_index] - places(class_index, c->level[class_index]);
}

static void set_top(cache *c, unsigned class_index, void **top) {
    __atomic_store_n(&c->top[class_index], top, __ATOMIC_RELAXED);
}

static size_t array_bytes(unsigned level) {
    return (levels[level].places + (size_t)1) * sizeof(void *);
}

cache *cache_new(struct heap *heap) {
    cache *c = table_take(sizeof *c);
    if (c == NULL)
        return NULL;
    *c = empty_cache;
    c->tag = heap->id << TAG_HEAP_SHIFT;
    c->heap = heap;
    __atomic_fetch_add(&heap->caches, 1, __ATOMIC_RELAXED);
    return c;
}

/* --- the arrays' sizes ---------------------------------------------------------------------------------------- */

static void share_change(size_t bytes) {
    __atomic_fetch_add(&places_bytes, bytes, __ATOMIC_RELAXED);
}

static bool share_allows(size_t more) {
    size_t part = live_bytes_now() / SHARE_PART, share = part > SHARE_MIN ? part : SHARE_MIN;
    return __atomic_load_n(&places_bytes, __ATOMIC_RELAXED) + more <= share;
}

/* What an array of the level could hold more than one of the level below. */
static size_t level_bytes(unsigned class_index, unsigned level) {
    if (level <= 1)
        return 0;
    return (places(class_index, level) - places(class_index, level - 1)) * (size_t)size_classes[class_index].size;
}

static bool share_take(size_t bytes) {
    bool allowed = bytes == 0 || share_allows(bytes);
    if (allowed)
        share_change(bytes);
    return allowed;
}

/* Moves the blocks to an array of another level, which has room for them. False where there is no memory for it. */
static bool resize(cache *c, unsigned class_index, unsigned level) {
    unsigned old_level = c->level[class_index];
    void **array = table_take(array_bytes(level));
    if (array == NULL)
        return false;
    void **old = bottom(c, class_index);
    size_t blocks = (size_t)(c->top[class_index] - old);
    array[0] = NULL;
    memcpy(array + 1, old, blocks * sizeof *array);
    c->end[class_index] = array + 1 + places(class_index, level);
    c->level[class_index] = (uint8_t)level;
    set_top(c, class_index, array + 1 + blocks);
    if (old_level != 0)
        table_give(old - 1, array_bytes(old_level));
    return true;
}

/* A larger array with the same blocks. False where there is no larger one, or no memory for it. */
static bool grow(cache *c, unsigned class_index) {
    unsigned level = c->level[class_index];
    if (level + 1 == LEVELS || (level > 1 && ++c->patience % PATIENCE != 0) ||
        places(class_index, level) == places(class_index, level + 1))
        return false;
    size_t more = level_bytes(class_index, level + 1);
    if (!share_take(more))
        return false;
    bool grown = resize(c, class_index, level + 1);
    if (!grown)
        share_change(-more);
    return grown;
}

/* A smaller array, where less is live than when it grew. Its blocks must fit. */
static void shrink(cache *c, unsigned class_index) {
    unsigned level = c->level[class_index];
    if (resize(c, class_index, level - 1))
        share_change(-level_bytes(class_index, level));
}

static void drop_array(cache *c, unsigned class_index) {
    unsigned level = c->level[class_index];
    if (level == 0)
        return;
    void **array = bottom(c, class_index) - 1;
    c->top[class_index] = c->end[class_index] = no_places + 1;
    c->level[class_index] = 0;
    for (unsigned l = level; l > 1; l--)
        share_change(-level_bytes(class_index, l));
    table_give(array, array_bytes(level));
}

/* --- misses --------------------------------------------------------------------------------------------------- */

void *cache_refill(cache *c, unsigned class_index) {
    grow(c, class_index);
    void **array = bottom(c, class_index);
    unsigned room = places(class_index, c->level[class_index]);
    void *block = NULL;
    if (room == 0) {
        store_take(c->heap, class_index, &block + 1, 1);
        return block;
    }
    unsigned want = heap_is_needed_upwards(c->heap) ? 1 : (room + 1) / 2; /* a reserve is not to lie in a cache */
    unsigned got = store_take(c->heap, class_index, array + want, want);
    if (got == 0)
        return NULL;
    if (got != want)
        memmove(array, array + want - got, got * sizeof *array);
    set_top(c, class_index, array + got - 1);
    if (c->heap == &root_heap)
        sample_refilled(class_index, got);
    return array[got - 1];
}

static void free_full(cache *c, unsigned class_index, void *block) {
    if (!grow(c, class_index)) {
        unsigned level = c->level[class_index], room = places(class_index, level);
        if (room == 0) {
            store_give(c->heap, class_index, &block, 1);
            return;
        }
        bool too_large = level > 1 && !share_allows(0);
        unsigned kept = too_large ? places(class_index, level - 1) / 2 : room / 2;
        void **array = bottom(c, class_index);
        store_give(c->heap, class_index, array, room - kept);
        memmove(array, array + room - kept, kept * sizeof *array);
        set_top(c, class_index, array + kept);
        if (too_large)
            shrink(c, class_index);
    }
    *c->top[class_index] = block;
    set_top(c, class_index, c->top[class_index] + 1);
}

void cache_put(cache *c, unsigned class_index, void *block) {
    void **top = c->top[class_index];
    if (top == c->end[class_index]) {
        free_full(c, class_index, block);
    } else {
        *top = block;
        set_top(c, class_index, top + 1);
    }
}

unsigned cache_blocks(const cache *c, unsigned class_index) {
    return (unsigned)(c->top[class_index] - bottom(c, class_index));
}

/* --- giving all back ------------------------------------------------------------------------------------------ */

void cache_drain(cache *c) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        void **array = bottom(c, i);
        unsigned blocks = cache_blocks(c, i);
        set_top(c, i, array);
        if (blocks != 0)
            store_give(c->heap, i, array, blocks);
        drop_array(c, i);
    }
}

void cache_destroy(cache *c) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        drop_array(c, i);
    __atomic_fetch_sub(&c->heap->caches, 1, __ATOMIC_RELEASE);
    table_give(c, sizeof *c);
}
