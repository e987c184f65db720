/* spare.c: caches that ended threads left, as they are, for the next threads to begin with.
 *
 * A program that has a thread for each request would otherwise fill and empty one each time. Only the root's are kept, and a MiB
 * at most; pressure takes them as it does those of threads. The lock here is a leaf. Start with spare_keep. */
#include "hardened.h"

enum { SPARES = 8, BYTES_MAX = 1 << 20, COUNT_WAIT_MS = 20 };

static struct {
    os_mutex lock;
    unsigned count;
    size_t bytes; /* in all of them */
    struct {
        cache *cache;
        size_t bytes;
    } kept[SPARES];
} spare OWN_LINE;

static size_t bytes_in(const cache *c) {
    size_t bytes = 0;
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        bytes += cache_blocks(c, i) * (size_t)size_classes[i].size;
    return bytes;
}

/* Under the lock; it is also read without. */
static void set_count(unsigned count) {
    __atomic_store_n(&spare.count, count, __ATOMIC_RELAXED);
}

bool spare_keep(cache *c) {
    if (hardened || c->heap != &root_heap)
        return false;
    size_t bytes = bytes_in(c);
    os_lock(&spare.lock);
    bool kept = spare.count < SPARES && spare.bytes + bytes <= BYTES_MAX;
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
