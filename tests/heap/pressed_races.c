/* pressed_races.c: threads that change limits, are denied, take caches over, call back, push and pop, and make, retire and destroy
 * heaps, all at once and below the same limit: no block is damaged, and in the end nothing is charged.
 *
 * CHECK_SECONDS in the environment makes it longer than its two seconds. Start with one_round. */
#include "accounts.h"
#include "random.h"

#include <pthread.h>
#include <time.h>

enum { MIB = 1 << 20, THREADS = 5, SHELVES = 128, BLOCKS_OF_A_HEAP = 100 };

static rn_heap *top, *common;
static time_t end;
static unsigned denied, calls, busy, heaps_ended;

static void count(unsigned *events) {
    __atomic_fetch_add(events, 1, __ATOMIC_RELAXED);
}

/* --- blocks --------------------------------------------------------------------------------------------------------- */

/* One on a shelf begins with its size and ends with a byte that follows from it. */
static unsigned char *shelves[SHELVES];

static unsigned char *sealed(unsigned char *block, size_t size) {
    if (block == NULL) {
        CHECK_EQ(ENOMEM, errno);
        count(&denied);
        return NULL;
    }
    memcpy(block, &size, sizeof size);
    block[size - 1] = (unsigned char)size;
    return block;
}

static size_t some_size(random_source *source) {
    return sizeof(size_t) + 1 + random_size(source, 18);
}

static void drop(unsigned char *block) {
    size_t size;
    if (block == NULL)
        return;
    memcpy(&size, block, sizeof size);
    CHECK_EQ((unsigned char)size, block[size - 1]);
    rn_free(block);
}

static void shelve(random_source *source, unsigned char *block) {
    drop(__atomic_exchange_n(&shelves[random_below(source, SHELVES)], block, __ATOMIC_ACQ_REL));
}

static void take_and_give(random_source *source) {
    size_t size = some_size(source);
    shelve(source, random_below(source, 3) == 0 ? NULL : sealed(rn_heap_malloc(common, size), size));
}

/* --- limits --------------------------------------------------------------------------------------------------------- */

static size_t clear_a_shelf(void *shelf, size_t want) {
    (void)want;
    count(&calls);
    unsigned char *block = __atomic_exchange_n((unsigned char **)shelf, NULL, __ATOMIC_ACQ_REL);
    size_t size = rn_usable_size(block);
    drop(block);
    return size;
}

static void change_limits(random_source *source) {
    rn_heap *heap = random_below(source, 2) == 0 ? top : common;
    int result = rn_heap_set_limit(heap, random_below(source, 5) * MIB);
    CHECK(result == 0 || result == RN_EBUSY);
    if (result == RN_EBUSY)
        count(&busy);
    rn_heap_set_soft_limit(heap, random_below(source, 3) * MIB);
}

static void listen_for_a_while(random_source *source) {
    unsigned char **shelf = &shelves[random_below(source, SHELVES)];
    int priority = (int)random_below(source, 10);
    if (rn_heap_on_pressure(top, priority, clear_a_shelf, shelf) != 0)
        return;
    for (int i = 0; i < 20; i++)
        take_and_give(source);
    CHECK_EQ(0, rn_heap_on_pressure(top, priority, NULL, shelf));
}

/* --- heaps ---------------------------------------------------------------------------------------------------------- */

/* Blocks that are left in a retired heap go to the shelves; what a destroyed one holds goes with it. */
static void use_pushed(random_source *source, rn_heap *heap, bool retires) {
    rn_heap_push(heap);
    for (int i = 0; i < BLOCKS_OF_A_HEAP; i++) {
        size_t size = some_size(source) / 8 + sizeof(size_t);
        unsigned char *block = sealed(rn_malloc(size), size);
        if (i % 3 == 0)
            drop(block);
        else if (retires)
            shelve(source, block);
    }
    rn_heap_pop();
}

static void use_a_brief_heap(random_source *source) {
    bool retires = random_below(source, 2) == 0;
    rn_heap *heap = rn_heap_new(top, "brief", random_below(source, 2) * MIB);
    REQUIRE(heap != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 5, clear_a_shelf, &shelves[random_below(source, SHELVES)]));
    use_pushed(source, heap, retires);
    if (retires)
        rn_heap_retire(heap);
    else
        rn_heap_destroy(heap);
    count(&heaps_ended);
}

/* --- all at once ---------------------------------------------------------------------------------------------------- */

static void one_round(random_source *source) {
    size_t kind = random_below(source, 200);
    if (kind == 0)
        rn_heap_trim(random_below(source, 2) == 0 ? rn_heap_root() : top);
    else if (kind < 4)
        change_limits(source);
    else if (kind < 8)
        use_a_brief_heap(source);
    else if (kind < 10)
        listen_for_a_while(source);
    else
        take_and_give(source);
}

static void *live(void *source) {
    while (time(NULL) < end)
        one_round(source);
    return NULL;
}

static void run_threads(void) {
    pthread_t threads[THREADS];
    random_source sources[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        sources[i] = random_start(i);
        REQUIRE(pthread_create(&threads[i], NULL, live, &sources[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void limits_pressure_and_ends_of_heaps_may_meet(void) {
    const char *seconds = getenv("CHECK_SECONDS");
    end = time(NULL) + (seconds == NULL ? 2 : atoi(seconds));
    top = made(NULL, "top", 2 * MIB);
    common = made(top, "common", 0);
    run_threads();
    for (size_t i = 0; i < SHELVES; i++)
        drop(shelves[i]);
    rn_heap_trim(rn_heap_root());
    CHECK(denied > 0 && calls > 0 && heaps_ended > 0);
    CHECK_EQ(0u, stats_of(top).objects);
    CHECK_EQ(0u, stats_of(top).used);
    rn_heap_destroy(top);
    CHECK_EQ(0u, stats_of(rn_heap_root()).used);
    printf("%u denied, %u calls, %u limits below what was held, %u heaps\n", denied, calls, busy, heaps_ended);
}

TESTS(TEST(limits_pressure_and_ends_of_heaps_may_meet))
