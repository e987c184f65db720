/* arena.h: memory that is given out by moving a pointer and is given back all at once, or back to a mark.
 *
 * An arena takes chunks from a heap, within that heap's limit, and hands out pieces of them. A piece is never freed by
 * itself: rn_arena_rewind gives back all that was handed out since a mark, rn_arena_reset all there is. Destroying the heap
 * destroys its arenas.
 *
 *     rn_arena *arena = rn_arena_new(heap, 0);
 *     struct node *node = RN_ARENA_NEW(arena, struct node);
 *     node->name = rn_arena_strdup(arena, name);
 *     rn_arena_destroy(arena);
 *
 * Sizes are bytes. Functions that give memory return NULL with errno = ENOMEM when the heap's limit or the system denies it;
 * what was handed out before stays as it is. One thread at a time may use an rn_arena; an rn_shared_arena any number. None of
 * this may be called from a signal handler. Where the heap is retired, its arenas draw on its parent from then on; no thread may be
 * using them at that moment.
 *
 * Under valgrind, and in a program that was built with AddressSanitizer, the bytes between pieces, and what was rewound, are out of
 * bounds, and the tools report who uses them. With RATION_HARDEN=1, what was rewound is overwritten. */
#ifndef RATION_ARENA_H
#define RATION_ARENA_H

#include <ration/heap.h>

#include <stdarg.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For the inline functions only. */
typedef struct rn_arena {
    char *next; /* where the next piece may begin */
    char *end;  /* what is left ends here */
} rn_arena;

/* A place in an arena's history. The fields are the library's. */
typedef struct rn_mark {
    const void *chunk;
    size_t opening, opened;
    char *next;
} rn_mark;

/* What an arena holds, in bytes unless said otherwise. */
typedef struct rn_arena_stats {
    size_t used;   /* handed out, with what alignment skipped and what was left of chunks that were too short */
    size_t held;   /* charged to the heap: all chunks, those that wait for their next use included */
    size_t peak;   /* the most that used has been as far as the library has looked: at each new chunk and here */
    size_t chunks; /* their number */
} rn_arena_stats;

/* A new arena in the heap (NULL: the root). It takes a first chunk of so many bytes when it is first used; 0: 16 KiB. Later chunks
 * double up to 1 MiB, then have an eighth of what the arena holds, or are as large as what is asked for. NULL with ENOMEM when its tables can't be had. Ends with
 * rn_arena_destroy, or with its heap. */
RN_API rn_arena *rn_arena_new(rn_heap *heap, size_t chunk) RN_NOEXCEPT __attribute__((warn_unused_result));

/* What an autopsy calls it. The name is copied and cut at 31 bytes; control characters become '?'. */
RN_API void rn_arena_set_name(rn_arena *arena, const char *name) RN_NOEXCEPT;

/* Gives back all chunks. NULL is ignored. */
RN_API void rn_arena_destroy(rn_arena *arena) RN_NOEXCEPT;

/* What rn_arena_alloc does where the chunk has no room for it. */
RN_API void *rn_arena_alloc_slow(rn_arena *arena, size_t size, size_t align) RN_NOEXCEPT
    __attribute__((warn_unused_result));

/* size bytes at a multiple of align, a power of two (EINVAL if it is not one). They hold anything.
 * (clang 14 crashes over alloc_align of an inline function, and the mask says as much.) */
static inline RN_SIZE(2)
    __attribute__((warn_unused_result)) void *rn_arena_alloc(rn_arena *arena, size_t size, size_t align) {
    uintptr_t end = (uintptr_t)arena->end;
    uintptr_t start = ((uintptr_t)arena->next + align - 1) & ~(uintptr_t)(align - 1);
    if (__builtin_expect(align == 0 || (align & (align - 1)) != 0 || start > end || size > end - start, 0))
        return rn_arena_alloc_slow(arena, size, align);
    arena->next = (char *)start + size;
    return (void *)start;
}

/* The same, of count * size bytes, all zero; ENOMEM where the product overflows. */
RN_API void *rn_arena_calloc(rn_arena *arena, size_t count, size_t size, size_t align) RN_NOEXCEPT RN_SIZE(2, 3)
    __attribute__((warn_unused_result));

/* A piece of this arena at a new size, with what it holds: in place if it is the newest and there is room, or if it shrinks;
 * otherwise a new piece at a multiple of align, and the old one stays as it is. NULL leaves it so, too. ptr NULL: a new piece.
 * What a piece from before a mark grew by goes when that is rewound; shrinking such a piece may end the mark. */
RN_API void *rn_arena_extend(rn_arena *arena, void *ptr, size_t old_size, size_t size, size_t align) RN_NOEXCEPT
    __attribute__((warn_unused_result));

/* A copy of size bytes at a multiple of 16. */
RN_API void *rn_arena_memdup(rn_arena *arena, const void *bytes, size_t size) RN_NOEXCEPT
    __attribute__((warn_unused_result));
/* A copy of the string; of at most length bytes of it, with a NUL behind them. */
RN_API char *rn_arena_strdup(rn_arena *arena, const char *string) RN_NOEXCEPT __attribute__((warn_unused_result));
RN_API char *rn_arena_strndup(rn_arena *arena, const char *string, size_t length) RN_NOEXCEPT
    __attribute__((warn_unused_result));
/* A string made as by printf(3). NULL with printf's errno, too, if the format can't be met. */
RN_API char *rn_arena_printf(rn_arena *arena, const char *format, ...) RN_NOEXCEPT
    __attribute__((format(printf, 2, 3), warn_unused_result));
RN_API char *rn_arena_vprintf(rn_arena *arena, const char *format, va_list arguments) RN_NOEXCEPT
    __attribute__((format(printf, 2, 0), warn_unused_result));

/* Marks nest: rewinding to one gives back all that was handed out since, and ends all marks made since; to use one of those
 * aborts with a line, unless as much was handed out again in its chunk since. */
RN_API rn_mark rn_arena_mark(rn_arena *arena) RN_NOEXCEPT;
RN_API void rn_arena_rewind(rn_arena *arena, rn_mark mark) RN_NOEXCEPT;

/* Gives back all that was handed out. Chunks are kept for their next use, as many bytes as were in use at most since the reset
 * before the last; they go under pressure, though not for a soft limit. What rewinding gives back is kept whole until the next reset
 * or trim. */
RN_API void rn_arena_reset(rn_arena *arena) RN_NOEXCEPT;
/* Returns the chunks that wait for their next use. Gives their bytes. */
RN_API size_t rn_arena_trim(rn_arena *arena) RN_NOEXCEPT;

RN_API void rn_arena_read(rn_arena *arena, rn_arena_stats *stats) RN_NOEXCEPT;

/* One object of a type, or an array of count, uninitialised; NULL as above. */
#define RN_ARENA_NEW(arena, type) ((type *)rn_arena_alloc(arena, sizeof(type), RN_ALIGNOF(type)))
#define RN_ARENA_ARRAY(arena, type, count) \
    ((type *)rn_arena_alloc(arena, rn_arena_bytes(count, sizeof(type)), RN_ALIGNOF(type)))

#ifdef __cplusplus
#define RN_ALIGNOF(type) alignof(type)
#else
#define RN_ALIGNOF(type) _Alignof(type)
#endif

/* For the macro: more than there can be, where the product overflows. */
static inline size_t rn_arena_bytes(size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

/* --- an arena for several threads -------------------------------------------------------------------------------- */

/* Like an arena, but any number of threads may allocate at once; so nothing in it is the newest, and there are no marks. */
typedef struct rn_shared_arena rn_shared_arena;

RN_API rn_shared_arena *rn_shared_arena_new(rn_heap *heap, size_t chunk) RN_NOEXCEPT
    __attribute__((warn_unused_result));
RN_API void rn_shared_arena_set_name(rn_shared_arena *arena, const char *name) RN_NOEXCEPT;
/* No thread may be using the arena. */
RN_API void rn_shared_arena_destroy(rn_shared_arena *arena) RN_NOEXCEPT;
RN_API void *rn_shared_arena_alloc(rn_shared_arena *arena, size_t size, size_t align) RN_NOEXCEPT RN_SIZE(2) RN_ALIGN(3)
    __attribute__((warn_unused_result));
/* No thread may be using the arena. */
RN_API void rn_shared_arena_reset(rn_shared_arena *arena) RN_NOEXCEPT;
RN_API void rn_shared_arena_read(rn_shared_arena *arena, rn_arena_stats *stats) RN_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
