/* pressure.c: what is tried before a request is denied, cheapest first: pages that nobody uses, what threads have
 * cached, then the program's own callbacks.
 *
 * It runs on the thread whose request was refused, with no lock held. Start with pressure_relieve. */
#include "pressure.h"
#include "events.h"
#include "footprint.h"
#include "mapped.h"
#include "shapes.h"
#include "shared.h"

/* What was asked of pressure, and which heap has no room for it; none where the system refused. */
typedef struct shortage {
    size_t bytes;
    struct heap *heap;
    bool by_limit;
    size_t new_limit; /* that the heap is to have; 0: it is not to be changed */
} shortage;

/* --- the library's own ---------------------------------------------------------------------------------------- */

static size_t given_back(void) {
    return page_heap_read().purged + store_purged_bytes();
}

static size_t used_now(const shortage *s) {
    return __atomic_load_n(&s->heap->used, __ATOMIC_RELAXED);
}

static size_t fallen(size_t before, size_t after) {
    return before > after ? before - after : 0;
}

static bool still_short(const shortage *s, size_t released) {
    if (s->new_limit != 0)
        return heap_excess(s->heap, 0, s->new_limit) != 0;
    return s->by_limit ? heap_without_room(s->heap, s->bytes) == s->heap : released == 0;
}

/* What was released, or at least one where there is room, whoever made it. */
static size_t or_room(const shortage *s, size_t released) {
    return released == 0 ? !still_short(s, 0) : released;
}

/* Free spans are in no account but the root's. */
static void give_free_spans(const shortage *s) {
    if (s->heap != &root_heap)
        return;
    if (hardened)
        hardened_give_parked();
    page_heap_purge(0);
}

static void give_idle_pages(const shortage *s) {
    heap_lock_tree();
    heap_recall_credit(s->heap);
    heap_purge_subtree(s->heap);
    heap_unlock_tree();
}

static void give_what_shapes_spare(const shortage *s) {
    heap_lock_tree();
    shapes_release(s->heap);
    heap_unlock_tree();
}

static size_t release_pages(const shortage *s) {
    size_t before = given_back(), used = used_now(s);
    give_what_shapes_spare(s);
    give_free_spans(s);
    if (still_short(s, given_back() - before))
        give_idle_pages(s);
    return given_back() - before + fallen(used, used_now(s));
}

/* What the program has mapped may count as more than is resident. */
static size_t examine_mapped(const shortage *s) {
    return s->heap == &root_heap ? mapped_examine() : 0;
}

/* Blocks that threads have cached keep their spans from being empty. */
static size_t release_caches(const shortage *s) {
    size_t before = used_now(s);
    threads_take_over();
    thread_drain_own();
    heap_bury_all_retired();
    size_t by_spans = fallen(before, used_now(s));
    return still_short(s, by_spans) ? by_spans + release_pages(s) : or_room(s, by_spans);
}

/* --- the program's -------------------------------------------------------------------------------------------- */

/* Up to which the thread may fill the heap. */
static size_t limit_of(const shortage *s) {
    if (s->new_limit != 0)
        return s->new_limit;
    size_t limit = s->heap == &root_heap ? footprint_limit() : __atomic_load_n(&s->heap->limit, __ATOMIC_RELAXED);
    return heap_is_needed(s->heap) ? limit : limit - heap_withheld(s->heap, limit);
}

/* Where a limit is lowered it is more than was asked for. */
static size_t wanted(const shortage *s) {
    size_t excess = s->by_limit ? heap_excess(s->heap, s->bytes, limit_of(s)) : 0;
    return excess > s->bytes ? excess : s->bytes;
}

static size_t call_callbacks(const shortage *s) {
    size_t released = 0, by_it;
    while (still_short(s, released) && callbacks_call_next(s->heap, wanted(s), &by_it))
        if (by_it != 0)
            released += by_it + release_caches(s);
    return released;
}

/* What another thread's calls released may suffice for this one, too. If not, its own are still to be made: the other's may have
 * been for a heap that this one has nothing to do with. */
static size_t release_by_callbacks(const shortage *s) {
    if (!callbacks_are_there(s->heap) || !callbacks_begin_soon())
        return or_room(s, 0);
    callbacks_new_round();
    size_t released = call_callbacks(s);
    callbacks_end();
    return or_room(s, released);
}

/* --- other processes' ------------------------------------------------------------------------------------------- */

static size_t look_for_the_dead(const shortage *s) {
    if (s->heap != &root_heap)
        return 0;
    return or_room(s, shared_sweep());
}

/* --- waiting -------------------------------------------------------------------------------------------------- */

static size_t look_for_memory(void) {
    const shortage all = {.heap = &root_heap};
    return release_caches(&all) + shared_sweep();
}

static size_t wait_for_memory(const shortage *s) {
    if (!on_limit_waits() || !s->by_limit || s->heap != &root_heap || s->new_limit != 0)
        return 0;
    return on_limit_wait(s->bytes, look_for_memory);
}

/* --- the list ------------------------------------------------------------------------------------------------- */

static size_t (*const measures[])(const shortage *) = {release_pages,     examine_mapped,       release_caches,
                                                       look_for_the_dead, release_by_callbacks, wait_for_memory};

enum {
    MEASURES = sizeof measures / sizeof *measures,
    WAITING = MEASURES - 1,
    PASSING = 1 << 8,
    PASSINGS = 100 * PASSING
};

static unsigned stage_of(unsigned stages) {
    return stages % PASSING;
}

/* Whether anything could make room for so much. */
static bool is_conceivable(const shortage *s) {
    if (!s->by_limit)
        return s->bytes <= footprint_bytes();
    return s->bytes <= limit_of(s);
}

/* What a request needs: small blocks are made a page at a time, large ones are whole pages. */
static size_t needed(size_t bytes) {
    if (bytes > PTRDIFF_MAX - os.page_size)
        return PTRDIFF_MAX;
    if (bytes == 0 || bytes > SMALL_MAX)
        return (bytes + os.page_size - 1) & ~(os.page_size - 1);
    return bytes + os.page_size;
}

static uint64_t time_spent; /* us */

/* One who has waited, and found room that another then took, waits on. */
static bool take_measures(const shortage *s, unsigned *stages) {
    size_t released = 0;
    uint64_t start = os_clock_us();
    this_thread.relieving = 1;
    while (released == 0 && stage_of(*stages) < MEASURES) {
        released = measures[stage_of(*stages)](s);
        *stages += stage_of(*stages) != WAITING || released == 0;
    }
    this_thread.relieving = 0;
    __atomic_fetch_add(&time_spent, os_clock_us() - start, __ATOMIC_RELAXED);
    return released != 0;
}

/* Whether a limit had refused what it would not now: what another thread had charged at that moment was taken back. Counted
 * above the stages, since a request may after all need more than is known here. */
static bool was_passing(const shortage *s, unsigned *stages) {
    bool was = this_thread.refused && !s->by_limit && *stages < PASSINGS;
    this_thread.refused = 0;
    *stages += was ? PASSING : 0;
    return was;
}

bool pressure_relieve(struct heap *heap, size_t bytes, unsigned *stages) {
    shortage s = {.bytes = needed(bytes)};
    s.heap = heap_without_room(heap, s.bytes);
    s.by_limit = s.heap != NULL;
    if (!s.by_limit)
        s.heap = &root_heap;
    if (was_passing(&s, stages))
        return true;
    if (this_thread.relieving || stage_of(*stages) == MEASURES)
        return false;
    if (stage_of(*stages) == 0)
        this_thread.wait_until = 0;
    return is_conceivable(&s) && take_measures(&s, stages);
}

bool pressure_relieve_to(struct heap *heap, size_t limit, unsigned *stages) {
    const shortage s = {.heap = heap, .by_limit = true, .new_limit = limit};
    if (heap_excess(heap, 0, limit) == 0)
        return true;
    return !this_thread.relieving && stage_of(*stages) < MEASURES && take_measures(&s, stages);
}

uint64_t pressure_time(void) {
    return __atomic_load_n(&time_spent, __ATOMIC_RELAXED);
}

void pressure_denied(struct heap *heap, size_t bytes) {
    const struct heap *full = heap_that_denied(heap, bytes); /* before the thread may use the reserve */
    heap_note_denied(heap);
    heap_tell_denied(heap, bytes);
    if (!this_thread.relieving) /* what a callback is denied gives the request that it is called for no right */
        heap_note_need(heap);
    shared_tell(); /* the process may end by this, and tell no more */
    if (!this_thread.relieving && full == &root_heap)
        on_limit_denied(bytes);
}
