/* aligned.c: aligned_alloc, posix_memalign, memalign, valloc and pvalloc for alignments from 8 to 1 GiB, their errors,
 * and what becomes of their blocks in realloc and free. */
#define _GNU_SOURCE
#include "again.h"

#include <malloc.h>

enum { SMALLEST = 3, LARGEST = 30 };

typedef void *(*aligned_function)(size_t alignment, size_t size);

static void *by_posix_memalign(size_t alignment, size_t size) {
    void *block = NULL;
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

static const aligned_function functions[] = {aligned_alloc, memalign, by_posix_memalign};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static bool is_aligned(const void *block, size_t alignment) {
    return ((uintptr_t)block & (alignment - 1)) == 0;
}

/* Sizes around nothing, words, pages and the alignment itself. */
static size_t fill_sizes(size_t *sizes, size_t alignment) {
    static const size_t fixed[] = {0, 1, 8, 16, 24, 100, 1000, 4095, 4096, 4097, 40000, 300000};
    size_t count = sizeof fixed / sizeof fixed[0];
    memcpy(sizes, fixed, sizeof fixed);
    if (alignment <= 64 << 20) {
        sizes[count++] = alignment - 1;
        sizes[count++] = alignment;
        sizes[count++] = alignment + 1;
    }
    return count;
}

static void check_block(void *block, size_t alignment, size_t size) {
    if (block == NULL || !is_aligned(block, alignment))
        check_fail(__FILE__, __LINE__, "alignment %zu, size %zu: %p", alignment, size, block);
    else
        pattern_write(block, size, size ^ alignment);
}

static void every_alignment_is_kept(void) {
    for (unsigned power = SMALLEST; power <= LARGEST; power++) {
        size_t alignment = (size_t)1 << power, sizes[16];
        size_t count = fill_sizes(sizes, alignment);
        for (size_t i = 0; i < count; i++) {
            void *blocks[FUNCTIONS];
            for (int j = 0; j < FUNCTIONS; j++) {
                blocks[j] = functions[j](alignment, hide_size(sizes[i]));
                check_block(blocks[j], alignment, sizes[i]);
            }
            for (int j = 0; j < FUNCTIONS; j++) {
                if (blocks[j])
                    CHECK(pattern_holds(blocks[j], sizes[i], sizes[i], sizes[i] ^ alignment));
                free(blocks[j]);
            }
        }
    }
}

/* Many blocks at once: neighbours must not overlap, and all must come back. */
static void many_aligned_blocks_do_not_overlap(void) {
    enum { COUNT = 200 };
    for (unsigned power = 4; power <= 16; power++) {
        size_t alignment = (size_t)1 << power;
        void *blocks[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = functions[i % FUNCTIONS](alignment, 1 + i * 7);
            check_block(blocks[i], alignment, 1 + i * 7);
        }
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(pattern_holds(blocks[i], 1 + i * 7, 1 + i * 7, (1 + i * 7) ^ alignment));
            free(blocks[i]);
        }
    }
}

static void usable_size_covers_the_request(void) {
    for (unsigned power = SMALLEST; power <= 22; power++)
        for (size_t size = 1; size < 200000; size = size * 5 + 3) {
            void *block = aligned_alloc((size_t)1 << power, size);
            REQUIRE(block != NULL);
            size_t usable = malloc_usable_size(block);
            CHECK(usable >= size);
            memset(hide(block), 0x5a, usable);
            free(block);
        }
}

static void realloc_keeps_the_contents_of_aligned_blocks(void) {
    for (unsigned power = SMALLEST; power <= 24; power++)
        for (size_t size = 10; size < 1000000; size = size * 7) {
            void *block = aligned_alloc((size_t)1 << power, size);
            REQUIRE(block != NULL);
            pattern_write(block, size, power);
            size_t larger = size * 3 + 1000;
            block = realloc(block, larger);
            REQUIRE(block != NULL);
            CHECK(pattern_holds(block, size, size, power));
            pattern_write(block, larger, power + 1);
            block = realloc(block, 5);
            REQUIRE(block != NULL);
            CHECK(pattern_holds(block, larger, 5, power + 1));
            free(block);
        }
}

static void posix_memalign_refuses_what_is_no_alignment(void) {
    static const size_t wrong[] = {0, 1, 2, 4, 3, 9, 24, 48, 4097, SIZE_MAX, SIZE_MAX / 2};
    static char place;
    void *const untouched = &place;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        void *block = untouched;
        CHECK_EQ(EINVAL, posix_memalign(&block, hide_size(wrong[i]), 64));
        CHECK_EQ(untouched, block);
    }
}

static void check_rounded_up(void *block, size_t alignment) {
    size_t power = 1;
    while (power < alignment)
        power *= 2;
    CHECK(block != NULL && (uintptr_t)block % power == 0);
    free(block);
}

static void odd_alignments_are_rounded_up(void) {
    static const size_t odd[] = {0, 1, 2, 3, 4, 5, 7, 12, 24, 100, 4095, 4097, 65537};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        check_rounded_up(aligned_alloc(hide_size(odd[i]), 100), odd[i]);
        check_rounded_up(memalign(hide_size(odd[i]), 100), odd[i]);
    }
}

static void impossible_aligned_sizes_are_denied(void) {
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX, (size_t)1 << 60};
    for (unsigned power = SMALLEST; power <= 63; power++)
        for (size_t i = 0; i < 4; i++) {
            size_t alignment = (size_t)1 << power, size = hide_size(sizes[i]);
            void *block = NULL;
            errno = 0;
            CHECK_EQ((void *)NULL, hide(aligned_alloc(alignment, size)));
            CHECK_EQ(ENOMEM, errno);
            errno = 0;
            CHECK_EQ(ENOMEM, posix_memalign(&block, alignment, size));
            CHECK_EQ((void *)NULL, block);
        }
}

/* No machine has half of the address space to align in. */
static void impossible_alignments_are_denied(void) {
    for (unsigned power = 48; power <= 62; power++) {
        void *block = NULL;
        CHECK_EQ(ENOMEM, posix_memalign(&block, (size_t)1 << power, 100));
        CHECK_EQ((void *)NULL, hide(aligned_alloc((size_t)1 << power, 100)));
    }
}

static void valloc_gives_whole_pages(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t size = 1; size < 300000; size = size * 3 + 1) {
        char *block = valloc(size);
        REQUIRE(block != NULL);
        CHECK(is_aligned(block, page));
        memset(block, 1, size);
        free(block);
    }
}

#ifdef __GLIBC__
static void pvalloc_rounds_up_to_pages(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t size = 0; size < 300000; size = size * 3 + 1) {
        char *block = pvalloc(hide_size(size));
        REQUIRE(block != NULL);
        CHECK(is_aligned(block, page));
        size_t whole = (size + page - 1) / page * page;
        memset(hide(block), 1, whole);
        CHECK(malloc_usable_size(block) >= whole);
        free(block);
    }
    errno = 0;
    CHECK_EQ((void *)NULL, hide(pvalloc(hide_size(SIZE_MAX - 10))));
    CHECK_EQ(ENOMEM, errno);
    CHECK_EQ((void *)NULL, hide(valloc(hide_size(SIZE_MAX - 10))));
}

static void libc_memalign_is_memalign(void) {
    aligned_function function = (aligned_function)dlsym(RTLD_DEFAULT, "__libc_memalign");
    if (function == NULL) {
        skip("no __libc_memalign");
        return;
    }
    void *block = function(1024, 5000);
    check_block(block, 1024, 5000);
    block = realloc(block, 10000);
    CHECK(pattern_holds(block, 5000, 5000, 5000 ^ 1024));
    free(block);
}
#else
static void pvalloc_rounds_up_to_pages(void) {
    skip("not glibc");
}

static void libc_memalign_is_memalign(void) {
    skip("not glibc");
}
#endif

TESTS(TEST(every_alignment_is_kept), TEST(many_aligned_blocks_do_not_overlap), TEST(usable_size_covers_the_request),
      TEST(realloc_keeps_the_contents_of_aligned_blocks), TEST(posix_memalign_refuses_what_is_no_alignment),
      TEST(odd_alignments_are_rounded_up), TEST(impossible_aligned_sizes_are_denied),
      TEST(impossible_alignments_are_denied), TEST(valloc_gives_whole_pages), TEST(pvalloc_rounds_up_to_pages),
      TEST(libc_memalign_is_memalign))
