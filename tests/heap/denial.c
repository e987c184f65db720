/* denial.c: a scenario of every kind of allocation, in which any call to the system may be refused, or all from any on: each
 * call of os.h that may fail is wrapped.
 *
 * Registered a second time with RATION_HARDEN=1. Start with scenario. */
#include "denial.h"
#include "shape/use_arenas.h"

#define DENY(type, name, parameters, arguments, refused)             \
    type __real_##name parameters;                                   \
    type __wrap_##name parameters;                                   \
    type __wrap_##name parameters {                                  \
        return denial_strikes() ? refused : __real_##name arguments; \
    }

DENY(void *, os_reserve, (size_t size, size_t align), (size, align), NULL)
DENY(bool, os_commit, (void *start, size_t size), (start, size), false)
DENY(void *, os_map, (size_t size), (size), NULL)
DENY(bool, os_purge, (void *start, size_t size), (start, size), false)
DENY(bool, os_release, (void *start, size_t size), (start, size), false)
DENY(bool, os_move, (void *from, void *to, size_t size), (from, to, size), false)
DENY(bool, os_guard, (void *start, size_t size), (start, size), false)
DENY(bool, os_unguard, (void *start, size_t size), (start, size), false)
DENY(bool, os_renew, (void *start, size_t size), (start, size), false)
DENY(bool, os_barrier_everywhere, (void), (), false)

static void scenario(void) {
    make_heaps();
    allocate_every_size();
    run_a_thread();
    grow_some();
    use_arenas();
    release_some();
    rn_heap_trim(rn_heap_root());
    destroy_the_last_heap();
    allocate_every_size();
    run_a_thread();
    rn_heap_trim(rn_heap_root());
}

static void any_one_call_may_be_refused(void) {
    unsigned call = calls_until_passed(1);
    CHECK(call > 20 && call < MOST_CALLS);
}

static void all_calls_from_any_on_may_be_refused(void) {
    unsigned call = calls_until_passed(UINT32_MAX);
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
