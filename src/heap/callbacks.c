/* callbacks.c: what the program itself gives back under pressure, because it was asked to.
 *
 * Each heap has a list of callbacks, changed under the tree's lock. One thread in the process calls them at a time, each once
 * in a round, with no lock held. Start with callbacks_begin. */
#include "pressure.h"

#include <errno.h>

enum { PATIENCE_MS = 100, WAIT_US = 100 };

typedef size_t release_function(void *arg, size_t want);

typedef struct pressure_callback {
    struct pressure_callback *next;
    release_function *release;
    void *arg;
    uint64_t round; /* the last in which it was called */
    int priority;
} pressure_callback;

/* --- calling -------------------------------------------------------------------------------------------------- */

/* The thread that calls callbacks now, if one does, and how many times that began: it alone changes that. */
static const local *caller;
static uint64_t rounds;
static uint64_t calls = 1; /* one more than were begun; likewise */

/* What calls was when this thread had waited in vain. */
static __thread uint64_t gave_up_on __attribute__((tls_model("initial-exec")));

static void count_call(void) {
    __atomic_store_n(&calls, calls + 1, __ATOMIC_RELAXED);
}

static uint64_t this_round(void) {
    return __atomic_load_n(&rounds, __ATOMIC_RELAXED);
}

/* The one that it is in, and whether that was taken off its list meanwhile; under the tree's lock. */
static const pressure_callback *running;
static bool running_was_removed;

static pressure_callback *next_callback(const struct heap *top) {
    pressure_callback *best = NULL;
    for (const struct heap *heap = heap_first_in(top); heap != NULL; heap = heap_next_in(top, heap))
        for (pressure_callback *c = heap->callbacks; c != NULL; c = c->next)
            if (c->round != this_round() && (best == NULL || c->priority < best->priority))
                best = c;
    return best;
}

static pressure_callback *begin_callback(const struct heap *heap) {
    heap_lock_tree();
    pressure_callback *c = next_callback(heap);
    if (c != NULL)
        c->round = this_round();
    running = c;
    running_was_removed = false;
    count_call();
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

bool callbacks_begin(void) {
    const local *nobody = NULL;
    if (!__atomic_compare_exchange_n(&caller, &nobody, &this_thread, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    count_call(); /* who gave up on another's has not on ours */
    return true;
}

void callbacks_end(void) {
    __atomic_store_n(&caller, NULL, __ATOMIC_RELEASE);
}

void callbacks_new_round(void) {
    __atomic_store_n(&rounds, this_round() + 1, __ATOMIC_RELAXED);
}

bool callbacks_call_next(const struct heap *heap, size_t want, size_t *released) {
    pressure_callback *c = begin_callback(heap);
    if (c == NULL)
        return false;
    int saved = errno; /* a request that is met leaves it as it was */
    uint8_t inside = this_thread.inside;
    this_thread.inside = 0; /* the program is at work, with no lock held, and may do what it may elsewhere */
    *released = c->release(c->arg, want);
    this_thread.inside = inside;
    errno = saved;
    end_callback(c);
    return true;
}

bool callbacks_are_there(struct heap *top) {
    heap_lock_tree();
    struct heap *heap = heap_first_in(top);
    while (heap != NULL && heap->callbacks == NULL)
        heap = heap_next_in(top, heap);
    heap_unlock_tree();
    return heap != NULL;
}

/* Not for long, and once for each call, since the callback may wait for a lock that this thread holds. */
bool callbacks_begin_soon(void) {
    uint64_t awaited = 0, end = 0;
    while (!callbacks_begin()) {
        uint64_t call = __atomic_load_n(&calls, __ATOMIC_RELAXED), now = os_clock_ms();
        if (call != awaited)
            end = now + PATIENCE_MS;
        awaited = call;
        if (now >= end)
            gave_up_on = call;
        if (gave_up_on == call)
            return false;
        os_pause(WAIT_US);
    }
    return true;
}

/* What another thread was calling when this one forked, nobody is calling in the child. */
void callbacks_after_fork_in_child(void) {
    if (caller == &this_thread)
        return;
    caller = NULL;
    running = NULL;
}

/* --- asking for calls ----------------------------------------------------------------------------------------- */

static int add_callback(struct heap *heap, const pressure_callback *wanted) {
    pressure_callback *c = table_take(sizeof *c);
    if (c == NULL)
        return RN_ENOMEM;
    *c = *wanted;
    heap_lock_tree();
    c->round = this_round(); /* not in the one that may be under way */
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

void callbacks_forget(struct heap *heap) {
    for (;;) {
        heap_lock_tree();
        if (heap->callbacks == NULL)
            break;
        remove_and_unlock(&heap->callbacks);
    }
    heap_unlock_tree();
}
