/* thread_end.c: a thread of which libc will not tell the end, or could forget to: its caches may not stay behind when it
 * is gone.
 *
 * pthread_setspecific is wrapped; it may fail, where it has to allocate. */
#include "apart.h"
#include "os/os.h"
#include "os/syscall.h"

#include <limits.h>
#include <pthread.h>
#include <ration/ration.h>
#include <sched.h>
#include <sys/mman.h>

int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);

static bool refuse;

int __wrap_pthread_setspecific(pthread_key_t key, const void *value) {
    return __atomic_load_n(&refuse, __ATOMIC_RELAXED) ? ENOMEM : __real_pthread_setspecific(key, value);
}

enum { BLOCKS = 100, THREADS = 20 };

static void *allocate_and_end(void *unused) {
    void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = rn_malloc(50 * i);
        CHECK(blocks[i] != NULL);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        rn_free(blocks[i]);
    return unused;
}

static void a_thread_whose_end_will_not_be_told_leaves_nothing(void) {
    rn_free(rn_malloc(1));
    rn_heap_trim(rn_heap_root());
    rn_stats before, after;
    rn_heap_stats(rn_heap_root(), &before);
    __atomic_store_n(&refuse, true, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, allocate_and_end, NULL) == 0);
        pthread_join(thread, NULL);
    }
    __atomic_store_n(&refuse, false, __ATOMIC_RELAXED);
    rn_heap_stats(rn_heap_root(), &after);
    CHECK_EQ(before.objects, after.objects);
    CHECK_EQ(before.used, after.used);
}

enum { STACK = 1 << 20 };

static pthread_key_t key;
static int last_round;

/* Comes round after round, and asks for memory in the last only. */
static void allocate_in_the_last_round(void *round) {
    size_t number = (size_t)round;
    if (number < PTHREAD_DESTRUCTOR_ITERATIONS) {
        __real_pthread_setspecific(key, (void *)(number + 1));
        return;
    }
    __atomic_fetch_add(&last_round, 1, __ATOMIC_RELAXED);
    allocate_and_end(NULL);
}

static void *end_with_destructors(void *unused) {
    __real_pthread_setspecific(key, (void *)1);
    return unused;
}

static int ended_past_libc;

/* Who joins a thread that ended past libc goes on a moment before the system has taken its number back. */
static void wait_for_the_system(void) {
    while (ended_past_libc != 0 && os_thread_lives(os_process_id(), ended_past_libc))
        sched_yield();
    ended_past_libc = 0;
}

/* On a stack of ours, which also holds what is the thread's own, and is gone before the library looks around. */
static void run_and_take_away(void *(*work)(void *)) {
    pthread_attr_t attributes;
    pthread_t thread;
    void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(stack != MAP_FAILED);
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstack(&attributes, stack, STACK) == 0);
    REQUIRE(pthread_create(&thread, &attributes, work, NULL) == 0);
    pthread_join(thread, NULL);
    wait_for_the_system();
    pthread_attr_destroy(&attributes);
    munmap(stack, STACK);
}

static void allocate_in_last_moments(void) {
    REQUIRE(pthread_key_create(&key, allocate_in_the_last_round) == 0);
    for (int i = 0; i < THREADS; i++)
        run_and_take_away(end_with_destructors);
    rn_heap_trim(rn_heap_root());
    _exit(last_round == THREADS ? 0 : 1);
}

static void a_thread_that_allocates_in_its_last_moment_leaves_nothing(void) {
    rn_free(rn_malloc(1)); /* the library's key first, as it mostly is */
#if defined(__GLIBC__) && !defined(RN_SANITIZE)
    CHECK(ends_well(allocate_in_last_moments, 30));
#else
    (void)allocate_in_last_moments;
    printf("skipped: %s: only glibc's keys have an order that serves, and a sanitizer's come after all others\n",
           check.test);
#endif
}

static void *allocate_and_end_past_libc(void *unused) {
    allocate_and_end(unused);
    ended_past_libc = os_thread_id();
    os_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
    return unused;
}

static void end_past_libc(void) {
    rn_stats before, after;
    rn_heap *heap = rn_heap_new(NULL, "theirs", 0);
    rn_heap_trim(rn_heap_root());
    rn_heap_stats(rn_heap_root(), &before);
    for (int i = 0; i < THREADS; i++)
        run_and_take_away(allocate_and_end_past_libc);
    rn_heap_destroy(heap);
    rn_heap_trim(rn_heap_root());
    rn_heap_stats(rn_heap_root(), &after);
    if (before.objects != after.objects)
        _exit(1);
    run_and_take_away(allocate_and_end_past_libc);
    pid_t child = fork();
    if (child == 0) {
        run_and_take_away(allocate_and_end);
        rn_heap_trim(rn_heap_root());
        _exit(0);
    }
    _exit(!ended_well(child));
}

static void a_thread_that_ends_past_libc_leaves_nothing(void) {
#if defined(__GLIBC__) && !defined(RN_SANITIZE)
    CHECK(ends_well(end_past_libc, 30));
#else
    (void)end_past_libc;
    printf("skipped: %s: musl's threads and a sanitizer's can't be waited for then\n", check.test);
#endif
}

static void take_every_key(void) {
    static pthread_key_t keys[4096];
    static int value;
    int count = 0;
    while (count < 4096 && pthread_key_create(&keys[count], NULL) == 0)
        pthread_setspecific(keys[count++], &value);
    rn_free(rn_malloc(100));
    for (int i = 0; i < count; i++)
        if (pthread_getspecific(keys[i]) != &value)
            _exit(1);
}

static void a_program_that_took_every_key_keeps_its_own_values(void) {
    CHECK(ends_well(take_every_key, 30));
}

TESTS(TEST(a_program_that_took_every_key_keeps_its_own_values),
      TEST(a_thread_whose_end_will_not_be_told_leaves_nothing),
      TEST(a_thread_that_allocates_in_its_last_moment_leaves_nothing),
      TEST(a_thread_that_ends_past_libc_leaves_nothing))
