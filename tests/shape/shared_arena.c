/* shared_arena.c: threads that allocate from one arena at once: their pieces are apart, what waits is taken by pressure
 * meanwhile, and limits hold. Start with fill_with_others. */
#include "apart.h"
#include "heap/accounts.h"

#include <pthread.h>

enum { THREADS = 4, PIECES = 20000, MIB = 1 << 20 };

static rn_shared_arena *arena;
static rn_heap *heap;
static size_t denied;

typedef struct task {
    pthread_t thread;
    unsigned number;
    unsigned char *pieces[PIECES];
} task;

static size_t size_of(size_t i) {
    return 1 + i * 7 % 120 + (i % 500 == 0 ? 30000 : 0);
}

static void *take_many(void *given) {
    task *t = given;
    for (size_t i = 0; i < PIECES; i++) {
        unsigned char *piece = t->pieces[i] = rn_shared_arena_alloc(arena, size_of(i), (size_t)1 << i % 6);
        if (piece == NULL) {
            CHECK_EQ(ENOMEM, errno);
            __atomic_fetch_add(&denied, 1, __ATOMIC_RELAXED);
            continue;
        }
        CHECK_EQ(0u, (uintptr_t)piece & (((size_t)1 << i % 6) - 1));
        memset(piece, (int)(t->number + 1), size_of(i));
    }
    return NULL;
}

static void check_pieces(const task *t) {
    for (size_t i = 0; i < PIECES; i++)
        for (size_t at = 0; t->pieces[i] != NULL && at < size_of(i); at += at < 120 ? 1 : 500)
            REQUIRE(t->pieces[i][at] == t->number + 1);
}

static void fill_with_others(void) {
    static task tasks[THREADS];
    denied = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        tasks[i].number = i;
        REQUIRE(pthread_create(&tasks[i].thread, NULL, take_many, &tasks[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(tasks[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        check_pieces(&tasks[i]);
}

static void begin(size_t limit) {
    heap = made(NULL, "shared", limit);
    REQUIRE((arena = rn_shared_arena_new(heap, 0)) != NULL);
}

static void end(void) {
    rn_shared_arena_destroy(arena);
    CHECK_EQ(0u, stats_of(heap).used);
    rn_heap_destroy(heap);
}

static void pieces_of_threads_are_apart(void) {
    begin(0);
    for (int round = 0; round < 5; round++) {
        fill_with_others();
        CHECK_EQ(0u, denied);
        rn_arena_stats stats;
        rn_shared_arena_read(arena, &stats);
        CHECK(stats.used >= (size_t)THREADS * PIECES * 60 && stats.used <= stats.held && stats.peak >= stats.used);
        CHECK_EQ(stats.held, stats_of(heap).used);
        rn_shared_arena_reset(arena);
    }
    end();
}

static void the_limit_holds(void) {
    begin(4 * MIB);
    for (int round = 0; round < 3; round++) {
        fill_with_others();
        CHECK(denied != 0);
        CHECK(stats_of(heap).peak <= 4 * MIB);
        rn_shared_arena_reset(arena);
    }
    end();
}

static bool pressed;

static void *press(void *unused) {
    while (!__atomic_load_n(&pressed, __ATOMIC_ACQUIRE))
        rn_heap_trim(heap);
    return unused;
}

static void pressure_may_come_at_any_time(void) {
    pthread_t presser;
    begin(0);
    REQUIRE(pthread_create(&presser, NULL, press, NULL) == 0);
    for (int round = 0; round < 3; round++) {
        fill_with_others();
        rn_shared_arena_reset(arena);
    }
    __atomic_store_n(&pressed, true, __ATOMIC_RELEASE);
    pthread_join(presser, NULL);
    end();
}

static size_t make_room(void *unused, size_t want) {
    (void)unused;
    rn_shared_arena_reset(arena);
    return want;
}

static void a_callback_may_reset_it(void) {
    begin(4 * MIB);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, make_room, NULL));
    for (int i = 0; i < 100; i++)
        CHECK(rn_shared_arena_alloc(arena, MIB, 1) != NULL);
    CHECK_EQ(0u, stats_of(heap).denied);
    end();
}

static void its_end_and_its_heaps_are_seen(void) {
    begin(0);
    CHECK(rn_shared_arena_alloc(arena, 100, 1) != NULL);
    rn_shared_arena *other = rn_shared_arena_new(heap, 0);
    CHECK(other != NULL && rn_shared_arena_alloc(other, 0, 1) != NULL);
    rn_shared_arena_destroy(arena);
    rn_shared_arena_destroy(NULL);
    CHECK_ABORTS("ration: %p: use of an arena after it was destroyed", (void)!rn_shared_arena_alloc(arena, 1, 1));
    rn_heap_destroy(heap);
    CHECK_ABORTS("ration: %p: use of heap \"shared\" after it was destroyed",
                 (void)!rn_shared_arena_alloc(other, 1, 1));
}

static void what_can_not_be_is_refused(void) {
    volatile size_t huge = SIZE_MAX, odd = 3;
    begin(0);
    for (int filled = 0; filled < 2; filled++) {
        CHECK(rn_shared_arena_alloc(arena, huge, 1) == NULL);
        CHECK(rn_shared_arena_alloc(arena, (size_t)PTRDIFF_MAX, 64) == NULL);
        CHECK_EQ(ENOMEM, errno);
        CHECK(rn_shared_arena_alloc(arena, 1, odd) == NULL);
        CHECK_EQ(EINVAL, errno);
        CHECK(rn_shared_arena_alloc(arena, 100, 1) != NULL);
    }
    end();
}

TESTS(TEST(pieces_of_threads_are_apart), TEST(the_limit_holds), TEST(pressure_may_come_at_any_time),
      TEST(a_callback_may_reset_it), TEST(its_end_and_its_heaps_are_seen), TEST(what_can_not_be_is_refused))
