/* start.c: makes the library ready, once, before the first block; and keeps it whole across fork. */
#include "hardened.h"
#include "mapped.h"
#include "shared.h"

#include <pthread.h>
#include <unistd.h>

enum { NOT_STARTED, STARTED, WATCHING };

enum { POLL_US = 50, CLAIM_POLLS = 100, FORK_BEGUN_US = 2000 };

static int state = NOT_STARTED;
static __thread bool starting __attribute__((tls_model("initial-exec")));

/* Whether this thread is between the handlers. libc may have been given them twice (watch_forks): the first to run before a
 * fork, and the first after it, do the work. */
static __thread bool forking __attribute__((tls_model("initial-exec")));

/* The program's own fork handlers may allocate before and after ours have run. */
static void before_fork(void) {
    if (forking)
        return;
    forking = true;
    __atomic_exchange_n(&state, WATCHING, __ATOMIC_ACQ_REL); /* the child will know, whoever registered this */
    shared_before_fork();
    threads_before_fork();
    hardened_lock();
    heap_tree_lock();
    page_heap_lock();
    mapped_lock();
    os_hold_all(true);
}

/* False if it has been done. */
static bool unlock_after_fork(void) {
    if (!forking)
        return false;
    forking = false;
    os_hold_all(this_thread.aborting);
    mapped_unlock();
    page_heap_unlock();
    heap_tree_unlock();
    hardened_unlock();
    return true;
}

static void after_fork_in_parent(void) {
    if (unlock_after_fork())
        threads_after_fork_in_parent();
}

static void after_fork_in_child(void) {
    if (unlock_after_fork()) {
        threads_after_fork_in_child();
        callbacks_after_fork_in_child();
        ease_after_fork_in_child();
        mapped_after_fork_in_child();
        shared_after_fork_in_child();
    }
}

static void start(void) {
    os_start();
    threads_start();
    configure(environ);
    __atomic_store_n(&state, STARTED, __ATOMIC_RELEASE);
}

/* Keeps the library whole across fork, from the moment there can be a second thread: with one there is nothing to keep,
 * and pthread_atfork alone makes 128 KiB of libc resident.
 *
 * One thread claims the work, and the others wait for it. But another thread may fork meanwhile, and in the child nobody
 * is at it any more; nor can the child find out that it is one, since getpid may be forbidden by the time there are
 * threads (seccomp(2)). So a claim that is not made good for a while falls to whoever waits: it can't be lost. Where it
 * had been made good after all, and libc has our handlers twice, they act once.
 *
 * A fork that has begun already runs the handlers it found, with those of other libraries in between (glibc's
 * nptl/register-atfork.c), and never ours: nothing here is locked before it had the time to be over. */
static void watch_forks(void) {
    static bool claimed;
    for (int polls = 0; __atomic_load_n(&state, __ATOMIC_ACQUIRE) != WATCHING; polls++) {
        if (!__atomic_exchange_n(&claimed, true, __ATOMIC_RELAXED) || polls == CLAIM_POLLS) {
            pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
            os_pause(FORK_BEGUN_US);
            __atomic_store_n(&state, WATCHING, __ATOMIC_RELEASE);
        } else {
            os_pause(POLL_US);
        }
    }
}

enum { DONE = -1 };

/* Does work once. progress is 0, the process that is at it, or DONE: a child that was forked while another thread was at
 * it begins anew, which pthread_once does not do everywhere. */
static void do_once(int *progress, /* NOLINT(readability-non-const-parameter): exchanged */
                    void (*work)(void)) {
    int me = os_process_id(), seen = __atomic_load_n(progress, __ATOMIC_ACQUIRE);
    while (seen == DONE || seen == me ||
           !__atomic_compare_exchange_n(progress, &seen, me, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        if (seen == DONE)
            return;
        os_pause(POLL_US);
        seen = __atomic_load_n(progress, __ATOMIC_ACQUIRE);
    }
    work();
    __atomic_store_n(progress, DONE, __ATOMIC_RELEASE);
}

static bool always_watch;

void start_watching_forks(void) {
    always_watch = true;
}

static bool forks_matter(void) {
    return always_watch || os_has_threads();
}

static COLD void make_ready(int now) {
    static int started;
    if (starting)
        return; /* what libc allocates while we register with it */
    starting = true;
    if (now == NOT_STARTED)
        do_once(&started, start);
    if (forks_matter())
        watch_forks();
    starting = false;
}

void start_once(void) {
    int now = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
    if (UNLIKELY(now != WATCHING) && (now == NOT_STARTED || forks_matter()))
        make_ready(now);
}
