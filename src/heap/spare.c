/* spare.c: caches that ended threads left, as they are, for the next threads to begin with.
 *
 * A program that has a thread for each request would otherwise fill and empty one each time. Only the root's are kept, and a MiB
 * at most; pressure takes them as it does those of threads. The lock here is a leaf. Start with spare_keep. */
#include "hardened.h"

#include <string.h>

enum { SPARES = 8, BYTES_MAX = 1 << 20, BLOCKS_MAX = 4096, SEEN_PLACES = 2 * BLOCKS_MAX, COUNT_WAIT_MS = 20 };

static struct {
    os_mutex lock;
    unsigned count;
    size_t bytes; /* in all of them */
    struct {
        cache *cache;
        size_t bytes;
    } kept[SPARES];
    const void *seen[SEEN_PLACES]; /* a hash table of blocks */
} spare OWN_LINE;

/* --- what is judged --------------------------------------------------------------------------------------------- */

/* A cache that is given back is judged by the stores, block by block. One that is kept must not hide a bad free until then. */

static bool is_live(const struct heap *heap, unsigned class_index, const void *block) {
    const page_entry *entry = page_map_entry(block);
    return entry->tag == (heap->id << TAG_HEAP_SHIFT | class_index) &&
           span_judge(span_of_id(entry->span), block) == SPAN_BLOCK_FINE;
}

/* Among the first places of the table, whose number is a power of two. */
static bool is_first_seen(const void *block, size_t places) {
    size_t place = (uintptr_t)block * 0x9e3779b97f4a7c15u >> 32 & (places - 1); /* Knuth's multiplicative hash */
    for (; spare.seen[place] != NULL; place = (place + 1) & (places - 1))
        if (spare.seen[place] == block)
            return false;
    spare.seen[place] = block;
    return true;
}

static bool is_sound(const cache *c, size_t blocks) {
    size_t places = 64;
    while (places < 2 * blocks)
        places *= 2;
    memset(spare.seen, 0, places * sizeof *spare.seen);
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        for (void **block = c->top[i] - cache_blocks(c, i); block != c->top[i]; block++)
            if (!is_live(c->heap, i, *block) || !is_first_seen(*block, places))
                return false;
    return true;
}

/* --- keeping ---------------------------------------------------------------------------------------------------- */

static size_t bytes_in(const cache *c, size_t *blocks) {
    size_t bytes = 0;
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        *blocks += cache_blocks(c, i);
        bytes += cache_blocks(c, i) * (size_t)size_classes[i].size;
    }
    return bytes;
}

/* Under the lock; it is also read without. */
static void set_count(unsigned count) {
    __atomic_store_n(&spare.count, count, __ATOMIC_RELAXED);
}

bool spare_keep(cache *c) {
    if (hardened || c->heap != &root_heap)
        return false;
    size_t blocks = 0, bytes = bytes_in(c, &blocks);
    os_lock(&spare.lock);
    bool kept = spare.count < SPARES && blocks <= BLOCKS_MAX && spare.bytes + bytes <= BYTES_MAX && is_sound(c, blocks);
    if (kept) {
        spare.kept[spare.count].cache = c;
        spare.kept[spare.count].bytes = bytes;
        spare.bytes += bytes;
        set_count(spare.count + 1);
    }
    os_unlock(&spare.lock);
    return kept;
}

cache *spare_take(const struct heap *heap) {
    if (heap != &root_heap || __atomic_load_n(&spare.count, __ATOMIC_RELAXED) == 0)
        return NULL;
    cache *c = NULL;
    os_lock(&spare.lock);
    if (spare.count != 0) {
        set_count(spare.count - 1);
        c = spare.kept[spare.count].cache;
        spare.bytes -= spare.kept[spare.count].bytes;
    }
    os_unlock(&spare.lock);
    return c;
}

void spare_give_all(void) {
    for (cache *c; (c = spare_take(&root_heap)) != NULL;) {
        cache_drain(c);
        cache_destroy(c);
    }
}

void spare_count_cached(size_t blocks[SIZE_CLASSES_COUNT]) {
    if (!os_lock_within(&spare.lock, COUNT_WAIT_MS))
        return;
    for (unsigned at = 0; at < spare.count; at++)
        for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
            blocks[i] += cache_blocks(spare.kept[at].cache, i);
    os_unlock(&spare.lock);
}

void spare_lock(void) {
    os_lock(&spare.lock);
}

void spare_unlock(void) {
    os_unlock(&spare.lock);
}
