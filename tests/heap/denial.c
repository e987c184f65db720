/* denial.c: a scenario of every kind of allocation, in which the n-th call to the system is refused, for n = 1, 2, …
 * until the scenario has so few calls; and again with all calls from the n-th on refused.
 *
 * Each n has a process of its own, in which the library starts anew. After it nothing may be lost: blocks that were
 * given hold what was written, the system's later calls succeed and so do requests, and in the end all is free and the
 * page heap in order. Registered a second time with RATION_HARDEN=1. Start with scenario. */
#include "denial.h"
#include "span/whole.h"

#include <ration/ration.h>

enum { BLOCKS = 512, HEAPS = 3, MOST_CALLS = 2000, FAILED = 1, PASSED = 2 };

static struct {
    unsigned char *bytes[BLOCKS];
    size_t size[BLOCKS];
    size_t count;
    rn_heap *heaps[HEAPS];
} held;

static bool all_are(const unsigned char *bytes, size_t count, unsigned char value) {
    for (size_t i = 0; i<count; i += count> 4096 ? 1024 : 1)
        if (bytes[i] != value)
            return false;
    return true;
}

static unsigned char stamp(size_t i) {
    return (unsigned char)(i % 255 + 1);
}

/* A request was answered: with memory, or with NULL and its reason. */
static void hold(void *bytes, size_t size) {
    if (bytes == NULL) {
        CHECK_EQ(ENOMEM, errno);
        return;
    }
    REQUIRE(held.count < BLOCKS);
    held.bytes[held.count] = bytes;
    held.size[held.count] = size;
    memset(bytes, stamp(held.count), size);
    held.count++;
}

static void grow(size_t i, size_t size) {
    errno = 0;
    unsigned char *moved = rn_realloc(held.bytes[i], size);
    if (moved == NULL) {
        CHECK_EQ(ENOMEM, errno);
        CHECK(all_are(held.bytes[i], held.size[i], stamp(i)));
        return;
    }
    CHECK(all_are(moved, held.size[i] < size ? held.size[i] : size, stamp(i)));
    memset(moved, stamp(i), size);
    held.bytes[i] = moved;
    held.size[i] = size;
}

static void release(size_t i) {
    CHECK(all_are(held.bytes[i], held.size[i], stamp(i)));
    rn_free(held.bytes[i]);
    held.bytes[i] = NULL;
    held.size[i] = 0;
}

/* --- the scenario ----------------------------------------------------------------------------------------------- */

static void make_heaps(void) {
    for (size_t i = 0; i < HEAPS; i++) {
        errno = 0;
        held.heaps[i] = rn_heap_new(i == 0 ? NULL : held.heaps[i - 1], "denied", 0);
        if (held.heaps[i] == NULL) {
            CHECK_EQ(ENOMEM, errno);
            held.heaps[i] = i == 0 ? rn_heap_root() : held.heaps[i - 1];
        }
    }
}

static void allocate_every_size(void) {
    for (size_t size = 8; size < 1 << 20; size = size * 5 + 5) {
        for (size_t i = 0; i < HEAPS; i++) {
            errno = 0;
            hold(rn_heap_malloc(held.heaps[i], size), size);
        }
        errno = 0;
        unsigned char *zeroed = rn_calloc(1, size);
        CHECK(zeroed == NULL || all_are(zeroed, size, 0));
        hold(zeroed, size);
        errno = 0;
        hold(rn_aligned_alloc(1 << 16, size), size);
    }
    errno = 0;
    hold(rn_aligned_alloc((size_t)8 << 20, 100), 100);
}

static void grow_some(void) {
    for (size_t i = 0; i < held.count; i += 3)
        grow(i, held.size[i] + 400000);
    for (size_t i = 0; i < held.count; i += 6)
        grow(i, held.size[i] * 3);
    for (size_t i = 0; i < held.count; i += 5)
        grow(i, held.size[i] / 3 + 1);
}

static void *allocate_and_end(void *unused) {
    void *blocks[40];
    for (size_t i = 0; i < 40; i++) {
        blocks[i] = rn_malloc(100 * i);
        if (blocks[i] != NULL)
            memset(blocks[i], 1, 100 * i);
    }
    for (size_t i = 0; i < 40; i++)
        rn_free(blocks[i]);
    return unused;
}

static void run_a_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, allocate_and_end, NULL) == 0)
        pthread_join(thread, NULL);
}

static void release_some(void) {
    for (size_t i = 0; i < held.count; i += 2)
        release(i);
}

/* Blocks that go with the heap that holds them are forgotten. */
static void destroy_the_last_heap(void) {
    rn_heap *heap = held.heaps[HEAPS - 1];
    if (heap == rn_heap_root() || heap == held.heaps[HEAPS - 2])
        return;
    for (size_t i = 0; i < held.count; i++)
        if (held.bytes[i] != NULL && rn_heap_of(held.bytes[i]) == heap)
            held.bytes[i] = NULL;
    rn_heap_destroy(heap);
    held.heaps[HEAPS - 1] = rn_heap_root();
}

static void scenario(void) {
    make_heaps();
    allocate_every_size();
    run_a_thread();
    grow_some();
    release_some();
    rn_heap_trim(rn_heap_root());
    destroy_the_last_heap();
    allocate_every_size();
    run_a_thread();
    rn_heap_trim(rn_heap_root());
}

/* --- what must hold after it ------------------------------------------------------------------------------------ */

static void check_that_requests_are_met_again(void) {
    for (size_t size = 1; size < 1 << 20; size *= 7) {
        unsigned char *block = rn_calloc(1, size);
        REQUIRE(block != NULL);
        CHECK(all_are(block, size, 0));
        memset(block, 1, size);
        rn_free(block);
    }
}

static void give_all_back(void) {
    for (size_t i = 0; i < held.count; i++)
        if (held.bytes[i] != NULL)
            release(i);
    for (size_t i = HEAPS; i-- > 0;)
        if (held.heaps[i] != rn_heap_root() && (i == 0 || held.heaps[i] != held.heaps[i - 1]))
            rn_heap_destroy(held.heaps[i]);
    rn_heap_trim(rn_heap_root());
}

static void check_that_nothing_is_lost(void) {
    rn_stats stats;
    rn_heap_stats(rn_heap_root(), &stats);
    CHECK_EQ(0u, stats.objects);
    CHECK_EQ(0u, stats.live);
    CHECK_EQ(0u, stats.used);
    whole_look();
    CHECK_EQ(0u, page_heap_read().dirty);
}

/* --- one process for each call to the system -------------------------------------------------------------------- */

static int run_denied(unsigned first, unsigned last) {
    denial_begin(first, last);
    scenario();
    unsigned calls = denial_end();
    check_that_requests_are_met_again();
    give_all_back();
    check_that_nothing_is_lost();
    if (__atomic_load_n(&check.failures, __ATOMIC_RELAXED) != 0)
        return FAILED;
    return calls < first ? PASSED : 0;
}

/* Whether there is more to refuse; gives up on the first that goes wrong. */
static bool denied_at(unsigned first, unsigned last) {
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int result = run_denied(first, last);
        fflush(stdout);
        _exit(result);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == PASSED)
        return false;
    if (status != 0)
        check_fail(__FILE__, __LINE__, "calls %u to %u refused: wait status %#x", first, last, (unsigned)status);
    return status == 0;
}

static void any_one_call_may_be_refused(void) {
    unsigned call = 1;
    while (denied_at(call, call))
        call++;
    CHECK(call > 20 && call < MOST_CALLS);
}

static void all_calls_from_any_on_may_be_refused(void) {
    unsigned call = 1;
    while (denied_at(call, UINT32_MAX))
        call++;
    CHECK(call > 20 && call < MOST_CALLS);
}

static void use_a_pushed_heap(void) {
    rn_heap *heap = rn_heap_new(NULL, "pushed", 0);
    REQUIRE(heap != NULL);
    denial_begin(1, UINT32_MAX);
    rn_heap_push(heap);
    errno = 0;
    hold(rn_malloc(100), 100);
    rn_heap_pop();
    denial_end();
    rn_heap_destroy(heap);
}

static void a_heap_can_be_pushed_when_nothing_more_is_to_be_had(void) {
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        use_a_pushed_heap();
        _exit(__atomic_load_n(&check.failures, __ATOMIC_RELAXED) != 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(0, status);
}

/* A thread with a stack that nobody can have is not made; nothing of Ration's is lost by it. */
static void a_thread_that_is_not_made_leaves_nothing(void) {
    rn_free(rn_malloc(1));
    rn_heap_trim(rn_heap_root());
    size_t tables = table_bytes();
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK_EQ(0, pthread_attr_setstacksize(&attributes, (size_t)1 << 46));
    CHECK(pthread_create(&thread, &attributes, allocate_and_end, NULL) != 0);
    pthread_attr_destroy(&attributes);
    CHECK_EQ(tables, table_bytes());
}

TESTS(TEST(any_one_call_may_be_refused), TEST(all_calls_from_any_on_may_be_refused),
      TEST(a_heap_can_be_pushed_when_nothing_more_is_to_be_had), TEST(a_thread_that_is_not_made_leaves_nothing))
