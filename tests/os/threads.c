/* threads.c: the lock excludes, the barrier and the pause come back, and the end of a thread is heard of.
 *
 * The counters are plain variables: what the lock does not order, a race would lose (and ThreadSanitizer tell). */
#include "check.h"
#include "os/os.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 20000 };

static os_mutex mutex;
static unsigned long first, second;

static void *count(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        os_lock(&mutex);
        first++;
        if (i % 1000 == 0)
            os_pause(10); /* so that others go to sleep */
        second++;
        os_unlock(&mutex);
    }
    return unused;
}

static void run(void *(*work)(void *)) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void a_lock_lets_one_thread_in(void) {
    os_start();
    run(count);
    CHECK_EQ(THREADS * ROUNDS, first);
    CHECK_EQ(THREADS * ROUNDS, second);
    CHECK_EQ(0u, mutex.state);
}

static void a_lock_keeps_errno(void) {
    os_start();
    errno = E2BIG;
    os_lock(&mutex);
    os_unlock(&mutex);
    os_pause(1);
    CHECK_EQ(E2BIG, errno);
}

static int ended;
static pthread_t last_ended;

static void note_end(void) {
    __atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
    os_lock(&mutex);
    last_ended = pthread_self();
    os_unlock(&mutex);
}

static void *watch(void *unused) {
    CHECK(os_thread_watch());
    CHECK(os_thread_watch()); /* twice is once */
    return unused;
}

static void the_end_of_each_watched_thread_is_told_once(void) {
    REQUIRE(os_threads_start(note_end));
    run(watch);
    CHECK_EQ(THREADS, __atomic_load_n(&ended, __ATOMIC_RELAXED));
}

static void the_end_is_told_on_the_thread_that_ends(void) {
    REQUIRE(os_threads_start(note_end));
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, watch, NULL) == 0);
    pthread_join(thread, NULL);
    os_lock(&mutex);
    CHECK(pthread_equal(thread, last_ended));
    os_unlock(&mutex);
}

static void whoever_holds_all_locks_passes_them(void) {
    os_lock(&mutex);
    os_hold_all(true);
    os_lock(&mutex);
    os_unlock(&mutex);
    os_hold_all(false);
    CHECK_EQ(1u, mutex.state);
    os_unlock(&mutex);
    CHECK_EQ(0u, mutex.state);
}

static void a_thread_knows_whether_it_holds_locks(void) {
    os_mutex other = {0};
    CHECK(!os_holds_locks());
    os_lock(&mutex);
    CHECK(os_lock_within(&other, 0) && !os_lock_within(&other, 1));
    os_unlock(&mutex);
    CHECK(os_holds_locks());
    os_unlock(&other);
    CHECK(!os_holds_locks());
    os_hold_all(true);
    os_lock(&mutex);
    os_hold_all(false);
    CHECK(!os_holds_locks());
}

static bool stop;

static void *spin(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        continue;
    return unused;
}

static void a_barrier_passes_threads_that_run(void) {
    os_start();
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, spin, NULL) == 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(os.membarrier, os_barrier_everywhere());
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

static void *restart_a_while(void *unused) {
    bool can = os_restart_begin();
    CHECK_EQ(os.restart && can, can);
    if (can)
        os_restart_end();
    return unused;
}

static void threads_may_use_restartable_sequences_where_the_kernel_has_them(void) {
    os_start();
    run(restart_a_while);
}

TESTS(TEST(a_lock_lets_one_thread_in), TEST(a_lock_keeps_errno), TEST(whoever_holds_all_locks_passes_them),
      TEST(a_thread_knows_whether_it_holds_locks), TEST(the_end_of_each_watched_thread_is_told_once),
      TEST(the_end_is_told_on_the_thread_that_ends), TEST(a_barrier_passes_threads_that_run),
      TEST(threads_may_use_restartable_sequences_where_the_kernel_has_them))
