/* sample.c: by default some blocks are checked: the first of a process, and later one in a thousand, by lot; none where
 * RATION_HARDEN=0 or where the process has a limit.
 *
 * Of a checked block the usable size is what was asked for; that is how it is told here. The library starts anew in the
 * processes that ends_well and CHECK_ABORTS make, so nothing here uses it in this one. */
#include "apart.h"
#include "heap/heap.h"

#include <pthread.h>
#include <ration/ration.h>

enum { ASKED = 40, CLASS = 48, FIRST = 256, MANY = 1000000, SECONDS = 120 };

__attribute__((constructor)) static void forget_environment(void) {
    unsetenv("RATION_HARDEN");
}

static void *hide(void *pointer) {
    __asm__ volatile("" : "+r"(pointer)::"memory");
    return pointer;
}

static bool is_checked(const void *block) {
    return rn_usable_size(block) == ASKED;
}

static void end_unless(bool holds) {
    if (!holds)
        _exit(1);
}

/* How many of so many blocks, all of which stay, are checked. */
static unsigned checked_of(unsigned count) {
    unsigned checked = 0;
    for (unsigned i = 0; i < count; i++) {
        void *block = rn_malloc(ASKED);
        end_unless(block != NULL && (is_checked(block) || rn_usable_size(block) == CLASS));
        checked += is_checked(block);
    }
    return checked;
}

/* --- which ------------------------------------------------------------------------------------------------------ */

static void take_the_first(void) {
    end_unless(checked_of(FIRST) == FIRST);
    end_unless(checked_of(FIRST) <= 4);
}

static void the_first_requests_are_checked(void) {
    CHECK(ends_well(take_the_first, SECONDS));
}

static void take_many(void) {
    checked_of(FIRST);
    unsigned checked = checked_of(MANY);
    end_unless(checked > MANY / 4000 && checked < MANY / 250);
}

static void later_about_one_in_a_thousand_is(void) {
    CHECK(ends_well(take_many, SECONDS));
}

static void take_where_off(void) {
    setenv("RATION_HARDEN", "0", 1);
    end_unless(checked_of(FIRST + MANY / 10) == 0);
}

static void none_is_where_RATION_HARDEN_says_0(void) {
    CHECK(ends_well(take_where_off, SECONDS));
}

static void take_under_a_limit(void) {
    end_unless(rn_heap_set_limit(rn_heap_root(), 1u << 30) == 0);
    end_unless(checked_of(FIRST + MANY / 10) == 0);
}

static void none_is_under_a_limit(void) {
    CHECK(ends_well(take_under_a_limit, SECONDS));
}

static void take_from_another_heap(void) {
    rn_heap *heap = rn_heap_new(NULL, "other", 0);
    for (unsigned i = 0; i < FIRST; i++)
        end_unless(rn_usable_size(rn_heap_malloc(heap, ASKED)) == CLASS);
    rn_heap_destroy(heap);
    end_unless(checked_of(FIRST) == FIRST);
}

static void none_is_in_a_heap_of_the_programs_own(void) {
    CHECK(ends_well(take_from_another_heap, SECONDS));
}

/* --- what is seen ----------------------------------------------------------------------------------------------- */

static void overflow(void) {
    char *block = hide(rn_malloc(ASKED));
    block[ASKED] = (char)(block[ASKED] + 1);
    rn_free(block);
}

static void an_overflow_by_a_byte_is_seen(void) {
    CHECK_ABORTS("ration: %p (48-byte class, heap \"root\"): the bytes behind the block were overwritten", overflow());
}

static void overflow_and_end(void) {
    char *block = hide(rn_malloc(ASKED));
    memset(block, 1, ASKED + 8);
    finish();
}

static void an_overflow_of_a_block_that_stays_is_seen_at_the_end(void) {
    CHECK_ABORTS("ration: %p (48-byte class, heap \"root\"): the bytes behind the block were overwritten",
                 overflow_and_end());
}

static void write_after_free(void) {
    char *block = hide(rn_malloc(ASKED));
    rn_free(block);
    block[8] = 1;
    rn_heap_trim(rn_heap_root());
}

static void a_write_after_free_is_seen_when_the_block_comes_back(void) {
    CHECK_ABORTS("ration: %p (48-byte class, heap \"root\"): written to after it was freed", write_after_free());
}

static void free_twice(void) {
    void *block = rn_malloc(ASKED), *other = rn_malloc(ASKED);
    rn_free(block);
    rn_free(other);
    rn_free(hide(block));
}

static void a_double_free_is_seen_at_once(void) {
    CHECK_ABORTS("ration: %p (48-byte class, heap \"root\"): double free", free_twice());
}

/* --- what goes on working --------------------------------------------------------------------------------------- */

static void resize_checked(void) {
    char *block = rn_malloc(ASKED);
    memset(block, 7, ASKED);
    for (size_t size = ASKED + 1; size < 200000; size += 1 + size / 5) {
        end_unless(rn_heap_of(block) == rn_heap_root());
        block = rn_realloc(block, size);
        end_unless(block != NULL && block[0] == 7 && block[ASKED - 1] == 7);
        block[size - 1] = 1;
    }
    rn_free(block);
}

static void a_checked_block_is_the_roots_and_grows(void) {
    CHECK(ends_well(resize_checked, SECONDS));
}

static void align_checked(void) {
    for (size_t align = 1; align <= 4096; align *= 2) {
        char *block = rn_aligned_alloc(align, ASKED);
        end_unless(block != NULL && ((uintptr_t)block & (align - 1)) == 0);
        memset(block, 1, ASKED);
        rn_free(block);
    }
}

static void a_checked_block_is_aligned(void) {
    CHECK(ends_well(align_checked, SECONDS));
}

static void free_all_and_trim(void) {
    rn_stats stats;
    void *blocks[FIRST];
    for (unsigned i = 0; i < FIRST; i++)
        blocks[i] = rn_malloc(16 * i);
    rn_heap_stats(rn_heap_root(), &stats);
    end_unless(stats.objects >= FIRST);
    for (unsigned i = 0; i < FIRST; i++)
        rn_free(blocks[i]);
    rn_heap_trim(rn_heap_root());
    rn_heap_stats(rn_heap_root(), &stats);
    end_unless(stats.objects == 0 && stats.live == 0 && stats.used == 0);
}

static void what_waits_in_quarantine_comes_back_by_a_trim(void) {
    CHECK(ends_well(free_all_and_trim, SECONDS));
}

static void limit_what_is_held(void) {
    void *blocks[FIRST];
    for (unsigned i = 0; i < FIRST; i++)
        blocks[i] = rn_malloc(2000);
    for (unsigned i = 0; i < FIRST; i++)
        rn_free(blocks[i]);
    end_unless(rn_heap_set_limit(rn_heap_root(), 200000) == 0);
}

static void a_limit_finds_room_in_the_quarantine(void) {
    CHECK(ends_well(limit_what_is_held, SECONDS));
}

enum { THREADS = 4, ROUNDS = 20000, HELD = 64 };

static void *take_and_give(void *unused) {
    char *held[HELD] = {0};
    for (unsigned i = 0; i < ROUNDS; i++) {
        char **place = &held[i * 7 % HELD];
        rn_free(*place);
        *place = rn_malloc(i * 31 % 3000);
        end_unless(*place != NULL);
        memset(*place, 1, i * 31 % 3000);
    }
    for (unsigned i = 0; i < HELD; i++)
        rn_free(held[i]);
    return unused;
}

static void take_and_give_here(void) {
    take_and_give(NULL);
}

static void fork_amid_threads(void) {
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        end_unless(pthread_create(&threads[i], NULL, take_and_give, NULL) == 0);
    for (unsigned i = 0; i < 10; i++)
        end_unless(ends_well(take_and_give_here, SECONDS));
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rn_heap_trim(rn_heap_root());
}

static void threads_and_forks_agree_about_checked_blocks(void) {
    CHECK(ends_well(fork_amid_threads, SECONDS));
}

TESTS(TEST(the_first_requests_are_checked), TEST(later_about_one_in_a_thousand_is),
      TEST(none_is_where_RATION_HARDEN_says_0), TEST(none_is_under_a_limit),
      TEST(none_is_in_a_heap_of_the_programs_own), TEST(an_overflow_by_a_byte_is_seen),
      TEST(an_overflow_of_a_block_that_stays_is_seen_at_the_end),
      TEST(a_write_after_free_is_seen_when_the_block_comes_back), TEST(a_double_free_is_seen_at_once),
      TEST(a_checked_block_is_the_roots_and_grows), TEST(a_checked_block_is_aligned),
      TEST(what_waits_in_quarantine_comes_back_by_a_trim), TEST(a_limit_finds_room_in_the_quarantine),
      TEST(threads_and_forks_agree_about_checked_blocks))
