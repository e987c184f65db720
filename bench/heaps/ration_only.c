/* ration_only.c: what only Ration has: pushing a heap, taking at a limit what idle threads have cached, and the slices of work
 * beyond a soft limit. */
#include "../suite/figure.h"

#include <ration/ration.h>
#include <semaphore.h>
#include <stdbool.h>

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

/* --- beyond a soft limit ----------------------------------------------------------------------------------------- */

enum {
    SCATTERED = 64 * MIB,
    SIZES = 20,
    BLOCKS = 1 << 20,
    GROWTH = 68 << 10, /* more than a step: a slice is due at each request */
    ROUNDS = 12,
    IDLE_SLICES = 20, /* after so many that gave nothing there is nothing to give */
    SLICES = 1 << 14,
};

static struct {
    rn_heap *heap;
    char *blocks[BLOCKS], *growth[SLICES];
    uint32_t sizes[BLOCKS];
    size_t count, grown, slices;
    double length_us[SLICES];
} soft;

static void take_blocks(size_t size) {
    for (size_t i = 0; i < SCATTERED / SIZES / size && soft.count < BLOCKS; i++) {
        soft.blocks[soft.count] = memset(touch(rn_heap_malloc(soft.heap, size)), 1, size);
        soft.sizes[soft.count++] = (uint32_t)size;
    }
}

static bool is_on_odd_page(const char *block, size_t size) {
    return ((uintptr_t)block >> 12 & 1) && ((uintptr_t)(block + size - 1) >> 12 & 1);
}

/* Leaves every second page idle, in spans of many sizes: each is a call of the system of its own. */
static void scatter_idle_pages(void) {
    for (size_t i = 0, size = 64; i < SIZES; i++, size += size / 2)
        take_blocks(size < 32 << 10 ? size : 32 << 10);
    for (size_t i = 0; i < soft.count; i++)
        if (is_on_odd_page(soft.blocks[i], soft.sizes[i])) {
            rn_free(soft.blocks[i]);
            soft.blocks[i] = NULL;
        }
}

static size_t used_now(void) {
    rn_stats stats;
    rn_heap_stats(soft.heap, &stats);
    return stats.used;
}

/* Whether the slice that was due gave something back; its length is that of the whole request. */
static bool grow_by_a_slice(void) {
    size_t used = used_now();
    double start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    soft.growth[soft.grown++] = rn_heap_malloc(soft.heap, GROWTH);
    soft.length_us[soft.slices] = (nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start) / 1e3;
    return used_now() < used + GROWTH;
}

static void free_all(char **blocks, size_t *count) {
    while (*count > 0)
        rn_free(blocks[--*count]);
}

static void measure_slices(void) {
    rn_heap_set_soft_limit(soft.heap, 0);
    scatter_idle_pages();
    rn_heap_set_soft_limit(soft.heap, 1);
    for (size_t idle = 0; idle < IDLE_SLICES && soft.slices < SLICES && soft.grown < SLICES;)
        if (grow_by_a_slice()) {
            soft.slices++;
            idle = 0;
        } else {
            idle++;
        }
    free_all(soft.blocks, &soft.count);
    free_all(soft.growth, &soft.grown);
}

static double slice_us(size_t thousandth) {
    soft.heap = rn_heap_new(NULL, "soft", 0);
    if (!soft.heap)
        fail("no heap");
    for (size_t i = 0; i < ROUNDS; i++)
        measure_slices();
    if (soft.slices < 1000)
        fail("too few slices");
    qsort(soft.length_us, soft.slices, sizeof *soft.length_us, compare);
    return soft.length_us[(soft.slices - 1) * thousandth / 1000];
}

static const figure_case cases[] = {
    {"push-pop", push_pop_ns, 0},   {"pushed", pushed_ns, 0},    {"deny", deny_ms, 0},
    {"soft-median", slice_us, 500}, {"soft-p99", slice_us, 990}, {"soft-max", slice_us, 1000},
};

int main(int count, char **arguments) {
    return print_figure(count, arguments, cases, sizeof cases / sizeof *cases);
}
