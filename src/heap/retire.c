/* retire.c: heaps that are used no more, but in which something is left.
 *
 * A retired heap stays where it was in the tree, nameless, until the last that lies in it is freed; then its tables go. Those that
 * wait form a ring, of which a few are looked at whenever a heap is made or retired. Start with rn_heap_retire. */
#include "hardened.h"
#include "shapes.h"

static struct heap *retired; /* one of the ring, under the tree's lock: the next to be looked at */
static size_t retired_count;

/* --- the ring --------------------------------------------------------------------------------------------------- */

static void set_next_retired(struct heap *heap) {
    __atomic_store_n(&retired, heap, __ATOMIC_RELAXED);
}

/* The ring's last: it is looked at after all others. */
static void note_retired(struct heap *heap) {
    retired_count++;
    heap->next_retired = heap->prev_retired = heap;
    if (retired != NULL) {
        heap->next_retired = retired;
        heap->prev_retired = retired->prev_retired;
        heap->prev_retired->next_retired = retired->prev_retired = heap;
    } else {
        set_next_retired(heap);
    }
}

void heap_forget_retired(struct heap *heap) {
    if (heap->next_retired == NULL)
        return;
    retired_count--;
    if (retired == heap)
        set_next_retired(heap->next_retired == heap ? NULL : heap->next_retired);
    heap->next_retired->prev_retired = heap->prev_retired;
    heap->prev_retired->next_retired = heap->next_retired;
    heap->next_retired = heap->prev_retired = NULL;
}

/* --- burying ---------------------------------------------------------------------------------------------------- */

/* Who frees the last block of a retired heap uncharges it last, under a store's lock or under none (store_give, large_give):
 * once nothing is charged and each lock has been had, nobody is in it. A span may lie in it, none of whose pages was to be had. */
static bool is_left(struct heap *heap) {
    if (heap->first_child != NULL || __atomic_load_n(&heap->used, __ATOMIC_ACQUIRE) != 0)
        return false;
    store_lock_all(heap);
    store_unlock_all(heap);
    return true;
}

/* Whether the heap can go: nothing is left in it, and, but where they are to be dropped, no caches of it. */
static bool is_over(struct heap *heap, bool cached_too) {
    return (cached_too || __atomic_load_n(&heap->caches, __ATOMIC_ACQUIRE) == 0) && is_left(heap);
}

/* The next retired heap that can go; NULL where none was found in so many looks. The tree's lock is held. */
static struct heap *find_over(bool cached_too, size_t *looks) {
    for (; retired != NULL && *looks > 0; --*looks) {
        struct heap *heap = retired;
        if (is_over(heap, cached_too))
            return heap;
        set_next_retired(heap->next_retired);
    }
    return NULL;
}

/* Takes it out of the tree. Its credit goes back while its parent is there for certain; which may have waited for this one only,
 * and so comes next. */
static struct heap *next_to_bury(bool cached_too, size_t *looks) {
    heap_lock_tree();
    struct heap *heap = find_over(cached_too, looks);
    if (heap != NULL) {
        heap_forget_retired(heap);
        heap_return_credit(heap);
        heap_disown(heap);
        if (heap->parent->next_retired != NULL)
            set_next_retired(heap->parent);
    }
    heap_unlock_tree();
    return heap;
}

static void bury(bool cached_too, size_t looks) {
    for (struct heap *heap; (heap = next_to_bury(cached_too, &looks)) != NULL; heap_free_tables(heap)) {
        if (__atomic_load_n(&heap->caches, __ATOMIC_ACQUIRE) != 0)
            threads_drop_heap(heap, NULL);
        if (heap->spans != NULL)
            heap_release_spans(heap);
    }
}

/* How many that can't go yet are looked at for each heap that is made or retired. */
enum { LOOKS = 8 };

void heap_bury_retired(void) {
    if (__atomic_load_n(&retired, __ATOMIC_RELAXED) != NULL)
        bury(false, LOOKS);
}

void heap_bury_all_retired(void) {
    if (__atomic_load_n(&retired, __ATOMIC_RELAXED) == NULL)
        return;
    heap_lock_tree();
    size_t count = retired_count;
    heap_unlock_tree();
    bury(true, count);
}

void rn_heap_retire(rn_heap *handle) {
    if (handle == NULL)
        return;
    struct heap *heap = heap_of(handle);
    if (heap == &root_heap)
        misuse(handle, "rn_heap_retire of the root");
    callbacks_forget(heap);
    threads_check_unused(heap);
    thread_drop_own(heap);
    __atomic_store_n(&heap->limit, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->soft, 0, __ATOMIC_RELAXED);
    heap_lock_tree();
    shapes_move(heap);
    heap_disavow(heap, true);
    note_retired(heap);
    heap_unlock_tree();
    heap_bury_retired();
}
