/* hardened.c: RATION_HARDEN=1: the same mistakes at once, and those that the default can't see; and what must still
 * work: heaps that are destroyed, forks, many threads.
 *
 * The library reads the variable at its first use, which comes after the constructor here. */
#include "apart.h"
#include "heap/heap.h"

#include <pthread.h>
#include <ration/ration.h>
#include <sys/mman.h>

__attribute__((constructor)) static void harden(void) {
    setenv("RATION_HARDEN", "1", 1);
}

static void *hide(void *pointer) {
    __asm__ volatile("" : "+r"(pointer)::"memory");
    return pointer;
}

/* The line about a large block: it lies in whole pages, with one more on either side. */
static const char *line_of_large(size_t size, const char *what) {
    static char line[128];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page + 2;
    snprintf(line, sizeof line, "ration: %%p (%zu-byte class, heap \"root\"): %s", pages * page, what);
    return line;
}

/* --- what is stopped -------------------------------------------------------------------------------------------- */

static void a_double_free_is_seen_at_once(void) {
    void *block = rn_malloc(100), *other = rn_malloc(100);
    rn_free(block);
    rn_free(other);
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): double free", rn_free(hide(block)));
}

static void an_address_inside_a_block_is_seen_at_once(void) {
    char *block = rn_malloc(100);
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): free of an address inside a block",
                 rn_free(hide(block + 16)));
    rn_free(block);
}

static void use_of_an_address_inside_a_block_is_seen_as_that(void) {
    char *block = rn_malloc(100), *large = rn_malloc(100000);
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): use of an address inside a block",
                 (void)!rn_realloc(hide(block + 16), 200));
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): use of an address inside a block",
                 (void)rn_usable_size(hide(block + 1)));
    CHECK_ABORTS(line_of_large(100000, "use of an address inside a block"), (void)!rn_realloc(hide(large + 16), 200));
    rn_free(block);
    rn_free(large);
}

static void free_overflown(size_t size, size_t by) {
    char *block = hide(rn_malloc(size));
    block[size - 1 + by] = (char)(block[size - 1 + by] + 1);
    rn_free(block);
}

static void an_overflow_by_a_byte_is_seen_when_the_block_is_freed(void) {
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): the bytes behind the block were overwritten",
                 free_overflown(100, 1));
    CHECK_ABORTS("ration: %p (32-byte class, heap \"root\"): the bytes behind the block were overwritten",
                 free_overflown(24, 1));
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): the bytes behind the block were overwritten",
                 free_overflown(100, 8));
    CHECK_ABORTS(line_of_large(100000, "the bytes behind the block were overwritten"), free_overflown(100000, 1));
}

static void end_with_overflown(rn_heap *heap, size_t size, size_t by) {
    char *block = hide(rn_heap_malloc(heap, size));
    block[size - 1 + by] = (char)(block[size - 1 + by] + 1);
    finish();
}

static void an_overflow_by_a_byte_of_a_block_that_stays_is_seen_at_the_end(void) {
    rn_heap *root = rn_heap_root();
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): the bytes behind the block were overwritten",
                 end_with_overflown(root, 100, 1));
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): the bytes behind the block were overwritten",
                 end_with_overflown(root, 100, 8));
    CHECK_ABORTS("ration: %p (4096-byte class, heap \"other\"): the bytes behind the block were overwritten",
                 end_with_overflown(rn_heap_new(NULL, "other", 0), 4000, 1));
    CHECK_ABORTS(line_of_large(100000, "the bytes behind the block were overwritten"),
                 end_with_overflown(root, 100000, 1));
}

static void fill_blocks_and_end(void) {
    for (size_t size = 0; size < 300000; size += 1 + size / 17) {
        char *kept = rn_malloc(size), *passing = rn_malloc(size);
        REQUIRE(kept != NULL && passing != NULL);
        memset(kept, 0xff, size);
        rn_free(passing);
    }
    finish();
}

static void blocks_that_stay_and_are_full_are_well_at_the_end(void) {
    CHECK(ends_well(fill_blocks_and_end, 60));
}

static void write_after_free(size_t size) {
    char *block = hide(rn_malloc(size));
    rn_free(block);
    block[size / 64] = 1;
    for (int i = 0; i < 1000; i++)
        rn_free(hide(rn_malloc(size)));
    rn_heap_trim(rn_heap_root());
}

static void a_write_after_free_is_seen_on_reuse(void) {
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): written to after it was freed", write_after_free(100));
    CHECK_ABORTS("ration: %p (1152-byte class, heap \"root\"): written to after it was freed", write_after_free(1100));
}

static void a_large_block_freed_twice_is_seen_at_once(void) {
    void *block = rn_malloc(100000);
    rn_free(block);
    CHECK_ABORTS(line_of_large(100000, "double free"), rn_free(hide(block)));
}

static void a_freed_block_has_no_size(void) {
    void *block = rn_malloc(100);
    rn_free(block);
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): use of a block after it was freed",
                 (void)rn_usable_size(hide(block)));
}

static void a_large_block_lies_between_guards(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *block = rn_malloc(32 * page);
    REQUIRE(block != NULL);
    memset(block, 1, 32 * page);
    if (guards_can_be_seen()) {
        CHECK(!can_read(block - 1));
        CHECK(!can_read(block + 32 * page));
    }
    rn_free(block);
    if (guards_can_be_seen())
        CHECK(!can_read(block));
}

/* --- what goes on working --------------------------------------------------------------------------------------- */

static void a_block_may_be_used_to_its_last_byte(void) {
    for (size_t size = 0; size < 200000; size += 1 + size / 7) {
        unsigned char *block = rn_malloc(size);
        REQUIRE(block != NULL);
        CHECK_EQ(size, rn_usable_size(block));
        memset(block, 0xff, size);
        block = rn_realloc(block, size + 1);
        REQUIRE(block != NULL);
        block[size] = 0xff;
        rn_free(block);
    }
}

static void aligned_blocks_are_aligned(void) {
    for (size_t align = 1; align <= 1 << 22; align *= 2) {
        for (size_t size = 1; size < 100000; size *= 9) {
            unsigned char *block = rn_aligned_alloc(align, size);
            REQUIRE(block != NULL);
            CHECK_EQ(0u, (uintptr_t)block & (align - 1));
            memset(block, 1, size);
            rn_free(block);
        }
    }
}

static void calloc_gives_zeros(void) {
    for (size_t size = 1; size < 1 << 20; size *= 3) {
        for (int round = 0; round < 20; round++) {
            unsigned char *block = rn_calloc(1, size);
            REQUIRE(block != NULL);
            for (size_t i = 0; i < size; i++)
                REQUIRE(block[i] == 0);
            memset(block, 1, size);
            rn_free(block);
        }
    }
}

static void use_memory_again(void) {
    static char *blocks[2000];
    for (size_t i = 0; i < 2000; i++) {
        blocks[i] = rn_malloc(5000);
        REQUIRE(blocks[i] != NULL);
        memset(blocks[i], 1, 5000);
    }
    for (size_t i = 0; i < 2000; i++)
        rn_free(blocks[i]);
}

static void destroy_a_heap_with_large_blocks(void) {
    for (int round = 0; round < 4; round++) {
        rn_heap *heap = rn_heap_new(NULL, "large", 0);
        REQUIRE(heap != NULL);
        for (int i = 0; i < 8; i++)
            REQUIRE(rn_heap_malloc(heap, 1 << 20) != NULL);
        rn_free(rn_heap_malloc(heap, 1 << 20));
        rn_heap_destroy(heap);
    }
    use_memory_again();
}

static void memory_of_a_destroyed_heap_can_be_used_again(void) {
    CHECK(ends_well(destroy_a_heap_with_large_blocks, 20));
}

static bool stop;

static void *free_large_blocks(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        rn_free(rn_malloc(1 << 20));
    return unused;
}

static void use_a_large_block(void) {
    rn_free(rn_malloc(1 << 20));
}

static void fork_while_large_blocks_are_freed(void) {
    pthread_t other;
    REQUIRE(pthread_create(&other, NULL, free_large_blocks, NULL) == 0);
    for (int i = 0; i < 50; i++)
        if (!ends_well(use_a_large_block, 30))
            _exit(1);
    _exit(0);
}

static void a_child_forked_while_large_blocks_are_freed_goes_on(void) {
    CHECK(ends_well(fork_while_large_blocks_are_freed, 300));
}

static void zeroed_blocks_of_whole_pages_are_zero_to_their_end(void) {
    for (size_t size = 17 * os.page_size; size < 64 * os.page_size; size += os.page_size)
        for (int again = 0; again < 3; again++) {
            unsigned char *block = rn_calloc(1, size);
            REQUIRE(block != NULL);
            for (size_t i = 0; i < size; i++)
                if (block[i] != 0)
                    check_fail(__FILE__, __LINE__, "byte %zu of %zu is %d", i, size, block[i]);
            memset(block, 1, size);
            rn_free(block);
        }
}

TESTS(TEST(use_of_an_address_inside_a_block_is_seen_as_that),
      TEST(an_overflow_by_a_byte_of_a_block_that_stays_is_seen_at_the_end),
      TEST(blocks_that_stay_and_are_full_are_well_at_the_end), TEST(zeroed_blocks_of_whole_pages_are_zero_to_their_end),
      TEST(a_double_free_is_seen_at_once), TEST(an_address_inside_a_block_is_seen_at_once),
      TEST(an_overflow_by_a_byte_is_seen_when_the_block_is_freed), TEST(a_write_after_free_is_seen_on_reuse),
      TEST(a_large_block_freed_twice_is_seen_at_once), TEST(a_freed_block_has_no_size),
      TEST(a_large_block_lies_between_guards), TEST(a_block_may_be_used_to_its_last_byte),
      TEST(aligned_blocks_are_aligned), TEST(calloc_gives_zeros), TEST(memory_of_a_destroyed_heap_can_be_used_again),
      TEST(a_child_forked_while_large_blocks_are_freed_goes_on))
