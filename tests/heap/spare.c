/* spare.c: what an ended thread had cached serves the next thread, or goes back under pressure. */
#include "accounts.h"
#include "apart.h"
#include "heap/heap.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

enum { SIZE = 1000, BLOCKS = 8, THREADS = 24, MIB = 1 << 20 };

typedef struct visit {
    void *blocks[BLOCKS];
} visit;

static void *take_and_give(void *argument) {
    visit *v = argument;
    for (unsigned i = 0; i < BLOCKS; i++)
        CHECK((v->blocks[i] = rn_malloc(SIZE)) != NULL);
    for (unsigned i = BLOCKS; i-- > 0;)
        rn_free(v->blocks[i]);
    return NULL;
}

/* The first blocks of a process are checked ones, which no cache has. */
static void spend_sample(void) {
    for (unsigned i = 0; i < 1000; i++)
        rn_free(rn_malloc(SIZE));
}

static visit visit_by_thread(void) {
    visit v;
    pthread_t visitor;
    spend_sample();
    REQUIRE(pthread_create(&visitor, NULL, take_and_give, &v) == 0);
    REQUIRE(pthread_join(visitor, NULL) == 0);
    return v;
}

static unsigned out(void) {
    return root_heap.stores[size_class_index(SIZE)].blocks_out;
}

static void the_next_thread_has_the_same_blocks(void) {
    visit first = visit_by_thread();
    unsigned before = out();
    visit second = visit_by_thread();
    CHECK_EQ(before, out());
    for (unsigned i = 0; i < BLOCKS; i++)
        CHECK(first.blocks[i] == second.blocks[i]);
}

static void pressure_takes_them(void) {
    threads_take_over();
    unsigned before = out();
    visit_by_thread();
    CHECK(out() > before);
    threads_take_over();
    CHECK_EQ(before, out());
}

static void a_child_has_them(void) {
    visit parents = visit_by_thread();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        visit childs = visit_by_thread();
        _exit(childs.blocks[0] == parents.blocks[0] ? 0 : 1);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_EQ(0, status);
}

/* --- what it must not hide --------------------------------------------------------------------------------------- */

static void *free_twice(void *unused) {
    void *block = rn_malloc(SIZE), *other = rn_malloc(SIZE);
    rn_free(block);
    rn_free(other);
    rn_free(block);
    return unused;
}

static void *free_interior(void *unused) {
    char *block = rn_malloc(SIZE);
    rn_free(block + 16);
    return unused;
}

static void *free_anothers_again(void *block) {
    void *own = rn_malloc(SIZE);
    rn_free(block);
    rn_free(own);
    return NULL;
}

static void run_to_its_end(void *(*mistake)(void *), void *argument) {
    pthread_t visitor;
    REQUIRE(pthread_create(&visitor, NULL, mistake, argument) == 0);
    REQUIRE(pthread_join(visitor, NULL) == 0);
}

static void a_bad_free_is_seen_as_its_thread_ends(void) {
    spend_sample();
    CHECK_ABORTS("ration: %p (1024-byte class, heap \"root\"): double free", run_to_its_end(free_twice, NULL));
    CHECK_ABORTS("ration: %p (1024-byte class, heap \"root\"): free of an address inside a block",
                 run_to_its_end(free_interior, NULL));
    void *kept = rn_malloc(SIZE), *block = rn_malloc(SIZE);
    rn_free(block);
    thread_drain_own();
    CHECK_ABORTS("ration: %p (1024-byte class, heap \"root\"): double free",
                 run_to_its_end(free_anothers_again, block));
    rn_free(kept);
}

/* --- how much is kept -------------------------------------------------------------------------------------------- */

static sem_t filled, go;

static void *fill_and_wait(void *unused) {
    (void)unused;
    for (size_t size = 64; size <= 32 << 10; size *= 2) {
        void *blocks[BLOCKS];
        for (unsigned i = 0; i < BLOCKS; i++)
            CHECK((blocks[i] = rn_malloc(size)) != NULL);
        for (unsigned i = 0; i < BLOCKS; i++)
            rn_free(blocks[i]);
    }
    sem_post(&filled);
    sem_wait(&go);
    return NULL;
}

static void many_threads_leave_a_mib_at_most(void) {
    pthread_t threads[THREADS];
    spend_sample();
    threads_take_over();
    size_t before = stats_of(rn_heap_root()).live;
    REQUIRE(sem_init(&filled, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, fill_and_wait, NULL) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        sem_wait(&filled);
    CHECK(stats_of(rn_heap_root()).live > before + 2 * MIB);
    for (unsigned i = 0; i < THREADS; i++)
        sem_post(&go);
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    size_t after = stats_of(rn_heap_root()).live;
    CHECK(after > before);
    CHECK(after <= before + MIB + MIB / 8);
}

TESTS(TEST(the_next_thread_has_the_same_blocks), TEST(pressure_takes_them), TEST(a_child_has_them),
      TEST(a_bad_free_is_seen_as_its_thread_ends), TEST(many_threads_leave_a_mib_at_most))
