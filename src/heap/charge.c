/* charge.c: what heaps are charged.
 *
 * A charge is made for committed pages, and climbs from a heap to the root. So that it need not climb each time, a heap that
 * holds much asks its parent for more than it needs: its credit, which covers the next charges and which pressure takes
 * back. Start with heap_charge. */
#include "footprint.h"

enum {
    CREDIT_FROM = 1 << 20, /* heaps that hold less have none */
    CREDIT_PART = 16,
    CREDIT_MIN = 64 << 10,
    CREDIT_MAX = 256 << 10,
};

static size_t read_size(const size_t *value) {
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void add(size_t *value, size_t bytes) { // NOLINT(readability-non-const-parameter): exchanged
    __atomic_fetch_add(value, bytes, __ATOMIC_RELAXED);
}

static void subtract(size_t *value, size_t bytes) { // NOLINT(readability-non-const-parameter): exchanged
    __atomic_fetch_sub(value, bytes, __ATOMIC_RELAXED);
}

/* The heap has come to hold so much. */
static void settle(struct heap *heap, size_t used) {
    os_raise(&heap->peak, used);
    if (UNLIKELY(read_size(&heap->soft) != 0) && heap_soft_excess(heap) != 0)
        this_thread.due |= DUE_EASING;
}

/* --- limits --------------------------------------------------------------------------------------------------- */

/* Whether the heap may hold so much. In the root's account lies what is nobody's, too. */
static bool allows(const struct heap *heap, size_t used) {
    if (heap->parent == NULL)
        return footprint_allows(used, heap_is_needed(heap));
    size_t limit = read_size(&heap->limit);
    if (LIKELY(limit == 0 || used <= limit - heap_withheld(heap, limit)))
        return true;
    return used <= limit && heap_is_needed(heap);
}

bool heap_has_room(const struct heap *heap, size_t bytes) {
    size_t sum;
    if (__builtin_add_overflow(read_size(&heap->used), bytes, &sum) || sum > PTRDIFF_MAX)
        sum = PTRDIFF_MAX; /* to which more may yet be added */
    return allows(heap, sum);
}

size_t heap_excess(const struct heap *heap, size_t bytes, size_t limit) {
    size_t held = heap == &root_heap ? footprint_bytes() : read_size(&heap->used);
    return limit != 0 && held + bytes > limit ? held + bytes - limit : 0;
}

struct heap *heap_without_room(struct heap *heap, size_t bytes) {
    while (heap != NULL && heap_has_room(heap, bytes))
        heap = heap->parent;
    return heap;
}

void heap_note_denied(struct heap *heap) {
    for (; heap != NULL; heap = heap->parent)
        add(&heap->denied, 1);
}

/* --- credit --------------------------------------------------------------------------------------------------- */

/* How much a heap may be ahead of its use. */
static size_t credit_allowed(const struct heap *heap) {
    size_t used = read_size(&heap->used);
    if (used < CREDIT_FROM)
        return 0;
    size_t part = used / CREDIT_PART;
    return part < CREDIT_MAX ? part : CREDIT_MAX;
}

static bool use_credit(struct heap *heap, size_t bytes) {
    size_t credit = read_size(&heap->credit);
    while (credit >= bytes)
        if (__atomic_compare_exchange_n(&heap->credit, &credit, credit - bytes, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

/* Where a heap has more than most, takes what is beyond keep. */
static size_t take_surplus(struct heap *heap, size_t most, size_t keep) {
    size_t credit = read_size(&heap->credit);
    while (credit > most)
        if (__atomic_compare_exchange_n(&heap->credit, &credit, keep, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return credit - keep;
    return 0;
}

void heap_return_credit(struct heap *heap) {
    size_t bytes = take_surplus(heap, 0, 0);
    if (bytes != 0)
        heap_uncharge(heap->parent, bytes);
}

/* What a heap gives up its parent no longer bears for it, and so has ahead itself. */
void heap_recall_credit(struct heap *top) {
    for (struct heap *heap = heap_first_in(top); heap != top; heap = heap_next_in(top, heap)) {
        size_t bytes = take_surplus(heap, 0, 0);
        if (bytes == 0)
            continue;
        subtract(&heap->parent->used, bytes);
        if (heap->parent->parent != NULL)
            add(&heap->parent->credit, bytes);
    }
    footprint_shrunk();
}

/* --- charging ------------------------------------------------------------------------------------------------- */

/* Up to this heap went a charge: its credit bore the rest, or it is the root. */
static bool ends_here(struct heap *heap, size_t bytes) {
    return heap->parent == NULL || use_credit(heap, bytes);
}

static void undo(struct heap *heap, const struct heap *end, size_t bytes) {
    for (; heap != end; heap = heap->parent)
        subtract(&heap->used, bytes);
}

/* Looks before it adds: what is too much must not be seen by others that ask for what fits. */
static bool add_within(struct heap *heap, size_t bytes) {
    if (UNLIKELY(heap_is_any_needed()))
        heap_end_need(heap);
    if (UNLIKELY(!allows(heap, read_size(&heap->used) + bytes)))
        return false;
    size_t used = __atomic_add_fetch(&heap->used, bytes, __ATOMIC_RELAXED);
    if (LIKELY(heap->parent == NULL ? footprint_cover() : allows(heap, used)))
        return true;
    subtract(&heap->used, bytes);
    return false;
}

/* Adds to the heap and to each further up until a credit bears it, or to none. */
static bool climb(struct heap *heap, size_t bytes) {
    struct heap *last = heap;
    for (;; last = last->parent) {
        if (UNLIKELY(!add_within(last, bytes))) {
            undo(heap, last, bytes);
            return false;
        }
        if (ends_here(last, bytes))
            break;
    }
    for (struct heap *h = heap; h != last->parent; h = h->parent)
        settle(h, read_size(&h->used));
    if (last->parent == NULL)
        footprint_grew(bytes);
    return true;
}

/* Has the ancestors bear so much for the heap, and some credit if they can: what a thread in need is given, and gives back, is of a
 * reserve, which is not for others. */
static bool charge_parent(struct heap *heap, size_t bytes) {
    if (credit_allowed(heap) != 0 && !heap_is_needed_upwards(heap->parent) && climb(heap->parent, bytes + CREDIT_MIN)) {
        add(&heap->credit, CREDIT_MIN);
        return true;
    }
    return climb(heap->parent, bytes);
}

static bool charge(struct heap *heap, size_t bytes) {
    if (heap->parent == NULL)
        return climb(heap, bytes);
    if (!add_within(heap, bytes))
        return false;
    if (use_credit(heap, bytes) || charge_parent(heap, bytes)) {
        settle(heap, read_size(&heap->used));
        return true;
    }
    subtract(&heap->used, bytes);
    return false;
}

/* As the charge would climb. */
static bool would_climb(const struct heap *heap, size_t bytes) {
    while (allows(heap, read_size(&heap->used) + bytes)) {
        if (heap->parent == NULL || read_size(&heap->credit) >= bytes)
            return true;
        heap = heap->parent;
    }
    return false;
}

bool heap_may_charge(const struct heap *heap, size_t bytes) {
    bool may = would_climb(heap, bytes);
    if (UNLIKELY(!may))
        this_thread.refused = 1;
    return may;
}

bool heap_charge(struct heap *heap, size_t bytes) {
    bool charged = charge(heap, bytes);
    if (UNLIKELY(!charged))
        this_thread.refused = 1;
    return charged;
}

void heap_uncharge(struct heap *heap, size_t bytes) {
    while (bytes != 0) {
        struct heap *parent = heap->parent;
        size_t surplus = bytes;
        if (parent != NULL) {
            size_t most = heap_is_needed_upwards(parent) ? 0 : credit_allowed(heap);
            add(&heap->credit, bytes);
            surplus = take_surplus(heap, most, most / 2);
        }
        __atomic_fetch_sub(&heap->used, bytes, __ATOMIC_RELEASE); /* last: a retired heap may be gone from here on */
        if (parent == NULL)
            footprint_shrunk();
        heap = parent;
        bytes = parent == NULL ? 0 : surplus;
    }
}
