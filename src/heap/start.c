/* start.c: makes the library ready, once, before the first block; and keeps it whole across fork. */
#include "hardened.h"

#include <pthread.h>
#include <unistd.h>

enum { NOT_STARTED, STARTED, WATCHING };

static os_mutex start_lock;
static int state = NOT_STARTED;
static __thread bool starting __attribute__((tls_model("initial-exec")));

/* The program's own fork handlers may allocate before and after ours have run. */
static void before_fork(void) {
    threads_before_fork();
    hardened_lock();
    heap_tree_lock();
    page_heap_lock();
    os_hold_all(true);
}

static void after_fork_in_parent(void) {
    os_hold_all(false);
    page_heap_unlock();
    heap_tree_unlock();
    hardened_unlock();
    threads_after_fork_in_parent();
}

static void after_fork_in_child(void) {
    os_hold_all(false);
    page_heap_unlock();
    heap_tree_unlock();
    hardened_unlock();
    threads_after_fork_in_child();
}

static COLD void start(void) {
    if (starting)
        return; /* what libc allocates while we register with it */
    starting = true;
    os_lock(&start_lock);
    if (state == NOT_STARTED) {
        os_start();
        threads_start();
        configure(environ);
        __atomic_store_n(&state, STARTED, __ATOMIC_RELEASE);
    }
    os_unlock(&start_lock);
    starting = false;
}

/* Keeps the library whole across fork, from the moment there can be a second thread: with one there is nothing to keep,
 * and pthread_atfork alone makes 128 KiB of libc resident. */
static COLD void watch_forks(void)
{
    static bool watched;
    if (!__atomic_exchange_n(&watched, true, __ATOMIC_RELAXED))
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    __atomic_store_n(&state, WATCHING, __ATOMIC_RELEASE);
}

void start_once(void)
{
    int now = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
    if (LIKELY(now == WATCHING))
        return;
    if (now == NOT_STARTED)
        start();
    if (os_has_threads())
        watch_forks();
}
