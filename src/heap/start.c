/* start.c: makes the library ready, once, before the first block; and keeps it whole across fork. */
#include "hardened.h"

#include <pthread.h>
#include <unistd.h>

enum { NOT_STARTED, STARTED, WATCHING };

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

static void start(void) {
    os_start();
    threads_start();
    configure(environ);
    __atomic_store_n(&state, STARTED, __ATOMIC_RELEASE);
}

/* Keeps the library whole across fork, from the moment there can be a second thread: with one there is nothing to keep,
 * and pthread_atfork alone makes 128 KiB of libc resident. */
static void watch_forks(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    __atomic_store_n(&state, WATCHING, __ATOMIC_RELEASE);
}

/* pthread_once, since glibc's begins anew in a child that was forked while another thread was in it. */
static COLD void make_ready(int now) {
    static pthread_once_t started = PTHREAD_ONCE_INIT, watched = PTHREAD_ONCE_INIT;
    if (starting)
        return; /* what libc allocates while we register with it */
    starting = true;
    if (now == NOT_STARTED)
        pthread_once(&started, start);
    if (os_has_threads())
        pthread_once(&watched, watch_forks);
    starting = false;
}

void start_once(void) {
    int now = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
    if (UNLIKELY(now != WATCHING) && (now == NOT_STARTED || os_has_threads()))
        make_ready(now);
}
