/* tree.c: the tree of heaps: making, charging, reading and destroying them.
 *
 * A charge climbs from a heap to the root; used, peak and denied are of the subtree. Start with heap_charge. */
#include "hardened.h"

#include <errno.h>
#include <string.h>

rn_heap root_heap = {.id = 1, .name = "root"};

static os_mutex tree_lock OWN_LINE;
static rn_heap *heaps[HEAP_IDS];
static uint32_t last_id = 1;

rn_heap *rn_heap_root(void) {
    return &root_heap;
}

/* --- charges -------------------------------------------------------------------------------------------------- */

static void raise_peak(rn_heap *heap, size_t used) {
    size_t peak = __atomic_load_n(&heap->peak, __ATOMIC_RELAXED);
    while (used > peak &&
           !__atomic_compare_exchange_n(&heap->peak, &peak, used, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void uncharge_until(rn_heap *heap, const rn_heap *end, size_t bytes) {
    for (; heap != end; heap = heap->parent)
        __atomic_fetch_sub(&heap->used, bytes, __ATOMIC_RELAXED);
}

/* Whether the heap's limit allows it to hold used bytes. In the root's lies what is nobody's, too. */
static bool allows(const rn_heap *heap, size_t used) {
    size_t limit = __atomic_load_n(&heap->limit, __ATOMIC_RELAXED);
    return LIKELY(limit == 0) ||
           used + (heap->parent == NULL ? span_overhead_bytes() + hardened_parked_bytes() : 0) <= limit;
}

bool heap_charge(rn_heap *heap, size_t bytes) {
    for (rn_heap *h = heap; h != NULL; h = h->parent)
        if (UNLIKELY(!allows(h, __atomic_add_fetch(&h->used, bytes, __ATOMIC_RELAXED)))) {
            uncharge_until(heap, h->parent, bytes);
            return false;
        }
    for (rn_heap *h = heap; h != NULL; h = h->parent)
        raise_peak(h, __atomic_load_n(&h->used, __ATOMIC_RELAXED));
    return true;
}

void heap_uncharge(rn_heap *heap, size_t bytes) {
    uncharge_until(heap, NULL, bytes);
}

rn_heap *heap_without_room(rn_heap *heap, size_t bytes) {
    while (heap != NULL && allows(heap, __atomic_load_n(&heap->used, __ATOMIC_RELAXED) + bytes))
        heap = heap->parent;
    return heap;
}

int rn_heap_set_limit(rn_heap *heap, size_t limit) {
    start_once();
    size_t before = __atomic_exchange_n(&heap->limit, limit, __ATOMIC_RELAXED);
    for (unsigned stages = 0; !allows(heap, __atomic_load_n(&heap->used, __ATOMIC_RELAXED));)
        if (!pressure_relieve(heap, 0, &stages)) {
            __atomic_compare_exchange_n(&heap->limit, &limit, before, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
            return RN_EBUSY;
        }
    return 0;
}

void heap_note_denied(rn_heap *heap) {
    for (; heap != NULL; heap = heap->parent)
        __atomic_fetch_add(&heap->denied, 1, __ATOMIC_RELAXED);
}

/* --- a heap's spans ------------------------------------------------------------------------------------------- */

static void name_span(const rn_heap *heap, const span *s) {
    char name[HEAP_NAME_MAX + 8] = "ration: ";
    memcpy(name + 8, heap->name, HEAP_NAME_MAX);
    os_name((void *)s->start, (size_t)s->granules << GRANULE_SHIFT, name);
}

void heap_add_span(rn_heap *heap, span *s) {
    if (UNLIKELY(os.names))
        name_span(heap, s);
    os_lock(&heap->spans_lock);
    s->newer = NULL;
    s->older = heap->spans;
    if (heap->spans != NULL)
        heap->spans->newer = s;
    heap->spans = s;
    os_unlock(&heap->spans_lock);
}

void heap_remove_span(rn_heap *heap, span *s) {
    os_lock(&heap->spans_lock);
    if (s->older != NULL)
        s->older->newer = s->newer;
    if (s->newer != NULL)
        s->newer->older = s->older;
    else
        heap->spans = s->older;
    os_unlock(&heap->spans_lock);
}

static void each_span_of(rn_heap *heap, void (*look)(const span *)) {
    os_lock(&heap->spans_lock);
    for (const span *s = heap->spans; s != NULL; s = s->older)
        look(s);
    os_unlock(&heap->spans_lock);
    for (rn_heap *child = heap->first_child; child != NULL; child = child->next_sibling)
        each_span_of(child, look);
}

void heap_each_span(void (*look)(const span *)) {
    os_lock(&tree_lock);
    each_span_of(&root_heap, look);
    os_unlock(&tree_lock);
}

/* --- making and destroying ------------------------------------------------------------------------------------ */

static uint32_t unused_id(void) {
    for (uint32_t tries = 0; tries < HEAP_IDS; tries++) {
        last_id = last_id + 1 == HEAP_IDS ? 2 : last_id + 1;
        if (heaps[last_id] == NULL)
            return last_id;
    }
    return 0;
}

static bool adopt(rn_heap *parent, rn_heap *child) {
    os_lock(&tree_lock);
    child->id = unused_id();
    if (child->id != 0) {
        heaps[child->id] = child;
        child->next_sibling = parent->first_child;
        parent->first_child = child;
    }
    os_unlock(&tree_lock);
    return child->id != 0;
}

static void disown(rn_heap *child) {
    os_lock(&tree_lock);
    rn_heap **link = &child->parent->first_child;
    while (*link != child)
        link = &(*link)->next_sibling;
    *link = child->next_sibling;
    os_unlock(&tree_lock);
}

static void free_id(const rn_heap *heap) {
    os_lock(&tree_lock);
    heaps[heap->id] = NULL;
    os_unlock(&tree_lock);
}

static rn_heap *no_memory(void) {
    errno = ENOMEM;
    return NULL;
}

rn_heap *rn_heap_new(rn_heap *parent, const char *name, size_t limit) {
    start_once();
    rn_heap *heap = table_take(sizeof *heap);
    if (heap == NULL)
        return no_memory();
    heap->parent = parent == NULL ? &root_heap : parent;
    heap->limit = limit;
    size_t length = name == NULL ? 0 : strnlen(name, HEAP_NAME_MAX - 1);
    if (length != 0)
        memcpy(heap->name, name, length);
    if (!adopt(heap->parent, heap)) {
        table_give(heap, sizeof *heap);
        return no_memory();
    }
    return heap;
}

static void forget_live(const rn_heap *heap) {
    size_t small = 0;
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        small += (size_t)heap->stores[i].blocks_out * size_classes[i].size;
    __atomic_fetch_sub(&live_bytes.small, small, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&live_bytes.large, heap->large_bytes, __ATOMIC_RELAXED);
}

void rn_heap_destroy(rn_heap *heap) {
    if (heap == NULL)
        return;
    if (heap == &root_heap)
        misuse(heap, "rn_heap_destroy of the root");
    while (heap->first_child != NULL)
        rn_heap_destroy(heap->first_child);
    pressure_forget_callbacks(heap);
    disown(heap); /* first, so that nobody meets it on the way through the tree while it goes */
    threads_drop_heap(heap);
    forget_live(heap);
    store_forget_committed(heap);
    for (span *s = heap->spans, *next; s != NULL; s = next) {
        next = s->older;
        size_t committed = span_committed(s);
        if (s->hardened && s->state == SPAN_LARGE)
            hardened_release(s);
        else
            page_heap_give(s, span_used_pages(s));
        heap_uncharge(heap, committed);
    }
    free_id(heap);
    table_give(heap, sizeof *heap);
}

/* --- reading -------------------------------------------------------------------------------------------------- */

static void add_blocks(const rn_heap *heap, rn_stats *stats) {
    stats->live += __atomic_load_n(&heap->large_bytes, __ATOMIC_RELAXED);
    stats->objects += __atomic_load_n(&heap->large_blocks, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        size_t blocks = __atomic_load_n(&heap->stores[i].blocks_out, __ATOMIC_RELAXED);
        stats->objects += blocks;
        stats->live += blocks * size_classes[i].size;
    }
    for (const rn_heap *child = heap->first_child; child != NULL; child = child->next_sibling)
        add_blocks(child, stats);
}

void rn_heap_stats(const rn_heap *heap, rn_stats *stats) {
    *stats = (rn_stats){
        .used = __atomic_load_n(&heap->used, __ATOMIC_RELAXED),
        .peak = __atomic_load_n(&heap->peak, __ATOMIC_RELAXED),
        .limit = __atomic_load_n(&heap->limit, __ATOMIC_RELAXED),
        .denied = __atomic_load_n(&heap->denied, __ATOMIC_RELAXED),
    };
    os_lock(&tree_lock);
    add_blocks(heap, stats);
    os_unlock(&tree_lock);
}

void heap_purge_subtree(rn_heap *heap) {
    store_purge_heap(heap);
    for (rn_heap *child = heap->first_child; child != NULL; child = child->next_sibling)
        heap_purge_subtree(child);
}

size_t rn_heap_trim(rn_heap *heap) {
    size_t before = page_heap_read().purged + store_purged_bytes();
    threads_take_over();
    thread_drain_own();
    os_lock(&tree_lock);
    heap_purge_subtree(heap);
    os_unlock(&tree_lock);
    if (hardened)
        hardened_give_parked();
    page_heap_purge(0);
    return page_heap_read().purged + store_purged_bytes() - before;
}

/* --- fork ----------------------------------------------------------------------------------------------------- */

static void each_heap(rn_heap *heap, void (*visit)(rn_heap *)) {
    visit(heap);
    for (rn_heap *child = heap->first_child; child != NULL; child = child->next_sibling)
        each_heap(child, visit);
}

static void lock_heap(rn_heap *heap) {
    store_lock_all(heap);
    os_lock(&heap->spans_lock);
}

static void unlock_heap(rn_heap *heap) {
    os_unlock(&heap->spans_lock);
    store_unlock_all(heap);
}

void heap_lock_tree(void) {
    os_lock(&tree_lock);
}

void heap_unlock_tree(void) {
    os_unlock(&tree_lock);
}

void heap_tree_lock(void) {
    os_lock(&tree_lock);
    each_heap(&root_heap, lock_heap);
}

void heap_tree_unlock(void) {
    each_heap(&root_heap, unlock_heap);
    os_unlock(&tree_lock);
}
