/* malloc.c: the way in and out: the fast paths of malloc and free, and what they leave by.
 *
 * The fast paths are sacred: no lock, no call, no count. tests/packaging holds them to their instructions. Everything
 * that must see every allocation points the thread at the empty cache instead of adding a branch here. */
#include "malloc.h"
#include "footprint.h"
#include "sample.h"
#include "section.h"
#include "tell_valgrind.h"

#include <errno.h>
#include <string.h>

/* A loop's speed depends on where these begin by up to a fifth. */
#define HOT __attribute__((aligned(64)))

/* --- taking --------------------------------------------------------------------------------------------------- */

static inline void *take_cached(size_t size, size_t class_index) {
    void *block = section_pop(class_index);
    return LIKELY(block != NULL) ? block : malloc_slow(size);
}

HOT void *rn_malloc(size_t size) {
    if (LIKELY(size <= TINY_MAX))
        return take_cached(size, size_class_of_tiny[(size + 15) >> TINY_STEP_SHIFT]);
    if (LIKELY(size <= SMALL_MAX))
        return take_cached(size, size_class_of_small[(size + 127) >> SMALL_STEP_SHIFT]);
    return malloc_slow(size);
}

static void *denied(struct heap *heap, size_t bytes) {
    pressure_denied(heap, bytes);
    errno = ENOMEM;
    return NULL;
}

/* A block where the thread can have no caches. */
static void *take_uncached(struct heap *heap, unsigned class_index) {
    void *block = NULL;
    store_take(heap, class_index, &block + 1, 1);
    return block;
}

static void *take_small(struct heap *heap, unsigned class_index) {
    cache *c = local_enter();
    if (c == NULL)
        return take_uncached(heap, class_index);
    if (c->heap != heap && (c = local_cache_for(heap)) == NULL) {
        local_end();
        return take_uncached(heap, class_index);
    }
    void **top = c->top[class_index];
    void *block = top[-1];
    if (block != NULL)
        __atomic_store_n(&c->top[class_index], top - 1, __ATOMIC_RELAXED);
    else
        block = cache_refill(c, class_index);
    local_end();
    return block;
}

/* The class for a block at a multiple of align: spans begin at a granule, so every block of a class whose size is such a
 * multiple does. SIZE_CLASSES_COUNT where there is none. */
static inline unsigned aligned_class(size_t align, size_t size) {
    size_t rounded = (size + align - 1) & ~(align - 1);
    if (UNLIKELY(align > GRANULE || rounded < size || rounded > SMALL_MAX))
        return SIZE_CLASSES_COUNT;
    unsigned class_index = size_class_index(rounded == 0 ? align : rounded);
    while (UNLIKELY((size_classes[class_index].size & (align - 1)) != 0))
        if (++class_index == SIZE_CLASSES_COUNT)
            break;
    return class_index;
}

static void *take_unhardened(struct heap *heap, unsigned class_index, size_t size, size_t align) {
    void *block = NULL;
    if (UNLIKELY(sample_is_due(heap, class_index)))
        block = sample_take(aligned_class(align, size + HARDENED_SEAL), size);
    return LIKELY(block == NULL) ? take_small(heap, class_index) : block;
}

static void *take_any(struct heap *heap, size_t size, size_t align, bool *clean) {
    unsigned class_index = aligned_class(align, hardened ? size + HARDENED_SEAL : size);
    if (class_index < SIZE_CLASSES_COUNT)
        return hardened ? hardened_take(heap, class_index, size) : take_unhardened(heap, class_index, size, align);
    return hardened ? hardened_take_large(heap, size, align, clean) : large_take(heap, size, align, clean);
}

/* What a request may be charged at most: hardened, a large block lies between guards. */
static size_t most_charged(size_t size, size_t align) {
    if (size == 0)
        return most_charged(1, align);
    return hardened ? size + (align > os.page_size ? align : os.page_size) + 2 * os.page_size : size;
}

/* The whole way in. clean says whether the block reads as zero. */
static void *take(struct heap *heap, size_t size, size_t align, bool *clean) {
    start_once();
    *clean = false;
    void *block = NULL;
    this_thread.inside++;
    if (LIKELY(size <= PTRDIFF_MAX)) {
        block = take_any(heap, size, align, clean);
        for (unsigned stages = 0;
             UNLIKELY(block == NULL) && pressure_relieve(heap, most_charged(size, align), &stages);)
            block = take_any(heap, size, align, clean);
    }
    this_thread.inside--;
    if (UNLIKELY(this_thread.due))
        do_what_is_due(heap);
    tell_taken(block, size, *clean);
    return LIKELY(block != NULL) ? block : denied(heap, size);
}

COLD void *malloc_slow(size_t size) {
    return heap_malloc(current_heap(), size);
}

void *heap_malloc(struct heap *heap, size_t size) {
    bool clean;
    return take(heap, size, 1, &clean);
}

void *rn_heap_malloc(rn_heap *heap, size_t size) {
    return heap_malloc(heap_of(heap), size);
}

/* --- giving --------------------------------------------------------------------------------------------------- */

HOT void rn_free(void *block) {
    block = untagged(block);
    if (UNLIKELY(!section_push(page_map_entry(block), block)))
        free_slow(block);
}

static void give_small(span *s, void *block) {
    cache *c = local_enter();
    if (c != NULL && c->heap == s->heap) {
        if (c->top[s->class_index][-1] == block)
            misuse_block(block, SPAN_BLOCK_FREE_ALREADY);
        cache_put(c, s->class_index, block);
        local_end();
        return;
    }
    if (c != NULL)
        local_end();
    store_give(s->heap, s->class_index, &block, 1);
}

/* The span in use that an address lies in; where it lies in none, that is said, and the end. */
static inline span *span_in_use(const void *block, void (*misused)(const void *, span_verdict)) {
    page_entry *entry = page_map_entry(block);
    if (entry->tag == 0 || !page_map_reaches(block))
        misused(block, SPAN_BLOCK_FOREIGN);
    if ((entry->tag & 0xff) == TAG_FREE)
        misused(block, SPAN_BLOCK_GONE);
    if ((entry->tag & 0xff) == TAG_CHUNK)
        misused(block, SPAN_BLOCK_PIECE);
    return span_of_id(entry->span);
}

COLD void free_slow(void *block) {
    if (block == NULL || UNLIKELY(this_thread.aborting))
        return;
    start_once();
    span *s = span_in_use(block, misuse_block);
    tell_given(block);
    this_thread.inside++;
    if (s->state == SPAN_LARGE)
        (s->hardened ? hardened_give_large : large_give)(s, block);
    else if (!s->hardened)
        give_small(s, block);
    else if (hardened)
        hardened_give(s, block);
    else
        hardened_give_uncached(s, block);
    this_thread.inside--;
}

/* --- the rest of the face ------------------------------------------------------------------------------------- */

void *heap_calloc(struct heap *heap, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return denied(heap, SIZE_MAX);
    bool clean;
    void *block = take(heap, bytes, 1, &clean);
    return block == NULL || clean ? block : memset(block, 0, bytes);
}

void *rn_heap_calloc(rn_heap *heap, size_t count, size_t size) {
    return heap_calloc(heap_of(heap), count, size);
}

void *rn_calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SMALL_MAX)
        return heap_calloc(current_heap(), count, size);
    void *block = rn_malloc(bytes);
    return block == NULL ? NULL : memset(block, 0, bytes);
}

void *heap_aligned_alloc(struct heap *heap, size_t align, size_t size) {
    if (align == 0 || (align & (align - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    bool clean;
    return take(heap, size, align, &clean);
}

void *rn_heap_aligned_alloc(rn_heap *heap, size_t align, size_t size) {
    return heap_aligned_alloc(heap_of(heap), align, size);
}

static COLD void *aligned_slow(size_t align, size_t size) {
    return heap_aligned_alloc(current_heap(), align, size);
}

void *rn_aligned_alloc(size_t align, size_t size) {
    if (LIKELY(align != 0 && (align & (align - 1)) == 0 && !hardened)) {
        unsigned class_index = aligned_class(align, size);
        void *block = LIKELY(class_index < SIZE_CLASSES_COUNT) ? section_pop(class_index) : NULL;
        if (LIKELY(block != NULL))
            return block;
    }
    return aligned_slow(align, size);
}

static span *span_to_use(const void *block) {
    return span_in_use(block, misuse_use);
}

static size_t usable(const span *s, const void *block) {
    if (s->hardened)
        return hardened_size(s, block);
    return s->state == SPAN_LARGE ? s->size : size_classes[s->class_index].size;
}

size_t rn_usable_size(const void *block) {
    if (block == NULL)
        return 0;
    block = untagged((void *)block);
    return usable(span_to_use(block), block);
}

static void *move_block(struct heap *from, void *block, size_t old_size, size_t size) {
    struct heap *heap = heap_in_service(from);
    int saved = errno;
    void *moved = heap == current_heap() ? rn_malloc(size) : heap_malloc(heap, size);
    if (moved == NULL && size <= old_size) {
        errno = saved;
        return block; /* large enough as it is */
    }
    if (moved == NULL)
        return NULL;
    tell_copying(true);
    memcpy(moved, block, old_size < size ? old_size : size);
    tell_copying(false);
    rn_free(block);
    return moved;
}

static inline void check_start(const span *s, const void *block) {
    uintptr_t offset = (uintptr_t)block - s->start;
    if (s->state == SPAN_LARGE ? offset != 0 : span_index(&size_classes[s->class_index], offset) == SPAN_NOT_A_BLOCK)
        misuse_use(block, SPAN_BLOCK_INTERIOR);
}

static void *resize_large(span *s, size_t size) {
    void *block = (void *)s->start;
    struct heap *heap = heap_in_service(s->heap);
    tell_copying(true);
    void *resized = large_resize(s, size);
    for (unsigned stages = 0; UNLIKELY(resized == NULL) && pressure_relieve(heap, size, &stages);)
        resized = large_resize(s, size);
    tell_copying(false);
    if (UNLIKELY(this_thread.due))
        do_what_is_due(heap);
    if (resized == NULL)
        return denied(heap, size);
    if (resized == block) {
        tell_resized(block, size);
    } else {
        tell_given(block);
        tell_taken(resized, size, true);
    }
    return resized;
}

/* Blocks that are large or hardened. */
static COLD void *realloc_slow(void *block, size_t size) {
    span *s = span_to_use(block);
    size_t old_size = usable(s, block);
    if (s->hardened)
        return size == old_size ? block : move_block(heap_served(s), block, old_size, size);
    check_start(s, block);
    return size > SMALL_MAX ? resize_large(s, size) : move_block(s->heap, block, old_size, size);
}

void *rn_realloc(void *block, size_t size) {
    if (UNLIKELY(block == NULL))
        return rn_malloc(size);
    block = untagged(block);
    const page_entry *entry = page_map_entry(block);
    const span *s = span_of_id(entry->span);
    unsigned class_index = entry->tag & 0xff;
    if (UNLIKELY(class_index >= SIZE_CLASSES_COUNT || entry->tag == 0 || s->hardened || !page_map_reaches(block)))
        return realloc_slow(block, size);
    check_start(s, block);
    size_t old_size = size_classes[class_index].size;
    if (size > old_size || (size <= old_size / 2 && old_size > 32))
        return move_block(s->heap, block, old_size, size);
    tell_resized(block, size);
    return block;
}

rn_heap *rn_heap_of(const void *block) {
    const span *s = NULL;
    block = untagged((void *)block);
    page_entry *entry = page_map_entry(block);
    if (entry->tag != 0 && (entry->tag & 0xff) != TAG_FREE && page_map_reaches(block))
        s = span_of_id(entry->span);
    return s == NULL ? NULL : handle_of(s->heap);
}
