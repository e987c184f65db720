/* model.c: the rn_ functions at random over several heaps and threads, against a model: each block has a size, a heap,
 * and a pattern that follows from its seed. Blocks change hands through shelves, so that many are freed elsewhere; each
 * thread makes and destroys heaps of its own as it goes.
 *
 * Registered a second time with RATION_HARDEN=1. Start with one_operation. */
#include "check.h"
#include "random.h"

#include <pthread.h>
#include <ration/ration.h>

enum { THREADS = 4, OPERATIONS = 40000, SLOTS = 300, SHARED_HEAPS = 4, SHELVES = 64, OWN_SLOTS = 100 };

typedef struct block {
    unsigned char *bytes;
    size_t size;
    uint64_t seed;
    rn_heap *heap;
} block;

typedef struct worker {
    random_source source;
    block slots[SLOTS];   /* of the shared heaps */
    block own[OWN_SLOTS]; /* of own_heap, and go with it */
    rn_heap *own_heap;
} worker;

static rn_heap *shared[SHARED_HEAPS];

static struct {
    int taken;
    block block;
} shelves[SHELVES];

/* --- patterns --------------------------------------------------------------------------------------------------- */

/* Every byte of a small block; of a large one its ends and a byte a page. */
static size_t step_at(const block *b, size_t offset) {
    return b->size < 8192 || offset < 64 || b->size - offset <= 4160 ? 1 : 4096;
}

static unsigned char byte_at(const block *b, size_t offset) {
    return (unsigned char)((b->seed + offset) * 31 >> 3);
}

static void write_pattern(const block *b) {
    for (size_t i = 0; i < b->size; i += step_at(b, i))
        b->bytes[i] = byte_at(b, i);
}

static void check_pattern(const block *b, size_t size) {
    for (size_t i = 0; i < size; i += step_at(b, i))
        if (b->bytes[i] != byte_at(b, i)) {
            check_fail(__FILE__, __LINE__, "seed %llu: %p of %zu bytes was overwritten at %zu",
                       (unsigned long long)random_seed(), (void *)b->bytes, b->size, i);
            return;
        }
}

/* --- operations ------------------------------------------------------------------------------------------------- */

static void keep(worker *w, block *slot, void *bytes, size_t size, rn_heap *heap) {
    REQUIRE(bytes != NULL);
    block kept = {bytes, size, random_next(&w->source), heap};
    *slot = kept;
    CHECK_EQ(heap, rn_heap_of(bytes));
    CHECK(rn_usable_size(bytes) >= size);
    write_pattern(slot);
}

static void drop(block *slot) {
    if (slot->bytes == NULL)
        return;
    check_pattern(slot, slot->size);
    rn_free(slot->bytes);
    slot->bytes = NULL;
}

static void fill_plain(worker *w, block *slot, rn_heap *heap) {
    size_t size = random_size(&w->source, 18);
    keep(w, slot, rn_heap_malloc(heap, size), size, heap);
}

static void fill_pushed(worker *w, block *slot, rn_heap *heap) {
    size_t size = random_size(&w->source, 14);
    rn_heap_push(heap);
    keep(w, slot, rn_malloc(size), size, heap);
    rn_heap_pop();
}

static void fill_zeroed(worker *w, block *slot, rn_heap *heap) {
    size_t size = random_size(&w->source, 18);
    unsigned char *bytes = rn_heap_calloc(heap, 1, size);
    for (size_t i = 0; bytes != NULL && i < size; i++)
        if (bytes[i] != 0) {
            check_fail(__FILE__, __LINE__, "seed %llu: calloc of %zu is not zero at %zu",
                       (unsigned long long)random_seed(), size, i);
            break;
        }
    keep(w, slot, bytes, size, heap);
}

static void fill_aligned(worker *w, block *slot, rn_heap *heap) {
    size_t size = random_size(&w->source, 16), align = (size_t)1 << random_below(&w->source, 15);
    void *bytes = rn_heap_aligned_alloc(heap, align, size);
    CHECK_EQ(0u, (uintptr_t)bytes & (align - 1));
    keep(w, slot, bytes, size, heap);
}

static void refill(worker *w, block *slot, rn_heap *heap) {
    static void (*const fills[])(worker *, block *, rn_heap *) = {fill_plain,  fill_plain,  fill_plain,
                                                                  fill_pushed, fill_zeroed, fill_aligned};
    drop(slot);
    fills[random_below(&w->source, sizeof fills / sizeof *fills)](w, slot, heap);
}

static void resize(worker *w, block *slot) {
    if (slot->bytes == NULL)
        return;
    check_pattern(slot, slot->size);
    size_t size = random_size(&w->source, 18), common = size < slot->size ? size : slot->size;
    block moved = *slot;
    moved.bytes = rn_realloc(slot->bytes, size);
    REQUIRE(moved.bytes != NULL);
    check_pattern(&moved, common);
    keep(w, slot, moved.bytes, size, slot->heap);
}

static void exchange(worker *w, block *slot) {
    size_t i = random_below(&w->source, SHELVES);
    if (__atomic_exchange_n(&shelves[i].taken, 1, __ATOMIC_ACQUIRE))
        return;
    block other = shelves[i].block;
    shelves[i].block = *slot;
    __atomic_store_n(&shelves[i].taken, 0, __ATOMIC_RELEASE);
    *slot = other;
}

/* The heap goes with the blocks that are in it; each is looked at first. */
static void renew_own_heap(worker *w) {
    for (size_t i = 0; i < OWN_SLOTS; i++) {
        if (w->own[i].bytes != NULL)
            check_pattern(&w->own[i], w->own[i].size);
        w->own[i].bytes = NULL;
    }
    rn_heap_destroy(w->own_heap);
    w->own_heap = rn_heap_new(shared[random_below(&w->source, SHARED_HEAPS)], "own", 0);
    REQUIRE(w->own_heap != NULL);
}

static void one_operation(worker *w) {
    size_t kind = random_below(&w->source, 2000);
    block *slot = &w->slots[random_below(&w->source, SLOTS)];
    if (kind == 0)
        rn_heap_trim(shared[random_below(&w->source, SHARED_HEAPS)]);
    else if (kind < 4)
        renew_own_heap(w);
    else if (kind < 300)
        refill(w, &w->own[random_below(&w->source, OWN_SLOTS)], w->own_heap);
    else if (kind < 500)
        resize(w, slot);
    else if (kind < 900)
        exchange(w, slot);
    else if (kind < 1400)
        drop(slot);
    else
        refill(w, slot, shared[random_below(&w->source, SHARED_HEAPS)]);
}

static worker workers[THREADS];

static void *work(void *argument) {
    worker *w = argument;
    renew_own_heap(w);
    for (int i = 0; i < OPERATIONS; i++)
        one_operation(w);
    for (size_t i = 0; i < SLOTS; i++)
        drop(&w->slots[i]);
    renew_own_heap(w);
    rn_heap_destroy(w->own_heap);
    w->own_heap = NULL;
    return NULL;
}

static void run(size_t threads) {
    rn_heap_trim(rn_heap_root());
    rn_stats before, after;
    rn_heap_stats(rn_heap_root(), &before);
    for (size_t i = 0; i < SHARED_HEAPS; i++)
        REQUIRE((shared[i] = rn_heap_new(i < 2 ? NULL : shared[i - 2], "shared", 0)) != NULL);
    pthread_t ids[THREADS];
    for (size_t i = 0; i < threads; i++) {
        workers[i].source = random_start(i + 10);
        REQUIRE(pthread_create(&ids[i], NULL, work, &workers[i]) == 0);
    }
    for (size_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    for (size_t i = 0; i < SHELVES; i++)
        drop(&shelves[i].block);
    for (size_t i = SHARED_HEAPS; i-- > 0;) {
        rn_heap_trim(shared[i]);
        rn_heap_stats(shared[i], &after);
        CHECK_EQ(0u, after.objects);
        CHECK_EQ(0u, after.live);
        rn_heap_destroy(shared[i]);
    }
    rn_heap_stats(rn_heap_root(), &after);
    CHECK_EQ(before.used, after.used);
    CHECK_EQ(before.objects, after.objects);
}

static void one_thread_follows_the_model(void) {
    run(1);
}

static void several_threads_follow_the_model(void) {
    run(THREADS);
}

TESTS(TEST(one_thread_follows_the_model), TEST(several_threads_follow_the_model))
