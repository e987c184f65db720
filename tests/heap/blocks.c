/* blocks.c: the functions that give memory, one promise of heap.h at a time. */
#include "check.h"

#include <ration/ration.h>

static void *required(void *block) {
    REQUIRE(block != NULL);
    return block;
}

static bool all_are(const unsigned char *bytes, size_t count, unsigned char value) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* The sizes at and beside every boundary that the library has. */
static const size_t sizes[] = {0,     1,     15,    16,    17,    255,    256,    257,     1023,          1024,   1025,
                               4095,  4096,  4097,  8191,  8192,  8193,   16383,  16384,   16385,         32768,  65535,
                               65536, 65537, 69632, 81920, 81921, 262144, 262145, 1 << 20, (1 << 20) + 1, 5 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void a_block_holds_what_was_asked_for_at_a_multiple_of_16(void) {
    for (size_t i = 0; i < SIZES; i++) {
        unsigned char *block = required(rn_malloc(sizes[i]));
        CHECK_EQ(0u, (uintptr_t)block % 16);
        CHECK(rn_usable_size(block) >= sizes[i]);
        memset(block, 0x5a, rn_usable_size(block));
        CHECK_EQ(rn_heap_root(), rn_heap_of(block));
        rn_free(block);
    }
}

static void blocks_of_size_0_are_blocks_of_their_own(void) {
    void *one = required(rn_malloc(0)), *other = required(rn_malloc(0));
    CHECK(one != other);
    rn_free(one);
    rn_free(other);
}

static void calloc_gives_zeros_whatever_was_there_before(void) {
    for (size_t i = 0; i < SIZES; i++) {
        for (int round = 0; round < 2; round++) {
            unsigned char *dirty = required(rn_malloc(sizes[i]));
            memset(dirty, 0xff, sizes[i]);
            rn_free(dirty);
            unsigned char *clean = required(rn_calloc(1, sizes[i]));
            CHECK(all_are(clean, sizes[i], 0));
            memset(clean, 0xff, sizes[i]);
            rn_free(clean);
        }
    }
}

static void calloc_refuses_a_product_that_overflows(void) {
    volatile size_t half = SIZE_MAX / 2;
    errno = 0;
    CHECK_EQ(NULL, rn_calloc(half, 3));
    CHECK_EQ(ENOMEM, errno);
    errno = 0;
    CHECK_EQ(NULL, rn_heap_calloc(rn_heap_root(), 3, half));
    CHECK_EQ(ENOMEM, errno);
}

static void sizes_that_nobody_has_are_refused(void) {
    volatile size_t sizes_refused[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096, SIZE_MAX};
    void *kept = required(rn_malloc(100));
    for (size_t i = 0; i < 4; i++) {
        errno = 0;
        CHECK_EQ(NULL, rn_malloc(sizes_refused[i]));
        CHECK_EQ(ENOMEM, errno);
        errno = 0;
        CHECK_EQ(NULL, rn_realloc(kept, sizes_refused[i]));
        CHECK_EQ(ENOMEM, errno);
        errno = 0;
        CHECK_EQ(NULL, rn_aligned_alloc(64, sizes_refused[i]));
        CHECK_EQ(ENOMEM, errno);
    }
    rn_free(kept);
}

static void alignments_of_every_power_of_two_are_kept(void) {
    for (size_t align = 1; align <= (size_t)1 << 28; align *= 2) {
        for (size_t size = 0; size <= 200000; size = size * 7 + 1) {
            unsigned char *block = required(rn_aligned_alloc(align, size));
            CHECK_EQ(0u, (uintptr_t)block & (align - 1));
            CHECK(rn_usable_size(block) >= size);
            memset(block, 1, size);
            rn_free(block);
        }
    }
}

static void an_alignment_that_is_no_power_of_two_is_invalid(void) {
    volatile size_t crooked[] = {0, 3, 24, 4097};
    for (size_t i = 0; i < 4; i++) {
        errno = 0;
        CHECK_EQ(NULL, rn_aligned_alloc(crooked[i], 10));
        CHECK_EQ(EINVAL, errno);
    }
}

static void realloc_keeps_contents_from_every_size_to_every_other(void) {
    for (size_t from = 0; from < SIZES; from++) {
        for (size_t to = 0; to < SIZES; to++) {
            unsigned char *block = required(rn_malloc(sizes[from]));
            memset(block, 0x33, sizes[from]);
            block = required(rn_realloc(block, sizes[to]));
            CHECK(all_are(block, sizes[from] < sizes[to] ? sizes[from] : sizes[to], 0x33));
            CHECK(rn_usable_size(block) >= sizes[to]);
            rn_free(block);
        }
    }
}

static void a_block_grown_in_small_steps_keeps_its_contents(void) {
    unsigned char *block = NULL;
    size_t size = 0;
    for (size_t next = 1; next < 3 << 20; next += 1 + next / 4) {
        block = required(rn_realloc(block, next));
        CHECK(all_are(block, size, 0x44));
        memset(block, 0x44, next);
        size = next;
    }
    rn_free(block);
}

static void realloc_of_null_is_malloc_and_to_0_does_not_free(void) {
    void *block = required(rn_realloc(NULL, 100));
    block = required(rn_realloc(block, 0));
    CHECK(rn_usable_size(block) > 0);
    rn_free(block);
}

static void realloc_stays_in_the_heap_of_the_block(void) {
    rn_heap *heap = required(rn_heap_new(NULL, "home", 0));
    void *block = required(rn_heap_malloc(heap, 10));
    for (size_t size = 10; size < 1 << 20; size *= 5) {
        block = required(rn_realloc(block, size));
        CHECK_EQ(heap, rn_heap_of(block));
    }
    rn_heap_destroy(heap);
}

static void errno_is_left_alone(void) {
    errno = E2BIG;
    for (size_t i = 0; i < SIZES; i++) {
        void *block = required(rn_malloc(sizes[i]));
        block = required(rn_realloc(block, sizes[i] * 2));
        rn_free(block);
        CHECK_EQ(E2BIG, errno);
    }
    rn_free(NULL);
    rn_heap_trim(rn_heap_root());
    CHECK_EQ(E2BIG, errno);
}

static void null_has_no_size_and_no_heap(void) {
    CHECK_EQ(0u, rn_usable_size(NULL));
    CHECK_EQ(NULL, rn_heap_of(NULL));
}

static void what_is_not_rations_has_no_heap(void) {
    int on_the_stack = 0;
    CHECK_EQ(NULL, rn_heap_of(&on_the_stack));
    CHECK_EQ(NULL, rn_heap_of(sizes));
    CHECK_EQ(NULL, rn_heap_of((void *)UINTPTR_MAX));
}

TESTS(TEST(a_block_holds_what_was_asked_for_at_a_multiple_of_16), TEST(blocks_of_size_0_are_blocks_of_their_own),
      TEST(calloc_gives_zeros_whatever_was_there_before), TEST(calloc_refuses_a_product_that_overflows),
      TEST(sizes_that_nobody_has_are_refused), TEST(alignments_of_every_power_of_two_are_kept),
      TEST(an_alignment_that_is_no_power_of_two_is_invalid),
      TEST(realloc_keeps_contents_from_every_size_to_every_other),
      TEST(a_block_grown_in_small_steps_keeps_its_contents), TEST(realloc_of_null_is_malloc_and_to_0_does_not_free),
      TEST(realloc_stays_in_the_heap_of_the_block), TEST(errno_is_left_alone), TEST(null_has_no_size_and_no_heap),
      TEST(what_is_not_rations_has_no_heap))
