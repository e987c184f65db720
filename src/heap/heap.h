/* heap.h (private): how blocks travel between a program and the spans of a heap.
 *
 *   malloc, free  <->  a cache: arrays of pointers, one thread's, for one heap        (malloc.c, cache.c)
 *                 <->  a store: the spans of one class in one heap, under a lock      (store.c)
 *                 <->  the page heap                                                  (../span)
 *
 * Large blocks are spans of their own (large.c). Start with struct cache and the protocol beside struct local. */
#ifndef RATION_HEAP_PRIVATE_H
#define RATION_HEAP_PRIVATE_H

#include "../span/span.h"

#include <pthread.h>
#include <ration/heap.h>

/* Nothing here is seen outside the library, and the compiler may rely on it. */
#pragma GCC visibility push(hidden)

struct thread;
struct pressure_callback;

/* --- accounts ------------------------------------------------------------------------------------------------- */

enum {
    STORE_BUCKETS = 6, /* makes a store a cache line */
    HEAP_NAME_MAX = 32,
    HEAP_IDS = 1 << 16,
    PUSH_DEPTH = 64,
    NEEDS = 4,
};

/* The blocks of one class in one heap. */
typedef struct block_store {
    os_mutex lock;
    uint32_t blocks_out;          /* in programs' hands and in caches */
    span *buckets[STORE_BUCKETS]; /* spans with free blocks to take, fuller ones in higher buckets */
    span *latent;                 /* spans whose free blocks need pages committed first */
} OWN_LINE block_store;

struct heap {
    uint32_t id;     /* its place, and how often that had been used, as the page map's tags have it */
    uint32_t caches; /* of threads; an atomic */
    char name[HEAP_NAME_MAX];
    const rn_heap *handle; /* what the program knows it by; NULL once it is retired */
    struct heap *parent;
    struct heap *next_sibling, *prev_sibling, *first_child;
    struct heap *next_retired, *prev_retired; /* a ring; these, too, under the tree's lock */

    size_t used;   /* committed bytes of the subtree, and its children's credit; all of these are atomics */
    size_t credit; /* charged to the parent, but not used */
    size_t peak;
    size_t limit;
    size_t soft;    /* beyond this, memory is given back in small steps */
    size_t ease_at; /* the next of them is due when so much is used */
    size_t denied;
    size_t large_bytes, large_blocks;
    struct pressure_callback *callbacks; /* in no order; under the tree's lock */
    struct shape *shapes;                /* likewise */

    os_mutex spans_lock;
    span *spans; /* all of this heap's, linked by older and newer */
    block_store stores[SIZE_CLASSES_COUNT];
};

extern struct heap root_heap;

/* --- handles (handle.c) --------------------------------------------------------------------------------------- */

/* The heap at each place, by the low 16 bits of its id. */
extern struct heap *heap_places[HEAP_IDS];

/* The root, which takes its place now; for any other handle, says which heap it was, and aborts. */
struct heap *heap_unplaced(const rn_heap *handle);

static inline unsigned heap_place_of(const rn_heap *handle) {
    return (uint16_t)((uintptr_t)handle >> 1);
}

/* The heap that the program means. */
static inline struct heap *heap_of(const rn_heap *handle) {
    struct heap *heap = __atomic_load_n(&heap_places[heap_place_of(handle)], __ATOMIC_RELAXED);
    if (UNLIKELY(heap == NULL || heap->handle != handle))
        return heap_unplaced(handle);
    return heap;
}

/* What the program knows the heap by; of a retired one, what it knows the nearest ancestor by that is not. */
rn_heap *handle_of(const struct heap *);
/* The heap; of a retired one, the nearest ancestor that is not. */
struct heap *heap_in_service(struct heap *);
/* Gives the heap a place, an id and a handle that no heap had before. False where all places are taken. Under the tree's lock,
 * as the other two. */
bool heap_place(struct heap *);
/* The handle, which it gives, is good for nothing any more; the id remains for what is left in the heap. */
const rn_heap *heap_disavow(struct heap *, bool retired);
void heap_unplace(struct heap *);

/* --- charges (charge.c) --------------------------------------------------------------------------------------- */

/* Adds bytes to the heap and its ancestors, or to none of them if one would pass its limit. */
bool heap_charge(struct heap *, size_t bytes);
/* Whether it would, as things are. It is charged once the memory is had: a charge that is taken back remains in the peak. */
bool heap_may_charge(const struct heap *, size_t bytes);
void heap_uncharge(struct heap *, size_t bytes);
void heap_note_denied(struct heap *);
/* The nearest of heap and its ancestors that has no room for so many bytes more, or NULL. */
struct heap *heap_without_room(struct heap *, size_t bytes);
/* Whether the heap's limit allows it what it holds and so many bytes more. */
bool heap_has_room(const struct heap *, size_t bytes);
/* How far so many bytes more, which are conceivable, would take the heap beyond such a limit; 0 is none. */
size_t heap_excess(const struct heap *, size_t bytes, size_t limit);
/* What is withheld of a limit, unless the program asked for another reserve: */
enum { RESERVE = 64 << 10, RESERVE_PART = 16 /* of a small limit it is no more than this part */ };
/* What is withheld of a heap's limit: a thread may have it where it is in need, which is noted where it is denied something in
 * the heap or below it, of this heap and each above that is short of room, and ends with that. A thread that is in need in more
 * than NEEDS heaps beside the root is so in the last of them. (reserve.c) */
size_t heap_withheld(const struct heap *, size_t limit);
/* What is withheld of the root's limit, instead of RESERVE. */
void heap_set_reserve(size_t bytes);
void heap_note_need(const struct heap *);
void heap_end_need(const struct heap *);
bool heap_is_needed(const struct heap *);
/* Of it or one above it. */
bool heap_is_needed_upwards(const struct heap *);
/* Gives the heap's credit back to its ancestors. */
void heap_return_credit(struct heap *);
/* How far the heap is beyond its soft limit. */
size_t heap_soft_excess(const struct heap *);
/* Takes back the credit of all heaps below this one. The tree's lock is held. */
void heap_recall_credit(struct heap *);

/* --- the tree ------------------------------------------------------------------------------------------------- */

/* Every heap of a subtree, children before their parents, from the first until NULL. The tree's lock is held. */
struct heap *heap_first_in(const struct heap *top);
struct heap *heap_next_in(const struct heap *top, const struct heap *);
/* Into its parent's list; the tree's lock is held. */
void heap_own(struct heap *parent, struct heap *child);
/* Parts of a heap's end. Out of its parent's list; the tree's lock is held. What lies in it goes, with no thread in it. Its place and
 * tables go. */
void heap_disown(struct heap *);
void heap_release_spans(struct heap *);
void heap_free_tables(struct heap *);
/* The heap, retired or not, is no longer waited for. The tree's lock is held. */
void heap_forget_retired(struct heap *);
/* Frees the tables of retired heaps in which nothing is left: of a few that are looked at; or of all, those that threads have
 * empty caches of included. No lock is held. */
void heap_bury_retired(void);
void heap_bury_all_retired(void);
/* The name as it may stand in lines that are read by line, cut where it must be. */
void heap_copy_name(char to[HEAP_NAME_MAX], const char *name);
/* Zeroed tables, which are in no heap's account, but within the root's limit; NULL if that or the system denies them, after
 * all was tried. No lock is held. */
void *heap_take_tables(size_t size);
void heap_purge_subtree(struct heap *);
void heap_lock_tree(void);
bool heap_lock_tree_within(unsigned milliseconds);
void heap_unlock_tree(void);
/* Puts the children of each heap in the order of what they use, most first. The tree's lock is held. */
void heap_sort_tree(void);
void heap_add_span(struct heap *, span *);
void heap_remove_span(struct heap *, span *);
void heap_each_span(void (*look)(const span *));
/* This thread's current heap. */
struct heap *current_heap(void);
/* rn_heap_malloc and the others, of a heap that is known. */
void *heap_malloc(struct heap *, size_t size);
void *heap_calloc(struct heap *, size_t count, size_t size);
void *heap_aligned_alloc(struct heap *, size_t align, size_t size);
void heap_read(const struct heap *, rn_stats *);
size_t heap_trim(struct heap *);
/* Around fork: no other thread is inside the tree, a store or a heap's list of spans. */
void heap_tree_lock(void);
void heap_tree_unlock(void);

/* --- pressure ------------------------------------------------------------------------------------------------- */

/* After a request of so many bytes was refused: does the next thing on the list that gives memory back. stages counts
 * through the list, from 0. False when all was tried, or nothing could help: the request is to be denied. No lock is
 * held. */
bool pressure_relieve(struct heap *, size_t bytes, unsigned *stages);
/* The same where the heap itself holds more than a limit that it is to have. */
bool pressure_relieve_to(struct heap *, size_t limit, unsigned *stages);
/* After a request of this thread's took the heap or one above it beyond its soft limit: gives some memory back, in less than
 * 100 us. No lock is held. */
void pressure_ease(struct heap *);
/* What this thread's charges have made due; once its request is done, with no lock held. */
void do_what_is_due(struct heap *);
/* Notes that so many bytes were denied, and does what is to be done besides; it may not return. No lock is held. */
void pressure_denied(struct heap *, size_t bytes);
/* How long threads have spent in all of this, in microseconds. */
uint64_t pressure_time(void);

/* What is done at the process's limit; argument is how many ms to wait, or the exit code. */
typedef enum on_limit_action { ON_LIMIT_DENY, ON_LIMIT_WAIT, ON_LIMIT_ABORT, ON_LIMIT_EXIT } on_limit_action;
void on_limit_set(on_limit_action, unsigned argument);
/* Returns once none of the heap's is being called, but by this thread. */
void callbacks_forget(struct heap *);
void callbacks_after_fork_in_child(void);
void ease_after_fork_in_child(void);
/* The heap is about to leave the tree, whose lock is held. */
void ease_forget(const struct heap *);

/* --- stores --------------------------------------------------------------------------------------------------- */

/* Takes up to want blocks of the class, lowest addresses first, and writes them downwards from end. Returns how many;
 * fewer where memory is denied. */
unsigned store_take(struct heap *, unsigned class_index, void **end, unsigned want);
/* Gives blocks of one heap and class back. Aborts with a line if one of them is not a live block. */
void store_give(struct heap *, unsigned class_index, void *const *blocks, unsigned count);
/* Returns pages of partly used spans to the system where that pays. Gives the bytes. */
size_t store_purge_heap(struct heap *);
/* The same of one class, as far as there is time. *spans counts those that were looked at already, and is 0 once all were. */
void store_purge_class(struct heap *, unsigned class_index, unsigned *spans, purge_slice *);
/* Bytes that these have returned so far. */
size_t store_purged_bytes(void);
/* The heap's spans are about to go as they are: nothing in them counts as committed any more. */
void store_forget_committed(const struct heap *);
void store_lock_all(struct heap *);
void store_unlock_all(struct heap *);

/* --- caches --------------------------------------------------------------------------------------------------- */

/* Free blocks of one heap, by class, ready for one thread. Each class has an array: top points behind the block that
 * comes out next, below the bottom lies a NULL, end is one behind the last place. No field but top changes in the
 * fast path. */
typedef struct cache {
    void **top[SIZE_CLASSES_COUNT];
    void **end[SIZE_CLASSES_COUNT];
    uint32_t tag;                      /* heap id << 8: what the page map's tags are compared with */
    uint8_t level[SIZE_CLASSES_COUNT]; /* which of the array sizes end stands for */
    uint8_t patience;                  /* counts towards the next attempt to make an array larger */
    struct heap *heap;
    struct cache *next; /* the thread's other caches */
} cache;

/* The cache that always misses. A thread's pointer names it before its first allocation, after its end, while another
 * thread takes its caches over, and wherever every allocation must be seen. */
extern const cache empty_cache;

enum {
    DUE_EASING = 1, /* some heap is beyond its soft limit */
    DUE_TELLING = 2 /* the process has grown; what was charged counts as live only now */
};

/* What a thread has in thread-local storage.
 *
 * The fast paths use cache inside a restartable sequence (rseq(2), section.h). The slow paths set busy, use it, and
 * clear busy. To take a thread's caches over, another thread sets revoked and points cache to the empty cache, lets
 * membarrier(2) restart every sequence under way and pass a barrier in every thread, and waits until busy is 0: from
 * then on the owner can only miss, and a miss sees revoked and waits. So neither of the owner's sides needs more than
 * plain stores. */
typedef struct local {
    cache *cache;
    uint64_t no_section; /* where the fast paths announce their section while no rseq area is known */
    uint8_t busy;
    uint8_t ended;       /* the thread's end has begun: no caches any more */
    uint8_t inside;      /* how many slow paths it is in: a signal handler may have interrupted one */
    uint8_t aborting;    /* for a misuse: what it frees stays */
    uint8_t relieving;   /* runs pressure: its own requests are denied without */
    uint8_t refused;     /* a charge, by some heap's limit */
    uint8_t due;         /* by its charges, once its request is done: DUE_… */
    uint8_t needs_root;  /* it was denied something a moment ago, and may use what is withheld of the root's limit; */
    uint8_t needs_count; /* and of those of the heaps that needs names */
    uint64_t wait_until; /* at the process's limit: when its request is denied; 0 if it has not waited */
    struct thread *thread;
    const rn_heap *needs[NEEDS];
} local;

extern __thread local this_thread __attribute__((tls_model("initial-exec")));

static inline bool heap_is_any_needed(void) {
    return this_thread.needs_count != 0 || this_thread.needs_root;
}

/* What was current before a push, and the stack frame of who pushed. */
struct push {
    const rn_heap *before;
    const void *frame;
};

typedef struct thread {
    struct thread *next, *prev;
    struct local *local;
    pthread_t self; /* for debuggers */
    int id;         /* the system's number of it */
    cache *caches;  /* the last used first */
    unsigned caches_count;
    struct heap *current;
    const rn_heap *current_handle; /* as it was pushed: the heap may have none any more */
    int depth;
    bool fast; /* its sequences can be restarted, so it may use the fast paths */
    bool revoked;
    bool unsettled; /* could not be stopped for a fork: its caches may be inconsistent in the child */
    struct push pushed[PUSH_DEPTH];
    void **quarantine; /* of checked blocks */
    unsigned turns;
    int until_sampled; /* so many more blocks in its cache before one is checked; */
    uint8_t sampled;   /* the class, and one, whose next request is checked */
} thread;

static inline void local_begin(void) {
    __atomic_store_n(&this_thread.busy, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void local_end(void) {
    __atomic_store_n(&this_thread.busy, 0, __ATOMIC_RELEASE);
}

/* Whether the library is at work in this thread. Who finds it so is a signal handler that has interrupted it, and must neither lock
 * anything nor use the thread's caches. A callback of the program's that it calls does not. */
static inline bool library_is_at_work(void) {
    return os_holds_locks() || this_thread.inside != 0 || __atomic_load_n(&this_thread.busy, __ATOMIC_RELAXED) != 0;
}

/* Begins, and gives this thread's current cache; NULL, not begun, where the thread can have none. */
cache *local_enter(void);
/* This thread's cache for the heap, inside local_enter … local_end; NULL if tables can't be had. */
cache *local_cache_for(struct heap *);

/* A block of a class that has none left; the cache gets more. NULL if denied. */
void *cache_refill(cache *, unsigned class_index);
void cache_put(cache *, unsigned class_index, void *block);
unsigned cache_blocks(const cache *, unsigned class_index);
void cache_drain(cache *);
void cache_destroy(cache *);
cache *cache_new(struct heap *);

void threads_start(void);
/* Whether no other thread has anything cached, nor may have left a block half handed out or half taken back when it was lost in a
 * fork. */
bool threads_alone(void);
/* Takes the blocks out of every other thread's caches. Returns how many threads could not be stopped. */
unsigned threads_take_over(void);
/* Adds up the blocks in all threads' caches, by class. unknown: how many threads could not be stopped, and are left out. False,
 * with nothing done, where that would take too long. */
bool threads_count_cached(size_t blocks[SIZE_CLASSES_COUNT], unsigned *unknown);
/* What this thread has cached, in bytes; 0 where it can't be looked at without waiting. */
size_t thread_cached_bytes(void);
/* Drops what threads have cached of the heap, whose handle was this (NULL: it is retired) and is good for nothing by now. Aborts with a
 * line if a thread has it pushed. */
void threads_drop_heap(struct heap *, const rn_heap *handle);
/* The same line where a thread has a heap pushed that is about to be retired. */
void threads_check_unused(const struct heap *);
/* Drops what this thread has cached of the heap; it goes back. */
void thread_drop_own(struct heap *);
void thread_drain_own(void);
/* What the thread had cached is lost, and it has no caches any more: it was stopped in the middle of a batch. */
void thread_abandon_caches(void);
/* The thread is about to end past libc, by the system call itself. */
void thread_leave(void);
/* Around vfork: the thread makes no use of sequences, which its child could not restart. */
void thread_before_vfork(void);
void thread_after_vfork(void);
void threads_before_fork(void);
void threads_after_fork_in_parent(void);
void threads_after_fork_in_child(void);

/* --- large blocks --------------------------------------------------------------------------------------------- */

void *large_take(struct heap *, size_t size, size_t align, bool *clean);
void large_give(span *, void *block);
/* Takes the span out of its heap's list and figures; its memory is the caller's to give to the page heap and then to
 * uncharge. */
void large_detach(span *);
/* The block at its new size, moved or not; NULL if memory is denied. */
void *large_resize(span *, size_t size);
/* A chunk, in whole system pages. */
span *large_take_chunk(struct heap *, size_t bytes, size_t align);
void large_give_chunk(span *);

/* --- what goes wrong ------------------------------------------------------------------------------------------ */

/* One line to stderr: the address, the class, the heap, what is wrong; then abort(). */
_Noreturn void misuse(const void *block, const char *what);
/* What a block is that was freed; or whose size was asked for, or changed. */
_Noreturn void misuse_block(const void *block, span_verdict verdict);
/* Of a block that was of the heap and class when it was freed, but whose span has been given back since: it was free already. */
_Noreturn void misuse_of_gone(const void *block, const struct heap *, unsigned class_index);
_Noreturn void misuse_use(const void *block, span_verdict verdict);

/* --- start ---------------------------------------------------------------------------------------------------- */

/* Makes the library ready; every slow path calls it first. */
void start_once(void);
/* Forks are to be told of even while there is one thread. */
void start_watching_forks(void);
/* Reads the RATION_ variables. Once libc has set up the environment; a second call does nothing. */
void configure(char **environment);
/* Defined by a program that is started for another, to which the variables that it finds belong: all but RATION_RUN. */
extern const char rn_starts_another __attribute__((weak));
/* The value of one of these for this program; NULL where there is none. */
const char *library_variable(char **environment, const char *name);
/* The program's end: what is cached is judged, so that no double free goes unseen, and the figures are written. */
void finish(void);

void *malloc_slow(size_t size);
void free_slow(void *block);

#pragma GCC visibility pop

#endif
