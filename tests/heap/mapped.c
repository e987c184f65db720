/* mapped.c: the notes of what is mapped, against a plain model with one entry a page; and what the root's limit makes of
 * them. */
#define _GNU_SOURCE
#include "heap/mapped.h"
#include "accounts.h"
#include "random.h"

#include <pthread.h>
#include <sys/mman.h>

enum { PAGES = 300, ROUNDS = 20000 };

static const uintptr_t base = (uintptr_t)1 << 40;

/* A page's state plus 1, and 0 where nothing is noted. Charges are whole or none, so that every page's is known. */
static unsigned char model_state[PAGES];
static bool model_charged[PAGES];

static size_t model_sum(void) {
    size_t sum = 0;
    for (size_t i = 0; i < PAGES; i++)
        sum += model_charged[i] ? PAGE : 0;
    return sum;
}

static void model_set(size_t from, size_t to, int state, bool charge) {
    for (size_t i = from; i < to; i++) {
        model_state[i] = (unsigned char)(state + 1);
        model_charged[i] = charge;
    }
}

static size_t sum_of(const intervals *table) {
    size_t sum = 0;
    for (const interval *i = intervals_next(table, 0); i != NULL; i = intervals_next(table, i->end))
        sum += i->charge;
    return sum;
}

static bool page_agrees(const intervals *table, size_t page) {
    uintptr_t at = base + page * PAGE;
    const interval *i = intervals_next(table, at);
    if (i == NULL || i->start > at)
        return model_state[page] == 0;
    bool whole = i->charge == i->end - i->start;
    return model_state[page] == i->state + 1 && (whole || i->charge == 0) && model_charged[page] == whole;
}

static void step(intervals *table, random_source *random, size_t *sum) {
    size_t from = random_below(random, PAGES),
           to = from + 1 + random_below(random, 1 + random_below(random, PAGES - from));
    if (random_below(random, 3) == 0) {
        *sum -= intervals_remove(table, base + from * PAGE, base + to * PAGE);
        model_set(from, to, -1, false);
        return;
    }
    int state = (int)random_below(random, 3);
    bool charge = random_below(random, 2);
    size_t removed, size = (to - from) * PAGE;
    interval wanted = {.start = base + from * PAGE,
                       .end = base + to * PAGE,
                       .charge = charge ? size : 0,
                       .state = (interval_state)state};
    REQUIRE(intervals_put(table, wanted, &removed));
    *sum += wanted.charge - removed;
    model_set(from, to, state, charge);
}

static void notes_agree_with_a_model_of_pages(void) {
    static intervals table;
    size_t sum = 0;
    random_source random = random_start(1);
    for (size_t round = 0; round < ROUNDS; round++) {
        step(&table, &random, &sum);
        REQUIRE(sum == model_sum() && sum_of(&table) == sum);
        for (size_t page = 0; page < PAGES; page++)
            REQUIRE(page_agrees(&table, page));
    }
}

static void very_many_notes_are_had_and_forgotten(void) {
    enum { MANY = 100000 };
    static intervals table;
    size_t removed;
    for (size_t i = 0; i < MANY; i++) {
        size_t at = i * 7919 % MANY;
        interval one = {.start = base + 2 * at * PAGE, .end = base + (2 * at + 1) * PAGE, .charge = PAGE};
        REQUIRE(intervals_put(&table, one, &removed));
    }
    CHECK_EQ((size_t)MANY * PAGE, sum_of(&table));
    size_t taken = table.bytes;
    CHECK_EQ((size_t)MANY * PAGE, intervals_remove(&table, 0, UINTPTR_MAX));
    CHECK(intervals_next(&table, 0) == NULL);
    interval again = {.start = base, .end = base + PAGE};
    REQUIRE(intervals_put(&table, again, &removed));
    CHECK_EQ(taken, table.bytes);
}

enum { FAR = 1 << 13, REACH_PAGES = 512 }; /* pages; REACH_PAGES have a page of page tables together */

static interval_state far_state[FAR];
static bool far_noted[FAR];

static size_t page_tables_of_model(void) {
    size_t sum = 0;
    for (size_t from = 0; from < FAR; from += REACH_PAGES) {
        bool some = false;
        for (size_t i = from; i < from + REACH_PAGES; i++)
            some |= far_noted[i] && far_state[i] != INTERVAL_LATE && far_state[i] != INTERVAL_SHARED_FILE;
        sum += some;
    }
    return sum;
}

static void page_tables_are_those_that_some_range_of_the_process_needs(void) {
    static intervals table;
    if (os.page_size != PAGE)
        return;
    random_source random = random_start(2);
    for (size_t round = 0; round < ROUNDS / 4; round++) {
        size_t from = random_below(&random, FAR), size = 1 + random_below(&random, random_below(&random, 2) ? 4 : 3000),
               removed;
        size_t to = from + size < FAR ? from + size : FAR;
        bool put = random_below(&random, 2);
        interval wanted = {.start = base + from * PAGE,
                           .end = base + to * PAGE,
                           .state = (interval_state)random_below(&random, INTERVAL_SHARED_FILE + 1)};
        if (put)
            REQUIRE(intervals_put(&table, wanted, &removed));
        else
            intervals_remove(&table, wanted.start, wanted.end);
        for (size_t i = from; i < to; i++) {
            far_noted[i] = put;
            far_state[i] = wanted.state;
        }
        REQUIRE(table.page_tables == page_tables_of_model());
    }
    intervals_remove(&table, 0, UINTPTR_MAX);
    CHECK_EQ((size_t)0, table.page_tables);
    CHECK_EQ((size_t)0, table.count);
}

static void a_cut_shares_a_charge_by_length(void) {
    static intervals table;
    size_t removed;
    interval one = {.start = base, .end = base + 8 * PAGE, .charge = 4 * PAGE};
    REQUIRE(intervals_put(&table, one, &removed));
    CHECK_EQ((size_t)PAGE, intervals_remove(&table, base + 2 * PAGE, base + 4 * PAGE));
    CHECK_EQ((size_t)3 * PAGE, sum_of(&table));
}

/* --- the limit ------------------------------------------------------------------------------------------------ */

static size_t mapped_now(void) {
    return stats_of(rn_heap_root()).mapped;
}

/* As mmap does, but that the range stays in nobody's hands. */
static bool note_range(uintptr_t start, size_t size) {
    if (!mapped_reserve(size))
        return false;
    bool begun = mapped_begin();
    mapped_note(start, size, INTERVAL_WRITABLE, size);
    mapped_end(begun, size);
    return true;
}

static void forget_range(uintptr_t start, size_t size) {
    bool begun = mapped_begin();
    mapped_forget(start, size);
    mapped_end(begun, 0);
}

static void what_is_not_resident_makes_room(void) {
    enum { SIZE = 8 << 20 };
    rn_heap *root = rn_heap_root();
    char *range = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(range != MAP_FAILED);
    size_t before = mapped_now();
    REQUIRE(note_range((uintptr_t)range, SIZE));
    CHECK(mapped_now() - before >= SIZE);
    memset(range, 1, SIZE / 4);
    REQUIRE(rn_heap_set_limit(root, 16 << 20) == 0);
    void *block = rn_malloc(10 << 20);
    CHECK(block != NULL);
    rn_free(block);
    CHECK(mapped_now() - before >= SIZE / 4);
    CHECK(mapped_now() - before < SIZE);
    rn_heap_set_limit(root, 0);
    forget_range((uintptr_t)range, SIZE);
    munmap(range, SIZE);
}

static void beyond_the_limit_is_denied(void) {
    rn_heap *root = rn_heap_root();
    REQUIRE(rn_heap_set_limit(root, 16 << 20) == 0);
    rn_stats before = stats_of(root);
    CHECK(!mapped_reserve(17 << 20));
    CHECK(!mapped_reserve((size_t)1 << 46));
    CHECK_EQ(before.denied + 2, stats_of(root).denied);
    CHECK_EQ(before.mapped, mapped_now());
    rn_heap_set_limit(root, 0);
}

enum { THREADS = 4, TURNS = 3000 };

static void *race(void *number) {
    uintptr_t own = base + ((uintptr_t)number << 30);
    random_source random = random_start((uintptr_t)number);
    for (int i = 0; i < TURNS; i++) {
        size_t size = (1 + random_below(&random, 64)) * PAGE;
        if (note_range(own, size) && i % 64 == 0)
            mapped_examine();
        forget_range(own, 64 * PAGE);
    }
    return NULL;
}

static void racing_threads_leave_no_charge(void) {
    pthread_t made[THREADS];
    rn_heap *root = rn_heap_root();
    bool begun = mapped_begin(); /* so that the table has its memory */
    mapped_note(base, PAGE, INTERVAL_WRITABLE, 0);
    mapped_end(begun, 0);
    REQUIRE(rn_heap_set_limit(root, 64 << 20) == 0);
    size_t before = mapped_now();
    for (uintptr_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&made[i], NULL, race, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(made[i], NULL);
    CHECK_EQ(before, mapped_now());
    rn_heap_set_limit(root, 0);
    forget_range(base, PAGE);
}

static void nothing_is_looked_at_where_that_is_forbidden(void) {
    size_t bytes;
    os_own_memory own;
    CHECK(os_measure(&own));
    CHECK(!os_forbid_looking(true));
    CHECK(!os_measure(&own));
    CHECK(!os_resident_bytes((void *)base, PAGE, &bytes));
    CHECK(os_forbid_looking(false));
}

TESTS(TEST(notes_agree_with_a_model_of_pages), TEST(very_many_notes_are_had_and_forgotten),
      TEST(page_tables_are_those_that_some_range_of_the_process_needs), TEST(a_cut_shares_a_charge_by_length),
      TEST(what_is_not_resident_makes_room), TEST(beyond_the_limit_is_denied), TEST(racing_threads_leave_no_charge),
      TEST(nothing_is_looked_at_where_that_is_forbidden))
