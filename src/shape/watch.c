/* watch.c: see watch.h. */
#include "watch.h"

#include "../heap/hardened.h"

#include <string.h>

#if RN_VALGRIND_HEADERS && __has_include(<valgrind/memcheck.h>) && !defined(RN_SANITIZE)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_NOACCESS(start, size) ((void)(start), (void)(size))
#define VALGRIND_MAKE_MEM_UNDEFINED(start, size) ((void)(start), (void)(size))
#endif

/* AddressSanitizer's, where the process has it (sanitizer/asan_interface.h). */
extern void __asan_poison_memory_region(const volatile void *, size_t) __attribute__((weak, visibility("default")));
extern void __asan_unpoison_memory_region(const volatile void *, size_t) __attribute__((weak, visibility("default")));

enum { OVERWRITTEN = 0xdf };

bool watch_wanted(void) {
    return hardened || os.valgrind || __asan_poison_memory_region != NULL;
}

void watch_in_bounds(const void *start, size_t size) {
    if (__asan_unpoison_memory_region != NULL)
        __asan_unpoison_memory_region(start, size);
    if (os.valgrind)
        VALGRIND_MAKE_MEM_UNDEFINED(start, size);
}

void watch_out_of_bounds(const void *start, size_t size) {
    if (__asan_poison_memory_region != NULL)
        __asan_poison_memory_region(start, size);
    if (os.valgrind)
        VALGRIND_MAKE_MEM_NOACCESS(start, size);
}

void watch_gone(void *start, size_t size) {
    if (hardened) {
        watch_in_bounds(start, size);
        memset(start, OVERWRITTEN, size);
    }
    watch_out_of_bounds(start, size);
}
