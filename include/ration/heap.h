/* heap.h: accounts of memory, and the allocation functions that draw on them.
 *
 * A heap owns what is allocated in it. Heaps form a tree under rn_heap_root(), which is the process and where malloc
 * allocates from by default. Destroying a heap gives back everything in it and in its subtree at once.
 *
 * Sizes are bytes. Every block is aligned to 16 bytes.
 * Functions that give memory return NULL with errno = ENOMEM (or EINVAL, where said) when they can't; errno is untouched
 * otherwise. Every function may be called by any thread at any time unless it says otherwise; none may be called from
 * a signal handler, since the thread may have been interrupted inside another. */
#ifndef RATION_HEAP_H
#define RATION_HEAP_H

#include <ration/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_heap rn_heap;

/* What a heap and its subtree hold. Bytes unless said otherwise. */
typedef struct rn_stats {
    size_t used;  /* committed now: live blocks, free blocks between them, what threads have cached */
    size_t peak;  /* the most that used has been */
    size_t limit; /* 0: only the ancestors' limits apply; of the root's limit other processes of a run may use, too */
    size_t soft_limit; /* 0: none */
    size_t live; /* in blocks handed out and not freed; what threads have cached counts as live until it is flushed */
    size_t objects; /* the number of those blocks */
    size_t denied;  /* requests answered with NULL */
    size_t
        mapped; /* of the root only, and beside used: what the program maps itself through libc, where Ration is its malloc */
    size_t
        rest; /* of the root only, and beside used: what else is resident of the process's own, and page tables, as measured */
} rn_stats;

/* The process's heap, malloc's default. Never NULL, never destroyed. */
RN_API rn_heap *rn_heap_root(void) RN_NOEXCEPT;

/* A new heap below parent (NULL: the root). The name is copied and cut at 31 bytes; control characters become '?'.
 * limit 0 leaves only the ancestors' limits. NULL with ENOMEM when its tables can't be had. Ends with rn_heap_destroy. */
RN_API rn_heap *rn_heap_new(rn_heap *parent, const char *name, size_t limit) RN_NOEXCEPT
    __attribute__((warn_unused_result));

/* Gives back everything in the heap and in its subtree; pointers into it are invalid from here on. No thread may be
 * using the heap; where one has it pushed, aborts with one line. NULL is ignored. Costs in proportion to the heap's
 * spans, not its blocks. */
RN_API void rn_heap_destroy(rn_heap *heap) RN_NOEXCEPT;

/* Ends the heap's use without taking anything from those who still hold some of it: what lies in it moves to the parent, and
 * goes as it is freed, by anyone, at any time. Its limits are no more; heaps below it stay. From here on the handle must not
 * be used. Where a thread has the heap pushed, aborts with one line. NULL is ignored. Costs the same however much is left. */
RN_API void rn_heap_retire(rn_heap *heap) RN_NOEXCEPT;

/* Memory from the heap named. Free it with rn_free, on any thread. A size of 0 gives a block of its own. */
RN_API void *rn_heap_malloc(rn_heap *heap, size_t size) RN_NOEXCEPT RN_MALLOC RN_SIZE(2);
/* The same, count * size bytes and zeroed; ENOMEM where the product overflows. */
RN_API void *rn_heap_calloc(rn_heap *heap, size_t count, size_t size) RN_NOEXCEPT RN_MALLOC RN_SIZE(2, 3);
/* The same at an address that is a multiple of align, a power of two; EINVAL if it is not one. */
RN_API void *rn_heap_aligned_alloc(rn_heap *heap, size_t align, size_t size) RN_NOEXCEPT RN_MALLOC RN_SIZE(3)
    RN_ALIGN(2);

/* Memory from this thread's current heap, which is the root unless one was pushed. */
RN_API void *rn_malloc(size_t size) RN_NOEXCEPT RN_MALLOC RN_SIZE(1);
RN_API void *rn_calloc(size_t count, size_t size) RN_NOEXCEPT RN_MALLOC RN_SIZE(1, 2);
RN_API void *rn_aligned_alloc(size_t align, size_t size) RN_NOEXCEPT RN_MALLOC RN_SIZE(2) RN_ALIGN(1);

/* The block with its contents at a new size, in the heap it came from; it may move. NULL leaves the old block as it
 * was. A NULL ptr is rn_malloc(size); a size of 0 gives the smallest block, it does not free. */
RN_API void *rn_realloc(void *ptr, size_t size) RN_NOEXCEPT __attribute__((warn_unused_result)) RN_SIZE(2);

/* Gives a block back to its heap, whichever and whoever's. NULL is ignored, errno kept. Aborts with one line on proof
 * that ptr is not a live block. */
RN_API void rn_free(void *ptr) RN_NOEXCEPT;

/* Bytes that may be used at ptr, at least what was asked for. 0 for NULL. */
RN_API size_t rn_usable_size(const void *ptr) RN_NOEXCEPT;

/* The heap that owns the block at ptr, or NULL where ptr is nothing of Ration's. */
RN_API rn_heap *rn_heap_of(const void *ptr) RN_NOEXCEPT;

/* Makes heap this thread's current heap until the matching pop. Pushes nest 64 deep; a deeper one aborts, as does a
 * pop without a push.
 * Pushes that a longjmp left behind are dropped by the next push or pop of a function that had itself pushed before. They
 * are known by their stack frames. So a function that has pushed must not also use a helper that returns with a push in
 * place; it may push and pop through helpers alone: but where the stack frames of the helper that pushes and of the one
 * that pops differ by 256 bytes or more, a push may be taken for what a longjmp left. Helpers that can't promise that are
 * best inlined, or made of rn_heap_mark and rn_heap_pop_to, which always do just what they say. */
RN_API void rn_heap_push(rn_heap *heap) RN_NOEXCEPT;
RN_API void rn_heap_pop(void) RN_NOEXCEPT;
/* How deep this thread's pushes stand, to come back to after a longjmp. */
RN_API int rn_heap_mark(void) RN_NOEXCEPT;
RN_API void rn_heap_pop_to(int mark) RN_NOEXCEPT;

/* RN_HEAP_PUSHED(heap); makes heap the current one for the rest of the enclosing block, however that is left: at its
 * end, by return, goto or break, or by an exception of C++. A longjmp leaves it as it is. */
#define RN_HEAP_PUSHED(heap) RN_HEAP_PUSHED_ON(heap, __LINE__)
#define RN_HEAP_PUSHED_ON(heap, line) RN_HEAP_PUSHED_AT(heap, line)
#define RN_HEAP_PUSHED_AT(heap, line) \
    int rn_heap_pushed_at_##line __attribute__((cleanup(rn_heap_pop_pushed), unused)) = rn_heap_push_marked(heap)

/* For the macro and ration::pushed: gives the mark from before the push, and pops to it. */
static inline int rn_heap_push_marked(rn_heap *heap) {
    int mark = rn_heap_mark();
    rn_heap_push(heap);
    return mark;
}
static inline void rn_heap_pop_pushed(const int *mark) {
    rn_heap_pop_to(*mark);
}

/* Bounds what the heap's subtree has committed; 0 leaves only the ancestors' limits. Any thread may be allocating. Where
 * more than that is held, everything is tried that is tried before a request is denied (rn_heap_on_pressure); RN_EBUSY if
 * it does not suffice: the old limit then stands. The root's limit bounds the library's own tables and free memory, too,
 * and where Ration is the process's malloc, what the program maps itself (mapped and rest above).
 * Of any limit 64 KiB, or a sixteenth if that is less, in whole pages (for the root what RATION_RESERVE says), are withheld: only a
 * thread that was just denied something in the subtree gets those, to unwind its stack and say why, until there is room again. */
RN_API int rn_heap_set_limit(rn_heap *heap, size_t limit) RN_NOEXCEPT;

/* Bounds softly: what passes it is not denied, but from there on the threads that allocate give back memory that nobody uses,
 * and call the callbacks below, in steps short enough (100 us, callbacks aside) to go unnoticed. 0: none. Where the process shares
 * its limit with others of a run, the root's soft limit is passed by what all hold together. */
RN_API void rn_heap_set_soft_limit(rn_heap *heap, size_t soft_limit) RN_NOEXCEPT;

/* Asks for a call of release when a request in the heap's subtree is about to be denied: after the library has returned
 * what it can by itself (free spans, idle pages, all threads' caches), lowest priority first, until there is room.
 * release frees what it can spare, about want bytes or more, and says how many; 0 where it has nothing. It is called on
 * the thread whose request that is, with no lock of the library's held. It may allocate, where there is room, and free.
 * Callbacks run one at a time in the process: another thread that needs room meanwhile waits for each at most 100 ms, then
 * its requests are denied while that one runs and there is no room.
 * It must return: not by longjmp, nor by ending its thread.
 * RN_ENOMEM if there is no memory to note it. A release of NULL takes back what was asked for with the same priority and
 * arg (RN_EINVAL if nothing was), and returns once it is not running. */
RN_API int rn_heap_on_pressure(rn_heap *heap, int priority, size_t (*release)(void *arg, size_t want),
                               void *arg) RN_NOEXCEPT;

/* Fills *stats for the heap and its subtree, at one moment of each heap. */
RN_API void rn_heap_stats(const rn_heap *heap, rn_stats *stats) RN_NOEXCEPT;

/* Returns to the system what the heap's subtree has committed and nobody uses. All threads' caches are emptied for it,
 * and the free spans of the whole process go back. Gives the bytes returned. */
RN_API size_t rn_heap_trim(rn_heap *heap) RN_NOEXCEPT;

#ifdef __cplusplus
}

namespace ration {

/* RN_HEAP_PUSHED as an object: the heap is this thread's current one until the object ends, be it by an exception. */
class pushed {
    int mark;

  public:
    explicit pushed(rn_heap *heap) noexcept : mark(rn_heap_push_marked(heap)) {}
    ~pushed() {
        rn_heap_pop_to(mark);
    }
    pushed(const pushed &) = delete;
    pushed &operator=(const pushed &) = delete;
};

} // namespace ration
#endif
#endif
