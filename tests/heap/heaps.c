/* heaps.c: heaps as accounts: making, pushing, reading, limiting and destroying them. */
#include "accounts.h"
#include "span/span.h"

#include <pthread.h>

static void *got(rn_heap *heap, size_t size) {
    void *block = rn_heap_malloc(heap, size);
    REQUIRE(block != NULL);
    CHECK_EQ(heap, rn_heap_of(block));
    memset(block, 1, size);
    return block;
}

/* 0 where most of it is a sanitizer's or an emulator's. */
static size_t resident(void) {
    size_t pages = 0, unused;
    if (SANITIZED || emulated())
        return 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL && fscanf(file, "%zu %zu", &unused, &pages) != 2)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * os.page_size;
}

static void fill(rn_heap *heap) {
    for (size_t size = 1; size < 300000; size += 1 + size / 3)
        for (int i = 0; i < 8; i++)
            got(heap, size);
}

static void a_new_heap_holds_nothing(void) {
    rn_heap *heap = made(NULL, "new", 12345);
    rn_stats stats = stats_of(heap);
    CHECK_EQ(0u, stats.used);
    CHECK_EQ(0u, stats.live);
    CHECK_EQ(0u, stats.objects);
    CHECK_EQ(0u, stats.denied);
    CHECK_EQ(12345u, stats.limit);
    rn_heap_destroy(heap);
}

static void a_heap_counts_what_it_gives(void) {
    rn_heap *heap = made(NULL, "counted", 0);
    void *large = got(heap, 100000);
    got(heap, 100);
    rn_stats stats = stats_of(heap);
    CHECK(stats.objects >= 2);
    CHECK(stats.live >= 100100);
    CHECK(stats.used >= stats.live);
    CHECK(stats.peak >= stats.used);
    rn_free(large);
    CHECK(stats_of(heap).live <= stats.live - 100000);
    CHECK(stats_of(heap).used <= stats.used - 100000);
    CHECK_EQ(stats.peak, stats_of(heap).peak);
    rn_heap_destroy(heap);
}

static void a_parent_counts_what_its_subtree_holds(void) {
    rn_heap *parent = made(NULL, "parent", 0), *child = made(parent, "child", 0), *grandchild = made(child, "", 0);
    size_t root = stats_of(rn_heap_root()).used;
    got(grandchild, 1 << 20);
    CHECK(stats_of(child).used >= 1 << 20);
    CHECK_EQ(stats_of(grandchild).used, stats_of(parent).used);
    CHECK_EQ(stats_of(grandchild).objects, stats_of(parent).objects);
    CHECK_EQ(root + stats_of(parent).used, stats_of(rn_heap_root()).used);
    rn_heap_destroy(parent);
    CHECK_EQ(root, stats_of(rn_heap_root()).used);
}

static void destroying_a_subtree_gives_all_back(void) {
    rn_heap_trim(rn_heap_root());
    rn_stats before = stats_of(rn_heap_root());
    size_t resident_before = resident();
    for (int round = 0; round < 3; round++) {
        rn_heap *parent = made(NULL, "parent", 0);
        fill(parent);
        for (int i = 0; i < 4; i++)
            fill(made(parent, "child", 0));
        rn_heap_destroy(parent);
        rn_stats after = stats_of(rn_heap_root());
        CHECK_EQ(before.used, after.used);
        CHECK_EQ(before.live, after.live);
        CHECK_EQ(before.objects, after.objects);
    }
    rn_heap_trim(rn_heap_root());
    CHECK_EQ(0u, page_heap_read().dirty);
    CHECK(resident() < resident_before + (4 << 20));
}

static void heaps_may_be_made_and_destroyed_without_end(void) {
    size_t tables = 0;
    for (int i = 0; i < 70000; i++) { /* more than there are ids */
        rn_heap *heap = made(NULL, "brief", 0);
        if (i % 1000 == 0)
            got(heap, 100);
        rn_heap_destroy(heap);
        if (i == 1000)
            tables = table_bytes();
    }
    CHECK_EQ(tables, table_bytes());
}

static char mapping_name[64];

void __wrap_os_name(void *start, size_t size, const char *name);
void __wrap_os_name(void *start, size_t size, const char *name) {
    (void)start;
    (void)size;
    snprintf(mapping_name, sizeof mapping_name, "%s", name);
}

/* The kernel takes printable ASCII but []\$`. */
static void a_mapping_has_the_heaps_name_as_the_kernel_takes_it(void) {
    rn_heap *heap = made(NULL, "a [b] \\$` {c}~\n\xc3\xa9, longer", 0);
    os.names = true;
    got(heap, 100000);
    os.names = false;
    CHECK(strcmp("ration: a ?b? ??? {c}~???, longer", mapping_name) == 0);
    rn_heap_destroy(heap);
}

static void destroying_null_is_fine(void) {
    rn_heap_destroy(NULL);
}

/* --- the current heap ------------------------------------------------------------------------------------------- */

static void malloc_draws_on_the_heap_that_was_pushed_last(void) {
    rn_heap *outer = made(NULL, "outer", 0), *inner = made(NULL, "inner", 0);
    rn_heap_push(outer);
    void *first = rn_malloc(10);
    rn_heap_push(inner);
    void *second = rn_calloc(1, 10), *third = rn_aligned_alloc(64, 100000), *fourth = rn_realloc(NULL, 10);
    rn_heap_pop();
    void *fifth = rn_malloc(10);
    rn_heap_pop();
    void *sixth = rn_malloc(10);
    CHECK_EQ(outer, rn_heap_of(first));
    CHECK(rn_heap_of(second) == inner && rn_heap_of(third) == inner && rn_heap_of(fourth) == inner);
    CHECK_EQ(outer, rn_heap_of(fifth));
    CHECK_EQ(rn_heap_root(), rn_heap_of(sixth));
    rn_free(sixth);
    rn_heap_destroy(inner);
    rn_heap_destroy(outer);
}

static void a_mark_brings_back_how_deep_the_pushes_stood(void) {
    rn_heap *heap = made(NULL, "marked", 0);
    CHECK_EQ(0, rn_heap_mark());
    rn_heap_push(heap);
    int mark = rn_heap_mark();
    CHECK_EQ(1, mark);
    for (int i = 0; i < 63; i++)
        rn_heap_push(rn_heap_root());
    CHECK_EQ(64, rn_heap_mark());
    rn_heap_pop_to(mark);
    CHECK_EQ(mark, rn_heap_mark());
    void *block = rn_malloc(1);
    CHECK_EQ(heap, rn_heap_of(block));
    rn_free(block);
    rn_heap_pop_to(0);
    CHECK_EQ(0, rn_heap_mark());
    rn_heap_destroy(heap);
}

static int leave_early(rn_heap *outer, rn_heap *inner, bool early) {
    RN_HEAP_PUSHED(outer);
    if (early) {
        RN_HEAP_PUSHED(inner);
        return rn_heap_mark();
    }
    return rn_heap_mark();
}

static void a_push_for_a_block_ends_with_it_however_it_is_left(void) {
    rn_heap *outer = made(NULL, "outer", 0), *inner = made(NULL, "inner", 0);
    CHECK_EQ(1, leave_early(outer, inner, false));
    CHECK_EQ(2, leave_early(outer, inner, true));
    CHECK_EQ(0, rn_heap_mark());
    for (int i = 0; i < 3; i++) {
        RN_HEAP_PUSHED(inner);
        CHECK_EQ(1, rn_heap_mark());
        void *block = rn_malloc(1);
        CHECK_EQ(inner, rn_heap_of(block));
        if (i == 1)
            break;
    }
    CHECK_EQ(0, rn_heap_mark());
    rn_heap_destroy(inner);
    rn_heap_destroy(outer);
}

static void *current_of_a_thread(void *unused) {
    (void)unused;
    void *block = rn_malloc(10);
    void *heap = rn_heap_of(block);
    rn_free(block);
    return heap;
}

static void a_push_is_the_threads_own(void) {
    rn_heap *heap = made(NULL, "mine", 0);
    pthread_t thread;
    void *seen = NULL;
    rn_heap_push(heap);
    REQUIRE(pthread_create(&thread, NULL, current_of_a_thread, NULL) == 0);
    pthread_join(thread, &seen);
    CHECK_EQ((void *)rn_heap_root(), seen);
    rn_heap_pop();
    rn_heap_destroy(heap);
}

enum { HANDED = 5000 };
static void *handed[HANDED];

static void *free_all_handed(void *unused) {
    for (int i = 0; i < HANDED; i++)
        rn_free(handed[i]);
    return unused;
}

static void blocks_of_a_pushed_heap_may_be_freed_elsewhere(void) {
    rn_heap *heap = made(NULL, "given away", 0);
    rn_heap_push(heap);
    for (size_t i = 0; i < HANDED; i++)
        handed[i] = got(heap, 1 + i % 2000);
    rn_heap_pop();
    for (int i = 0; i < HANDED / 2; i++) {
        rn_free(handed[i]);
        handed[i] = NULL;
    }
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, free_all_handed, NULL) == 0);
    pthread_join(thread, NULL);
    rn_heap_trim(heap);
    CHECK_EQ(0u, stats_of(heap).objects);
    CHECK_EQ(0u, stats_of(heap).used);
    rn_heap_destroy(heap);
}

/* --- limits ----------------------------------------------------------------------------------------------------- */

static unsigned fill_until_denied(rn_heap *heap, size_t size) {
    unsigned blocks = 0;
    errno = 0;
    for (char *block; (block = rn_heap_malloc(heap, size)) != NULL; blocks++) {
        block[0] = 1;
        REQUIRE(blocks < 1000000);
    }
    CHECK_EQ(ENOMEM, errno);
    return blocks;
}

static void a_limit_denies_and_counts_it(void) {
    static const size_t sizes[] = {16, 100, 1000, 5000, 40000, 70000, 1 << 20};
    /* A span smaller than a system page is charged with the whole page. */
    size_t least = (((size_t)4 << 20) - WITHHELD) / 16 * (os.page_size <= GRANULE ? 12 : 3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        rn_heap *heap = made(NULL, "limited", 4 << 20);
        unsigned blocks = fill_until_denied(heap, sizes[i]);
        CHECK(blocks * sizes[i] <= 4 << 20);
        CHECK(blocks * sizes[i] >= least);
        CHECK_EQ(1u, stats_of(heap).denied);
        CHECK(stats_of(heap).used <= 4 << 20);
        CHECK(stats_of(heap).peak <= 4 << 20);
        rn_heap_destroy(heap);
    }
}

static void what_is_freed_below_a_limit_can_be_had_again(void) {
    rn_heap *heap = made(NULL, "limited", 1 << 20);
    for (int round = 0; round < 5; round++) {
        void *half = got(heap, 600 << 10);
        CHECK_EQ(NULL, rn_heap_malloc(heap, 600 << 10));
        rn_free(half);
    }
    CHECK_EQ(5u, stats_of(heap).denied);
    rn_heap_destroy(heap);
}

static void a_limit_bounds_the_subtree(void) {
    rn_heap *parent = made(NULL, "parent", (2 << 20) + WITHHELD), *first = made(parent, "first", 0),
            *second = made(parent, "second", 8 << 20);
    size_t denied = stats_of(rn_heap_root()).denied;
    got(first, 1 << 20);
    CHECK_EQ(NULL, rn_heap_malloc(second, (1 << 20) + 1));
    got(second, 1 << 20);
    CHECK_EQ(NULL, rn_heap_malloc(parent, 1));
    CHECK_EQ(2u << 20, stats_of(parent).used);
    CHECK_EQ(2u, stats_of(parent).denied);
    CHECK_EQ(1u, stats_of(second).denied);
    CHECK_EQ(0u, stats_of(first).denied);
    CHECK_EQ(denied + 2, stats_of(rn_heap_root()).denied);
    rn_heap_destroy(first);
    got(second, 1 << 20);
    rn_heap_destroy(parent);
}

static void realloc_past_a_limit_leaves_the_block_as_it_was(void) {
    rn_heap *heap = made(NULL, "limited", 1 << 20);
    unsigned char *block = got(heap, 300000);
    memset(block, 9, 300000);
    errno = 0;
    CHECK_EQ(NULL, rn_realloc(block, 2 << 20));
    CHECK_EQ(ENOMEM, errno);
    CHECK(block[0] == 9 && block[299999] == 9);
    CHECK_EQ((300000 + os.page_size - 1) / os.page_size * os.page_size, stats_of(heap).used);
    rn_heap_destroy(heap);
}

/* What is charged is what may be resident: a block cut within its last granule has kept those pages. */
static void a_block_that_was_cut_is_charged_for_what_it_keeps(void) {
    enum { BLOCKS = 200 };
    rn_heap *heap = made(NULL, "cut", 0);
    rn_heap_trim(rn_heap_root());
    static void *blocks[BLOCKS];
    size_t before = resident();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = got(heap, 80 << 10);
        blocks[i] = rn_realloc(blocks[i], (64 << 10) + 1);
        CHECK(blocks[i] != NULL);
    }
    CHECK(resident() - before <= stats_of(heap).used + page_heap_read().dirty + (512 << 10));
    rn_heap_destroy(heap);
}

static void trim_returns_what_nobody_uses(void) {
    rn_heap *heap = made(NULL, "trimmed", 0);
    static char *blocks[20000];
    for (size_t i = 0; i < 20000; i++)
        blocks[i] = got(heap, 100);
    size_t used = stats_of(heap).used, step = 200 * (os.page_size / 4096); /* more than a page apart */
    for (size_t i = 0; i < 20000; i++)
        if (i % step != 0)
            rn_free(blocks[i]);
    size_t returned = rn_heap_trim(heap);
    CHECK(returned > 0);
    CHECK(stats_of(heap).used < used / 2);
    CHECK_EQ((20000 + step - 1) / step, stats_of(heap).objects);
    for (size_t i = 0; i < 20000; i += step)
        CHECK(blocks[i][0] == 1 && blocks[i][99] == 1);
    rn_heap_destroy(heap);
}

TESTS(TEST(a_new_heap_holds_nothing), TEST(a_heap_counts_what_it_gives), TEST(a_parent_counts_what_its_subtree_holds),
      TEST(destroying_a_subtree_gives_all_back), TEST(heaps_may_be_made_and_destroyed_without_end),
      TEST(a_mapping_has_the_heaps_name_as_the_kernel_takes_it), TEST(destroying_null_is_fine),
      TEST(malloc_draws_on_the_heap_that_was_pushed_last), TEST(a_mark_brings_back_how_deep_the_pushes_stood),
      TEST(a_push_for_a_block_ends_with_it_however_it_is_left), TEST(a_push_is_the_threads_own),
      TEST(blocks_of_a_pushed_heap_may_be_freed_elsewhere), TEST(a_limit_denies_and_counts_it),
      TEST(what_is_freed_below_a_limit_can_be_had_again), TEST(a_limit_bounds_the_subtree),
      TEST(realloc_past_a_limit_leaves_the_block_as_it_was), TEST(a_block_that_was_cut_is_charged_for_what_it_keeps),
      TEST(trim_returns_what_nobody_uses))
