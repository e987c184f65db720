/* thread.c: which threads there are, what each has cached, and how one takes over another's caches.
 *
 * The protocol stands beside struct local in heap.h. Start with local_enter, then threads_take_over. */
#include "hardened.h"
#include "section.h"

#include <stdio.h>

enum { STOP_TRIES = 200, STOP_PAUSE_US = 50, CACHES_MAX = 64, COUNT_WAIT_MS = 200 };

/* A push from just below a pop was made by a helper, whose frame is of another size than the popping one's. */
enum { HELPERS_DIFFER = 256 };

__thread local this_thread __attribute__((tls_model("initial-exec"))) = {.cache = (cache *)&empty_cache};

ptrdiff_t section_area OWN_LINE;

static os_mutex threads_lock OWN_LINE;
static thread *threads;
static thread *gone; /* those that were found to have ended untold; what they had cached is still to be given back */
static int threads_process; /* whose threads these are: a child of vfork, which has the same memory, is another */
static bool threads_are_watched;
static bool others_were_lost;

/* --- a thread's own ------------------------------------------------------------------------------------------- */

static void set_cache(local *l, const cache *c) {
    __atomic_store_n(&l->cache, (cache *)c, __ATOMIC_RELAXED);
}

/* How many children of vfork run as this thread, one the other's. */
static __thread unsigned lent_to __attribute__((tls_model("initial-exec")));

static bool may_be_fast(const thread *t) {
    return t->fast && lent_to == 0;
}

static bool is_revoked(const thread *t) {
    return __atomic_load_n(&t->revoked, __ATOMIC_ACQUIRE);
}

static void drain(thread *t) {
    hardened_drain(t);
    for (cache *c = t->caches; c != NULL; c = c->next)
        cache_drain(c);
}

static void destroy_caches(thread *t) {
    drain(t);
    for (cache *c = t->caches, *next; c != NULL; c = next) {
        next = c->next;
        cache_destroy(c);
    }
    t->caches = NULL;
    t->caches_count = 0;
}

/* Gives back what a thread that is gone had. */
static void dissolve(thread *t) {
    destroy_caches(t);
    table_give(t, sizeof *t);
}

static thread *thread_begin(void);

/* The threads' lock is held. */
static void unlist(thread *t) {
    if (t->next != NULL)
        t->next->prev = t->prev;
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        threads = t->next;
}

static void thread_ended(void) {
    thread *t = this_thread.thread;
    if (t == NULL)
        return;
    thread_begin();
    this_thread.ended = 1;
    set_cache(&this_thread, &empty_cache);
    destroy_caches(t);                     /* while the thread can still be found by who destroys a heap, and waits */
    set_cache(&this_thread, &empty_cache); /* a signal handler may have begun another */
    local_end();
    os_lock(&threads_lock);
    unlist(t);
    os_unlock(&threads_lock);
    this_thread.thread = NULL;
    if (t->fast)
        os_restart_end();
    dissolve(t);
}

void thread_leave(void) {
    if (!library_is_at_work())
        thread_ended();
}

/* Under a filter of system calls a thread that begins has no number: to ask for it might be the end of the program. */
enum { ID_UNKNOWN = -1 };

static int id_of_this(void) {
    return os_may_look() ? os_thread_id() : ID_UNKNOWN;
}

/* Takes from the list those that ended by the system call itself, past libc (exit(2)): their thread-local memory may be anything by
 * now. (The system lets who joins them go on a moment before it takes their number back: within that moment they still live here.)
 * Where they ended inside the library they have left locks behind, which is the end of others, too; so they did not, and their
 * caches are whole. The threads' lock is held. */
static void set_aside_if(thread *t, bool is_gone) {
    if (!is_gone)
        return;
    unlist(t);
    t->next = gone;
    gone = t;
}

static void set_aside_gone(void) {
    for (thread *t = threads, *next; t != NULL; t = next) {
        next = t->next;
        set_aside_if(t, t->local != &this_thread && t->id != ID_UNKNOWN && !os_thread_lives(threads_process, t->id));
    }
}

/* The system has given one's number to a new thread. */
static void set_aside_namesake(int id) {
    for (thread *t = threads, *next; t != NULL; t = next) {
        next = t->next;
        set_aside_if(t, t->id == id && id != ID_UNKNOWN);
    }
}

static void dissolve_gone(void) {
    os_lock(&threads_lock);
    thread *list = gone;
    gone = NULL;
    os_unlock(&threads_lock);
    for (thread *next; list != NULL; list = next) {
        next = list->next;
        dissolve(list);
    }
}

/* Before any thread has a cache. */
void threads_start(void) {
    threads_process = os_process_id();
    const char *own = (const char *)&this_thread;
    /* In a register first: gcc would subtract straight from the GOT, which ld can't turn into what a static program needs. */
    __asm__("" : "+r"(own));
    threads_are_watched = os_threads_start(thread_ended);
    section_area = (char *)__builtin_thread_pointer() + os_rseq_offset - own;
}

static thread *thread_start(void) {
    start_once();
    /* Where nobody tells of its end, a thread has no caches that would be lost with it. */
    if (this_thread.ended || !threads_are_watched)
        return NULL;
    thread *t = table_take(sizeof *t);
    if (t == NULL)
        return NULL;
    t->local = &this_thread;
    t->self = pthread_self();
    t->id = id_of_this();
    t->current = &root_heap;
    t->current_handle = root_heap.handle;
    t->fast = RN_SECTIONS && !hardened && os_restart_begin();
    os_lock(&threads_lock);
    set_aside_namesake(t->id);
    t->next = threads;
    if (threads != NULL)
        threads->prev = t;
    threads = t;
    os_unlock(&threads_lock);
    this_thread.thread = t;
    /* Last, since it may allocate. */
    if (!os_thread_watch())
        thread_ended();
    return this_thread.thread;
}

static void wait_until_restored(void) {
    os_lock(&threads_lock);
    os_unlock(&threads_lock);
}

/* Begins, with the right to use the caches. NULL, not begun, where the thread can have none. */
static thread *thread_begin(void) {
    thread *t = this_thread.thread;
    if (UNLIKELY(t == NULL) && (t = thread_start()) == NULL)
        return NULL;
    for (;;) {
        local_begin();
        if (LIKELY(!is_revoked(t)))
            return t;
        local_end();
        wait_until_restored();
    }
}

/* The thread's cache for the heap, which becomes the first of its list; NULL where it has none. */
static cache *find_cache(thread *t, const struct heap *heap) {
    if (t->caches != NULL && t->caches->heap == heap)
        return t->caches;
    if (__atomic_load_n(&heap->caches, __ATOMIC_RELAXED) == 0)
        return NULL;
    for (cache **link = &t->caches; *link != NULL; link = &(*link)->next)
        if ((*link)->heap == heap) {
            cache *c = *link;
            *link = c->next;
            c->next = t->caches;
            return t->caches = c;
        }
    return NULL;
}

/* A thread that goes through many heaps keeps caches for those it used last; and for the current one, which the fast paths use
 * without moving it to the front. */
static void drop_least_recent(thread *t) {
    cache **last = NULL;
    for (cache **link = &t->caches; *link != NULL; link = &(*link)->next)
        if ((*link)->heap != t->current)
            last = link;
    if (last == NULL)
        return;
    cache *c = *last;
    *last = c->next;
    t->caches_count--;
    cache_drain(c);
    cache_destroy(c);
}

static cache *cache_for(thread *t, struct heap *heap) {
    cache *c = find_cache(t, heap);
    if (c != NULL || (c = cache_new(heap)) == NULL)
        return c;
    if (t->caches_count == CACHES_MAX)
        drop_least_recent(t);
    c->next = t->caches;
    t->caches = c;
    t->caches_count++;
    return c;
}

cache *local_cache_for(struct heap *heap) {
    return cache_for(this_thread.thread, heap);
}

cache *local_enter(void) {
    /* A cache's arrays still name blocks that it has handed out: under valgrind no block would ever count as lost. */
    thread *t = os.valgrind ? NULL : thread_begin();
    if (t == NULL)
        return NULL;
    cache *c = __atomic_load_n(&this_thread.cache, __ATOMIC_RELAXED);
    if (c != &empty_cache)
        return c;
    c = cache_for(t, t->current);
    if (c == NULL)
        local_end();
    else if (may_be_fast(t))
        set_cache(&this_thread, c);
    return c;
}

void thread_before_vfork(void) {
    if (thread_begin() !=
        NULL) /* here rather than in the child: the record says what the kernel does for this thread */
        local_end();
    lent_to++;
    set_cache(&this_thread, &empty_cache);
}

void thread_after_vfork(void) {
    local_end(); /* the child may have been killed inside a slow path */
    lent_to--;
}

/* --- the current heap ----------------------------------------------------------------------------------------- */

/* What another thread reads when it retires a heap (find_user) is written by atomics, a push before its depth. */
static void set_depth(thread *t, int depth) {
    __atomic_store_n(&t->depth, depth, __ATOMIC_RELEASE);
}

static void make_current(thread *t, struct heap *heap, const rn_heap *handle) {
    t->current_handle = handle;
    __atomic_store_n(&t->current, heap, __ATOMIC_RELAXED);
    cache *c = cache_for(t, heap);
    set_cache(&this_thread, c == NULL || !may_be_fast(t) ? &empty_cache : c);
}

struct heap *current_heap(void) {
    const thread *t = this_thread.thread;
    return t == NULL ? &root_heap : t->current;
}

static thread *begin_pushing(const rn_heap *heap) {
    thread *t = thread_begin();
    if (t == NULL || t->depth == PUSH_DEPTH)
        misuse(heap, t == NULL ? "rn_heap_push in a thread that can have no caches" : "rn_heap_push nested too deep");
    return t;
}

/* The stack grows downwards: what pushed from below a frame has returned, or was jumped over, by the time that frame goes on. */
static bool is_below(const void *frame, const void *other) {
    return (uintptr_t)frame < (uintptr_t)other;
}

/* How many pushes were left behind by a longjmp, if one made by this very frame lies below them. A function that pushes for its
 * caller leaves some, too, but the caller's frame has none then. */
static int skipped(const thread *t, const void *frame) {
    if (t->depth == 0 || (uintptr_t)frame - (uintptr_t)t->pushed[t->depth - 1].frame < HELPERS_DIFFER)
        return 0;
    int kept = t->depth;
    while (kept > 0 && is_below(t->pushed[kept - 1].frame, frame))
        kept--;
    return kept > 0 && t->pushed[kept - 1].frame == frame ? t->depth - kept : 0;
}

static void pop_to(thread *t, int depth) {
    set_depth(t, depth);
    const rn_heap *handle = t->pushed[depth].before;
    make_current(t, heap_of(handle), handle);
}

/* The handle is looked up where a thread that destroys the heap would wait for this one. */
static void push(const rn_heap *handle, const void *frame) {
    thread *t = begin_pushing(handle);
    struct heap *heap = heap_of(handle);
    int left_behind = skipped(t, frame);
    if (UNLIKELY(left_behind != 0))
        pop_to(t, t->depth - left_behind);
    struct push *own = &t->pushed[t->depth];
    own->frame = frame;
    __atomic_store_n(&own->before, t->current_handle, __ATOMIC_RELAXED);
    set_depth(t, t->depth + 1);
    make_current(t, heap, handle);
    local_end();
}

/* Where the caller's frame ends: the same for all its calls. On arm64 gcc puts the frame pointer elsewhere in each function, while
 * clang, which has no word for that place, keeps it at a fixed distance from there. */
#if defined(__clang__)
#define CALLERS_FRAME __builtin_frame_address(0)
#else
#define CALLERS_FRAME __builtin_dwarf_cfa()
#endif

void rn_heap_push(rn_heap *heap) {
    push(heap, CALLERS_FRAME);
}

void rn_heap_pop(void) {
    const void *frame = CALLERS_FRAME;
    thread *t = thread_begin();
    if (t == NULL)
        return;
    int depth = t->depth - skipped(t, frame) - 1;
    if (depth < 0)
        misuse(NULL, "rn_heap_pop without its push");
    pop_to(t, depth);
    local_end();
}

void rn_heap_pop_to(int mark) {
    thread *t = thread_begin();
    if (t == NULL)
        return;
    if (mark < 0 || mark > t->depth)
        misuse(NULL, "rn_heap_pop without its push");
    if (mark < t->depth)
        pop_to(t, mark);
    local_end();
}

int rn_heap_mark(void) {
    return this_thread.thread == NULL ? 0 : this_thread.thread->depth;
}

/* --- other threads' ------------------------------------------------------------------------------------------- */

static bool is_outside(const thread *t) {
    return __atomic_load_n(&t->local->busy, __ATOMIC_ACQUIRE) == 0 &&
           __atomic_load_n(&t->local->cache, __ATOMIC_RELAXED) == &empty_cache;
}

static bool is_other(const thread *t) {
    return t->local != &this_thread;
}

static void revoke_others(void) {
    for (thread *t = threads; t != NULL; t = t->next)
        if (is_other(t)) {
            __atomic_store_n(&t->revoked, true, __ATOMIC_SEQ_CST);
            set_cache(t->local, &empty_cache);
        }
}

/* A thread that was inside a miss may have put its cache back as it was revoked: it is told once more. */
static bool tell_again(void) {
    bool any = false;
    for (thread *t = threads; t != NULL; t = t->next)
        if (is_other(t) && t->unsettled) {
            set_cache(t->local, &empty_cache);
            any = true;
        }
    return any;
}

/* Stops all other threads from using their caches. Those that would not leave in time are marked unsettled. The
 * threads' lock is held. Returns how many those are. */
static unsigned stop_others(void) {
    bool any = false;
    set_aside_gone();
    revoke_others();
    for (thread *t = threads; t != NULL; t = t->next) {
        t->unsettled = is_other(t);
        any |= t->unsettled;
    }
    unsigned left = 0;
    for (int try = 0; any && try < STOP_TRIES; try++) {
        if (!os_barrier_everywhere())
            break;
        left = 0;
        for (thread *t = threads; t != NULL; t = t->next)
            if (t->unsettled && is_outside(t))
                t->unsettled = false;
            else
                left += t->unsettled;
        if (left == 0)
            return 0;
        os_pause(STOP_PAUSE_US);
        any = tell_again();
    }
    left = 0;
    for (thread *t = threads; t != NULL; t = t->next)
        left += t->unsettled;
    return left;
}

static void let_others_go(void) {
    for (thread *t = threads; t != NULL; t = t->next)
        __atomic_store_n(&t->revoked, false, __ATOMIC_RELEASE);
}

bool threads_alone(void) {
    os_lock(&threads_lock);
    bool alone = !others_were_lost && gone == NULL &&
                 (threads == NULL || (threads == this_thread.thread && threads->next == NULL));
    os_unlock(&threads_lock);
    return alone;
}

unsigned threads_take_over(void) {
    os_lock(&threads_lock);
    unsigned left = stop_others();
    for (thread *t = threads; t != NULL; t = t->next)
        if (is_other(t) && !t->unsettled)
            drain(t);
    let_others_go();
    os_unlock(&threads_lock);
    dissolve_gone();
    return left;
}

static void count_cached(const thread *t, size_t blocks[SIZE_CLASSES_COUNT]) {
    for (const cache *c = t->caches; c != NULL; c = c->next)
        for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
            blocks[i] += cache_blocks(c, i);
}

bool threads_count_cached(size_t blocks[SIZE_CLASSES_COUNT], unsigned *unknown) {
    if (!os_lock_within(&threads_lock, COUNT_WAIT_MS))
        return false;
    *unknown = stop_others();
    for (const thread *t = threads; t != NULL; t = t->next)
        if (is_other(t) ? !t->unsettled
                        : !this_thread.busy) /* busy: in a signal handler that interrupted a slow path */
            count_cached(t, blocks);
    let_others_go();
    os_unlock(&threads_lock);
    return true;
}

static size_t cached_bytes(const thread *t) {
    size_t blocks[SIZE_CLASSES_COUNT] = {0}, bytes = 0;
    count_cached(t, blocks);
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        bytes += blocks[i] * size_classes[i].size;
    return bytes;
}

/* Where it is inside already, others wait for it to leave; but twice inside is a signal handler that has interrupted it. */
size_t thread_cached_bytes(void) {
    const thread *t = this_thread.thread;
    bool was_inside = this_thread.busy != 0;
    size_t bytes = 0;
    if (t == NULL || this_thread.inside > 1)
        return 0;
    if (!was_inside)
        local_begin();
    if (was_inside || !is_revoked(t))
        bytes = cached_bytes(t);
    if (!was_inside)
        local_end();
    return bytes;
}

void thread_drain_own(void) {
    if (this_thread.thread == NULL)
        return;
    thread *t = thread_begin();
    drain(t);
    local_end();
}

void thread_abandon_caches(void) {
    thread *t = this_thread.thread;
    this_thread.ended = 1;
    set_cache(&this_thread, &empty_cache);
    if (t != NULL) {
        t->caches = NULL;
        t->caches_count = 0;
        t->quarantine = NULL;
    }
    this_thread.thread = NULL;
    local_end();
}

static void drop_cache_of(thread *t, struct heap *heap) {
    hardened_forget(t, heap);
    cache *c = find_cache(t, heap);
    if (c == NULL)
        return;
    t->caches = c->next;
    t->caches_count--;
    cache_destroy(c);
}

/* Whether the heap is the thread's current one, or will be when it pops; a retired one, without a handle, is named then. Exact
 * where the thread is stopped; else it may miss a push that is under way, but sees none whose pop this thread knows of. */
static bool has_pushed(const thread *t, const struct heap *heap, const rn_heap *handle) {
    if (__atomic_load_n(&t->current, __ATOMIC_RELAXED) == heap)
        return true;
    int depth = handle == NULL ? 0 : __atomic_load_n(&t->depth, __ATOMIC_ACQUIRE);
    for (int i = 0; i < depth; i++)
        if (__atomic_load_n(&t->pushed[i].before, __ATOMIC_RELAXED) == handle)
            return true;
    return false;
}

/* The number of a thread that has, or ID_UNKNOWN; 0 if none has. The threads' lock is held. */
static int find_user(const struct heap *heap, const rn_heap *handle) {
    for (const thread *t = threads; t != NULL; t = t->next)
        if (has_pushed(t, heap, handle))
            return t->id;
    return 0;
}

static _Noreturn void misuse_pushed(const struct heap *heap, const rn_heap *handle, const char *call, int user) {
    char line[HEAP_NAME_MAX + 80];
    if (user == ID_UNKNOWN)
        snprintf(line, sizeof line, "%s of heap \"%s\", which a thread has pushed", call, heap->name);
    else if (this_thread.thread != NULL && this_thread.thread->id == user)
        snprintf(line, sizeof line, "%s of heap \"%s\", which this thread has pushed", call, heap->name);
    else
        snprintf(line, sizeof line, "%s of heap \"%s\", which thread %d has pushed", call, heap->name, user);
    misuse(handle, line);
}

void threads_check_unused(const struct heap *heap) {
    os_lock(&threads_lock);
    int user = find_user(heap, heap->handle);
    os_unlock(&threads_lock);
    if (user != 0)
        misuse_pushed(heap, heap->handle, "rn_heap_retire", user);
}

void thread_drop_own(struct heap *heap) {
    thread *t = this_thread.thread;
    if (t == NULL)
        return;
    thread_begin();
    cache *c = find_cache(t, heap);
    if (c != NULL)
        cache_drain(c);
    drop_cache_of(t, heap);
    local_end();
}

void threads_drop_heap(struct heap *heap, const rn_heap *handle) {
    os_lock(&threads_lock);
    while (stop_others() != 0 && os.membarrier)
        ; /* one that was preempted inside another heap's slow path will leave it */
    int user = find_user(heap, handle);
    local_begin();
    for (thread *t = threads; t != NULL; t = t->next)
        drop_cache_of(t, heap);
    for (thread *t = gone; t != NULL; t = t->next)
        drop_cache_of(t, heap);
    local_end();
    let_others_go();
    os_unlock(&threads_lock);
    if (user != 0)
        misuse_pushed(heap, handle, handle == NULL ? "rn_heap_retire" : "rn_heap_destroy", user);
}

/* --- fork ----------------------------------------------------------------------------------------------------- */

void threads_before_fork(void) {
    os_lock(&threads_lock);
    stop_others();
}

void threads_after_fork_in_parent(void) {
    let_others_go();
    os_unlock(&threads_lock);
}

/* Only the forking thread lives on. What others had cached comes back; what one held that could not be stopped in the
 * middle of a batch is lost to the child, since its arrays can't be trusted. */
void threads_after_fork_in_child(void) {
    thread *mine = this_thread.thread;
    if (mine != NULL)
        unlist(mine);
    thread *dead = threads;
    threads = mine;
    if (mine != NULL) {
        mine->next = mine->prev = NULL;
        mine->revoked = false;
        mine->id = id_of_this();
    }
    threads_process = os_process_id();
    os_unlock(&threads_lock);
    others_were_lost |= dead != NULL;
    for (thread *next; dead != NULL; dead = next) {
        next = dead->next;
        if (!dead->unsettled)
            dissolve(dead);
    }
    dissolve_gone();
}
