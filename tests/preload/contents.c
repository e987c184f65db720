/* contents.c: what realloc keeps across every boundary, what calloc clears, and what malloc_usable_size may promise:
 * every byte of it can be written, also in a program built with _FORTIFY_SOURCE=3. */
#define _GNU_SOURCE
#ifdef __OPTIMIZE__
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 3
#endif
#include "again.h"

#include <malloc.h>

/* Sizes where a manager may change its way of doing things, with their neighbours. */
static const size_t boundaries[] = {
    8,    16,   24,    32,    48,    64,     128,        256,    512,    1024,    1040,    2048,
    4096, 8192, 16384, 32768, 65536, 131072, 128 * 1024, 262144, 524288, 1 << 20, 2 << 20, 4 << 20,
};
enum { BOUNDARIES = sizeof boundaries / sizeof boundaries[0] };

static void resize_and_check(size_t from, size_t to) {
    unsigned char *block = malloc(from);
    REQUIRE(block != NULL);
    pattern_write(block, from, from + to);
    unsigned char *resized = realloc(block, to);
    REQUIRE(resized != NULL);
    if (!pattern_holds(resized, from, from < to ? from : to, from + to))
        check_fail(__FILE__, __LINE__, "contents lost from %zu to %zu bytes", from, to);
    pattern_write(resized, to, to);
    CHECK(malloc_usable_size(resized) >= to);
    free(resized);
}

static void realloc_keeps_contents_across_every_boundary(void) {
    for (size_t i = 0; i < BOUNDARIES; i++)
        for (size_t j = 0; j < BOUNDARIES; j++)
            for (int off = 0; off < 9; off++)
                resize_and_check(boundaries[i] - 1 + (size_t)off % 3, boundaries[j] - 1 + (size_t)off / 3);
}

static void realloc_by_single_bytes(void) {
    unsigned char *block = NULL;
    for (size_t size = 1; size < 20000; size++) {
        block = realloc(block, size);
        REQUIRE(block != NULL);
        block[size - 1] = pattern_at(1, size - 1);
    }
    CHECK(pattern_holds(block, 8000, 8000, 1));
    for (size_t size = 19999; size > 0; size -= 7) {
        block = realloc(block, size);
        REQUIRE(block != NULL);
        CHECK_EQ(pattern_at(1, size - 1), block[size - 1]);
        if (size < 8)
            break;
    }
    free(block);
}

/* Large blocks grow side by side, each in the way of the others. */
static void large_blocks_grow_together(void) {
    enum { BLOCKS = 5 };
    unsigned char *blocks[BLOCKS] = {0};
    size_t before = 0;
    for (size_t size = 10000; size < (48 << 20); size += size / 2) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = realloc(blocks[i], size);
            REQUIRE(blocks[i] != NULL);
            CHECK(pattern_holds(blocks[i], before, before, i));
            pattern_write(blocks[i], size, i);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            CHECK(pattern_holds(blocks[i], size, size, i));
        before = size;
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void shrunk_large_blocks_keep_their_start(void) {
    for (size_t size = 64 << 20; size > 100; size /= 3) {
        unsigned char *block = malloc(64 << 20);
        REQUIRE(block != NULL);
        pattern_write(block, 64 << 20, size);
        block = realloc(block, size);
        REQUIRE(block != NULL);
        CHECK(pattern_holds(block, 64 << 20, size, size));
        free(block);
    }
}

static bool all_zero(const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void calloc_clears_what_was_dirty(void) {
    enum { BLOCKS = 40 };
    unsigned char *blocks[BLOCKS];
    for (size_t size = 1; size < (6 << 20); size = size * 5 / 4 + 1) {
        size_t count = size > 100000 ? 4 : BLOCKS;
        for (size_t i = 0; i < count; i++) {
            blocks[i] = malloc(size);
            REQUIRE(blocks[i] != NULL);
            memset(blocks[i], 0xff, size);
        }
        for (size_t i = 0; i < count; i++)
            free(blocks[i]);
        for (size_t i = 0; i < count; i++) {
            blocks[i] = i % 2 ? calloc(size, 1) : calloc(1, size);
            REQUIRE(blocks[i] != NULL);
            if (!all_zero(blocks[i], size))
                check_fail(__FILE__, __LINE__, "calloc of %zu bytes is not zero", size);
        }
        for (size_t i = 0; i < count; i++)
            free(blocks[i]);
    }
}

/* Dirty in one size, wanted clear in another: spans change hands in between. */
static void calloc_clears_what_other_sizes_left(void) {
    enum { BLOCKS = 500 };
    static unsigned char *blocks[BLOCKS];
    random_source state = {12345};
    for (int round = 0; round < 60; round++) {
        size_t top = (size_t)1 << (4 + round % 14);
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t size = 1 + random_next(&state) % top;
            blocks[i] = calloc(1, size);
            REQUIRE(blocks[i] != NULL);
            if (!all_zero(blocks[i], size))
                check_fail(__FILE__, __LINE__, "calloc of %zu bytes is not zero in round %d", size, round);
            memset(blocks[i], 0xee, size);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
}

static void every_usable_byte_can_be_written(void) {
    enum { BLOCKS = 64 };
    struct {
        unsigned char *block;
        size_t usable;
    } kept[BLOCKS];
    for (size_t size = 0; size < 300000; size += 1 + size / 20) {
        size_t count = size > 20000 ? 4 : BLOCKS;
        for (size_t i = 0; i < count; i++) {
            kept[i].block = hide(malloc(hide_size(size)));
            REQUIRE(kept[i].block != NULL);
            kept[i].usable = malloc_usable_size(kept[i].block);
            CHECK(kept[i].usable >= size);
            memset(kept[i].block, (int)i + 1, kept[i].usable);
        }
        for (size_t i = 0; i < count; i++) {
            if (kept[i].usable > 0) {
                CHECK_EQ(i + 1, (size_t)kept[i].block[0]);
                CHECK_EQ(i + 1, (size_t)kept[i].block[kept[i].usable - 1]);
            }
            free(kept[i].block);
        }
    }
}

/* The way a fortified program takes what malloc_usable_size tells: realloc to it, which moves nothing. */
static void realloc_to_the_usable_size_stays(void) {
    for (size_t size = 1; size < (3 << 20); size += 1 + size / 10) {
        char *block = malloc(size);
        REQUIRE(block != NULL);
        size_t usable = malloc_usable_size(block);
        uintptr_t before = (uintptr_t)block;
        char *same = realloc(block, usable);
        CHECK_EQ(before, (uintptr_t)same);
        CHECK(malloc_usable_size(same) >= usable);
        memset(same, 0x7f, usable);
        free(same);
    }
}

static void usable_size_of_null_is_0(void) {
    CHECK_EQ(0, malloc_usable_size(hide(NULL)));
}

TESTS(TEST(realloc_keeps_contents_across_every_boundary), TEST(realloc_by_single_bytes),
      TEST(large_blocks_grow_together), TEST(shrunk_large_blocks_keep_their_start), TEST(calloc_clears_what_was_dirty),
      TEST(calloc_clears_what_other_sizes_left), TEST(every_usable_byte_can_be_written),
      TEST(realloc_to_the_usable_size_stays), TEST(usable_size_of_null_is_0))
