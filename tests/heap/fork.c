/* fork.c: a process forked while another thread is inside the library, whatever that thread allocates and whether or
 * not the forking one ever did: parent and child go on.
 *
 * Each case is a process of its own, in which the library starts anew. */
#include "apart.h"
#include "heap/heap.h"

#include <pthread.h>
#include <ration/ration.h>

enum { FORKS = 40, SECONDS = 30 };

static bool stop;
static size_t size;

static void *allocate(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        void *blocks[32];
        for (int i = 0; i < 32; i++)
            blocks[i] = rn_malloc(size);
        for (int i = 0; i < 32; i++)
            rn_free(blocks[i]);
    }
    return unused;
}

static bool child_goes_on(void) {
    pid_t child = fork();
    if (child == 0) {
        alarm(SECONDS);
        if (library_is_at_work())
            _exit(1);
        for (size_t i = 1; i < 1 << 20; i *= 8)
            rn_free(rn_malloc(i));
        rn_heap_trim(rn_heap_root());
        _exit(0);
    }
    return ended_well(child);
}

static void fork_beside_a_thread(void) {
    pthread_t other;
    REQUIRE(pthread_create(&other, NULL, allocate, NULL) == 0);
    for (int i = 0; i < FORKS; i++)
        if (!child_goes_on())
            _exit(1);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(other, NULL);
    _exit(0);
}

static void goes_on_beside_blocks_of(size_t bytes, bool allocated_before) {
    fflush(stdout);
    size = bytes;
    pid_t process = fork();
    REQUIRE(process >= 0);
    if (process == 0) {
        if (allocated_before)
            rn_free(rn_malloc(1));
        fork_beside_a_thread();
    }
    int status = -1;
    waitpid(process, &status, 0);
    if (status != 0)
        check_fail(__FILE__, __LINE__, "beside a thread with blocks of %zu: wait status %#x", bytes, (unsigned)status);
}

static void a_child_of_a_thread_that_allocates_too_goes_on(void) {
    goes_on_beside_blocks_of(100, true);
    goes_on_beside_blocks_of(40000, true);
    goes_on_beside_blocks_of(1 << 20, true);
}

static void a_child_of_a_thread_that_never_allocated_goes_on(void) {
    goes_on_beside_blocks_of(100, false);
    goes_on_beside_blocks_of(40000, false);
    goes_on_beside_blocks_of(1 << 20, false);
}

TESTS(TEST(a_child_of_a_thread_that_allocates_too_goes_on), TEST(a_child_of_a_thread_that_never_allocated_goes_on))
