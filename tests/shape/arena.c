/* arena.c: what an arena hands out, takes back, holds and refuses; marks that are gone; its heap's end.
 *
 * The random test is arena_model.c. Start with pieces_are_apart_and_aligned. */
#include "apart.h"
#include "heap/accounts.h"
#include "heap/heap.h"

#include <pthread.h>
#include <ration/ration.h>

enum { MIB = 1 << 20 };

static rn_arena_stats figures_of(rn_arena *arena) {
    rn_arena_stats stats;
    rn_arena_read(arena, &stats);
    return stats;
}

static rn_arena *made_in(rn_heap *heap) {
    rn_arena *arena = rn_arena_new(heap, 0);
    REQUIRE(arena != NULL);
    return arena;
}

static char *piece_of(rn_arena *arena, size_t size, size_t align) {
    char *piece = rn_arena_alloc(arena, size, align);
    REQUIRE(piece != NULL);
    memset(piece, 0x5a, size);
    return piece;
}

/* --- pieces --------------------------------------------------------------------------------------------------------- */

static void pieces_are_apart_and_aligned(void) {
    rn_arena *arena = made_in(NULL);
    char *last = NULL;
    for (size_t align = 1; align <= 64 << 10; align *= 2)
        for (size_t size = 1; size < 200; size += 33) {
            char *piece = piece_of(arena, size, align);
            CHECK_EQ(0u, (uintptr_t)piece & (align - 1));
            CHECK(last == NULL || *last == 0x5a);
            last = piece + size - 1;
        }
    rn_arena_destroy(arena);
}

static void a_piece_of_nothing_is_no_refusal(void) {
    rn_arena *arena = made_in(NULL);
    CHECK(rn_arena_alloc(arena, 0, 1) != NULL);
    CHECK(rn_arena_alloc(arena, 0, 64) != NULL);
    CHECK(figures_of(arena).chunks == 1);
    rn_arena_destroy(arena);
}

static void what_can_not_be_is_refused(void) {
    rn_arena *arena = made_in(NULL);
    volatile size_t huge = SIZE_MAX, odd = 24, coarse = (size_t)1 << 62;
    for (int filled = 0; filled < 2; filled++) {
        for (size_t less = 0; less < 64; less += 7) {
            errno = 0;
            CHECK(rn_arena_alloc(arena, huge - less, 16) == NULL);
            CHECK_EQ(ENOMEM, errno);
            CHECK(rn_arena_alloc(arena, (size_t)PTRDIFF_MAX - less, 16) == NULL);
        }
        CHECK(RN_ARENA_ARRAY(arena, long, huge / 4) == NULL);
        CHECK(rn_arena_calloc(arena, huge / 4, 8, 8) == NULL);
        CHECK(rn_arena_alloc(arena, 8, coarse) == NULL);
        errno = 0;
        CHECK(rn_arena_alloc(arena, 8, odd) == NULL);
        CHECK_EQ(EINVAL, errno);
        errno = 0;
        CHECK(rn_arena_alloc(arena, 8, 0 * odd) == NULL);
        CHECK_EQ(EINVAL, errno);
        piece_of(arena, 100, 1);
    }
    CHECK(RN_ARENA_NEW(arena, long) != NULL);
    rn_arena_destroy(arena);
}

static void a_large_piece_has_a_chunk_of_its_size(void) {
    rn_arena *arena = made_in(NULL);
    piece_of(arena, 5 * MIB, 4096);
    CHECK(figures_of(arena).held < 5 * MIB + MIB / 4);
    rn_arena_destroy(arena);
}

static void a_large_piece_leaves_the_rest_of_the_chunk_to_others(void) {
    rn_arena *arena = made_in(NULL);
    char *first = piece_of(arena, 100, 1);
    rn_mark mark = rn_arena_mark(arena);
    for (int i = 0; i < 3; i++) {
        char *large = piece_of(arena, 300000, 4096);
        char *behind = piece_of(arena, 100, 1);
        CHECK(behind > first && behind < first + (16 << 10));
        CHECK(large[299999] == 0x5a);
    }
    size_t held = figures_of(arena).held;
    CHECK_EQ(4u, figures_of(arena).chunks);
    rn_arena_rewind(arena, mark);
    CHECK(figures_of(arena).used < 200);
    for (int i = 0; i < 3; i++)
        piece_of(arena, 300000, 4096);
    CHECK_EQ(held, figures_of(arena).held);
    rn_arena_destroy(arena);
}

static void calloc_gives_zeros(void) {
    rn_arena *arena = made_in(NULL);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 1000; i++) {
            const char *piece = rn_arena_calloc(arena, 7, 13, 8);
            REQUIRE(piece != NULL);
            for (size_t at = 0; at < 7 * 13; at++)
                REQUIRE(piece[at] == 0);
            piece_of(arena, 10, 1);
        }
        rn_arena_reset(arena);
    }
    rn_arena_destroy(arena);
}

static void the_newest_grows_in_place_and_others_move(void) {
    rn_arena *arena = made_in(NULL);
    char *grown = piece_of(arena, 10, 8);
    CHECK(rn_arena_extend(arena, grown, 10, 5000, 8) == grown);
    CHECK(rn_arena_extend(arena, grown, 5000, 20, 8) == grown);
    char *behind = piece_of(arena, 10, 1);
    CHECK(behind < grown + 100);
    CHECK(rn_arena_extend(arena, grown, 20, 15, 8) == grown);
    char *moved = rn_arena_extend(arena, grown, 15, 3000, 64);
    REQUIRE(moved != NULL && moved != grown);
    CHECK(moved[0] == 0x5a && moved[9] == 0x5a && ((uintptr_t)moved & 63) == 0);
    char *far = rn_arena_extend(arena, moved, 3000, 3 * MIB, 8);
    REQUIRE(far != NULL);
    CHECK(far[0] == 0x5a && far[9] == 0x5a);
    CHECK(rn_arena_extend(arena, NULL, 0, 100, 8) != NULL);
    volatile size_t huge = SIZE_MAX;
    CHECK(rn_arena_extend(arena, far, 3 * MIB, huge, 8) == NULL);
    CHECK(far[0] == 0x5a);
    rn_arena_destroy(arena);
}

static void strings_are_copied_and_made(void) {
    rn_arena *arena = made_in(NULL);
    static char line[20000];
    memset(line, 'x', sizeof line - 1);
    for (size_t i = 0; i < 200; i++) {
        CHECK_TEXT("an order", rn_arena_strdup(arena, "an order"));
        CHECK_TEXT("an", rn_arena_strndup(arena, "an order", 2));
        CHECK_TEXT("an", rn_arena_strndup(arena, "an", 100));
        CHECK_TEXT("order 17 of 100000, 50.5",
                   rn_arena_printf(arena, "order %d of %zu, %.1f", 17, (size_t)100000, 50.5));
        CHECK_TEXT("", rn_arena_printf(arena, "%s", ""));
        CHECK_TEXT(line, rn_arena_printf(arena, "%s", line));
        const char *copy = rn_arena_memdup(arena, "a\0b", 3);
        REQUIRE(copy != NULL);
        CHECK(memcmp(copy, "a\0b", 3) == 0);
    }
    rn_arena_destroy(arena);
}

/* --- going back ----------------------------------------------------------------------------------------------------- */

static void marks_nest(void) {
    rn_arena *arena = made_in(NULL);
    rn_mark empty = rn_arena_mark(arena);
    char *first = piece_of(arena, 100, 1);
    rn_mark outer = rn_arena_mark(arena);
    char *second = piece_of(arena, 100, 1);
    for (int i = 0; i < 3; i++) {
        rn_mark inner = rn_arena_mark(arena);
        char *third = piece_of(arena, 10, 1);
        for (int more = 0; more < 100; more++)
            piece_of(arena, 10000, 1);
        rn_arena_rewind(arena, inner);
        CHECK(piece_of(arena, 10, 1) == third);
        rn_arena_rewind(arena, inner);
    }
    CHECK(first[99] == 0x5a && second[99] == 0x5a);
    rn_arena_rewind(arena, outer);
    CHECK(piece_of(arena, 100, 1) == second);
    rn_arena_rewind(arena, outer);
    rn_arena_rewind(arena, outer);
    rn_arena_rewind(arena, empty);
    CHECK_EQ(0u, figures_of(arena).used);
    rn_arena_rewind(arena, empty);
    rn_arena_destroy(arena);
}

static const char mark_is_gone[] = "ration: %p: rn_arena_rewind to a mark that is gone";

static void a_mark_that_was_rewound_past_is_seen(void) {
    rn_arena *arena = made_in(NULL);
    rn_mark empty = rn_arena_mark(arena);
    piece_of(arena, 10, 1);
    rn_mark outer = rn_arena_mark(arena);
    piece_of(arena, 10, 1);
    rn_mark inner = rn_arena_mark(arena);
    for (int i = 0; i < 10; i++)
        piece_of(arena, 10000, 1);
    rn_mark far = rn_arena_mark(arena);
    rn_arena_rewind(arena, outer);
    CHECK_ABORTS(mark_is_gone, rn_arena_rewind(arena, inner));
    CHECK_ABORTS(mark_is_gone, rn_arena_rewind(arena, far));
    for (int i = 0; i < 10; i++)
        piece_of(arena, 10000, 1); /* the same chunks again */
    CHECK_ABORTS(mark_is_gone, rn_arena_rewind(arena, far));
    rn_arena_reset(arena);
    CHECK_ABORTS(mark_is_gone, rn_arena_rewind(arena, outer));
    rn_arena_rewind(arena, empty);
    const rn_mark none = {0};
    CHECK_ABORTS(mark_is_gone, rn_arena_rewind(arena, none));
    rn_arena *other = made_in(NULL);
    CHECK_ABORTS(mark_is_gone, rn_arena_rewind(other, empty));
    rn_arena_destroy(other);
    rn_arena_destroy(arena);
}

static void a_reset_keeps_what_was_in_use_and_not_a_burst(void) {
    rn_heap *heap = made(NULL, "cycles", 0);
    rn_arena *arena = made_in(heap);
    for (int i = 0; i < 40; i++)
        piece_of(arena, MIB / 2, 1);
    CHECK(figures_of(arena).peak >= 20 * MIB);
    size_t burst = figures_of(arena).held;
    rn_arena_reset(arena);
    CHECK_EQ(burst, figures_of(arena).held);
    size_t before = stats_of(heap).used;
    for (int i = 0; i < 40; i++)
        piece_of(arena, MIB / 2, 1);
    CHECK_EQ(before, stats_of(heap).used);
    rn_arena_reset(arena);
    for (int cycle = 0; cycle < 3; cycle++) {
        piece_of(arena, 100, 1);
        rn_arena_reset(arena);
    }
    CHECK(figures_of(arena).held <= 2 * MIB);
    CHECK(rn_arena_trim(arena) <= 2 * MIB);
    CHECK_EQ(0u, figures_of(arena).held);
    CHECK_EQ(0u, stats_of(heap).used);
    rn_arena_destroy(arena);
    rn_heap_destroy(heap);
}

static void the_same_batch_fits_again_at_a_limit(void) {
    rn_heap *heap = made(NULL, "batches", 8 * MIB);
    rn_arena *arena = made_in(heap);
    for (int batch = 0; batch < 5; batch++) {
        piece_of(arena, 100, 1);
        piece_of(arena, 5 * MIB, 1);
        for (int i = 0; i < 100; i++)
            piece_of(arena, 1000, 1);
        rn_arena_reset(arena);
    }
    CHECK_EQ(0u, stats_of(heap).denied);
    rn_heap_destroy(heap);
}

/* --- its heap ------------------------------------------------------------------------------------------------------- */

static size_t fill(rn_arena *arena, size_t size) {
    size_t sum = 0;
    while (rn_arena_alloc(arena, size, 1) != NULL)
        sum += size;
    CHECK_EQ(ENOMEM, errno);
    return sum;
}

static void the_heaps_limit_bounds_it(void) {
    for (size_t size = 16; size <= MIB; size *= 4) {
        rn_heap *heap = made(NULL, "limited", 8 * MIB);
        rn_arena *arena = made_in(heap);
        char *first = piece_of(arena, 1000, 1);
        size_t sum = fill(arena, size);
        CHECK(figures_of(arena).used + size > 8 * MIB / 100 * 94 && sum <= 8 * MIB);
        CHECK(stats_of(heap).used <= 8 * MIB);
        CHECK(stats_of(heap).denied != 0);
        CHECK(first[999] == 0x5a);
        rn_arena_reset(arena);
        CHECK(rn_heap_malloc(heap, 4 * MIB) != NULL); /* what waits goes under pressure */
        CHECK(rn_arena_alloc(arena, MIB, 1) != NULL);
        rn_arena_destroy(arena);
        rn_heap_destroy(heap);
    }
}

static void what_waits_goes_to_another_heap_under_pressure(void) {
    rn_heap *top = made(NULL, "top", 8 * MIB), *one = made(top, "one", 0), *other = made(top, "other", 0);
    rn_arena *arena = made_in(one);
    fill(arena, 10000);
    rn_arena_reset(arena);
    CHECK(stats_of(one).used > 7 * MIB);
    CHECK(rn_heap_malloc(other, 7 * MIB) != NULL);
    CHECK_EQ(0u, stats_of(one).used);
    rn_heap_destroy(top);
}

static void a_trim_of_the_heap_returns_what_waits(void) {
    rn_heap *heap = made(NULL, "trimmed", 0);
    rn_arena *arena = made_in(heap);
    piece_of(arena, 3 * MIB, 1);
    rn_arena_reset(arena);
    CHECK(stats_of(heap).used >= 3 * MIB);
    rn_heap_trim(heap);
    CHECK_EQ(0u, stats_of(heap).used);
    rn_heap_destroy(heap);
}

static const char heap_is_gone[] = "ration: %p: use of heap \"short\" after it was destroyed";

static void it_ends_with_its_heap(void) {
    rn_heap *heap = made(NULL, "short", 0);
    rn_arena *arena = made_in(heap), *unused = made_in(heap);
    rn_mark mark = rn_arena_mark(arena);
    piece_of(arena, 100000, 1);
    piece_of(arena, 100, 1);
    rn_heap_destroy(heap);
    CHECK_ABORTS(heap_is_gone, (void)!rn_arena_alloc(arena, 1, 1));
    CHECK_ABORTS(heap_is_gone, (void)!rn_arena_alloc(arena, 0, 1));
    CHECK_ABORTS(heap_is_gone, (void)!rn_arena_alloc(unused, 0, 1));
    CHECK_ABORTS(heap_is_gone, rn_arena_rewind(arena, mark));
    CHECK_ABORTS(heap_is_gone, rn_arena_destroy(arena));
}

static void its_use_after_its_end_is_seen(void) {
    rn_arena *arena = made_in(NULL);
    piece_of(arena, 100, 1);
    rn_arena_destroy(arena);
    rn_arena_destroy(NULL);
    CHECK_ABORTS("ration: %p: use of an arena after it was destroyed", (void)!rn_arena_alloc(arena, 1, 1));
    CHECK_ABORTS("ration: %p: use of an arena after it was destroyed", rn_arena_reset(arena));
    CHECK_ABORTS("ration: %p: use of an arena after it was destroyed", rn_arena_destroy(arena));
}

static void of_a_retired_heap_it_draws_on_the_parent(void) {
    rn_heap *top = made(NULL, "top", 0), *heap = made(top, "retired", 0);
    rn_arena *arena = made_in(heap);
    char *piece = piece_of(arena, 100, 1);
    rn_heap_retire(heap);
    size_t before = stats_of(top).used;
    CHECK(before != 0 && piece[99] == 0x5a);
    piece_of(arena, MIB, 1);
    CHECK(stats_of(top).used >= before + MIB);
    rn_arena_destroy(arena);
    CHECK_EQ(0u, stats_of(top).used);
    rn_heap_destroy(top);
}

static void a_retired_heaps_end_comes_with_its_parents(void) {
    rn_heap *top = made(NULL, "short", 0), *heap = made(top, "retired", 0);
    rn_arena *arena = made_in(heap);
    piece_of(arena, 100000, 1);
    rn_arena_reset(arena);
    piece_of(arena, 100, 1);
    rn_heap_retire(heap);
    rn_heap_destroy(top);
    CHECK_ABORTS(heap_is_gone, rn_arena_reset(arena));
    rn_heap_trim(rn_heap_root());
}

static void a_piece_is_no_block(void) {
    rn_heap *heap = made(NULL, "pieces", 0);
    rn_arena *arena = made_in(heap);
    char *piece = piece_of(arena, 100000, 1);
    CHECK(rn_heap_of(piece) == heap);
    __asm__("" : "+r"(piece));
    CHECK_ABORTS("ration: %p (%d-byte class, heap \"pieces\"): free of a piece of an arena", rn_free(piece));
    CHECK_ABORTS("ration: %p (%d-byte class, heap \"pieces\"): use of a piece of an arena as a block",
                 (void)!rn_realloc(piece, 10));
    CHECK_ABORTS("ration: %p (%d-byte class, heap \"pieces\"): use of a piece of an arena as a block",
                 (void)rn_usable_size(piece));
    rn_heap_destroy(heap);
}

static void many_come_and_go(void) {
    rn_heap *heap = made(NULL, "many", 0);
    size_t tables = table_bytes();
    for (int i = 0; i < 10000; i++) {
        rn_arena *arena = made_in(heap);
        if (i % 3 != 0)
            piece_of(arena, 100, 1);
        rn_arena_destroy(arena);
    }
    CHECK(table_bytes() < tables + (64 << 10));
    CHECK_EQ(0u, stats_of(heap).used);
    rn_heap_destroy(heap);
}

static void many_go_with_their_heaps(void) {
    size_t tables = table_bytes();
    for (int i = 0; i < 3000; i++) {
        rn_heap *heap = made(NULL, "request", 0);
        piece_of(made_in(heap), 100, 1);
        rn_heap_destroy(heap);
    }
    CHECK(table_bytes() < tables + (128 << 10));
}

static rn_arena *of_callback;

static size_t make_room(void *unused, size_t want) {
    (void)unused;
    CHECK(rn_arena_alloc(of_callback, 10, 1) != NULL);
    rn_arena_reset(of_callback);
    return want;
}

static void a_callback_may_reset_it(void) {
    rn_heap *heap = made(NULL, "asked", 4 * MIB);
    of_callback = made_in(heap);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, make_room, NULL));
    for (int i = 0; i < 100; i++)
        piece_of(of_callback, MIB, 1);
    CHECK_EQ(0u, stats_of(heap).denied);
    rn_heap_destroy(heap);
}

static bool pressed;

static void *press(void *heap) {
    while (!__atomic_load_n(&pressed, __ATOMIC_ACQUIRE))
        rn_heap_trim(heap);
    return NULL;
}

static void pressure_may_come_at_any_time(void) {
    rn_heap *heap = made(NULL, "pressed", 0);
    rn_arena *arena = made_in(heap);
    pthread_t presser;
    REQUIRE(pthread_create(&presser, NULL, press, heap) == 0);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 30; i++)
            piece_of(arena, (size_t)i * 2000, 1);
        rn_arena_reset(arena);
    }
    __atomic_store_n(&pressed, true, __ATOMIC_RELEASE);
    pthread_join(presser, NULL);
    rn_arena_destroy(arena);
    CHECK_EQ(0u, stats_of(heap).used);
    rn_heap_destroy(heap);
}

/* In a child. */
static _Noreturn void end_as_checked(void) {
    fflush(stdout);
    _exit(__atomic_load_n(&check.failures, __ATOMIC_RELAXED) != 0);
}

static void make_until_denied(void) {
    rn_heap *full = made(NULL, "full", 0);
    while (rn_heap_malloc(full, 10000) != NULL)
        continue;
    unsigned count = 0;
    while (count < 1000000 && rn_arena_new(NULL, 0) != NULL)
        count++;
    CHECK_EQ(ENOMEM, errno);
    CHECK(count < 1000000);
    rn_heap_destroy(full);
    CHECK(rn_arena_new(NULL, 0) != NULL);
    end_as_checked();
}

static void none_is_made_where_there_is_no_room(void) {
    REQUIRE(rn_heap_set_limit(rn_heap_root(), 64 * MIB) == 0);
    CHECK(ends_well(make_until_denied, 30));
    CHECK_EQ(0, rn_heap_set_limit(rn_heap_root(), 0));
}

static rn_arena *forked;

static void use_in_child(void) {
    CHECK(rn_arena_alloc(forked, 100000, 1) != NULL);
    rn_arena_reset(forked);
    rn_arena_destroy(forked);
    end_as_checked();
}

static void it_goes_on_after_a_fork(void) {
    forked = made_in(NULL);
    piece_of(forked, 1000, 1);
    CHECK(ends_well(use_in_child, 30));
    piece_of(forked, 100000, 1);
    rn_arena_destroy(forked);
}

TESTS(TEST(pieces_are_apart_and_aligned), TEST(a_piece_of_nothing_is_no_refusal), TEST(what_can_not_be_is_refused),
      TEST(a_large_piece_has_a_chunk_of_its_size), TEST(calloc_gives_zeros),
      TEST(the_newest_grows_in_place_and_others_move), TEST(strings_are_copied_and_made), TEST(marks_nest),
      TEST(a_mark_that_was_rewound_past_is_seen), TEST(a_reset_keeps_what_was_in_use_and_not_a_burst),
      TEST(the_heaps_limit_bounds_it), TEST(what_waits_goes_to_another_heap_under_pressure),
      TEST(a_trim_of_the_heap_returns_what_waits), TEST(it_ends_with_its_heap), TEST(its_use_after_its_end_is_seen),
      TEST(of_a_retired_heap_it_draws_on_the_parent), TEST(a_piece_is_no_block), TEST(many_come_and_go),
      TEST(it_goes_on_after_a_fork), TEST(a_large_piece_leaves_the_rest_of_the_chunk_to_others),
      TEST(the_same_batch_fits_again_at_a_limit), TEST(a_retired_heaps_end_comes_with_its_parents),
      TEST(many_go_with_their_heaps), TEST(a_callback_may_reset_it), TEST(pressure_may_come_at_any_time),
      TEST(none_is_made_where_there_is_no_room))
