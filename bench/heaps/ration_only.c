/* ration_only.c: what only Ration has: pushing a heap, and taking at a limit what idle threads have cached. */
#include "figure.h"

#include <ration/ration.h>
#include <semaphore.h>

enum { PUSHES = 20000000, MIB = 1 << 20, LIMIT = 16 * MIB, IDLE = 8, CACHED = MIB, TRIALS = 15 };

/* --- pushing ----------------------------------------------------------------------------------------------------- */

static void push_and_pop(rn_heap *heap, size_t times) {
    for (size_t i = 0; i < times; i++) {
        rn_heap_push(heap);
        rn_heap_pop();
    }
}

static void push_in_block(rn_heap *heap, size_t times) {
    for (size_t i = 0; i < times; i++) {
        RN_HEAP_PUSHED(heap);
    }
}

static double each_ns(void (*run)(rn_heap *, size_t)) {
    rn_heap *heap = rn_heap_new(NULL, "pushed", 0);
    if (!heap)
        fail("no heap");
    run(heap, PUSHES / 10);
    double start = cpu_nanoseconds();
    run(heap, PUSHES);
    double figure = (cpu_nanoseconds() - start) / PUSHES;
    rn_heap_destroy(heap);
    return figure;
}

static double push_pop_ns(size_t unused) {
    (void)unused;
    return each_ns(push_and_pop);
}

static double pushed_ns(size_t unused) {
    (void)unused;
    return each_ns(push_in_block);
}

/* --- at a limit -------------------------------------------------------------------------------------------------- */

static struct {
    rn_heap *heap;
    sem_t done;
    struct {
        pthread_t thread;
        sem_t go;
    } idle[IDLE];
} full;

static rn_stats stats_now(void) {
    rn_stats stats;
    rn_heap_stats(full.heap, &stats);
    return stats;
}

/* Blocks of every size class, the large ones first, go into this thread's cache until it holds its share. What a
 * thread has cached counts as live. */
static void fill_cache(void) {
    size_t enough = stats_now().live + CACHED;
    for (size_t most = 1; most < 64; most *= 2)
        for (size_t size = 64 << 10; size >= 64 && stats_now().live < enough; size = size * 7 / 8) {
            void *blocks[64];
            for (size_t i = 0; i <= most; i++)
                blocks[i] = memset(touch(rn_malloc(size)), 1, size);
            for (size_t i = 0; i <= most; i++)
                rn_free(blocks[i]);
        }
}

static void *be_idle(void *go) {
    rn_heap_push(full.heap);
    while (!sem_wait(go)) {
        fill_cache();
        sem_post(&full.done);
    }
    return NULL;
}

/* The time until the caches of all idle threads have been given back and the block is there. */
static double trial_ms(void) {
    for (size_t i = 0; i < IDLE; i++) {
        sem_post(&full.idle[i].go);
        sem_wait(&full.done);
    }
    rn_stats stats = stats_now();
    if (stats.live < (size_t)IDLE * CACHED)
        fail("the threads have not cached enough");
    double start = nanoseconds(CLOCK_MONOTONIC);
    void *block = rn_heap_malloc(full.heap, LIMIT - stats.used + MIB);
    double end = nanoseconds(CLOCK_MONOTONIC);
    if (!block)
        fail("denied");
    rn_free(block);
    return (end - start) / 1e6;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double deny_ms(size_t unused) {
    (void)unused;
    full.heap = rn_heap_new(NULL, "full", LIMIT);
    if (!full.heap || sem_init(&full.done, 0, 0))
        fail("no heap");
    for (size_t i = 0; i < IDLE; i++) {
        sem_init(&full.idle[i].go, 0, 0);
        start_thread(&full.idle[i].thread, be_idle, &full.idle[i].go);
    }
    double figures[TRIALS];
    for (size_t i = 0; i < TRIALS; i++)
        figures[i] = trial_ms();
    qsort(figures, TRIALS, sizeof *figures, compare);
    return figures[TRIALS / 2];
}

static const heaps_case cases[] = {
    {"push-pop", push_pop_ns, 0},
    {"pushed", pushed_ns, 0},
    {"deny", deny_ms, 0},
};

int main(int count, char **arguments) {
    return print_figure(count, arguments, cases, sizeof cases / sizeof *cases);
}
