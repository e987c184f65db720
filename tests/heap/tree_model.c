/* tree_model.c: random work on trees of heaps, held against what is known of each: its limit is never passed, its use is that of
 * its own spans and of the heaps below, and in the end all is as before. Then the same by several threads; and trees that are
 * very deep.
 *
 * Start with take_turns. */
#include "accounts.h"
#include "heap/heap.h"
#include "random.h"

#include <pthread.h>
#include <unistd.h>

enum { HEAPS = 48, BLOCKS = 800, MIB = 1 << 20 };

#ifdef RN_SANITIZE
enum { TURNS = 15000, LEVELS = 2000, STACK = 512 << 10 };
#else
enum { TURNS = 60000, LEVELS = 20000, STACK = 64 << 10 };
#endif

/* What one thread works with: its heaps lie below one of its own, and blocks may outlive them by being retired. */
typedef struct world {
    random_source source;
    rn_heap *top;
    rn_heap *heaps[HEAPS]; /* NULL: none */
    size_t parent[HEAPS];  /* HEAPS: the top */
    void *blocks[BLOCKS];
    size_t owner[BLOCKS]; /* of which heap; the nearest living one once it is retired */
} world;

/* --- what must hold ----------------------------------------------------------------------------------------------- */

static size_t committed_by(struct heap *heap) {
    size_t bytes = 0;
    for (const span *s = heap->spans; s != NULL; s = s->older)
        bytes += s->state == SPAN_LARGE ? s->size : span_committed(s);
    return bytes;
}

/* Of every heap below top: used = its own spans + its children's use and credit. No thread may be at work. */
static void check_sums(const rn_heap *handle) {
    struct heap *top = heap_of(handle);
    heap_lock_tree();
    for (struct heap *heap = heap_first_in(top); heap != NULL; heap = heap_next_in(top, heap)) {
        size_t sum = committed_by(heap);
        for (const struct heap *child = heap->first_child; child != NULL; child = child->next_sibling)
            sum += child->used + child->credit;
        CHECK_EQ(sum, heap->used);
        CHECK(heap->limit == 0 || heap->used <= heap->limit);
        CHECK(heap->peak >= heap->used);
    }
    heap_unlock_tree();
}

static void check_that_credit_can_be_recalled(const rn_heap *handle) {
    struct heap *top = heap_of(handle);
    heap_lock_tree();
    heap_recall_credit(top);
    for (struct heap *heap = heap_first_in(top); heap != top; heap = heap_next_in(top, heap))
        CHECK_EQ(0u, heap->credit);
    heap_unlock_tree();
    check_sums(handle);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static rn_heap *heap_at(world *w, size_t i) {
    return i == HEAPS ? w->top : w->heaps[i];
}

/* A heap that lives, or the top. */
static size_t any_heap(world *w) {
    for (unsigned tries = 0; tries < 8; tries++) {
        size_t i = random_below(&w->source, HEAPS);
        if (w->heaps[i] != NULL)
            return i;
    }
    return HEAPS;
}

static void make_one(world *w) {
    size_t i = random_below(&w->source, HEAPS), parent = any_heap(w);
    if (w->heaps[i] != NULL)
        return;
    size_t limit = random_below(&w->source, 3) == 0 ? (1 + random_below(&w->source, 8)) * MIB : 0;
    w->heaps[i] = made(heap_at(w, parent), "model", limit);
    w->parent[i] = parent;
}

static bool is_below(const world *w, size_t i, size_t above) {
    while (i != HEAPS && i != above)
        i = w->parent[i];
    return i == above;
}

static void destroy_one(world *w) {
    size_t gone = any_heap(w);
    if (gone == HEAPS)
        return;
    rn_heap_destroy(w->heaps[gone]);
    for (size_t i = 0; i < BLOCKS; i++)
        if (w->blocks[i] != NULL && is_below(w, w->owner[i], gone))
            w->blocks[i] = NULL;
    bool below[HEAPS];
    for (size_t i = 0; i < HEAPS; i++)
        below[i] = w->heaps[i] != NULL && is_below(w, i, gone);
    for (size_t i = 0; i < HEAPS; i++)
        if (below[i])
            w->heaps[i] = NULL;
}

static void retire_one(world *w) {
    size_t gone = any_heap(w);
    if (gone == HEAPS)
        return;
    rn_heap_retire(w->heaps[gone]);
    w->heaps[gone] = NULL;
    for (size_t i = 0; i < BLOCKS; i++)
        if (w->blocks[i] != NULL && w->owner[i] == gone)
            w->owner[i] = w->parent[gone];
    for (size_t i = 0; i < HEAPS; i++)
        if (w->heaps[i] != NULL && w->parent[i] == gone)
            w->parent[i] = w->parent[gone];
}

static size_t any_size(world *w) {
    return random_below(&w->source, 8) == 0 ? random_size(&w->source, 21) : random_size(&w->source, 14);
}

static void give_or_take(world *w) {
    size_t i = random_below(&w->source, BLOCKS), heap = any_heap(w);
    if (w->blocks[i] != NULL) {
        CHECK_EQ(heap_at(w, w->owner[i]), rn_heap_of(w->blocks[i]));
        rn_free(w->blocks[i]);
        w->blocks[i] = NULL;
        return;
    }
    w->blocks[i] = rn_heap_malloc(heap_at(w, heap), any_size(w));
    w->owner[i] = heap;
}

static void resize_one(world *w) {
    size_t i = random_below(&w->source, BLOCKS);
    if (w->blocks[i] == NULL)
        return;
    void *resized = rn_realloc(w->blocks[i], any_size(w));
    if (resized != NULL)
        w->blocks[i] = resized;
}

static void limit_one(world *w) {
    size_t i = any_heap(w);
    size_t limit = random_below(&w->source, 16) * (MIB / 2);
    if (i == HEAPS)
        return;
    if (random_below(&w->source, 2) == 0) {
        rn_heap_set_soft_limit(w->heaps[i], limit);
        return;
    }
    size_t before = stats_of(w->heaps[i]).limit;
    int result = rn_heap_set_limit(w->heaps[i], limit);
    CHECK(result == 0 || result == RN_EBUSY);
    CHECK_EQ(result == 0 ? limit : before, stats_of(w->heaps[i]).limit);
}

static void take_turn(world *w) {
    size_t kind = random_below(&w->source, 200);
    if (kind < 4)
        make_one(w);
    else if (kind < 5)
        retire_one(w);
    else if (kind < 6 && random_below(&w->source, 4) == 0)
        destroy_one(w);
    else if (kind < 12)
        limit_one(w);
    else if (kind < 13)
        rn_heap_trim(heap_at(w, any_heap(w)));
    else if (kind < 50)
        resize_one(w);
    else
        give_or_take(w);
}

static void end_world(world *w) {
    for (size_t i = 0; i < BLOCKS; i++)
        rn_free(w->blocks[i]);
    rn_heap_trim(w->top);
    check_sums(w->top);
    CHECK_EQ(0u, stats_of(w->top).used);
    CHECK_EQ(0u, stats_of(w->top).objects);
    CHECK_EQ(0u, stats_of(w->top).live);
    rn_heap_destroy(w->top);
}

static void figures_are_the_sums_of_what_lies_below(void) {
    static world w;
    w = (world){.source = random_start(1), .top = made(NULL, "top", 64 * MIB)};
    for (size_t turn = 0; turn < TURNS; turn++) {
        take_turn(&w);
        if (turn % 500 == 0)
            check_sums(w.top);
        if (turn % 5000 == 0)
            check_that_credit_can_be_recalled(w.top);
    }
    end_world(&w);
}

/* --- the same by threads ------------------------------------------------------------------------------------------- */

enum { THREADS = 4, PAUSES = 6 };

static pthread_barrier_t pause_begins, pause_ends;

static void *work_with_pauses(void *argument) {
    world *w = argument;
    for (size_t n = 0; n < PAUSES; n++) {
        for (size_t turn = 0; turn < TURNS / PAUSES / 4; turn++)
            take_turn(w);
        pthread_barrier_wait(&pause_begins);
        pthread_barrier_wait(&pause_ends);
    }
    return NULL;
}

static void figures_are_sums_though_threads_share_a_limit(void) {
    static world worlds[THREADS];
    rn_heap *shared = made(NULL, "shared", 48 * MIB);
    pthread_t threads[THREADS];
    pthread_barrier_init(&pause_begins, NULL, THREADS + 1);
    pthread_barrier_init(&pause_ends, NULL, THREADS + 1);
    for (size_t i = 0; i < THREADS; i++) {
        worlds[i] = (world){.source = random_start(10 + i), .top = made(shared, "top", 0)};
        REQUIRE(pthread_create(&threads[i], NULL, work_with_pauses, &worlds[i]) == 0);
    }
    for (size_t n = 0; n < PAUSES; n++) {
        pthread_barrier_wait(&pause_begins);
        check_sums(shared);
        check_that_credit_can_be_recalled(shared);
        pthread_barrier_wait(&pause_ends);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < THREADS; i++)
        end_world(&worlds[i]);
    CHECK_EQ(0u, stats_of(shared).used);
    rn_heap_destroy(shared);
}

/* --- depth --------------------------------------------------------------------------------------------------------- */

static void *use_a_deep_tree(void *unused) {
    static rn_heap *heaps[LEVELS];
    size_t used = stats_of(rn_heap_root()).used;
    for (size_t i = 0; i < LEVELS; i++)
        heaps[i] = made(i == 0 ? NULL : heaps[i - 1], "level", 0);
    rn_heap *lowest = heaps[LEVELS - 1];
    CHECK(rn_heap_malloc(lowest, 3 * MIB) != NULL && rn_heap_malloc(lowest, 100) != NULL);
    CHECK_EQ(stats_of(lowest).used, stats_of(heaps[0]).used);
    CHECK_EQ(0, rn_heap_set_limit(heaps[0], 4 * MIB));
    CHECK(rn_heap_malloc(lowest, 2 * MIB) == NULL);
    rn_heap_trim(heaps[0]);
    for (size_t i = LEVELS / 2; i < LEVELS / 2 + 100; i++)
        rn_heap_retire(heaps[i]);
    rn_heap_destroy(heaps[0]);
    CHECK_EQ(used, stats_of(rn_heap_root()).used);
    return unused;
}

/* Nothing recurses over the tree. */
static void a_tree_may_be_as_deep_as_there_is_memory(void) {
    pthread_t small;
    pthread_attr_t attributes;
    rn_heap_trim(rn_heap_root());
    pthread_attr_init(&attributes);
    long least = sysconf(_SC_THREAD_STACK_MIN); /* more where pages are larger */
    REQUIRE(pthread_attr_setstacksize(&attributes, least > STACK ? (size_t)least : STACK) == 0);
    REQUIRE(pthread_create(&small, &attributes, use_a_deep_tree, NULL) == 0);
    pthread_join(small, NULL);
    pthread_attr_destroy(&attributes);
}

TESTS(TEST(figures_are_the_sums_of_what_lies_below), TEST(figures_are_sums_though_threads_share_a_limit),
      TEST(a_tree_may_be_as_deep_as_there_is_memory))
