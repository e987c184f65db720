/* pressure.c: what is tried before a request is denied, cheapest first: pages that nobody uses, what threads have
 * cached, then the program's own callbacks.
 *
 * It runs on the thread whose request was refused, with no lock held. Start with pressure_relieve. */
#include "hardened.h"
#include "mapped.h"

enum { WAIT_TRIES = 100, WAIT_US = 100 };

typedef size_t release_function(void *arg, size_t want);

typedef struct pressure_callback {
    struct pressure_callback *next;
    release_function *release;
    void *arg;
    uint64_t round; /* the last in which it was called */
    int priority;
} pressure_callback;

/* What was asked of pressure, and which heap has no room for it; none where the system refused. */
typedef struct shortage {
    size_t bytes;
    struct heap *heap;
    bool by_limit;
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

static size_t release_pages(const shortage *s) {
    size_t before = given_back(), used = used_now(s);
    if (hardened)
        hardened_give_parked();
    page_heap_purge(0);
    heap_lock_tree();
    heap_purge_subtree(s->heap);
    heap_recall_credit(s->heap);
    heap_unlock_tree();
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
    size_t returned = release_pages(s);
    return returned + fallen(before, used_now(s));
}

/* --- the program's: a list in each heap, changed under the tree's lock ------------------------------------------ */

/* The thread that calls callbacks now, if one does, and how many times that began. */
static const local *caller;
static uint64_t rounds;

/* The one that it is in, and whether that was taken off its list meanwhile; under the tree's lock. */
static const pressure_callback *running;
static bool running_was_removed;

static pressure_callback *next_callback(const struct heap *top) {
    pressure_callback *best = NULL;
    for (const struct heap *heap = heap_first_in(top); heap != NULL; heap = heap_next_in(top, heap))
        for (pressure_callback *c = heap->callbacks; c != NULL; c = c->next)
            if (c->round != rounds && (best == NULL || c->priority < best->priority))
                best = c;
    return best;
}

static pressure_callback *begin_callback(const struct heap *heap) {
    heap_lock_tree();
    pressure_callback *c = next_callback(heap);
    if (c != NULL)
        c->round = rounds;
    running = c;
    running_was_removed = false;
    heap_unlock_tree();
    return c;
}

static void end_callback(pressure_callback *c) {
    heap_lock_tree();
    bool removed = running_was_removed;
    running = NULL;
    heap_unlock_tree();
    if (removed)
        table_give(c, sizeof *c);
}

static bool still_short(const shortage *s, size_t released) {
    return s->by_limit ? heap_without_room(s->heap, s->bytes) == s->heap : released == 0;
}

static size_t call_callbacks(const shortage *s) {
    size_t released = 0;
    for (pressure_callback *c; still_short(s, released) && (c = begin_callback(s->heap)) != NULL;) {
        size_t by_it = c->release(c->arg, s->bytes);
        end_callback(c);
        if (by_it != 0)
            released += by_it + release_caches(s);
    }
    return released;
}

/* Another thread is calling them: what they release may suffice for this one, too. Not for long, since a callback may
 * wait for a lock that this thread holds. */
static size_t wait_for_caller(void) {
    for (int i = 0; i < WAIT_TRIES; i++) {
        if (__atomic_load_n(&caller, __ATOMIC_ACQUIRE) == NULL)
            return 1;
        os_pause(WAIT_US);
    }
    return 0;
}

static size_t release_by_callbacks(const shortage *s) {
    const local *nobody = NULL;
    if (!__atomic_compare_exchange_n(&caller, &nobody, &this_thread, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return wait_for_caller();
    rounds++;
    size_t released = call_callbacks(s);
    __atomic_store_n(&caller, NULL, __ATOMIC_RELEASE);
    return released;
}

/* What another thread was calling when this one forked, nobody is calling in the child. */
void pressure_after_fork_in_child(void) {
    if (caller == &this_thread)
        return;
    caller = NULL;
    running = NULL;
}

/* --- the list ------------------------------------------------------------------------------------------------- */

static size_t (*const measures[])(const shortage *) = {release_pages, examine_mapped, release_caches,
                                                       release_by_callbacks};

enum { MEASURES = sizeof measures / sizeof *measures };

/* Whether anything could make room for so much. */
static bool is_conceivable(const shortage *s) {
    size_t held = __atomic_load_n(&root_heap.used, __ATOMIC_RELAXED) + span_overhead_bytes();
    return s->bytes <= (s->by_limit ? __atomic_load_n(&s->heap->limit, __ATOMIC_RELAXED) : held);
}

bool pressure_relieve(struct heap *heap, size_t bytes, unsigned *stages) {
    if (this_thread.relieving || *stages == MEASURES)
        return false;
    shortage s = {.bytes = bytes == 0 ? 0 : bytes + os.page_size}; /* small blocks are made a page at a time */
    s.heap = heap_without_room(heap, s.bytes);
    s.by_limit = s.heap != NULL;
    if (!s.by_limit)
        s.heap = &root_heap;
    if (!is_conceivable(&s))
        return false;
    this_thread.relieving = 1;
    size_t released = 0;
    while (released == 0 && *stages < MEASURES)
        released = measures[(*stages)++](&s);
    this_thread.relieving = 0;
    return released != 0;
}

/* --- asking for calls ----------------------------------------------------------------------------------------- */

static int add_callback(struct heap *heap, const pressure_callback *wanted) {
    pressure_callback *c = table_take(sizeof *c);
    if (c == NULL)
        return RN_ENOMEM;
    *c = *wanted;
    heap_lock_tree();
    c->round = rounds; /* not in the one that may be under way */
    c->next = heap->callbacks;
    heap->callbacks = c;
    heap_unlock_tree();
    return 0;
}

static bool is_running(const pressure_callback *c) {
    heap_lock_tree();
    bool is = running == c;
    heap_unlock_tree();
    return is;
}

/* Takes the callback behind link off its list; the tree's lock is held, and released. Returns once it is not running, but
 * by this thread: then it is freed when it returns. */
static void remove_and_unlock(pressure_callback **link) {
    pressure_callback *c = *link;
    *link = c->next;
    bool runs = running == c;
    running_was_removed |= runs;
    heap_unlock_tree();
    if (!runs)
        table_give(c, sizeof *c);
    else if (__atomic_load_n(&caller, __ATOMIC_RELAXED) != &this_thread)
        while (is_running(c))
            os_pause(WAIT_US);
}

static int remove_callback(struct heap *heap, const pressure_callback *like) {
    heap_lock_tree();
    pressure_callback **link = &heap->callbacks;
    while (*link != NULL && ((*link)->priority != like->priority || (*link)->arg != like->arg))
        link = &(*link)->next;
    if (*link == NULL) {
        heap_unlock_tree();
        return RN_EINVAL;
    }
    remove_and_unlock(link);
    return 0;
}

int rn_heap_on_pressure(rn_heap *handle, int priority, release_function *release, void *arg) {
    start_once();
    struct heap *heap = heap_of(handle);
    const pressure_callback wanted = {.release = release, .arg = arg, .priority = priority};
    return release == NULL ? remove_callback(heap, &wanted) : add_callback(heap, &wanted);
}

void pressure_forget_callbacks(struct heap *heap) {
    for (;;) {
        heap_lock_tree();
        if (heap->callbacks == NULL)
            break;
        remove_and_unlock(&heap->callbacks);
    }
    heap_unlock_tree();
}
