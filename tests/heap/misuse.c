/* misuse.c: each mistake ends the process with its line, at the latest when the block leaves the thread's cache.
 *
 * What the program does after the mistake (trim) brings that moment about. */
#include "apart.h"
#include "heap/heap.h"

#include <pthread.h>
#include <ration/ration.h>

static void *hide(void *pointer) {
    __asm__ volatile("" : "+r"(pointer)::"memory");
    return pointer;
}

static void free_and_flush(void *block) {
    rn_free(hide(block));
    rn_heap_trim(rn_heap_root());
}

/* The line about a large block: it lies in whole pages. */
static const char *line_of_large(size_t size, const char *what) {
    static char line[128];
    size_t pages = (size + os.page_size - 1) / os.page_size;
    snprintf(line, sizeof line, "ration: %%p (%zu-byte class, heap \"root\"): %s", pages * os.page_size, what);
    return line;
}

static void a_block_freed_twice_in_a_row_is_seen_at_once(void) {
    void *block = rn_malloc(100);
    void *kept = rn_malloc(100);
    rn_free(block);
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): double free", rn_free(hide(block)));
    rn_free(kept);
}

static void a_block_freed_twice_later_is_seen_when_it_is_flushed(void) {
    void *block = rn_malloc(100), *other = rn_malloc(100), *kept = rn_malloc(100);
    rn_free(block);
    rn_free(other);
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): double free", free_and_flush(block));
    rn_free(kept);
}

static void free_twice_with_all_of_its_span(rn_heap *heap) {
    rn_heap_push(heap);
    void *block = rn_malloc(1000), *other = rn_malloc(1000);
    rn_free(block);
    rn_free(other);
    free_and_flush(block);
}

static void a_double_free_is_told_with_its_heap_when_its_span_is_gone(void) {
    CHECK_ABORTS("ration: %p (1024-byte class, heap \"other\"): double free",
                 free_twice_with_all_of_its_span(rn_heap_new(NULL, "other", 0)));
}

/* arm64 leaves bits 56 and above out by itself. */
static void *with_upper_bit(void *block, unsigned bit) {
    return hide((void *)((uintptr_t)block ^ (uintptr_t)1 << bit));
}

static void free_with_upper_bit_in_cache(void) {
    for (unsigned i = 0; i < 300; i++)
        (void)!rn_malloc(100); /* what follows is not checked */
    free_and_flush(with_upper_bit(rn_malloc(100), 48));
}

static void a_cached_address_whose_upper_bits_are_wrong_is_foreign(void) {
    CHECK_ABORTS("ration: %p: free of an address that is not Ration's", free_with_upper_bit_in_cache());
}

static void an_address_inside_a_block_is_seen(void) {
    char *block = rn_malloc(100);
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): free of an address inside a block",
                 free_and_flush(block + 16));
    rn_free(block);
}

static void use_of_an_address_inside_a_block_is_seen_as_that(void) {
    static void *blocks[300];
    for (unsigned i = 0; i < 300; i++)
        blocks[i] = rn_malloc(100); /* of which the first are checked */
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): use of an address inside a block",
                 (void)!rn_realloc(hide((char *)blocks[0] + 16), 200));
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): use of an address inside a block",
                 (void)!rn_realloc(hide((char *)blocks[299] + 16), 200));
    for (unsigned i = 0; i < 300; i++)
        rn_free(blocks[i]);
}

static void an_address_inside_a_large_block_is_seen_at_once(void) {
    char *block = rn_malloc(100000);
    CHECK_ABORTS(line_of_large(100000, "free of an address inside a block"), rn_free(hide(block + 4096)));
    rn_free(block);
}

static void a_block_never_handed_out_is_seen(void) {
    char *block = rn_malloc(1000);
    if (os.page_size >= GRANULE) {
        rn_free(block);
        return; /* all blocks of the span are made ready at once */
    }
    CHECK_ABORTS("ration: %p (1024-byte class, heap \"root\"): free of an address that was never handed out",
                 free_and_flush(block + 1024 * 14));
    rn_free(block);
}

static void a_foreign_address_is_seen_at_once(void) {
    static long not_a_block;
    CHECK_ABORTS("ration: %p: free of an address that is not Ration's", rn_free(hide(&not_a_block)));
}

static void an_address_whose_upper_bits_are_wrong_is_foreign(size_t size) {
    void *block = rn_malloc(size);
    CHECK_ABORTS("ration: %p: free of an address that is not Ration's", rn_free(with_upper_bit(block, 48)));
    CHECK_ABORTS("ration: %p: free of an address that is not Ration's", rn_free(with_upper_bit(block, 55)));
    CHECK_ABORTS("ration: %p: not a block of Ration's", (void)!rn_realloc(with_upper_bit(block, 55), size + 1));
    CHECK_ABORTS("ration: %p: not a block of Ration's", (void)rn_usable_size(with_upper_bit(block, 55)));
    CHECK(rn_heap_of(with_upper_bit(block, 55)) == NULL);
    rn_free(block);
}

static void the_address_of_a_checked_block_with_wrong_upper_bits_is_foreign(void) {
    an_address_whose_upper_bits_are_wrong_is_foreign(100);
}

static void the_address_of_a_large_block_with_wrong_upper_bits_is_foreign(void) {
    an_address_whose_upper_bits_are_wrong_is_foreign(100000);
}

enum { LARGE = 131072 }; /* whole pages of any size */

static void a_large_block_freed_twice_is_seen_at_once(void) {
    void *block = rn_malloc(LARGE);
    rn_free(block);
    CHECK_ABORTS("ration: %p (131072-byte class, heap \"root\"): double free", rn_free(hide(block)));
}

static void free_inside(char *block) {
    rn_free(hide(block + 4096));
}

static void an_address_inside_a_freed_large_block_is_said_with_what_it_was(void) {
    char *block = rn_malloc(LARGE);
    rn_free(block);
    CHECK_ABORTS(
        "ration: %p (131072-byte class, heap \"root\"): double free, or free of an address that was never handed out",
        free_inside(block));
}

static void a_block_of_a_span_that_is_gone_is_said_with_what_it_was(void) {
    enum { MANY = 500 };
    char *blocks[MANY];
    for (int i = 0; i < MANY; i++)
        blocks[i] = rn_malloc(3000);
    for (int i = 0; i < MANY; i++)
        rn_free(blocks[i]);
    rn_heap_trim(rn_heap_root());
    CHECK_ABORTS(
        "ration: %p (3072-byte class, heap \"root\"): double free, or free of an address that was never handed out",
        rn_free(hide(blocks[MANY / 2])));
}

static void a_block_of_a_heap_that_is_gone_is_said_with_what_it_was(void) {
    rn_heap *heap = rn_heap_new(NULL, "gone", 0);
    REQUIRE(heap != NULL);
    void *block = rn_heap_malloc(heap, LARGE);
    rn_heap_destroy(heap);
    CHECK_ABORTS("ration: %p (131072-byte class, a heap that is gone): double free", rn_free(hide(block)));
}

static void a_foreign_address_has_no_usable_size(void) {
    static long not_a_block;
    CHECK_ABORTS("ration: %p: not a block of Ration's", (void)rn_usable_size(hide(&not_a_block)));
}

static void a_freed_large_block_can_not_be_resized(void) {
    void *block = rn_malloc(LARGE);
    rn_free(block);
    CHECK_ABORTS("ration: %p (131072-byte class, heap \"root\"): use of a block after it was freed",
                 (void)!rn_realloc(hide(block), 10));
}

static void the_line_names_the_heap(void) {
    rn_heap *heap = rn_heap_new(NULL, "a name of more than thirty-one bytes", 0);
    REQUIRE(heap != NULL);
    void *block = rn_heap_malloc(heap, 50000);
    CHECK_ABORTS("ration: %p (53248-byte class, heap \"a name of more than thirty-one \"): free of an address inside a "
                 "block",
                 free_and_flush((char *)block + 1));
    rn_heap_destroy(heap);
}

static void a_name_of_more_lines_makes_one_line(void) {
    rn_heap *heap = rn_heap_new(NULL, "a\nration: b\r\t\x1b[m\x7f\xc3\xa9", 0);
    REQUIRE(heap != NULL);
    void *block = rn_heap_malloc(heap, 50000);
    CHECK_ABORTS("ration: %p (53248-byte class, heap \"a?ration: b???[m?\xc3\xa9\"): free of an address inside a block",
                 free_and_flush((char *)block + 1));
    rn_heap_destroy(heap);
}

static void *free_twice_and_end(void *block) {
    void *other = rn_malloc(100);
    rn_free(block);
    rn_free(other);
    rn_free(hide(block));
    return NULL;
}

static void end_a_thread_that_freed_twice(void) {
    pthread_t other;
    REQUIRE(pthread_create(&other, NULL, free_twice_and_end, rn_malloc(100)) == 0);
    pthread_join(other, NULL);
}

static void a_double_free_is_seen_when_its_thread_ends(void) {
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): double free", end_a_thread_that_freed_twice());
}

static void the_root_can_not_be_destroyed(void) {
    CHECK_ABORTS("ration: %p: rn_heap_destroy of the root", rn_heap_destroy(rn_heap_root()));
}

static void push_too_deep(void) {
    for (int i = 0; i < 65; i++)
        rn_heap_push(rn_heap_root());
}

static void a_push_too_deep_is_seen(void) {
    CHECK_ABORTS("ration: %p: rn_heap_push nested too deep", push_too_deep());
}

/* How libc prints a null pointer. */
#if defined(__GLIBC__)
#define NULL_TEXT "(nil)"
#else
#define NULL_TEXT "0"
#endif

static void a_pop_without_its_push_is_seen(void) {
    CHECK_ABORTS("ration: " NULL_TEXT ": rn_heap_pop without its push", rn_heap_pop());
    CHECK_ABORTS("ration: " NULL_TEXT ": rn_heap_pop without its push", rn_heap_pop_to(1));
}

enum { HANDLED = 3, BATCH = 3000 };

static void take_a_block(void) {
    if (rn_malloc(100) == NULL)
        _exit(1);
}

/* As one that writes a report does, and starts a debugger. */
static void allocate_and_exit(int unused) {
    static void *blocks[BATCH];
    (void)unused;
    for (unsigned i = 0; i < BATCH; i++) {
        size_t size = 16 + i % 100 * 64;
        blocks[i] = rn_malloc(size);
        if (blocks[i] == NULL)
            _exit(1);
        memset(blocks[i], 7, size);
    }
    for (unsigned i = 0; i < BATCH; i++)
        rn_free(blocks[i]);
    blocks[0] = rn_malloc(100000);
    blocks[0] = rn_realloc(blocks[0], 1000000);
    rn_free(blocks[0]);
    bool well = blocks[0] != NULL && ends_well(take_a_block, 60) && rn_malloc(100) != NULL;
    finish();
    _exit(well ? HANDLED : 1);
}

static void free_twice_and_free_more(const void *handler) {
    static void *blocks[BATCH];
    signal(SIGABRT, *(void (*const *)(int))handler);
    for (unsigned i = 0; i < BATCH; i++)
        blocks[i] = rn_malloc(5000);
    for (unsigned i = 0; i < BATCH / 2; i += 2)
        rn_free(blocks[i]);
    rn_free(hide(blocks[0]));
    for (unsigned i = 1; i < BATCH; i += 2)
        rn_free(blocks[i]);
}

/* Of ours: an emulator says a word of its own on how a program ended. */
static unsigned lines_in(const char *text) {
    unsigned lines = 0;
    for (; (text = strstr(text, "ration: ")) != NULL; text++)
        lines++;
    return lines;
}

static void a_handler_of_the_abort_may_allocate(void) {
    void (*handler)(int) = allocate_and_exit;
    const char *text;
    int status = ending(free_twice_and_free_more, &handler, &text);
    CHECK(WIFEXITED(status));
    CHECK_EQ(HANDLED, WEXITSTATUS(status));
    CHECK_EQ(1u, lines_in(text));
}

static void misuse_again(int unused) {
    static long not_a_block;
    (void)unused;
    (void)rn_usable_size(hide(&not_a_block));
}

static void a_misuse_by_the_handler_of_the_abort_ends_it_without_a_line(void) {
    void (*handler)(int) = misuse_again;
    const char *text;
    int status = ending(free_twice_and_free_more, &handler, &text);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(SIGABRT, WTERMSIG(status));
    CHECK_EQ(1u, lines_in(text));
}

/* Those first whose processes see the library start. */
TESTS(TEST(a_handler_of_the_abort_may_allocate), TEST(a_misuse_by_the_handler_of_the_abort_ends_it_without_a_line),
      TEST(a_block_freed_twice_in_a_row_is_seen_at_once), TEST(a_block_freed_twice_later_is_seen_when_it_is_flushed),
      TEST(an_address_inside_a_block_is_seen), TEST(use_of_an_address_inside_a_block_is_seen_as_that),
      TEST(an_address_inside_a_large_block_is_seen_at_once), TEST(a_block_never_handed_out_is_seen),
      TEST(a_foreign_address_is_seen_at_once), TEST(the_address_of_a_checked_block_with_wrong_upper_bits_is_foreign),
      TEST(the_address_of_a_large_block_with_wrong_upper_bits_is_foreign),
      TEST(a_large_block_freed_twice_is_seen_at_once),
      TEST(an_address_inside_a_freed_large_block_is_said_with_what_it_was),
      TEST(a_block_of_a_span_that_is_gone_is_said_with_what_it_was),
      TEST(a_block_of_a_heap_that_is_gone_is_said_with_what_it_was), TEST(a_foreign_address_has_no_usable_size),
      TEST(a_freed_large_block_can_not_be_resized), TEST(a_double_free_is_told_with_its_heap_when_its_span_is_gone),
      TEST(a_cached_address_whose_upper_bits_are_wrong_is_foreign), TEST(the_line_names_the_heap),
      TEST(a_name_of_more_lines_makes_one_line), TEST(a_double_free_is_seen_when_its_thread_ends),
      TEST(the_root_can_not_be_destroyed), TEST(a_push_too_deep_is_seen), TEST(a_pop_without_its_push_is_seen))
