/* sized.c: C23's free_sized and free_aligned_sized, found by dlsym since Debian's libc has neither; and addresses with
 * a tag in their top byte, which arm64 programs may pass. */
#define _GNU_SOURCE
#include "again.h"

#ifdef __aarch64__
#include <sys/prctl.h>
#endif

typedef void (*free_sized_function)(void *, size_t);
typedef void (*free_aligned_sized_function)(void *, size_t alignment, size_t size);

static void *function_named(const char *name) {
    void *function = dlsym(RTLD_DEFAULT, name);
    if (function == NULL) {
        CHECK(!on_ration());
        skip("this manager has none");
    }
    return function;
}

static void free_sized_takes_any_block(void) {
    free_sized_function free_sized = (free_sized_function)function_named("free_sized");
    if (free_sized == NULL)
        return;
    errno = 99;
    for (size_t size = 0; size < (8 << 20); size = size * 5 / 4 + 1) {
        void *block = size % 2 ? malloc(size) : calloc(1, size);
        REQUIRE(block != NULL);
        pattern_write(block, size, size);
        free_sized(block, size);
        block = realloc(malloc(3), size + 1);
        REQUIRE(block != NULL);
        free_sized(block, size + 1);
    }
    free_sized(NULL, 0);
    free_sized(NULL, 100);
    CHECK_EQ(99, errno);
}

static void free_aligned_sized_takes_aligned_blocks(void) {
    free_aligned_sized_function free_aligned_sized = (free_aligned_sized_function)function_named("free_aligned_sized");
    if (free_aligned_sized == NULL)
        return;
    for (size_t alignment = 8; alignment <= (1 << 22); alignment *= 2)
        for (size_t count = 1; count < 5; count++) {
            void *block = aligned_alloc(alignment, alignment * count);
            REQUIRE(block != NULL);
            pattern_write(block, alignment * count, count);
            free_aligned_sized(block, alignment, alignment * count);
        }
    free_aligned_sized(NULL, 64, 64);
}

static void freed_blocks_are_used_again(void) {
    free_sized_function free_sized = (free_sized_function)function_named("free_sized");
    if (free_sized == NULL)
        return;
    for (int i = 0; i < 200000; i++) {
        void *block = malloc(100000);
        REQUIRE(block != NULL);
        free_sized(block, 100000);
    }
}

static void tagged_addresses_are_freed(void) {
#ifdef __aarch64__
    if (!on_ration() || prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0) != 0) {
        skip("no tagged addresses here");
        return;
    }
    for (size_t size = 1; size < (4 << 20); size = size * 3 + 1) {
        uintptr_t address = (uintptr_t)malloc(size) | (uintptr_t)0x5a << 56;
        void *tagged = (void *)address;
        pattern_write(tagged, size, size);
        tagged = realloc(tagged, size * 2);
        REQUIRE(tagged != NULL);
        CHECK(pattern_holds(tagged, size, size, size));
        free((void *)((uintptr_t)tagged | (uintptr_t)0x5a << 56));
    }
#else
    skip("only arm64 has tags that every address may carry");
#endif
}

TESTS(TEST(free_sized_takes_any_block), TEST(free_aligned_sized_takes_aligned_blocks),
      TEST(freed_blocks_are_used_again), TEST(tagged_addresses_are_freed))
