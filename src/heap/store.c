/* store.c: the spans of one class in one heap.
 *
 * The fullest span with free blocks serves first, so that the emptier ones can empty; an empty span goes back to the
 * page heap at once. A span whose free blocks lie on pages that are not committed is latent: it is used only when the
 * buckets are empty. Start with store_take and store_give. */
#include "sample.h"

static struct {
    size_t committed;  /* in spans of blocks */
    size_t purge_mark; /* when idle bytes pass it, pages to return are looked for */
    size_t purged_bytes;
    size_t others_mark; /* when idle bytes pass it, the other heaps are gone through, too; under the tree's lock */
} OWN_LINE figures;

/* Blocks that were taken; or, negative, given back. */
static void count_out(unsigned class_index, size_t blocks) {
    __atomic_fetch_add(&live_bytes.small, blocks * size_classes[class_index].size, __ATOMIC_RELAXED);
}

/* The same of one store, under its lock; statistics read it without. */
static void store_count_out(block_store *store, unsigned blocks) {
    __atomic_store_n(&store->blocks_out, store->blocks_out + blocks, __ATOMIC_RELAXED);
}

/* Bytes committed; or, negative, returned. */
static void count_committed(size_t bytes) {
    __atomic_fetch_add(&figures.committed, bytes, __ATOMIC_RELAXED);
}

/* What spans of blocks have committed beyond the blocks taken from them. */
static size_t idle_bytes(void) {
    size_t committed = __atomic_load_n(&figures.committed, __ATOMIC_RELAXED);
    size_t out = __atomic_load_n(&live_bytes.small, __ATOMIC_RELAXED);
    return committed > out ? committed - out : 0;
}

/* --- lists ---------------------------------------------------------------------------------------------------- */

static uint32_t tag_of(const struct heap *heap, unsigned class_index) {
    return heap->id << TAG_HEAP_SHIFT | class_index;
}

enum { BUCKET_LATENT = STORE_BUCKETS, FULL = STORE_BUCKETS - 1 };

static span **list_of(block_store *store, unsigned bucket) {
    return bucket == BUCKET_LATENT ? &store->latent : &store->buckets[bucket];
}

static void unlist(block_store *store, span *s) {
    s->moves_at = 1;
    if (s->bucket == SPAN_UNLISTED)
        return;
    if (s->next != NULL)
        s->next->prev = s->prev;
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        *list_of(store, s->bucket) = s->next;
    s->bucket = SPAN_UNLISTED;
}

/* How many free blocks a span in the bucket may come to have before it belongs elsewhere. */
static unsigned free_until_moved(const span *s, unsigned bucket) {
    unsigned soon = s->free + 1u;
    if (bucket == BUCKET_LATENT)
        return soon;
    unsigned empty = s->carved, emptier = empty + 1 - s->capacity * bucket / FULL;
    unsigned most = emptier < empty ? emptier : empty;
    return soon < most ? most : soon;
}

static void enlist(block_store *store, span *s, unsigned bucket) {
    if (s->bucket != bucket)
        unlist(store, s);
    s->moves_at = (uint16_t)free_until_moved(s, bucket);
    if (s->bucket == bucket)
        return;
    span **head = list_of(store, bucket);
    s->prev = NULL;
    s->next = *head;
    if (s->next != NULL)
        s->next->prev = s;
    *head = s;
    s->bucket = (uint8_t)bucket;
}

static unsigned bucket_of(const span *s) {
    unsigned used = (unsigned)(s->carved - s->free);
    return used * FULL / s->capacity;
}

static span *fullest(block_store *store) {
    for (unsigned bucket = STORE_BUCKETS; bucket-- > 0;)
        if (store->buckets[bucket] != NULL)
            return store->buckets[bucket];
    return NULL;
}

/* --- more blocks ---------------------------------------------------------------------------------------------- */

static span *new_span(struct heap *heap, unsigned class_index) {
    size_t bytes = size_class_span(&size_classes[class_index], heap->stores[class_index].blocks_out);
    span *fresh = page_heap_take(bytes, 0, SPAN_SMALL, tag_of(heap, class_index), heap);
    if (fresh == NULL)
        return NULL;
    size_t committed = span_committed(fresh);
    if (committed != 0 && !heap_charge(heap, committed)) {
        /* Too much at once; of clean pages one will do. */
        if (span_purge(fresh, NULL) != committed) {
            page_heap_give(fresh, span_used_pages(fresh));
            return NULL;
        }
        committed = 0;
    }
    count_committed(committed);
    fresh->hardened = hardened || heap == &sampled_heap;
    heap_add_span(heap, fresh);
    return fresh;
}

/* Commits one more page of a latent span. */
static bool commit_more(struct heap *heap, span *s) {
    bool reviving = span_revive_cost(s) != 0;
    size_t cost = reviving ? span_revive_cost(s) : span_carve_cost(s);
    if (cost != 0 && !heap_charge(heap, cost))
        return false;
    if (!(reviving ? span_revive(s) : span_carve(s))) {
        heap_uncharge(heap, cost);
        return false;
    }
    count_committed(cost);
    if (reviving)
        regret_revived(cost);
    return true;
}

/* A span with blocks to take, or NULL where memory is denied. */
static span *span_to_take_from(struct heap *heap, block_store *store, unsigned class_index) {
    span *s = fullest(store);
    if (s != NULL)
        return s;
    s = store->latent;
    if (s == NULL && (s = new_span(heap, class_index)) == NULL)
        return NULL;
    if (!commit_more(heap, s)) {
        enlist(store, s, BUCKET_LATENT);
        return NULL;
    }
    enlist(store, s, bucket_of(s));
    return s;
}

/* After blocks were taken: where the span belongs now. */
static void settle_taken(block_store *store, span *s, bool exhausted) {
    if (!exhausted)
        enlist(store, s, bucket_of(s));
    else if (s->free != 0 || s->carved != s->capacity)
        enlist(store, s, BUCKET_LATENT);
    else
        unlist(store, s);
}

unsigned store_take(struct heap *heap, unsigned class_index, void **end, unsigned want) {
    block_store *store = &heap->stores[class_index];
    unsigned taken = 0;
    os_lock(&store->lock);
    while (taken < want) {
        span *s = span_to_take_from(heap, store, class_index);
        if (s == NULL)
            break;
        taken += span_take_blocks(s, end - taken, want - taken);
        settle_taken(store, s, s->free == 0 || taken < want);
    }
    store_count_out(store, taken);
    os_unlock(&store->lock);
    count_out(class_index, taken);
    return taken;
}

/* --- fewer blocks --------------------------------------------------------------------------------------------- */

static void return_empty(struct heap *heap, block_store *store, span *s) {
    unlist(store, s);
    size_t committed = span_committed(s);
    count_committed(-committed);
    heap_remove_span(heap, s);
    page_heap_give(s, span_used_pages(s));
    heap_uncharge(heap, committed); /* only now: in between, a limit sees it twice rather than not at all */
}

/* After blocks were given: where the span belongs now. */
static void settle_given(struct heap *heap, block_store *store, span *s) {
    if (s->free == s->carved)
        return_empty(heap, store, s);
    else
        enlist(store, s, bucket_of(s));
}

static size_t purge_whole_class(struct heap *heap, unsigned class_index);

/* Under the tree's lock. */
static void purge_others(const struct heap *purged, size_t most_idle) {
    for (struct heap *heap = heap_first_in(&root_heap); heap != NULL; heap = heap_next_in(&root_heap, heap))
        for (unsigned i = 0; i < SIZE_CLASSES_COUNT && heap != purged && idle_bytes() > most_idle; i++)
            purge_whole_class(heap, i);
}

/* What is left after they were gone through lies on pages that can't be given back, and may be much where heaps are many: so a part
 * of that must come to lie idle before it is worth the way again. */
static bool others_are_due(size_t step) {
    size_t idle = idle_bytes(), due = idle + (idle / 4 > step ? idle / 4 : step);
    if (due < figures.others_mark)
        figures.others_mark = due;
    return idle > figures.others_mark;
}

static void purge_others_if_due(const struct heap *purged, size_t step) {
    if (!others_are_due(step))
        return;
    purge_others(purged, step);
    figures.others_mark = SIZE_MAX;
    others_are_due(step);
}

/* First the heap that has the handle, if one still does; what is idle may be other heaps'. */
static void purge_by_handle(const rn_heap *handle, size_t step) {
    heap_lock_tree();
    struct heap *heap = handle == root_heap.handle ? &root_heap : heap_places[heap_place_of(handle)];
    if (heap != NULL && heap->handle == handle)
        store_purge_heap(heap);
    purge_others_if_due(heap, step);
    heap_unlock_tree();
}

static void purge_down_to(size_t most_idle) {
    heap_lock_tree();
    purge_others(NULL, most_idle);
    heap_unlock_tree();
}

/* Where less may wait than did. */
static void purge_faded(size_t step) {
    page_heap_purge_excess();
    if (idle_bytes() > step)
        purge_down_to(step / 2);
}

/* Looks for pages to return each time that idle bytes have grown by as much as may lie idle, since they were fewest. */
static void purge_excess(const rn_heap *handle) {
    size_t step = free_allowance();
    if (UNLIKELY(regret_has_faded()))
        purge_faded(step);
    size_t idle = idle_bytes();
    size_t mark = __atomic_load_n(&figures.purge_mark, __ATOMIC_RELAXED);
    if (idle + step < mark || mark == 0)
        __atomic_store_n(&figures.purge_mark, idle + step, __ATOMIC_RELAXED);
    if (LIKELY(idle <= mark) || mark == 0)
        return;
    __atomic_store_n(&figures.purge_mark, SIZE_MAX, __ATOMIC_RELAXED);
    purge_by_handle(handle, step);
    __atomic_store_n(&figures.purge_mark, idle_bytes() + step, __ATOMIC_RELAXED);
}

static _Noreturn void refuse(struct heap *heap, unsigned class_index, const void *block) {
    os_unlock(&heap->stores[class_index].lock);
    const page_entry *entry = page_map_entry(block);
    if (entry->tag != tag_of(heap, class_index))
        misuse_of_gone(block, heap, class_index);
    misuse_block(block, span_judge(span_of_id(entry->span), block));
}

/* The span that a block lies in, if it is one of the heap and class. */
static span *span_holding(struct heap *heap, unsigned class_index, const void *block) {
    const page_entry *entry = page_map_entry(block);
    if (UNLIKELY(entry->tag != tag_of(heap, class_index)))
        refuse(heap, class_index, block);
    return span_of_id(entry->span);
}

/* Blocks of a batch mostly lie in one span after the other, so the last one's is tried first. */
void store_give(struct heap *heap, unsigned class_index, void *const *blocks, unsigned count) {
    block_store *store = &heap->stores[class_index];
    const size_class class = size_classes[class_index]; /* in registers: no store below can change it */
    span *s = NULL;
    unsigned index = 0, until_moved = 0; /* how many more free blocks the span's count in free lacks to its moves_at */
    count_out(class_index, 0 - (size_t)count);
    os_lock(&store->lock);
    for (unsigned i = 0; i < count; i++) {
        if (s == NULL || (index = span_carved_index(s, &class, blocks[i])) == SPAN_NOT_A_BLOCK) {
            if (s != NULL)
                s->free = (uint16_t)(s->moves_at - until_moved);
            s = span_holding(heap, class_index, blocks[i]);
            until_moved = s->moves_at - (unsigned)s->free;
            index = span_carved_index(s, &class, blocks[i]);
        }
        if (UNLIKELY(index == SPAN_NOT_A_BLOCK || !span_mark_free(s, index))) {
            s->free = (uint16_t)(s->moves_at - until_moved);
            refuse(heap, class_index, blocks[i]);
        }
        if (UNLIKELY(--until_moved == 0)) {
            s->free = s->moves_at;
            settle_given(heap, store, s);
            s = NULL;
        }
    }
    if (s != NULL)
        s->free = (uint16_t)(s->moves_at - until_moved);
    store_count_out(store, 0 - count);
    const rn_heap *handle = __atomic_load_n(&heap->handle, __ATOMIC_RELAXED);
    os_unlock(&store->lock); /* these may have been its last blocks, and it may be retired and gone from here on */
    if (handle != NULL)
        purge_excess(handle);
}

/* --- purging -------------------------------------------------------------------------------------------------- */

/* Spans nearly full have no page to give. */
enum { PURGE_BUCKETS = STORE_BUCKETS - 1 };

/* Spans of a class that may have a page to give: the first, and the one behind s. */
static span *first_from(const block_store *store, unsigned bucket) {
    while (bucket < PURGE_BUCKETS && store->buckets[bucket] == NULL)
        bucket++;
    return bucket < PURGE_BUCKETS ? store->buckets[bucket] : NULL;
}

static span *next_to_purge(const block_store *store, const span *s) {
    return s->next != NULL ? s->next : first_from(store, s->bucket + 1u);
}

/* A freed block half of whose pattern is purged would look as if written to. */
static size_t purge_blocks(span *s, purge_slice *slice) {
    return s->hardened ? 0 : span_purge(s, slice);
}

/* The heap's store of the class is locked. */
static void count_purged(struct heap *heap, size_t bytes) {
    if (bytes == 0)
        return;
    heap_uncharge(heap, bytes);
    count_committed(-bytes);
    __atomic_fetch_add(&figures.purged_bytes, bytes, __ATOMIC_RELAXED);
    regret_purged();
}

void store_purge_class(struct heap *heap, unsigned class_index, unsigned *spans, purge_slice *slice) {
    block_store *store = &heap->stores[class_index];
    size_t bytes = 0;
    unsigned looked = 0;
    os_lock(&store->lock);
    span *s = first_from(store, 0);
    for (; s != NULL && !purge_slice_is_over(slice); s = next_to_purge(store, s))
        if (looked++ >= *spans)
            bytes += purge_blocks(s, slice);
    *spans = s == NULL || looked <= *spans ? 0 : looked;
    count_purged(heap, bytes);
    os_unlock(&store->lock);
}

static size_t purge_whole_class(struct heap *heap, unsigned class_index) {
    block_store *store = &heap->stores[class_index];
    size_t bytes = 0;
    os_lock(&store->lock);
    for (span *s = first_from(store, 0); s != NULL; s = next_to_purge(store, s))
        bytes += purge_blocks(s, NULL);
    count_purged(heap, bytes);
    os_unlock(&store->lock);
    return bytes;
}

size_t store_purge_heap(struct heap *heap) {
    size_t bytes = 0;
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        bytes += purge_whole_class(heap, i);
    return bytes;
}

size_t store_purged_bytes(void) {
    return __atomic_load_n(&figures.purged_bytes, __ATOMIC_RELAXED);
}

void store_forget_committed(const struct heap *heap) {
    for (const span *s = heap->spans; s != NULL; s = s->older)
        if (s->state == SPAN_SMALL)
            count_committed(-span_committed(s));
}

void store_lock_all(struct heap *heap) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        os_lock(&heap->stores[i].lock);
}

void store_unlock_all(struct heap *heap) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        os_unlock(&heap->stores[i].lock);
}
