/* pressed.c: what pressure owes to a request: no denial of what could be had, though others ask at the same time; callbacks that
 * are told how much; errno as it was. Start with the claims. */
#include "accounts.h"
#include "heap/heap.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* --- others ask for too much -------------------------------------------------------------------------------------- */

static struct {
    rn_heap *child, *parent;
    bool stop;
    size_t denied;
} beside;

static void *ask_for_too_much(void *unused) {
    while (!__atomic_load_n(&beside.stop, __ATOMIC_RELAXED))
        CHECK(!heap_charge(heap_of(beside.child), 7 * MIB));
    return unused;
}

/* Together they never hold more than 3 MiB of 8: whoever asks for 7 more may be denied, and nobody else. */
static void who_asks_for_too_much_takes_no_room_from_others(void) {
    beside.parent = made(NULL, "parent", 8 * MIB);
    beside.child = made(beside.parent, "child", 0);
    void *held = rn_heap_malloc(beside.parent, 2 * MIB);
    pthread_t other;
    REQUIRE(pthread_create(&other, NULL, ask_for_too_much, NULL) == 0);
    for (size_t i = 0; i < 20000; i++) {
        void *block = rn_heap_malloc(i % 2 == 0 ? beside.parent : beside.child, MIB / 2 + i * 16);
        beside.denied += block == NULL;
        rn_free(block);
    }
    __atomic_store_n(&beside.stop, true, __ATOMIC_RELAXED);
    pthread_join(other, NULL);
    CHECK_EQ(0u, beside.denied);
    rn_free(held);
    CHECK_EQ(0u, stats_of(beside.parent).used);
    rn_heap_destroy(beside.parent);
}

/* However little is left, and whatever a size needs besides. */
static void every_size_is_denied_at_a_full_limit(void) {
    rn_heap *heap = made(NULL, "full", MIB + WITHHELD);
    CHECK(rn_heap_malloc(heap, MIB - os.page_size) != NULL && rn_heap_malloc(heap, 0) != NULL);
    for (int denials = 0; denials < 2; denials += rn_heap_malloc(heap, 4096) == NULL)
        ; /* the second is of what was withheld until the first */
    for (size_t size = 0; size < MIB; size = size * 2 + (size == 0))
        for (size_t align = 1; align <= MIB; align *= 16)
            if (size > 16 || align > 16)
                CHECK(rn_heap_aligned_alloc(heap, align, size) == NULL);
    rn_heap_destroy(heap);
}

/* --- callbacks ---------------------------------------------------------------------------------------------------- */

static struct {
    void *block;
    size_t want;
    unsigned calls;
} cached;

static size_t release_as_wanted(void *unused, size_t want) {
    (void)unused;
    cached.calls++;
    cached.want = want;
    errno = EDOM;
    if (want < MIB)
        return 0;
    rn_free(cached.block);
    return 3 * MIB;
}

static size_t raise_the_limit(void *heap, size_t want) {
    (void)want;
    CHECK_EQ(0, rn_heap_set_limit(heap, 16 * MIB));
    return 0;
}

static void a_limit_that_a_callback_raised_counts(void) {
    rn_heap *heap = made(NULL, "raised", 8 * MIB);
    CHECK(rn_heap_malloc(heap, 5 * MIB) != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 1, raise_the_limit, heap));
    CHECK(rn_heap_malloc(heap, 7 * MIB) != NULL);
    CHECK_EQ(0u, stats_of(heap).denied);
    rn_heap_destroy(heap);
}

static void lowering_a_limit_tells_callbacks_how_much_is_wanted(void) {
    rn_heap *heap = made(NULL, "lowered", 8 * MIB);
    cached.block = rn_heap_malloc(heap, 3 * MIB);
    cached.calls = 0;
    CHECK(cached.block != NULL && rn_heap_malloc(heap, 3 * MIB) != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, release_as_wanted, NULL));
    CHECK_EQ(0, rn_heap_set_limit(heap, 5 * MIB));
    CHECK_EQ((size_t)MIB, cached.want);
    CHECK_EQ(1u, cached.calls);
    CHECK_EQ((size_t)3 * MIB, stats_of(heap).used);
    rn_heap_destroy(heap);
}

static size_t note_library_at_work(void *at_work, size_t want) {
    (void)want;
    *(bool *)at_work = library_is_at_work();
    return 0;
}

/* A signal handler that finds it so may do less. */
static void the_library_is_not_at_work_while_a_callback_is(void) {
    bool at_work = true;
    rn_heap *heap = made(NULL, "full", 8 * MIB);
    CHECK(rn_heap_malloc(heap, 4 * MIB) != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, note_library_at_work, &at_work));
    CHECK(rn_heap_malloc(heap, 6 * MIB) == NULL);
    CHECK(!at_work && !library_is_at_work());
    rn_heap_destroy(heap);
}

static void a_request_that_callbacks_met_leaves_errno_as_it_was(void) {
    rn_heap *heap = made(NULL, "errno", 4 * MIB);
    cached.block = rn_heap_malloc(heap, 3 * MIB);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, release_as_wanted, NULL));
    errno = ERANGE;
    CHECK(rn_heap_malloc(heap, 3 * MIB) != NULL);
    CHECK_EQ(ERANGE, errno);
    rn_heap_destroy(heap);
}

static void an_absurd_size_calls_nobody(void) {
    rn_heap *heap = made(NULL, "absurd", 8 * MIB);
    cached.calls = 0;
    CHECK_EQ(0, rn_heap_on_pressure(heap, 0, release_as_wanted, NULL));
    char *volatile block = rn_heap_malloc(heap, 3 * MIB);
    for (volatile size_t below = 0; below < 10000; below += 4095) {
        CHECK(rn_realloc(block, SIZE_MAX - below) == NULL);
        CHECK(rn_realloc(block, PTRDIFF_MAX - below) == NULL);
        CHECK(rn_heap_malloc(heap, SIZE_MAX - below) == NULL);
        CHECK(rn_heap_calloc(heap, SIZE_MAX - below, 2) == NULL);
    }
    CHECK_EQ(0u, cached.calls);
    rn_heap_destroy(heap);
}

/* A limit is to be had to the last page that is not withheld, credit and all. */
static void a_request_of_the_whole_limit_is_met(void) {
    rn_heap *heap = made(NULL, "whole", 8 * MIB + WITHHELD), *child = made(heap, "child", 0);
    for (int round = 0; round < 3; round++) {
        rn_free(rn_heap_malloc(child, 4 * MIB));
        void *block = rn_heap_malloc(heap, 8 * MIB);
        CHECK(block != NULL);
        rn_free(block);
    }
    rn_heap_destroy(heap);
}

/* --- two that call ------------------------------------------------------------------------------------------------ */

enum { TURNS = 40 };

static struct {
    rn_heap *heap;
    void *block;
    pthread_barrier_t go;
    unsigned denied, slow_us;
} one, two;

static size_t start_the_other(void *unused, size_t want) {
    (void)want;
    (void)unused;
    pthread_barrier_wait(&two.go);
    usleep(one.slow_us);
    return 0;
}

static size_t release_the_others(void *unused, size_t want) {
    (void)want;
    (void)unused;
    rn_free(two.block);
    two.block = NULL;
    return 3 * MIB;
}

static void *ask_beside_a_callback(void *unused) {
    for (unsigned turn = 0; turn < TURNS; turn++) {
        two.block = rn_heap_malloc(two.heap, 3 * MIB);
        pthread_barrier_wait(&two.go);
        void *block = rn_heap_malloc(two.heap, 3 * MIB);
        two.denied += block == NULL;
        rn_free(block);
        rn_free(two.block);
        pthread_barrier_wait(&two.go);
    }
    return unused;
}

/* Who waits for another thread's calls waits for 100 ms at most, so on a slow machine some may be denied. */
static void wait_for_callbacks_of(unsigned microseconds) {
    one.slow_us = microseconds;
    two.denied = 0;
    one.heap = made(NULL, "one", 4 * MIB);
    two.heap = made(NULL, "two", 4 * MIB);
    CHECK(rn_heap_malloc(one.heap, 3 * MIB) != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(one.heap, 0, start_the_other, NULL));
    CHECK_EQ(0, rn_heap_on_pressure(two.heap, 0, release_the_others, NULL));
    pthread_barrier_init(&two.go, NULL, 2);
    pthread_t other;
    REQUIRE(pthread_create(&other, NULL, ask_beside_a_callback, NULL) == 0);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        CHECK(rn_heap_malloc(one.heap, 3 * MIB) == NULL);
        pthread_barrier_wait(&two.go);
    }
    pthread_join(other, NULL);
    CHECK(two.denied <= TURNS / 2);
    rn_heap_destroy(one.heap);
    rn_heap_destroy(two.heap);
}

static void a_thread_that_waited_for_anothers_callbacks_has_its_own_called(void) {
    wait_for_callbacks_of(1000);
}

/* As one that flushes a cache. */
static void it_waits_for_slow_ones_too(void) {
    wait_for_callbacks_of(30000);
}

static pthread_mutex_t wanted = PTHREAD_MUTEX_INITIALIZER;

static size_t want_what_the_other_holds(void *unused, size_t want) {
    (void)want;
    (void)unused;
    pthread_barrier_wait(&two.go);
    pthread_mutex_lock(&wanted);
    pthread_mutex_unlock(&wanted);
    return 0;
}

static void *ask_in_vain(void *unused) {
    CHECK(rn_heap_malloc(one.heap, 3 * MIB) == NULL);
    return unused;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* It waits once, then is denied at once: a hundred waits would be ten seconds. */
static void a_callback_that_waits_for_a_thread_in_need_delays_it_once(void) {
    one.heap = made(NULL, "one", 4 * MIB);
    CHECK(rn_heap_malloc(one.heap, 3 * MIB) != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(one.heap, 0, want_what_the_other_holds, NULL));
    pthread_barrier_init(&two.go, NULL, 2);
    pthread_t other;
    pthread_mutex_lock(&wanted);
    REQUIRE(pthread_create(&other, NULL, ask_in_vain, NULL) == 0);
    pthread_barrier_wait(&two.go);
    double start = seconds_now();
    for (int i = 0; i < 100; i++)
        CHECK(rn_heap_malloc(one.heap, 3 * MIB) == NULL);
    CHECK(seconds_now() - start < 5);
    pthread_mutex_unlock(&wanted);
    pthread_join(other, NULL);
    rn_heap_destroy(one.heap);
}

/* Whether it is met depends on when the other's end makes room. */
static void *ask_above(void *above) {
    rn_free(rn_heap_malloc(above, 3 * MIB));
    return NULL;
}

static size_t use_the_heap_as_it_ends(void *unused, size_t want) {
    (void)want;
    (void)unused;
    pthread_barrier_wait(&two.go);
    usleep(50000);
    CHECK(stats_of(one.heap).used >= 3 * MIB);
    rn_heap_trim(one.heap);
    return 0;
}

/* Who ends the heap can't know that it runs. */
static void a_callback_may_use_its_heap_while_another_thread_ends_that(void (*end)(rn_heap *)) {
    rn_heap *above = made(NULL, "above", 4 * MIB);
    one.heap = made(above, "one", 0);
    CHECK(rn_heap_malloc(one.heap, 3 * MIB) != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(one.heap, 0, use_the_heap_as_it_ends, NULL));
    pthread_barrier_init(&two.go, NULL, 2);
    pthread_t other;
    REQUIRE(pthread_create(&other, NULL, ask_above, above) == 0);
    pthread_barrier_wait(&two.go);
    end(one.heap);
    pthread_join(other, NULL);
    rn_heap_destroy(above);
}

static void a_callback_may_use_its_heap_while_another_thread_destroys_it(void) {
    a_callback_may_use_its_heap_while_another_thread_ends_that(rn_heap_destroy);
}

static void a_callback_may_use_its_heap_while_another_thread_retires_it(void) {
    a_callback_may_use_its_heap_while_another_thread_ends_that(rn_heap_retire);
}

/* --- what has none ------------------------------------------------------------------------------------------------ */

static size_t wait_for_the_other(void *unused, size_t want) {
    (void)want;
    (void)unused;
    pthread_barrier_wait(&two.go);
    pthread_barrier_wait(&two.go);
    return 0;
}

/* A callback that runs for another heap can't help it: twenty waits for one would be two seconds. */
static void a_heap_without_callbacks_waits_for_none(void) {
    double asking = 0;
    one.heap = made(NULL, "one", 4 * MIB);
    two.heap = made(NULL, "two", 4 * MIB);
    CHECK(rn_heap_malloc(one.heap, 3 * MIB) != NULL && rn_heap_malloc(two.heap, 3 * MIB) != NULL);
    CHECK_EQ(0, rn_heap_on_pressure(one.heap, 0, wait_for_the_other, NULL));
    pthread_barrier_init(&two.go, NULL, 2);
    for (int i = 0; i < 20; i++) {
        pthread_t other;
        REQUIRE(pthread_create(&other, NULL, ask_in_vain, NULL) == 0);
        pthread_barrier_wait(&two.go);
        double start = seconds_now();
        CHECK(rn_heap_malloc(two.heap, 3 * MIB) == NULL);
        asking += seconds_now() - start;
        pthread_barrier_wait(&two.go);
        pthread_join(other, NULL);
    }
    CHECK(asking < 1);
    rn_heap_destroy(one.heap);
    rn_heap_destroy(two.heap);
}

TESTS(TEST(every_size_is_denied_at_a_full_limit), TEST(who_asks_for_too_much_takes_no_room_from_others),
      TEST(a_limit_that_a_callback_raised_counts), TEST(lowering_a_limit_tells_callbacks_how_much_is_wanted),
      TEST(the_library_is_not_at_work_while_a_callback_is), TEST(a_request_that_callbacks_met_leaves_errno_as_it_was),
      TEST(an_absurd_size_calls_nobody), TEST(a_request_of_the_whole_limit_is_met),
      TEST(a_thread_that_waited_for_anothers_callbacks_has_its_own_called), TEST(it_waits_for_slow_ones_too),
      TEST(a_callback_that_waits_for_a_thread_in_need_delays_it_once),
      TEST(a_callback_may_use_its_heap_while_another_thread_destroys_it),
      TEST(a_callback_may_use_its_heap_while_another_thread_retires_it), TEST(a_heap_without_callbacks_waits_for_none))
