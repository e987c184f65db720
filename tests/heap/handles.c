/* handles.c: a handle whose heap is gone, or that never was one, is named wherever it is used; and none comes again.
 *
 * Each abort is in a process of its own, so that a handle's value is known to nobody. Start with gone. */
#include "accounts.h"
#include "heap/heap.h"

enum { PLACE_USES = 70000, NOTED = 64, DEEP = 40 };

static rn_heap *gone(const char *name, void (*end)(rn_heap *)) {
    rn_heap *heap = made(NULL, name, 0);
    end(heap);
    return heap;
}

/* --- each function that takes one -------------------------------------------------------------------------------- */

#define DESTROYED "ration: %p: use of heap \"gone\" after it was destroyed"
#define RETIRED "ration: %p: use of heap \"gone\" after it was retired"

static void every_function_sees_a_destroyed_heap(void) {
    rn_heap *heap = gone("gone", rn_heap_destroy);
    rn_stats stats;
    CHECK_ABORTS(DESTROYED, (void)!rn_heap_malloc(heap, 1));
    CHECK_ABORTS(DESTROYED, (void)!rn_heap_calloc(heap, 1, 1));
    CHECK_ABORTS(DESTROYED, (void)!rn_heap_aligned_alloc(heap, 64, 1));
    CHECK_ABORTS(DESTROYED, (void)!rn_heap_new(heap, "child", 0));
    CHECK_ABORTS(DESTROYED, rn_heap_destroy(heap));
    CHECK_ABORTS(DESTROYED, rn_heap_retire(heap));
    CHECK_ABORTS(DESTROYED, rn_heap_push(heap));
    CHECK_ABORTS(DESTROYED, (void)rn_heap_set_limit(heap, 1));
    CHECK_ABORTS(DESTROYED, rn_heap_set_soft_limit(heap, 1));
    CHECK_ABORTS(DESTROYED, (void)rn_heap_on_pressure(heap, 1, NULL, NULL));
    CHECK_ABORTS(DESTROYED, rn_heap_stats(heap, &stats));
    CHECK_ABORTS(DESTROYED, (void)rn_heap_trim(heap));
}

static void every_function_sees_a_retired_heap(void) {
    rn_heap *heap = made(NULL, "gone", 0);
    void *left = rn_heap_malloc(heap, 100);
    REQUIRE(left != NULL);
    rn_heap_retire(heap);
    rn_stats stats;
    CHECK_ABORTS(RETIRED, (void)!rn_heap_malloc(heap, 1));
    CHECK_ABORTS(RETIRED, (void)!rn_heap_new(heap, "child", 0));
    CHECK_ABORTS(RETIRED, rn_heap_destroy(heap));
    CHECK_ABORTS(RETIRED, rn_heap_retire(heap));
    CHECK_ABORTS(RETIRED, rn_heap_push(heap));
    CHECK_ABORTS(RETIRED, (void)rn_heap_set_limit(heap, 1));
    CHECK_ABORTS(RETIRED, rn_heap_stats(heap, &stats));
    rn_free(left);
}

static void a_retired_heap_that_was_buried_is_still_told_from_a_destroyed_one(void) {
    rn_heap *heap = gone("gone", rn_heap_retire);
    rn_heap_destroy(made(NULL, "next", 0));
    CHECK_ABORTS(RETIRED, (void)!rn_heap_malloc(heap, 1));
}

static void each_heap_of_a_deep_subtree_is_seen(void) {
    rn_heap *heaps[DEEP];
    for (size_t i = 0; i < DEEP; i++)
        heaps[i] = made(i == 0 ? NULL : heaps[i - 1], i == DEEP - 1 ? "gone" : "above", 0);
    rn_heap_destroy(heaps[0]);
    CHECK_ABORTS(DESTROYED, (void)!rn_heap_malloc(heaps[DEEP - 1], 1));
    CHECK_ABORTS("ration: %p: use of heap \"above\" after it was destroyed", (void)!rn_heap_malloc(heaps[1], 1));
}

/* --- places ------------------------------------------------------------------------------------------------------ */

static void a_stale_handle_stays_stale_however_often_its_place_is_used_again(void) {
    rn_heap *first = gone("gone", rn_heap_destroy);
    for (size_t i = 0; i < PLACE_USES; i++) {
        rn_heap *heap = made(NULL, "again", 0);
        REQUIRE(heap != first);
        rn_heap_destroy(heap);
    }
    CHECK_ABORTS("ration: %p: use of a heap after it was destroyed or retired", (void)!rn_heap_malloc(first, 1));
}

static int compare(const void *a, const void *b) {
    const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

static void no_handle_comes_again(void) {
    enum { COUNT = 3 * HEAP_IDS };
    static uintptr_t seen[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        rn_heap *heap = made(NULL, "", 0);
        seen[i] = (uintptr_t)heap;
        CHECK(seen[i] % 2 == 1);
        (i % 2 == 0 ? rn_heap_destroy : rn_heap_retire)(heap);
    }
    qsort(seen, COUNT, sizeof *seen, compare);
    for (size_t i = 1; i < COUNT; i++)
        REQUIRE(seen[i - 1] != seen[i]);
}

/* The line says no more than is known: names of the last ones only. */
static void the_last_that_went_are_known_by_name(void) {
    rn_heap *heap = gone("gone", rn_heap_destroy);
    for (size_t i = 0; i < NOTED - 1; i++)
        gone("other", rn_heap_retire);
    CHECK_ABORTS(DESTROYED, (void)!rn_heap_malloc(heap, 1));
    gone("one more", rn_heap_retire);
    CHECK_ABORTS("ration: %p: use of a heap after it was destroyed or retired", (void)!rn_heap_malloc(heap, 1));
}

/* --- what is no handle -------------------------------------------------------------------------------------------- */

#if defined(__GLIBC__)
#define NULL_TEXT "(nil)"
#else
#define NULL_TEXT "0"
#endif

static void what_never_was_a_heap_is_seen(void) {
    static long object;
    void *block = rn_malloc(100);
    CHECK_ABORTS("ration: " NULL_TEXT ": not a heap", (void)!rn_heap_malloc(NULL, 1));
    CHECK_ABORTS("ration: %p: not a heap", (void)!rn_heap_malloc((rn_heap *)&object, 1));
    CHECK_ABORTS("ration: %p (112-byte class, heap \"root\"): not a heap", (void)!rn_heap_malloc(block, 1));
    CHECK_ABORTS("ration: 0x1: not a heap", (void)!rn_heap_malloc((rn_heap *)1, 1));
    CHECK_ABORTS("ration: 0x2: not a heap", (void)!rn_heap_malloc((rn_heap *)2, 1));
    CHECK_ABORTS("ration: %p: not a heap", (void)!rn_heap_malloc((rn_heap *)UINTPTR_MAX, 1));
    CHECK_ABORTS("ration: %p: not a heap", (void)!rn_heap_malloc((rn_heap *)(UINTPTR_MAX / 2), 1));
    CHECK_ABORTS("ration: %p: not a heap",
                 (void)!rn_heap_malloc((rn_heap *)((uintptr_t)rn_heap_root() + ((uintptr_t)1 << 17)), 1));
    CHECK_ABORTS("ration: %p: rn_heap_retire of the root", rn_heap_retire(rn_heap_root()));
    rn_free(block);
}

static void only_the_roots_handle_is_the_roots(void) {
    rn_heap *root = rn_heap_root();
    CHECK(heap_of(root) == &root_heap);
    CHECK_ABORTS("ration: %p: not a heap", (void)heap_of((rn_heap *)((uintptr_t)root ^ 1)));
}

TESTS(TEST(every_function_sees_a_destroyed_heap), TEST(every_function_sees_a_retired_heap),
      TEST(a_retired_heap_that_was_buried_is_still_told_from_a_destroyed_one),
      TEST(each_heap_of_a_deep_subtree_is_seen), TEST(a_stale_handle_stays_stale_however_often_its_place_is_used_again),
      TEST(no_handle_comes_again), TEST(the_last_that_went_are_known_by_name), TEST(what_never_was_a_heap_is_seen),
      TEST(only_the_roots_handle_is_the_roots))
