/* footprint.c: what the whole process holds, and whether it may.
 *
 * It is looked at wherever the root's account is charged. Start with footprint_allows. */
#include "footprint.h"

#include "hardened.h"
#include "mapped.h"
#include "shared.h"

enum {
    MEASURE_STEP = 1 << 20,
    SOONER_STEP = 128 << 10, /* where it was not due */
};

/* Charged to the root since what others have mapped was last measured. */
static size_t grown OWN_LINE;

static size_t beside_the_heaps(void) {
    return span_overhead_bytes() + hardened_parked_bytes() + mapped_bytes() + rest_bytes();
}

size_t footprint_bytes(void) {
    return __atomic_load_n(&root_heap.used, __ATOMIC_RELAXED) + beside_the_heaps();
}

size_t footprint_of_all(void) {
    size_t own = footprint_bytes(), together = shared_limited() ? shared_used() : 0;
    return together > own ? together : own;
}

size_t footprint_limit(void) {
    size_t own = __atomic_load_n(&root_heap.limit, __ATOMIC_RELAXED);
    size_t together = shared_limited() ? shared_limit() : 0;
    return own == 0 || (together != 0 && together < own) ? together : own;
}

static bool is_limited(void) {
    return __atomic_load_n(&root_heap.limit, __ATOMIC_RELAXED) != 0 || shared_limited();
}

static size_t withheld(size_t limit, bool in_need) {
    return in_need ? 0 : heap_withheld(&root_heap, limit);
}

static bool own_limit_allows(size_t bytes, bool in_need) {
    size_t limit = __atomic_load_n(&root_heap.limit, __ATOMIC_RELAXED);
    return limit == 0 || bytes <= limit - withheld(limit, in_need);
}

bool footprint_allows(size_t root_used, bool in_need) {
    if (LIKELY(!is_limited()))
        return true;
    size_t bytes = root_used + beside_the_heaps();
    return own_limit_allows(bytes, in_need) &&
           (!shared_limited() || shared_has_room(bytes, withheld(shared_limit(), in_need)));
}

bool footprint_cover(void) {
    if (LIKELY(!is_limited()))
        return true;
    size_t bytes = footprint_bytes();
    bool in_need = heap_is_needed(&root_heap);
    return own_limit_allows(bytes, in_need) &&
           (!shared_limited() || shared_cover(bytes, withheld(shared_limit(), in_need)));
}

void footprint_grew(size_t bytes) {
    if (LIKELY(__atomic_load_n(&root_heap.limit, __ATOMIC_RELAXED) == 0 && shared == NULL))
        return;
    shared_note_had();
    if (__atomic_add_fetch(&grown, bytes, __ATOMIC_RELAXED) < MEASURE_STEP)
        return;
    bool due = mapped_measure_if_due();
    __atomic_store_n(&grown, due ? 0 : MEASURE_STEP - SOONER_STEP, __ATOMIC_RELAXED);
    if (due && shared != NULL)
        this_thread.due |= DUE_TELLING;
}

void footprint_tell_if_due(void) {
    if ((this_thread.due & DUE_TELLING) == 0)
        return;
    this_thread.due &= (uint8_t)~DUE_TELLING;
    shared_tell();
}

void footprint_shrunk(void) {
    if (UNLIKELY(shared_limited()))
        shared_settle(footprint_bytes());
}
