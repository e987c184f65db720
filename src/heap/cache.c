/* cache.c: a thread's free blocks of one heap, in arrays of pointers.
 *
 * The hottest block comes out first; when an array is full the coldest half goes to the store, and a miss takes half an
 * array from there. Blocks themselves are never touched. Arrays start small and grow while they keep missing, as long
 * as all caches together stay within their share of what may lie idle. Start with cache_refill and cache_put. */
#include "heap.h"

#include <string.h>

enum {
    LEVELS = 4,
    CLASS_BYTES_MAX = 64 << 10, /* in one array */
    BLOCKS_MIN = 4,
    SHARE_MIN = 1 << 20,
};

/* With the NULL below the bottom, an array fills a power of two. */
static const uint16_t level_places[LEVELS] = {0, 15, 63, 255};

static void *no_places[1];

const cache empty_cache = {
    .tag = UINT32_MAX,
    .top = {[0 ... SIZE_CLASSES_COUNT - 1] = no_places + 1},
    .end = {[0 ... SIZE_CLASSES_COUNT - 1] = no_places + 1},
};

/* Bytes that all arrays of all caches could hold. */
static size_t places_bytes;

static unsigned places(unsigned class_index, unsigned level)
{
    unsigned by_bytes = CLASS_BYTES_MAX / size_classes[class_index].size;
    unsigned most = by_bytes > BLOCKS_MIN ? by_bytes : BLOCKS_MIN;
    return level_places[level] < most ? level_places[level] : most;
}

static void **bottom(const cache *c, unsigned class_index)
{
    return c->end[class_index] - places(class_index, c->level[class_index]);
}

static void set_top(cache *c, unsigned class_index, void **top)
{
    __atomic_store_n(&c->top[class_index], top, __ATOMIC_RELAXED);
}

static size_t array_bytes(unsigned level)
{
    return (level_places[level] + (size_t)1) * sizeof(void *);
}

cache *cache_new(rn_heap *heap)
{
    cache *c = table_take(sizeof *c);
    if (c == NULL)
        return NULL;
    *c = empty_cache;
    c->tag = heap->id << TAG_HEAP_SHIFT;
    c->heap = heap;
    return c;
}

/* --- the arrays' sizes ---------------------------------------------------------------------------------------- */

static bool share_allows(size_t more)
{
    size_t live = __atomic_load_n(&span_live_bytes, __ATOMIC_RELAXED);
    size_t share = live / 16 > SHARE_MIN ? live / 16 : SHARE_MIN;
    return __atomic_load_n(&places_bytes, __ATOMIC_RELAXED) + more <= share;
}

static void change_places(unsigned class_index, unsigned from, unsigned to)
{
    size_t size = size_classes[class_index].size;
    __atomic_fetch_add(&places_bytes, places(class_index, to) * size - places(class_index, from) * size,
                       __ATOMIC_RELAXED);
}

/* A larger array with the same blocks. False where there is no larger one, or no memory for it. */
static bool grow(cache *c, unsigned class_index)
{
    unsigned level = c->level[class_index];
    if (level + 1 == LEVELS || places(class_index, level) == places(class_index, level + 1))
        return false;
    size_t size = size_classes[class_index].size;
    if (level != 0 && !share_allows((places(class_index, level + 1) - places(class_index, level)) * size))
        return false;
    void **array = table_take(array_bytes(level + 1));
    if (array == NULL)
        return false;
    void **old = bottom(c, class_index);
    size_t blocks = (size_t)(c->top[class_index] - old);
    array[0] = NULL;
    memcpy(array + 1, old, blocks * sizeof *array);
    c->end[class_index] = array + 1 + places(class_index, level + 1);
    c->level[class_index] = (uint8_t)(level + 1);
    set_top(c, class_index, array + 1 + blocks);
    change_places(class_index, level, level + 1);
    if (level != 0)
        table_give(old - 1, array_bytes(level));
    return true;
}

static void drop_array(cache *c, unsigned class_index)
{
    unsigned level = c->level[class_index];
    if (level == 0)
        return;
    void **array = bottom(c, class_index) - 1;
    c->top[class_index] = c->end[class_index] = no_places + 1;
    c->level[class_index] = 0;
    change_places(class_index, level, 0);
    table_give(array, array_bytes(level));
}

/* --- misses --------------------------------------------------------------------------------------------------- */

static void reverse(void **first, unsigned count)
{
    for (void **last = first + count - 1; first < last; first++, last--) {
        void *block = *first;
        *first = *last;
        *last = block;
    }
}

void *cache_refill(cache *c, unsigned class_index)
{
    grow(c, class_index);
    void **array = bottom(c, class_index);
    unsigned room = places(class_index, c->level[class_index]);
    void *block = NULL;
    if (room == 0) {
        store_take(c->heap, class_index, &block, 1);
        return block;
    }
    unsigned got = store_take(c->heap, class_index, array, (room + 1) / 2);
    if (got == 0)
        return NULL;
    reverse(array, got);
    set_top(c, class_index, array + got - 1);
    return array[got - 1];
}

static void free_full(cache *c, unsigned class_index, void *block)
{
    if (!grow(c, class_index)) {
        unsigned room = places(class_index, c->level[class_index]);
        unsigned out = (room + 1) / 2;
        void **array = bottom(c, class_index);
        if (room == 0) {
            store_give(c->heap, class_index, &block, 1);
            return;
        }
        store_give(c->heap, class_index, array, out);
        memmove(array, array + out, (room - out) * sizeof *array);
        set_top(c, class_index, array + room - out);
    }
    *c->top[class_index] = block;
    set_top(c, class_index, c->top[class_index] + 1);
}

void cache_put(cache *c, unsigned class_index, void *block)
{
    void **top = c->top[class_index];
    if (top == c->end[class_index]) {
        free_full(c, class_index, block);
    } else {
        *top = block;
        set_top(c, class_index, top + 1);
    }
}

unsigned cache_blocks(const cache *c, unsigned class_index)
{
    return (unsigned)(c->top[class_index] - bottom(c, class_index));
}

/* --- giving all back ------------------------------------------------------------------------------------------ */

void cache_drain(cache *c)
{
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        void **array = bottom(c, i);
        unsigned blocks = cache_blocks(c, i);
        set_top(c, i, array);
        if (blocks != 0)
            store_give(c->heap, i, array, blocks);
        drop_array(c, i);
    }
}

void cache_destroy(cache *c)
{
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        drop_array(c, i);
    table_give(c, sizeof *c);
}
