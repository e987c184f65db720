/* many_heaps.c: a thread that goes through more heaps than it keeps caches for, a thread that ends while heaps do, and a tree
 * that was put in order.
 *
 * Start with go_through_others. */
#include "accounts.h"
#include "heap/heap.h"

#include <pthread.h>

enum { OTHERS = 200, ROUNDS = 20, BLOCKS = 300 };

static rn_heap *others[OTHERS];

static void make_others(void) {
    for (size_t i = 0; i < OTHERS; i++)
        others[i] = made(NULL, "other", 0);
}

static void destroy_others(void) {
    for (size_t i = 0; i < OTHERS; i++)
        rn_heap_destroy(others[i]);
}

/* One block of each, by name: none of them becomes the current heap. */
static void go_through_others(void) {
    for (size_t i = 0; i < OTHERS; i++) {
        void *block = rn_heap_malloc(others[i], 100);
        REQUIRE(block != NULL);
        CHECK_EQ(others[i], rn_heap_of(block));
        rn_free(block);
    }
}

static void the_current_heaps_cache_outlasts_the_use_of_many_others(void) {
    static unsigned char *blocks[BLOCKS];
    rn_heap *heap = made(NULL, "current", 0);
    make_others();
    rn_heap_push(heap);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = rn_malloc(100);
            REQUIRE(blocks[i] != NULL);
            REQUIRE(rn_heap_of(blocks[i]) == heap);
            memset(blocks[i], (int)i, 100);
        }
        go_through_others();
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK(blocks[i][0] == (unsigned char)i && blocks[i][99] == (unsigned char)i);
            rn_free(blocks[i]);
        }
    }
    rn_heap_pop();
    rn_heap_trim(heap);
    CHECK_EQ(0u, stats_of(heap).objects);
    CHECK_EQ(0u, stats_of(heap).used);
    rn_heap_destroy(heap);
    destroy_others();
}

/* --- ends at once ----------------------------------------------------------------------------------------------- */

static pthread_barrier_t done_with;

static void *use_and_end(void *heap) {
    for (size_t size = 16; size < 3000; size += 100)
        rn_free(rn_heap_malloc(heap, size));
    pthread_barrier_wait(&done_with);
    return NULL;
}

/* The thread has done with the heap; its caches may yet be going as the heap goes. */
static void ends_beside_its_thread(void (*end)(rn_heap *)) {
    rn_heap *heap = made(NULL, "brief", 0);
    pthread_t user;
    REQUIRE(pthread_create(&user, NULL, use_and_end, heap) == 0);
    pthread_barrier_wait(&done_with);
    end(heap);
    pthread_join(user, NULL);
}

static void retire_and_bury(rn_heap *heap) {
    rn_heap_retire(heap);
    rn_heap_trim(rn_heap_root());
}

static void a_heap_may_end_while_a_thread_that_used_it_ends(void) {
    rn_free(rn_malloc(1));
    rn_heap_trim(rn_heap_root());
    size_t root = stats_of(rn_heap_root()).used;
    pthread_barrier_init(&done_with, NULL, 2);
    for (unsigned round = 0; round < 300; round++) {
        ends_beside_its_thread(rn_heap_destroy);
        ends_beside_its_thread(retire_and_bury);
    }
    rn_heap_trim(rn_heap_root());
    CHECK_EQ(root, stats_of(rn_heap_root()).used);
}

/* --- in order --------------------------------------------------------------------------------------------------- */

static void heaps_go_from_a_tree_that_was_sorted(void) {
    rn_heap *parent = made(NULL, "parent", 0), *children[8];
    for (size_t i = 0; i < 8; i++) {
        children[i] = made(parent, "child", 0);
        CHECK(rn_heap_malloc(children[i], (1 + i * 5 % 8) * 100000) != NULL);
    }
    heap_lock_tree();
    heap_sort_tree();
    heap_unlock_tree();
    for (size_t left = 8; left > 0; left--) {
        size_t held = stats_of(parent).used, gone = stats_of(children[left - 1]).used,
               objects = stats_of(parent).objects;
        rn_heap_destroy(children[left - 1]);
        CHECK_EQ(held - gone, stats_of(parent).used);
        CHECK_EQ(objects - 1, stats_of(parent).objects);
    }
    rn_heap_destroy(parent);
}

TESTS(TEST(the_current_heaps_cache_outlasts_the_use_of_many_others),
      TEST(a_heap_may_end_while_a_thread_that_used_it_ends), TEST(heaps_go_from_a_tree_that_was_sorted))
