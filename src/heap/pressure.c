/* pressure.c: what is tried before a request is denied, cheapest first: pages that nobody uses, what threads have
 * cached, then the program's own callbacks.
 *
 * It runs on the thread whose request was refused, with no lock held. Start with pressure_relieve. */
#include "hardened.h"

enum { WAIT_TRIES = 100, WAIT_US = 100 };

typedef size_t release_function(void *arg, size_t want);

typedef struct pressure_callback {
    struct pressure_callback *next;
    release_function *release;
    void *arg;
    const local *running_on; /* the thread that is calling it */
    uint64_t round;          /* the last in which it was called */
    int priority;
    bool removed;  /* while it was running */
    bool detached; /* its heap has gone meanwhile */
} pressure_callback;

/* What was asked of pressure, and which heap has no room for it; none where the system refused. */
typedef struct shortage {
    size_t bytes;
    rn_heap *heap;
    bool by_limit;
} shortage;

/* --- the library's own ---------------------------------------------------------------------------------------- */

static size_t given_back(void) {
    return page_heap_read().purged + store_purged_bytes();
}

static size_t release_pages(const shortage *s) {
    size_t before = given_back();
    if (hardened)
        hardened_give_parked();
    page_heap_purge(0);
    heap_lock_tree();
    heap_purge_subtree(s->heap);
    heap_unlock_tree();
    return given_back() - before;
}

/* Blocks that threads have cached keep their spans from being empty. */
static size_t release_caches(const shortage *s) {
    size_t before = __atomic_load_n(&s->heap->used, __ATOMIC_RELAXED);
    threads_take_over();
    thread_drain_own();
    size_t returned = release_pages(s), after = __atomic_load_n(&s->heap->used, __ATOMIC_RELAXED);
    return returned + (before > after ? before - after : 0);
}

/* --- the program's: a list in each heap, changed under the tree's lock ------------------------------------------ */

/* The thread that calls callbacks now, if one does, and how many times that began. */
static const local *caller;
static uint64_t rounds;

static pressure_callback *next_callback(const rn_heap *heap, pressure_callback *best) {
    for (pressure_callback *c = heap->callbacks; c != NULL; c = c->next)
        if (c->round != rounds && !c->removed && (best == NULL || c->priority < best->priority))
            best = c;
    for (const rn_heap *child = heap->first_child; child != NULL; child = child->next_sibling)
        best = next_callback(child, best);
    return best;
}

static pressure_callback *begin_callback(const rn_heap *heap) {
    heap_lock_tree();
    pressure_callback *c = next_callback(heap, NULL);
    if (c != NULL) {
        c->round = rounds;
        c->running_on = &this_thread;
    }
    heap_unlock_tree();
    return c;
}

static bool unlink_callback(rn_heap *heap, const pressure_callback *gone) {
    for (pressure_callback **link = &heap->callbacks; *link != NULL; link = &(*link)->next)
        if (*link == gone) {
            *link = gone->next;
            return true;
        }
    for (rn_heap *child = heap->first_child; child != NULL; child = child->next_sibling)
        if (unlink_callback(child, gone))
            return true;
    return false;
}

static void end_callback(pressure_callback *c) {
    heap_lock_tree();
    c->running_on = NULL;
    bool removed = c->detached || (c->removed && unlink_callback(&root_heap, c));
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
static void forget_runs(rn_heap *heap) {
    for (pressure_callback **link = &heap->callbacks, *c; (c = *link) != NULL;) {
        if (c->running_on != &this_thread)
            c->running_on = NULL;
        if (c->removed && c->running_on == NULL) {
            *link = c->next;
            table_give(c, sizeof *c);
        } else {
            link = &c->next;
        }
    }
    for (rn_heap *child = heap->first_child; child != NULL; child = child->next_sibling)
        forget_runs(child);
}

void pressure_after_fork_in_child(void) {
    if (caller != &this_thread)
        caller = NULL;
    forget_runs(&root_heap);
}

/* --- the list ------------------------------------------------------------------------------------------------- */

static size_t (*const measures[])(const shortage *) = {release_pages, release_caches, release_by_callbacks};

enum { MEASURES = sizeof measures / sizeof *measures };

/* Whether anything could make room for so much. */
static bool is_conceivable(const shortage *s) {
    size_t held = __atomic_load_n(&root_heap.used, __ATOMIC_RELAXED) + span_overhead_bytes();
    return s->bytes <= (s->by_limit ? __atomic_load_n(&s->heap->limit, __ATOMIC_RELAXED) : held);
}

bool pressure_relieve(rn_heap *heap, size_t bytes, unsigned *stages) {
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

static int add_callback(rn_heap *heap, const pressure_callback *wanted) {
    pressure_callback *c = table_take(sizeof *c);
    if (c == NULL)
        return RN_ENOMEM;
    *c = *wanted;
    heap_lock_tree();
    c->next = heap->callbacks;
    heap->callbacks = c;
    heap_unlock_tree();
    return 0;
}

static pressure_callback *find_callback(const rn_heap *heap, const pressure_callback *like) {
    pressure_callback *c = heap->callbacks;
    while (c != NULL && (c->priority != like->priority || c->arg != like->arg || c->removed))
        c = c->next;
    return c;
}

static bool is_listed(const rn_heap *heap, const pressure_callback *wanted) {
    heap_lock_tree();
    const pressure_callback *c = heap->callbacks;
    while (c != NULL && (c != wanted || !c->removed))
        c = c->next;
    heap_unlock_tree();
    return c != NULL;
}

static int remove_callback(rn_heap *heap, const pressure_callback *like) {
    heap_lock_tree();
    pressure_callback *c = find_callback(heap, like);
    const local *running_on = c == NULL ? NULL : c->running_on;
    if (running_on != NULL)
        c->removed = true; /* it goes when it returns */
    else if (c != NULL)
        unlink_callback(heap, c);
    heap_unlock_tree();
    if (c == NULL)
        return RN_EINVAL;
    if (running_on == NULL)
        table_give(c, sizeof *c);
    else if (running_on != &this_thread)
        while (is_listed(heap, c))
            os_pause(WAIT_US);
    return 0;
}

int rn_heap_on_pressure(rn_heap *heap, int priority, release_function *release, void *arg) {
    start_once();
    const pressure_callback wanted = {.release = release, .arg = arg, .priority = priority};
    return release == NULL ? remove_callback(heap, &wanted) : add_callback(heap, &wanted);
}

/* Takes the first callback of a heap's off its list. False if another thread is calling it, for now. */
static bool forget_first(rn_heap *heap) {
    heap_lock_tree();
    pressure_callback *c = heap->callbacks;
    const local *running_on = c == NULL ? NULL : c->running_on;
    bool gone = c != NULL && (running_on == NULL || running_on == &this_thread);
    if (gone) {
        heap->callbacks = c->next;
        c->detached = true;
    } else if (c != NULL) {
        c->removed = true;
    }
    heap_unlock_tree();
    if (gone && running_on == NULL)
        table_give(c, sizeof *c);
    return gone || c == NULL;
}

void pressure_forget_callbacks(rn_heap *heap) {
    while (heap->callbacks != NULL)
        if (!forget_first(heap))
            os_pause(WAIT_US);
}
