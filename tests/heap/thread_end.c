/* thread_end.c: a thread of which libc will not tell the end: its caches may not stay behind when it is gone.
 *
 * pthread_setspecific is wrapped; it may fail, where it has to allocate. */
#include "check.h"
#include "os/os.h"

#include <pthread.h>
#include <ration/ration.h>

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

static void a_program_that_took_every_key_keeps_its_own_values(void) {
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        static pthread_key_t keys[4096];
        static int value;
        int count = 0;
        while (count < 4096 && pthread_key_create(&keys[count], NULL) == 0)
            pthread_setspecific(keys[count++], &value);
        rn_free(rn_malloc(100));
        for (int i = 0; i < count; i++)
            if (pthread_getspecific(keys[i]) != &value)
                _exit(1);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(0, status);
}

TESTS(TEST(a_program_that_took_every_key_keeps_its_own_values),
      TEST(a_thread_whose_end_will_not_be_told_leaves_nothing))
