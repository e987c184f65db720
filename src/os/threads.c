/* threads.c: a lock, a pause, and word of a thread's end.
 *
 * Start with os_lock. */
#include "os.h"
#include "syscall.h"

#include <linux/futex.h>
#include <pthread.h>
#include <time.h>

/* The three states of Drepper's "Futexes Are Tricky", mutex 2. */
enum { FREE = 0, HELD = 1, HELD_WITH_SLEEPERS = 2 };

enum { SPINS = 60, TRY_US = 100 };

static void futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout) {
    os_syscall(SYS_futex, (long)word, operation | FUTEX_PRIVATE_FLAG, value, (long)timeout, 0, 0);
}

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

static COLD void lock_contended(os_mutex *mutex) {
    for (int i = 0; i < SPINS; i++) {
        uint32_t expected = FREE;
        if (__atomic_load_n(&mutex->state, __ATOMIC_RELAXED) == FREE &&
            __atomic_compare_exchange_n(&mutex->state, &expected, HELD, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        relax();
    }
    while (__atomic_exchange_n(&mutex->state, HELD_WITH_SLEEPERS, __ATOMIC_ACQUIRE) != FREE)
        futex(&mutex->state, FUTEX_WAIT, HELD_WITH_SLEEPERS, NULL);
}

/* The thread that holds every lock, by its thread pointer. */
static void *all_held_by;

static inline bool i_hold_all(void) {
    return UNLIKELY(__atomic_load_n(&all_held_by, __ATOMIC_RELAXED) == __builtin_thread_pointer());
}

void os_hold_all(bool held) {
    __atomic_store_n(&all_held_by, held ? __builtin_thread_pointer() : NULL, __ATOMIC_RELAXED);
}

/* Counted before a lock is had, and until after it is given up: what a signal handler finds here is never too little. */
static __thread unsigned locks_held __attribute__((tls_model("initial-exec")));

static inline void count_lock(void) {
    locks_held++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void count_unlock(void) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    locks_held--;
}

bool os_holds_locks(void) {
    return locks_held != 0;
}

void os_lock(os_mutex *mutex) {
    if (i_hold_all())
        return;
    count_lock();
    uint32_t expected = FREE;
    if (UNLIKELY(
            !__atomic_compare_exchange_n(&mutex->state, &expected, HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        lock_contended(mutex);
}

static bool try_lock(os_mutex *mutex) {
    uint32_t expected = FREE;
    return __atomic_compare_exchange_n(&mutex->state, &expected, HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

bool os_lock_within(os_mutex *mutex, unsigned milliseconds) {
    if (i_hold_all())
        return true;
    count_lock();
    for (unsigned left = milliseconds * (1000 / TRY_US); !try_lock(mutex); left--) {
        if (left == 0) {
            count_unlock();
            return false;
        }
        os_pause(TRY_US);
    }
    return true;
}

void os_unlock(os_mutex *mutex) {
    if (i_hold_all())
        return;
    if (UNLIKELY(__atomic_exchange_n(&mutex->state, FREE, __ATOMIC_RELEASE) == HELD_WITH_SLEEPERS))
        futex(&mutex->state, FUTEX_WAKE, 1, NULL);
    count_unlock();
}

void os_pause(unsigned microseconds) {
    static uint32_t never_woken;
    struct timespec wait = {.tv_nsec = (long)microseconds * 1000};
    futex(&never_woken, FUTEX_WAIT, 0, &wait);
}

/* At a thread's end libc goes through the keys by their numbers, in a few rounds. A thread that allocates for the first
 * time in a destructor of the last round is told of only if our key's turn is still to come: so ours has as high a number
 * as costs nothing. glibc has the values of keys up to 31 in the thread, and for others asks malloc when the thread sets
 * one, which so has allocated long before (unless that malloc is not Ration's, and the program has more than 31 keys:
 * then a thread's end can be missed). Elsewhere it can be missed, too: on musl, with keys made and deleted here, a test that
 * forks beside other threads was seen to hang. */
#if defined(__GLIBC__)
enum { HIGH_KEY = 31 };
#else
enum { HIGH_KEY = 0 };
#endif

static pthread_key_t end_key;
static void (*end_function)(void);

static void thread_ended(void *unused) {
    (void)unused;
    end_function();
}

/* glibc's word (sys/single_threaded.h); other libcs have none. */
extern const char libc_single_threaded __asm__("__libc_single_threaded") __attribute__((weak));

bool os_has_threads(void) {
    return &libc_single_threaded == NULL || !libc_single_threaded;
}

bool os_threads_start(void (*at_end)(void)) {
    pthread_key_t keys[HIGH_KEY + 1];
    int count = 0;
    end_function = at_end;
    while (count <= HIGH_KEY && pthread_key_create(&keys[count], thread_ended) == 0)
        if (keys[count++] == HIGH_KEY)
            break;
    if (count == 0)
        return false;
    end_key = keys[--count];
    while (count > 0)
        pthread_key_delete(keys[--count]);
    return true;
}

bool os_thread_watch(void) {
    return pthread_setspecific(end_key, &end_key) == 0;
}
