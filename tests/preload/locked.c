/* locked.c: processes whose memory is locked as they get it (mlockall(2)), and that may lock only so much: what goes beyond is
 * refused by mmap itself (EAGAIN), and what is free can't be given back to the system. Each test is a child of this process, without
 * the right to lock more. */
#define _GNU_SOURCE
#include "again.h"
#include "apart.h"

#include <malloc.h>
#include <sys/mman.h>

enum { ROOM = 8 << 20, NOBODY = 65534, MOST_BLOCKS = 1 << 20 };

/* Locks what will be mapped, and allows so much of it. */
static void lock_all(void) {
    struct rlimit limit = {ROOM, ROOM};
    REQUIRE(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (geteuid() == 0)
        REQUIRE(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    REQUIRE(mlockall(MCL_FUTURE) == 0);
    /* The kernel keeps to it, for who asks it himself. */
    CHECK_EQ(MAP_FAILED, mmap(NULL, 2 * (size_t)ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK_EQ(EAGAIN, errno);
}

static void **blocks; /* mapped before */

/* As many as there are; errno is checked for the one that is not. */
static size_t take_all(size_t size) {
    size_t count = 0;
    errno = 0;
    while ((blocks[count] = malloc(size)) != NULL) {
        pattern_write(blocks[count], size, count);
        REQUIRE(++count < MOST_BLOCKS);
    }
    CHECK_EQ(ENOMEM, errno);
    return count;
}

static void free_all(size_t count, size_t size) {
    size_t damaged = 0;
    for (size_t i = 0; i < count; i++) {
        damaged += !pattern_holds(blocks[i], size, size, i);
        free(blocks[i]);
    }
    CHECK_EQ((size_t)0, damaged);
}

static void fill_in_sizes(const void *unused) {
    static const size_t sizes[] = {1000, 40000, 300000, 1000};
    (void)unused;
    lock_all();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t count = take_all(sizes[i]);
        CHECK(count * sizes[i] >= ROOM / 2);
        free_all(count, sizes[i]);
    }
}

static void grow_until_denied(const void *unused) {
    size_t size = 1 << 20;
    (void)unused;
    lock_all();
    char *grown = malloc(size), *block = NULL;
    REQUIRE(grown != NULL);
    pattern_write(grown, size, 7);
    errno = 0;
    while ((block = realloc(grown, size + (1 << 20))) != NULL) {
        CHECK(pattern_holds(block, size, size, 7));
        grown = block;
        size += 1 << 20;
        pattern_write(grown, size, 7);
    }
    CHECK_EQ(ENOMEM, errno);
    CHECK(pattern_holds(grown, size, size, 7));
    CHECK(size >= ROOM / 4); /* a place to grow is another */
    free(grown);
    CHECK((block = malloc(size)) != NULL);
    free(block);
}

static bool is_zero(const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* What can't be purged keeps its contents, which calloc must not show. */
static void zero_what_was_used(const void *unused) {
    static const size_t sizes[] = {100, 20000, 300000, 2 << 20};
    (void)unused;
    lock_all();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        free_all(take_all(sizes[i]), sizes[i]);
#ifdef __GLIBC__
        malloc_trim(0);
#endif
        size_t count = 0, unclean = 0;
        while ((blocks[count] = calloc(1, sizes[i])) != NULL && count + 1 < MOST_BLOCKS)
            unclean += !is_zero(blocks[count++], sizes[i]);
        CHECK_EQ((size_t)0, unclean);
        while (count > 0)
            free(blocks[--count]);
    }
}

static void passes(void (*function)(const void *)) {
    const char *said = said_by(function, NULL);
    CHECK_TEXT("", said);
}

static void beyond_what_may_be_locked_is_denied_and_what_is_freed_serves_again(void) {
    passes(fill_in_sizes);
}

static void a_block_that_can_not_grow_is_as_it_was(void) {
    passes(grow_until_denied);
}

static void calloc_is_zero_where_nothing_can_be_purged(void) {
    passes(zero_what_was_used);
}

static const check_test tests[] = {
    TEST(beyond_what_may_be_locked_is_denied_and_what_is_freed_serves_again),
    TEST(a_block_that_can_not_grow_is_as_it_was),
    TEST(calloc_is_zero_where_nothing_can_be_purged),
};

int main(int argc, char **argv) {
    blocks = mmap(NULL, MOST_BLOCKS * sizeof *blocks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return check_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
