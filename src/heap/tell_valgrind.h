/* tell_valgrind.h: what memcheck is told of blocks, where the library was built with its headers and runs under it.
 *
 * There is no rseq under valgrind, so every allocation takes the slow path, and these see them all. Whether it is there
 * was found out at start, because asking it takes a dozen instructions. */
#ifndef RATION_HEAP_TELL_VALGRIND_H
#define RATION_HEAP_TELL_VALGRIND_H

#include "heap.h"

#if RN_VALGRIND_HEADERS && __has_include(<valgrind/memcheck.h>) && !defined(RN_SANITIZE)

#include <valgrind/memcheck.h>

static inline void tell_taken(const void *block, size_t size, bool zeroed) {
    if (LIKELY(!os.valgrind) || block == NULL)
        return;
    VALGRIND_MAKE_MEM_NOACCESS(block, rn_usable_size(block));
    VALGRIND_MALLOCLIKE_BLOCK(block, size, 0, zeroed);
}

static inline void tell_given(const void *block) {
    if (UNLIKELY(os.valgrind))
        VALGRIND_FREELIKE_BLOCK(block, 0);
}

/* A block that stays where it is at another size: all of it counts as written, since what was asked for before is not
 * known. */
static inline void tell_resized(const void *block, size_t size) {
    if (LIKELY(!os.valgrind))
        return;
    VALGRIND_FREELIKE_BLOCK(block, 0);
    VALGRIND_MALLOCLIKE_BLOCK(block, size, 0, 1);
}

/* Around a copy of all that a block could hold, of which only a part was asked for. */
static inline void tell_copying(bool begins) {
    if (LIKELY(!os.valgrind))
        return;
    if (begins)
        VALGRIND_DISABLE_ERROR_REPORTING;
    else
        VALGRIND_ENABLE_ERROR_REPORTING;
}

#else

static inline void tell_taken(const void *block, size_t size, bool zeroed) {
    (void)block;
    (void)size;
    (void)zeroed;
}

static inline void tell_given(const void *block) {
    (void)block;
}

static inline void tell_resized(const void *block, size_t size) {
    (void)block;
    (void)size;
}

static inline void tell_copying(bool begins) {
    (void)begins;
}

#endif

#endif
