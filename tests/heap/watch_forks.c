/* watch_forks.c: the library registers its fork handlers once there can be a second thread, while any other thread may
 * fork: the registration is neither lost to the child nor made twice.
 *
 * pthread_atfork is wrapped: a thread can be held before or behind the true call, so that a fork falls in between. Each
 * case is a process of its own, in which the library starts anew. */
#include "apart.h"

#include <pthread.h>
#include <ration/ration.h>

int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

enum hold { NOWHERE, BEFORE, BEHIND };
enum { FORKS = 20, SECONDS = 30 };

static enum hold hold;
static int times;
static bool waiting, go_on, stop;

static void hold_here(void) {
    __atomic_store_n(&waiting, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&go_on, __ATOMIC_ACQUIRE))
        usleep(100);
}

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
    enum hold where = __atomic_exchange_n(&hold, NOWHERE, __ATOMIC_RELAXED);
    if (where == BEFORE)
        hold_here();
    int result = __real_pthread_atfork(prepare, parent, child);
    __atomic_fetch_add(&times, 1, __ATOMIC_RELAXED);
    if (where == BEHIND)
        hold_here();
    return result;
}

static void *allocate_once(void *unused) {
    rn_free(rn_malloc(100));
    return unused;
}

static void *allocate(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        for (size_t size = 1; size < 100000; size *= 3)
            rn_free(rn_malloc(size));
    return unused;
}

/* Forks beside a thread that allocates. */
static bool forks_are_safe(void) {
    pthread_t thread;
    bool safe = pthread_create(&thread, NULL, allocate, NULL) == 0;
    for (int i = 0; safe && i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(SECONDS);
            for (size_t size = 1; size < 100000; size *= 3)
                rn_free(rn_malloc(size));
            _exit(0);
        }
        safe = ended_well(child);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    return safe;
}

/* Forks while another thread is held on its way through pthread_atfork. In the child and in the parent forks are safe,
 * and libc has been asked as often as is said. */
static void fork_amid_registration(enum hold where, int in_child, int in_parent) {
    pthread_t thread;
    hold = where;
    REQUIRE(pthread_create(&thread, NULL, allocate_once, NULL) == 0);
    while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
        usleep(100);
    pid_t child = fork();
    if (child == 0) {
        allocate_once(NULL);
        _exit(times == in_child && forks_are_safe() && times == in_child ? 0 : 1);
    }
    bool good = ended_well(child);
    __atomic_store_n(&go_on, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    _exit(good && forks_are_safe() && times == in_parent ? 0 : 1);
}

static void fork_before(void) {
    fork_amid_registration(BEFORE, 1, 1);
}

static void fork_behind(void) {
    fork_amid_registration(BEHIND, 1, 1);
}

/* The first thread is stuck for longer than the second waits for it. */
static void registered_twice(void) {
    pthread_t thread;
    hold = BEFORE;
    REQUIRE(pthread_create(&thread, NULL, allocate_once, NULL) == 0);
    while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
        usleep(100);
    allocate_once(NULL);
    __atomic_store_n(&go_on, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    _exit(times == 2 && forks_are_safe() ? 0 : 1);
}

static void check_where_threads_can_fork(void (*body)(void)) {
    if (threads_can_fork())
        CHECK(ends_well(body, SECONDS));
    else
        printf("skipped: %s: a process with threads can't fork here\n", check.test);
}

static void a_fork_before_the_registration_does_not_lose_it(void) {
    check_where_threads_can_fork(fork_before);
}

static void a_fork_behind_the_registration_does_not_double_it(void) {
    check_where_threads_can_fork(fork_behind);
}

static void handlers_that_were_registered_twice_act_once(void) {
    CHECK(ends_well(registered_twice, SECONDS));
}

TESTS(TEST(a_fork_before_the_registration_does_not_lose_it), TEST(a_fork_behind_the_registration_does_not_double_it),
      TEST(handlers_that_were_registered_twice_act_once))
