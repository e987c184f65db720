/* malloc.c: the names that programs know, over the rn_ ones.
 *
 * What differs in nothing but its name is an alias, so that nothing stands before the fast path: this file takes in
 * heap/malloc.c for that. Where libc's rules are other than rn_'s (realloc to 0 frees, memalign rounds its alignment up,
 * posix_memalign returns its error), libc's hold, since that is what programs were written against. */
#include "../heap/malloc.c" // NOLINT(bugprone-suspicious-include)

#include <malloc.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))
#if __has_attribute(copy)
#define SAME_AS(name) EXPORT __attribute__((alias(#name), copy(name)))
#else
#define SAME_AS(name) EXPORT __attribute__((alias(#name)))
#endif

void *malloc(size_t size) SAME_AS(rn_malloc);
void *calloc(size_t count, size_t size) SAME_AS(rn_calloc);
void free(void *block) SAME_AS(rn_free);
void cfree(void *block) SAME_AS(rn_free);
void free_sized(void *block, size_t size) EXPORT;
void free_aligned_sized(void *block, size_t align, size_t size) EXPORT;
void *__libc_memalign(size_t align, size_t size) EXPORT;

EXPORT void *realloc(void *block, size_t size) {
    if (size == 0 && block != NULL) {
        rn_free(block);
        return NULL;
    }
    return rn_realloc(block, size);
}

EXPORT void *reallocarray(void *block, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

/* C23 lets these check the size; a block's class knows better than its caller. */
void free_sized(void *block, size_t size) {
    (void)size;
    rn_free(block);
}

void free_aligned_sized(void *block, size_t align, size_t size) {
    (void)align;
    (void)size;
    rn_free(block);
}

static size_t next_power_of_two(size_t align) {
    return align <= 1 ? 1 : (size_t)1 << (64 - __builtin_clzl(align - 1));
}

EXPORT void *memalign(size_t align, size_t size) {
    if (align > (size_t)PTRDIFF_MAX + 1) {
        errno = EINVAL;
        return NULL;
    }
    return rn_aligned_alloc(next_power_of_two(align), size);
}

void *__libc_memalign(size_t align, size_t size) {
    return memalign(align, size);
}

/* Not EINVAL where the alignment is none, as later C has it: glibc rounded it up for decades. */
EXPORT void *aligned_alloc(size_t align, size_t size) {
    return memalign(align, size);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size) {
    if (align < sizeof(void *) || (align & (align - 1)) != 0)
        return EINVAL;
    int saved = errno;
    void *block = rn_aligned_alloc(align, size);
    errno = saved;
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

EXPORT void *valloc(size_t size) {
    start_once();
    return rn_aligned_alloc(os.page_size, size);
}

EXPORT void *pvalloc(size_t size) {
    start_once();
    size_t rounded = (size + os.page_size - 1) & ~(os.page_size - 1);
    if (rounded < size) {
        errno = ENOMEM;
        return NULL;
    }
    return rn_aligned_alloc(os.page_size, rounded == 0 ? os.page_size : rounded);
}

EXPORT size_t malloc_usable_size(void *block) {
    return rn_usable_size(block);
}
