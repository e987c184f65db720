/* sizes.c: what malloc, calloc, realloc, reallocarray and free do at the edges of size: nothing, everything, more than
 * everything, products that wrap. Alignment of what they give, and errno. */
#define _GNU_SOURCE
#include "again.h"

#include <stdalign.h>

/* Every size up to a few pages, then the neighbourhood of each power of two. */
static size_t next_size(size_t size) {
    if (size < 20000)
        return size + 1;
    size_t power = (size_t)1 << (63 - __builtin_clzl(size + 2));
    return size < power + 1 ? size + 1 : 2 * power - 2;
}

static void size_zero_gives_a_block_of_its_own(void) {
    void *blocks[100];
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = i % 2 ? malloc(hide_size(0)) : calloc(hide_size(0), i);
        REQUIRE(blocks[i] != NULL);
        for (size_t j = 0; j < i; j++)
            CHECK(blocks[i] != blocks[j]);
    }
    for (size_t i = 0; i < 100; i++)
        free(blocks[i]);
}

static void realloc_of_null_is_malloc(void) {
    char *block = realloc(NULL, 100);
    REQUIRE(block != NULL);
    memset(block, 1, 100);
    free(block);
    block = realloc(NULL, hide_size(0));
    REQUIRE(block != NULL);
    free(block);
}

/* C23 leaves it open whether it gives a block; either way the old one is gone and nothing leaks or breaks. */
static void realloc_to_zero_frees_or_shrinks(void) {
    for (int i = 0; i < 10000; i++)
        free(realloc(malloc(1000), hide_size(0)));
}

static void free_of_null_does_nothing(void) {
    errno = 77;
    for (int i = 0; i < 1000; i++)
        free(hide(NULL));
    CHECK_EQ(77, errno);
}

static const size_t impossible[] = {
    SIZE_MAX,
    SIZE_MAX - 1,
    SIZE_MAX - 15,
    SIZE_MAX - 16,
    SIZE_MAX - 4095,
    SIZE_MAX - 4096,
    SIZE_MAX - 65536,
    SIZE_MAX / 2 + 1,
    (size_t)PTRDIFF_MAX,
    (size_t)PTRDIFF_MAX + 1,
    PTRDIFF_MAX - 15,
    PTRDIFF_MAX - 4096,
    PTRDIFF_MAX - (1 << 20),
    (size_t)1 << 62,
    (size_t)1 << 60,
    (size_t)1 << 57,
    ((size_t)1 << 56) + 1,
    SIZE_MAX / 3,
    SIZE_MAX - (4u << 20),
    (size_t)1 << 52,
};
enum { IMPOSSIBLE = sizeof impossible / sizeof impossible[0] };

#define CHECK_DENIED(call)             \
    do {                               \
        errno = 0;                     \
        void *given = (call);          \
        CHECK_EQ((void *)NULL, given); \
        CHECK_EQ(ENOMEM, errno);       \
    } while (0)

static void impossible_sizes_are_denied(void) {
    for (size_t i = 0; i < IMPOSSIBLE; i++) {
        size_t size = hide_size(impossible[i]);
        CHECK_DENIED(malloc(size));
        CHECK_DENIED(calloc(1, size));
        CHECK_DENIED(calloc(size, 1));
        CHECK_DENIED(realloc(NULL, size));
        CHECK_DENIED(reallocarray(NULL, 1, size));
    }
}

static void a_denied_realloc_leaves_the_block(void) {
    for (size_t old = 1; old < (4 << 20); old = old * 3 + 1) {
        unsigned char *block = malloc(old);
        REQUIRE(block != NULL);
        pattern_write(block, old, old);
        for (size_t i = 0; i < IMPOSSIBLE; i++) {
            CHECK_DENIED(realloc(hide(block), hide_size(impossible[i])));
            CHECK_DENIED(reallocarray(hide(block), hide_size(impossible[i]), 1));
        }
        CHECK(pattern_holds(block, old, old, old));
        free(block);
    }
}

static void products_that_wrap_are_denied(void) {
    static const size_t factors[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},
        {(size_t)1 << 32, (size_t)1 << 32},
        {SIZE_MAX / 16 + 1, 16},
        {SIZE_MAX, SIZE_MAX},
        {((size_t)1 << 33) + 1, (size_t)1 << 31},
        {SIZE_MAX / 3, 4},
        {(size_t)1 << 63, 2},
        {0x5555555555555556u, 3},
    };
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        size_t count = hide_size(factors[i][0]), size = hide_size(factors[i][1]);
        CHECK_DENIED(calloc(count, size));
        CHECK_DENIED(reallocarray(NULL, count, size));
        void *block = malloc(10);
        CHECK_DENIED(reallocarray(hide(block), count, size));
        free(block);
    }
}

static void reallocarray_keeps_contents(void) {
    size_t *numbers = NULL;
    for (size_t count = 1; count < 100000; count = count * 2 + 1) {
        numbers = reallocarray(numbers, count, sizeof *numbers);
        REQUIRE(numbers != NULL);
        for (size_t i = 0; i < count / 2; i++)
            CHECK_EQ(i, numbers[i]);
        for (size_t i = 0; i < count; i++)
            numbers[i] = i;
    }
    free(numbers);
}

/* Everything big enough for a max_align_t is aligned for one; with Ration smaller blocks are, too. */
static void blocks_are_aligned_to_16(void) {
    bool always = on_ration();
    for (size_t size = 0; size < (64 << 20); size = next_size(size)) {
        void *given[3] = {malloc(size), calloc(1, size), realloc(malloc(1), size + 1)};
        for (int i = 0; i < 3; i++) {
            uintptr_t mask = size >= 16 || always ? alignof(max_align_t) - 1 : 7;
            REQUIRE(given[i] != NULL);
            if (((uintptr_t)given[i] & mask) != 0)
                check_fail(__FILE__, __LINE__, "size %zu: %p", size, given[i]);
            free(given[i]);
        }
    }
}

static void errno_is_untouched_by_free_and_by_success(void) {
    for (size_t size = 1; size < (256 << 20); size = size * 2 + 13) {
        errno = 4321;
        void *block = malloc(size);
        REQUIRE(block != NULL);
        CHECK_EQ(4321, errno);
        block = realloc(block, size / 2 + 1);
        CHECK_EQ(4321, errno);
        free(block);
        CHECK_EQ(4321, errno);
        free(calloc(3, size));
        CHECK_EQ(4321, errno);
    }
}

static void errno_is_untouched_by_the_free_of_many(void) {
    enum { MANY = 100000 };
    static void *blocks[MANY];
    for (size_t i = 0; i < MANY; i++)
        blocks[i] = malloc(16 + i % 3000);
    errno = 4321;
    for (size_t i = 0; i < MANY; i++)
        free(blocks[i]);
    CHECK_EQ(4321, errno);
}

/* A block of each size, full to its last byte, amid others. */
static void every_size_holds_its_bytes(void) {
    enum { KEPT = 200 };
    struct {
        void *block;
        size_t size;
    } kept[KEPT] = {{NULL, 0}};
    size_t slot = 0;
    for (size_t size = 0; size < (16 << 20); size = next_size(size)) {
        CHECK(pattern_holds(kept[slot].block, kept[slot].size, kept[slot].size, kept[slot].size));
        free(kept[slot].block);
        kept[slot].block = malloc(size);
        REQUIRE(kept[slot].block != NULL);
        kept[slot].size = size;
        pattern_write(kept[slot].block, size, size);
        slot = (slot + 1) % KEPT;
    }
    for (slot = 0; slot < KEPT; slot++) {
        CHECK(pattern_holds(kept[slot].block, kept[slot].size, kept[slot].size, kept[slot].size));
        free(kept[slot].block);
    }
}

static void gigabytes_can_be_had(void) {
    static const size_t sizes[] = {(size_t)1 << 30, (size_t)3 << 30, ((size_t)4 << 30) + 1};
    for (size_t i = 0; i < 3; i++) {
        char *block = malloc(sizes[i]);
        if (block == NULL) {
            skip("the system has no room for some GiB");
            return;
        }
        block[0] = 1;
        block[sizes[i] - 1] = 2;
        CHECK_EQ(3, block[0] + block[sizes[i] - 1]);
        free(block);
    }
}

TESTS(TEST(size_zero_gives_a_block_of_its_own), TEST(realloc_of_null_is_malloc), TEST(realloc_to_zero_frees_or_shrinks),
      TEST(free_of_null_does_nothing), TEST(impossible_sizes_are_denied), TEST(a_denied_realloc_leaves_the_block),
      TEST(products_that_wrap_are_denied), TEST(reallocarray_keeps_contents), TEST(blocks_are_aligned_to_16),
      TEST(errno_is_untouched_by_free_and_by_success), TEST(errno_is_untouched_by_the_free_of_many),
      TEST(every_size_holds_its_bytes), TEST(gigabytes_can_be_had))
