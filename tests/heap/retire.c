/* retire.c: a retired heap takes nothing from anybody: what is left in it is the parent's, goes as it is freed, and then its
 * tables go, too. Start with leave_behind. */
#include "accounts.h"
#include "heap/heap.h"
#include "random.h"

#include <pthread.h>

enum { MIB = 1 << 20, LARGE = 300000, LEFT = 2000 };

static void *left[HEAP_IDS];

/* A heap that was used, retired with count blocks of all sizes in it. */
static void leave_behind(rn_heap *parent, size_t count) {
    rn_heap *heap = made(parent, "left behind", 0);
    for (size_t i = 0; i < count; i++) {
        size_t size = i % 50 == 0 ? LARGE : 1 + i * 37 % 9000;
        left[i] = rn_heap_malloc(heap, size);
        REQUIRE(left[i] != NULL);
        memset(left[i], (int)i, size);
        rn_free(rn_heap_malloc(heap, size));
    }
    rn_heap_retire(heap);
}

static void free_left(size_t count) {
    for (size_t i = 0; i < count; i++) {
        CHECK(*(unsigned char *)left[i] == (unsigned char)i);
        rn_free(left[i]);
    }
}

static void check_that_nothing_is_held(rn_heap *parent) {
    rn_heap_trim(parent);
    rn_stats stats = stats_of(parent);
    CHECK_EQ(0u, stats.used);
    CHECK_EQ(0u, stats.live);
    CHECK_EQ(0u, stats.objects);
}

/* --- whose what is left is ---------------------------------------------------------------------------------------- */

static void what_is_left_is_the_parents_and_goes_as_it_is_freed(void) {
    rn_heap *parent = made(NULL, "parent", 0);
    leave_behind(parent, LEFT);
    CHECK_EQ((size_t)LEFT, stats_of(parent).objects);
    for (size_t i = 0; i < LEFT; i++)
        CHECK_EQ(parent, rn_heap_of(left[i]));
    free_left(LEFT);
    check_that_nothing_is_held(parent);
    rn_heap_destroy(parent);
}

static void what_is_left_of_several_in_a_line_is_the_nearests_that_lives(void) {
    rn_heap *top = made(NULL, "top", 0), *middle = made(top, "middle", 0), *low = made(middle, "low", 0);
    void *block = rn_heap_malloc(low, 1000);
    rn_heap_retire(low);
    CHECK_EQ(middle, rn_heap_of(block));
    rn_heap_retire(middle);
    CHECK_EQ(top, rn_heap_of(block));
    rn_free(block);
    check_that_nothing_is_held(top);
    rn_heap_destroy(top);
}

static void its_limits_are_no_more_and_those_above_hold(void) {
    rn_heap *parent = made(NULL, "parent", 8 * MIB + WITHHELD), *heap = made(parent, "retired", 2 * MIB);
    char *block = rn_heap_malloc(heap, MIB);
    REQUIRE(block != NULL);
    rn_heap_retire(heap);
    CHECK((block = rn_realloc(block, 3 * MIB)) != NULL);
    CHECK_EQ(3u * MIB, stats_of(parent).used);
    CHECK(rn_heap_malloc(parent, 6 * MIB) == NULL);
    rn_free(block);
    CHECK(rn_heap_malloc(parent, 8 * MIB) != NULL);
    rn_heap_destroy(parent);
}

static void heaps_below_live_on(void) {
    rn_heap *parent = made(NULL, "parent", 0), *heap = made(parent, "retired", 0),
            *child = made(heap, "child", 4 * MIB);
    void *before = rn_heap_malloc(child, MIB);
    rn_heap_retire(heap);
    rn_heap_trim(rn_heap_root());
    void *after = rn_heap_malloc(child, MIB);
    CHECK(before != NULL && after != NULL);
    CHECK_EQ(child, rn_heap_of(before));
    CHECK_EQ(child, rn_heap_of(after));
    CHECK(rn_heap_malloc(child, 3 * MIB) == NULL);
    CHECK_EQ(2u * MIB, stats_of(parent).used);
    rn_heap_destroy(child);
    check_that_nothing_is_held(parent);
    rn_heap_destroy(parent);
}

static void what_is_left_goes_with_the_parent(void) {
    rn_heap *parent = made(NULL, "parent", 0);
    rn_heap_trim(rn_heap_root());
    rn_stats before = stats_of(rn_heap_root());
    leave_behind(parent, LEFT);
    rn_heap_destroy(parent);
    CHECK_EQ(before.used, stats_of(rn_heap_root()).used);
    CHECK_EQ(before.objects, stats_of(rn_heap_root()).objects);
}

/* --- realloc ------------------------------------------------------------------------------------------------------ */

static struct heap *owner(const void *block) {
    return span_of_id(page_map_entry(block)->span)->heap;
}

/* Small to small, small to large, large to larger, large to small. */
static void a_block_that_moves_moves_to_the_parent(void) {
    static const size_t sizes[][2] = {{100, 2000}, {100, LARGE}, {LARGE, 64 * MIB}, {3 * MIB, 64 * MIB}, {LARGE, 100}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        rn_heap *parent = made(NULL, "parent", 0), *heap = made(parent, "retired", 0);
        unsigned char *block = rn_heap_malloc(heap, sizes[i][0]);
        void *behind = rn_heap_malloc(rn_heap_root(), sizes[i][0]);
        REQUIRE(block != NULL);
        memset(block, 7, sizes[i][0]);
        rn_heap_retire(heap);
        CHECK(rn_usable_size(block) >= sizes[i][0]);
        unsigned char *moved = rn_realloc(block, sizes[i][1]);
        REQUIRE(moved != NULL);
        if (moved != block)
            CHECK(owner(moved) == heap_of(parent));
        CHECK_EQ(parent, rn_heap_of(moved));
        CHECK(moved[0] == 7 && moved[(sizes[i][0] < sizes[i][1] ? sizes[i][0] : sizes[i][1]) - 1] == 7);
        rn_free(moved);
        rn_free(behind);
        check_that_nothing_is_held(parent);
        rn_heap_destroy(parent);
    }
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

static pthread_barrier_t barrier;

static void *cache_some_and_wait(void *heap) {
    void *blocks[100];
    for (size_t i = 0; i < 100; i++)
        blocks[i] = rn_heap_malloc(heap, 10 + i * 20);
    for (size_t i = 0; i < 100; i++)
        rn_free(blocks[i]);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void what_other_threads_have_cached_goes_under_pressure(void) {
    rn_heap *parent = made(NULL, "parent", 0), *heap = made(parent, "retired", 0);
    pthread_t sleeper;
    pthread_barrier_init(&barrier, NULL, 2);
    REQUIRE(pthread_create(&sleeper, NULL, cache_some_and_wait, heap) == 0);
    pthread_barrier_wait(&barrier);
    size_t tables = table_bytes();
    rn_heap_retire(heap);
    check_that_nothing_is_held(parent);
    CHECK(table_bytes() <= tables - sizeof(struct heap));
    pthread_barrier_wait(&barrier);
    pthread_join(sleeper, NULL);
    rn_heap_destroy(parent);
}

static void *free_all_left(void *count) {
    free_left((uintptr_t)count);
    return NULL;
}

static void another_thread_may_free_what_is_left(void) {
    rn_heap *parent = made(NULL, "parent", 0);
    pthread_t other;
    leave_behind(parent, LEFT);
    REQUIRE(pthread_create(&other, NULL, free_all_left, (void *)(uintptr_t)LEFT) == 0);
    pthread_join(other, NULL);
    check_that_nothing_is_held(parent);
    rn_heap_destroy(parent);
}

/* Shelves on which some put what they leave behind, and from which others free it, while heaps are retired and go. */
enum { THREADS = 4, SHELVES = 64, TURNS = 3000 };

static void *shelves[SHELVES];
static rn_heap *common;

static void leave_one(random_source *source) {
    rn_heap *heap = made(common, "brief", 0), *child = random_below(source, 4) == 0 ? made(heap, "child", 0) : NULL;
    size_t size = random_below(source, 8) == 0 ? LARGE : 1 + random_below(source, 3000);
    void *block = rn_heap_malloc(child != NULL ? child : heap, size);
    REQUIRE(block != NULL);
    rn_free(__atomic_exchange_n(&shelves[random_below(source, SHELVES)], block, __ATOMIC_ACQ_REL));
    rn_heap_retire(heap);
    if (child != NULL)
        rn_heap_retire(child);
}

static void make_and_destroy(random_source *source) {
    rn_heap *heap = made(common, "destroyed", 0), *below = made(heap, "below", 0);
    CHECK(rn_heap_malloc(below, 1 + random_below(source, 5000)) != NULL);
    rn_heap_retire(below);
    rn_heap_destroy(heap);
}

static void *take_turns(void *number) {
    random_source source = random_start((uintptr_t)number);
    for (size_t turn = 0; turn < TURNS; turn++)
        switch (random_below(&source, 8)) {
        case 0:
            make_and_destroy(&source);
            break;
        case 1:
            rn_free(__atomic_exchange_n(&shelves[random_below(&source, SHELVES)], NULL, __ATOMIC_ACQ_REL));
            break;
        case 2:
            if (turn % 16 == 0)
                rn_heap_trim(rn_heap_root());
            break;
        default:
            leave_one(&source);
        }
    return NULL;
}

static void threads_retire_free_and_destroy_at_once(void) {
    pthread_t threads[THREADS];
    common = made(NULL, "common", 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, take_turns, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < SHELVES; i++)
        rn_free(shelves[i]);
    check_that_nothing_is_held(common);
    CHECK(heap_of(common)->first_child == NULL);
    rn_heap_destroy(common);
}

/* --- without end -------------------------------------------------------------------------------------------------- */

enum { AT_A_TIME = 500, IN_ALL = 100000 };

static void tables_come_back_once_what_is_left_is_freed(void) {
    rn_heap *parent = made(NULL, "parent", 0);
    size_t tables = 0;
    memset(left, 0, sizeof left);
    for (size_t i = 0; i < IN_ALL; i++) {
        rn_free(left[i % AT_A_TIME]);
        rn_heap *heap = made(parent, "brief", 0);
        left[i % AT_A_TIME] = rn_heap_malloc(heap, 50);
        REQUIRE(left[i % AT_A_TIME] != NULL);
        rn_heap_retire(heap);
        if (i == 4 * AT_A_TIME)
            tables = table_bytes();
    }
    CHECK(table_bytes() <= tables + tables / 4);
    for (size_t i = 0; i < AT_A_TIME; i++)
        rn_free(left[i]);
    check_that_nothing_is_held(parent);
    CHECK(heap_of(parent)->first_child == NULL);
    rn_heap_destroy(parent);
}

static void tables_come_back_of_a_heap_that_was_denied_all(void) {
    rn_heap_trim(rn_heap_root());
    size_t tables = 0;
    for (size_t i = 0; i < 2000; i++) {
        rn_heap *heap = made(NULL, "poor", 1);
        for (size_t size = 10; size < 40000; size *= 10)
            CHECK(rn_heap_malloc(heap, size) == NULL);
        rn_heap_retire(heap);
        if (i == 100)
            tables = table_bytes();
    }
    CHECK(table_bytes() <= tables + tables / 4);
}

/* As many as there are places; then all of them are to be had again. */
static void places_come_back_when_they_are_needed(void) {
    enum { MOST = 40000 };
    rn_heap *parent = made(NULL, "parent", 0);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < MOST; i++) {
            rn_heap *heap = made(parent, "brief", 0);
            left[i] = rn_heap_malloc(heap, 50);
            REQUIRE(left[i] != NULL);
            rn_heap_retire(heap);
        }
        for (size_t i = 0; i < MOST; i++)
            rn_free(left[i]);
    }
    check_that_nothing_is_held(parent);
    rn_heap_destroy(parent);
}

/* --- misuse ------------------------------------------------------------------------------------------------------- */

static void retire_current(rn_heap *heap) {
    rn_heap_push(heap);
    rn_heap_retire(heap);
}

static void retire_pushed(rn_heap *heap) {
    rn_heap_push(heap);
    rn_heap_push(rn_heap_root());
    rn_heap_retire(heap);
}

static void retiring_what_is_pushed_is_seen(void) {
    rn_heap *heap = made(NULL, "pushed", 0);
    CHECK_ABORTS("ration: %p: rn_heap_retire of heap \"pushed\", which this thread has pushed", retire_current(heap));
    CHECK_ABORTS("ration: %p: rn_heap_retire of heap \"pushed\", which this thread has pushed", retire_pushed(heap));
    rn_heap_destroy(heap);
}

static void free_twice(void *block) {
    rn_free(block);
    rn_free(block);
    rn_heap_trim(rn_heap_root());
}

static void a_double_free_of_what_was_left_is_seen(void) {
    rn_heap *heap = made(NULL, "retired", 0);
    void *block = rn_heap_malloc(heap, 100), *other = rn_heap_malloc(heap, 100);
    rn_heap_retire(heap);
    CHECK_ABORTS("ration: %p (112-byte class, heap \"retired\"): double free", free_twice(block));
    rn_free(block);
    rn_free(other);
}

static void retiring_null_is_fine(void) {
    rn_heap_retire(NULL);
}

TESTS(TEST(what_is_left_is_the_parents_and_goes_as_it_is_freed),
      TEST(what_is_left_of_several_in_a_line_is_the_nearests_that_lives),
      TEST(its_limits_are_no_more_and_those_above_hold), TEST(heaps_below_live_on),
      TEST(what_is_left_goes_with_the_parent), TEST(a_block_that_moves_moves_to_the_parent),
      TEST(what_other_threads_have_cached_goes_under_pressure), TEST(another_thread_may_free_what_is_left),
      TEST(threads_retire_free_and_destroy_at_once), TEST(tables_come_back_once_what_is_left_is_freed),
      TEST(tables_come_back_of_a_heap_that_was_denied_all), TEST(places_come_back_when_they_are_needed),
      TEST(retiring_what_is_pushed_is_seen), TEST(a_double_free_of_what_was_left_is_seen), TEST(retiring_null_is_fine))
