/* tree.c: the tree of heaps: making, reading, trimming and destroying them.
 *
 * Start with rn_heap_new. */
#include "events.h"
#include "footprint.h"
#include "hardened.h"
#include "mapped.h"
#include "shapes.h"

#include <errno.h>
#include <string.h>

static os_mutex tree_lock OWN_LINE;

/* --- walking: children come before their parents ----------------------------------------------------------------- */

static struct heap *deepest(struct heap *heap) {
    while (heap->first_child != NULL)
        heap = heap->first_child;
    return heap;
}

struct heap *heap_first_in(const struct heap *top) {
    return deepest((struct heap *)top);
}

struct heap *heap_next_in(const struct heap *top, const struct heap *heap) {
    if (heap == top)
        return NULL;
    return heap->next_sibling != NULL ? deepest(heap->next_sibling) : heap->parent;
}

/* --- a heap's spans ------------------------------------------------------------------------------------------- */

/* A character that the kernel takes in a mapping's name. */
static bool may_name_mapping(char c) {
    return c >= ' ' && c < 0x7f && strchr("[]\\$`", c) == NULL;
}

static void name_span(const struct heap *heap, const span *s) {
    char name[HEAP_NAME_MAX + 8] = "ration: ";
    for (size_t i = 0; heap->name[i] != '\0'; i++)
        name[8 + i] = (char)(may_name_mapping(heap->name[i]) ? heap->name[i] : '?');
    os_name((void *)s->start, (size_t)s->granules << GRANULE_SHIFT, name);
}

void heap_add_span(struct heap *heap, span *s) {
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

void heap_remove_span(struct heap *heap, span *s) {
    os_lock(&heap->spans_lock);
    if (s->older != NULL)
        s->older->newer = s->newer;
    if (s->newer != NULL)
        s->newer->older = s->older;
    else
        heap->spans = s->older;
    os_unlock(&heap->spans_lock);
}

void heap_each_span(void (*look)(const span *)) {
    os_lock(&tree_lock);
    for (struct heap *heap = heap_first_in(&root_heap); heap != NULL; heap = heap_next_in(&root_heap, heap)) {
        os_lock(&heap->spans_lock);
        for (const span *s = heap->spans; s != NULL; s = s->older)
            look(s);
        os_unlock(&heap->spans_lock);
    }
    os_unlock(&tree_lock);
}

/* --- making --------------------------------------------------------------------------------------------------- */

void heap_own(struct heap *parent, struct heap *child) {
    child->next_sibling = parent->first_child;
    if (child->next_sibling != NULL)
        child->next_sibling->prev_sibling = child;
    parent->first_child = child;
}

static bool adopt(struct heap *parent, struct heap *child) {
    os_lock(&tree_lock);
    bool placed = heap_place(child);
    if (placed)
        heap_own(parent, child);
    os_unlock(&tree_lock);
    return placed;
}

void heap_disown(struct heap *child) {
    ease_forget(child);
    if (child->next_sibling != NULL)
        child->next_sibling->prev_sibling = child->prev_sibling;
    if (child->prev_sibling != NULL)
        child->prev_sibling->next_sibling = child->next_sibling;
    else
        child->parent->first_child = child->next_sibling;
}

void *heap_take_tables(size_t size) {
    for (unsigned stages = 0; !heap_has_room(&root_heap, size);)
        if (!pressure_relieve(&root_heap, size, &stages))
            return NULL;
    return table_take(size);
}

static rn_heap *no_memory(struct heap *parent) {
    pressure_denied(parent, sizeof *parent);
    errno = ENOMEM;
    return NULL;
}

void heap_copy_name(char to[HEAP_NAME_MAX], const char *name) {
    size_t i = 0;
    for (; i < HEAP_NAME_MAX - 1 && name[i] != '\0'; i++)
        to[i] = (char)((unsigned char)name[i] < ' ' || name[i] == 0x7f ? '?' : name[i]);
    to[i] = '\0';
}

rn_heap *rn_heap_new(rn_heap *above, const char *name, size_t limit) {
    start_once();
    struct heap *parent = above == NULL ? &root_heap : heap_of(above);
    heap_bury_retired();
    struct heap *heap = heap_take_tables(sizeof *heap);
    if (heap == NULL)
        return no_memory(parent);
    heap->parent = parent;
    heap->limit = limit;
    if (name != NULL)
        heap_copy_name(heap->name, name);
    if (!adopt(parent, heap) && (heap_bury_all_retired(), !adopt(parent, heap))) {
        table_give(heap, sizeof *heap);
        return no_memory(parent);
    }
    return (rn_heap *)heap->handle;
}

/* --- destroying ----------------------------------------------------------------------------------------------- */

static void forget_live(const struct heap *heap) {
    size_t small = 0;
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        small += (size_t)heap->stores[i].blocks_out * size_classes[i].size;
    __atomic_fetch_sub(&live_bytes.small, small, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&live_bytes.large, heap->large_bytes, __ATOMIC_RELAXED);
}

void heap_release_spans(struct heap *heap) {
    forget_live(heap);
    store_forget_committed(heap);
    for (span *s = heap->spans, *next; s != NULL; s = next) {
        next = s->older;
        size_t committed = span_committed(s);
        if (s->hardened && s->state == SPAN_LARGE)
            hardened_release(s);
        else
            page_heap_give_unpurged(s, span_used_pages(s));
        heap_uncharge(heap, committed);
    }
    page_heap_purge_excess();
}

/* From here on nobody else takes a heap out of the subtree. */
static void claim_subtree(struct heap *top) {
    os_lock(&tree_lock);
    for (struct heap *heap = heap_first_in(top); heap != NULL; heap = heap_next_in(top, heap))
        heap_forget_retired(heap);
    os_unlock(&tree_lock);
}

static struct heap *next_below(struct heap *top, struct heap *heap) {
    os_lock(&tree_lock);
    heap = heap_next_in(top, heap);
    os_unlock(&tree_lock);
    return heap;
}

/* While the handles are good: a callback that runs may use its heap. */
static void forget_callbacks(struct heap *top) {
    for (struct heap *heap = heap_first_in(top); heap != NULL; heap = next_below(top, heap))
        callbacks_forget(heap);
}

/* Of all the heaps before the first one's memory goes: a shape may have chunks in one that is retired and lies below its own. */
static void end_shapes(const struct heap *top) {
    os_lock(&tree_lock);
    for (struct heap *heap = heap_first_in(top); heap != NULL; heap = heap_next_in(top, heap))
        shapes_end(heap);
    os_unlock(&tree_lock);
}

/* The deepest heap below one of a subtree that was claimed, taken out of the tree: nobody meets it any more. Its place stays
 * taken while its blocks carry its id. Its handle ends now: who pushes it beside this either has it pushed when the threads are
 * looked at, or is told. */
static struct heap *take_out_deepest(struct heap *below, const rn_heap **handle) {
    os_lock(&tree_lock);
    struct heap *heap = deepest(below);
    heap_disown(heap);
    *handle = heap_disavow(heap, false);
    os_unlock(&tree_lock);
    return heap;
}

void heap_free_tables(struct heap *heap) {
    os_lock(&tree_lock);
    heap_unplace(heap);
    os_unlock(&tree_lock);
    table_give(heap, sizeof *heap);
}

static void destroy(struct heap *heap, const rn_heap *handle) {
    threads_drop_heap(heap, handle);
    heap_release_spans(heap);
    heap_return_credit(heap);
    heap_free_tables(heap);
}

void rn_heap_destroy(rn_heap *handle) {
    if (handle == NULL)
        return;
    struct heap *heap = heap_of(handle);
    if (heap == &root_heap)
        misuse(handle, "rn_heap_destroy of the root");
    claim_subtree(heap);
    forget_callbacks(heap);
    end_shapes(heap);
    for (struct heap *below = heap, *gone = NULL; gone != heap;) {
        const rn_heap *own;
        gone = take_out_deepest(below, &own);
        below = gone->parent;
        destroy(gone, own);
    }
}

/* --- limits --------------------------------------------------------------------------------------------------- */

/* Nobody is denied anything for a limit that may not come to hold: what was charged between a look and the limit's change undoes
 * that. A limit that another thread sets meanwhile is not undone. */
static bool lower_or_raise(struct heap *heap, size_t limit) {
    size_t before = __atomic_load_n(&heap->limit, __ATOMIC_RELAXED);
    if (heap_excess(heap, 0, limit) != 0 ||
        !__atomic_compare_exchange_n(&heap->limit, &before, limit, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return false;
    if (heap_excess(heap, 0, limit) == 0)
        return true;
    __atomic_compare_exchange_n(&heap->limit, &limit, before, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return false;
}

int rn_heap_set_limit(rn_heap *handle, size_t limit) {
    start_once();
    struct heap *heap = heap_of(handle);
    if (heap == &root_heap && limit != 0)
        mapped_measure();
    for (unsigned stages = 0; !lower_or_raise(heap, limit);)
        if (!pressure_relieve_to(heap, limit, &stages))
            return RN_EBUSY;
    return 0;
}

void rn_heap_set_soft_limit(rn_heap *handle, size_t soft) {
    start_once();
    __atomic_store_n(&heap_of(handle)->soft, soft, __ATOMIC_RELAXED);
}

/* --- reading -------------------------------------------------------------------------------------------------- */

static void add_blocks(const struct heap *heap, rn_stats *stats) {
    stats->live += __atomic_load_n(&heap->large_bytes, __ATOMIC_RELAXED);
    stats->objects += __atomic_load_n(&heap->large_blocks, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        size_t blocks = __atomic_load_n(&heap->stores[i].blocks_out, __ATOMIC_RELAXED);
        stats->objects += blocks;
        stats->live += blocks * size_classes[i].size;
    }
}

void heap_read(const struct heap *heap, rn_stats *stats) {
    *stats = (rn_stats){
        .peak = __atomic_load_n(&heap->peak, __ATOMIC_RELAXED),
        .limit = heap == &root_heap ? footprint_limit() : __atomic_load_n(&heap->limit, __ATOMIC_RELAXED),
        .soft_limit = __atomic_load_n(&heap->soft, __ATOMIC_RELAXED),
        .denied = __atomic_load_n(&heap->denied, __ATOMIC_RELAXED),
    };
    size_t credit = 0;
    os_lock(&tree_lock);
    for (struct heap *h = heap_first_in(heap); h != NULL; h = heap_next_in(heap, h)) {
        add_blocks(h, stats);
        if (h != heap)
            credit += __atomic_load_n(&h->credit, __ATOMIC_RELAXED);
    }
    os_unlock(&tree_lock);
    size_t used = __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
    stats->used = used > credit ? used - credit : 0;
    if (heap == &root_heap) {
        stats->mapped = mapped_bytes();
        stats->rest = rest_bytes();
    }
}

void rn_heap_stats(const rn_heap *handle, rn_stats *stats) {
    const struct heap *heap = heap_of(handle);
    if (heap == &root_heap)
        mapped_measure();
    heap_read(heap, stats);
}

void heap_purge_subtree(struct heap *top) {
    for (struct heap *heap = heap_first_in(top); heap != NULL; heap = heap_next_in(top, heap))
        store_purge_heap(heap);
}

size_t heap_trim(struct heap *heap) {
    size_t before = page_heap_read().purged + store_purged_bytes();
    threads_take_over();
    thread_drain_own();
    heap_bury_all_retired();
    os_lock(&tree_lock);
    shapes_release(heap);
    heap_purge_subtree(heap);
    heap_recall_credit(heap);
    os_unlock(&tree_lock);
    if (hardened)
        hardened_give_parked();
    page_heap_purge(0);
    return page_heap_read().purged + store_purged_bytes() - before;
}

size_t rn_heap_trim(rn_heap *handle) {
    return heap_trim(heap_of(handle));
}

/* --- fork ----------------------------------------------------------------------------------------------------- */

void heap_lock_tree(void) {
    os_lock(&tree_lock);
}

bool heap_lock_tree_within(unsigned milliseconds) {
    return os_lock_within(&tree_lock, milliseconds);
}

void heap_unlock_tree(void) {
    os_unlock(&tree_lock);
}

void heap_tree_lock(void) {
    os_lock(&tree_lock);
    for (struct heap *heap = heap_first_in(&root_heap); heap != NULL; heap = heap_next_in(&root_heap, heap)) {
        store_lock_all(heap);
        os_lock(&heap->spans_lock);
    }
}

void heap_tree_unlock(void) {
    for (struct heap *heap = heap_first_in(&root_heap); heap != NULL; heap = heap_next_in(&root_heap, heap)) {
        os_unlock(&heap->spans_lock);
        store_unlock_all(heap);
    }
    os_unlock(&tree_lock);
}
