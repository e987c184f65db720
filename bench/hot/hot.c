/* hot: the allocation paths that run most, each alone, in CPU nanoseconds an operation (all threads, user and system).
 *
 * Usage: hot CASE. A case is a function that does a number of operations; it runs once to warm up and once for the
 * figure. One byte of each block is written, so that a block that is not really there is found out. Start at cases[]. */
#include "../workloads/workload.h"
#include <time.h>

enum { PAIRS_A_THREAD = 100, CRATE = 1000, CRATES = 4 };

static void *touch(void *block) {
    if (!block)
        fail("no memory");
    *(volatile char *)block = 1;
    return block;
}

/* malloc 1000 of 16 to 128 bytes, free in reverse. */
static void batch_reverse(size_t operations) {
    static void *blocks[1000];
    static size_t sizes[1000];
    random_source random = random_of(1);
    for (size_t i = 0; i < 1000; i++)
        sizes[i] = random_between(&random, 16, 128);
    for (size_t done = 0; done < operations; done += 1000) {
        for (size_t i = 0; i < 1000; i++)
            blocks[i] = touch(malloc(sizes[i]));
        for (size_t i = 1000; i-- > 0;)
            free(blocks[i]);
    }
}

static void pair(size_t operations) {
    for (size_t i = 0; i < operations; i++)
        free(touch(malloc(32)));
}

/* A queue of 1000 blocks of 16 to 1024 bytes: the oldest goes, a new one comes. */
static void first_in_first_out(size_t operations) {
    static void *queue[1000];
    random_source random = random_of(2);
    for (size_t i = 0; i < 1000; i++)
        queue[i] = touch(malloc(random_between(&random, 16, 1024)));
    for (size_t i = 0, at = 0; i < operations; i++, at = at == 999 ? 0 : at + 1) {
        free(queue[at]);
        queue[at] = touch(malloc(random_between(&random, 16, 1024)));
    }
    for (size_t i = 0; i < 1000; i++)
        free(queue[i]);
}

static void replace(size_t operations, size_t live, size_t low, size_t high) {
    static void *window[50000];
    random_source random = random_of(3);
    for (size_t i = 0; i < live; i++)
        window[i] = touch(malloc(random_between(&random, low, high)));
    for (size_t i = 0; i < operations; i++) {
        size_t slot = random_below(&random, live);
        free(window[slot]);
        window[slot] = touch(malloc(random_between(&random, low, high)));
    }
    for (size_t i = 0; i < live; i++)
        free(window[i]);
}

static void replace_small(size_t operations) {
    replace(operations, 50000, 16, 128);
}

static void replace_medium(size_t operations) {
    replace(operations, 50000, 16, 1024);
}

static void replace_large(size_t operations) {
    replace(operations, 5000, 1024, 32768);
}

/* Crates of blocks made here and freed on another thread; the two take turns by way of a count of full crates. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void *crates[CRATES][CRATE];
    size_t made, freed, wanted;
} crossing = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void crossing_wait(const size_t *count, size_t at_least) {
    pthread_mutex_lock(&crossing.lock);
    while (*count < at_least)
        pthread_cond_wait(&crossing.changed, &crossing.lock);
    pthread_mutex_unlock(&crossing.lock);
}

static void crossing_step(size_t *count) {
    pthread_mutex_lock(&crossing.lock);
    ++*count;
    pthread_cond_signal(&crossing.changed);
    pthread_mutex_unlock(&crossing.lock);
}

static void *free_crates(void *unused) {
    (void)unused;
    for (size_t i = 0; i < crossing.wanted; i++) {
        crossing_wait(&crossing.made, i + 1);
        for (size_t j = 0; j < CRATE; j++)
            free(crossing.crates[i % CRATES][j]);
        crossing_step(&crossing.freed);
    }
    return NULL;
}

static void cross_thread(size_t operations) {
    pthread_t other;
    crossing.wanted = operations / CRATE;
    crossing.made = crossing.freed = 0;
    start_thread(&other, free_crates, NULL);
    for (size_t i = 0; i < crossing.wanted; i++) {
        if (i >= CRATES)
            crossing_wait(&crossing.freed, i - CRATES + 1);
        for (size_t j = 0; j < CRATE; j++)
            crossing.crates[i % CRATES][j] = touch(malloc(32));
        crossing_step(&crossing.made);
    }
    join_thread(other);
}

/* Blocks aligned to 64 bytes, of 64 to 512 bytes, with 16 live at a time. */
static void aligned(size_t operations) {
    void *live[16] = {0};
    for (size_t i = 0; i < operations; i++) {
        free(live[i % 16]);
        live[i % 16] = touch(aligned_alloc(64, 64 * (1 + i % 8)));
        if ((uintptr_t)live[i % 16] % 64)
            fail("a block is not aligned");
    }
    for (size_t i = 0; i < 16; i++)
        free(live[i]);
}

/* A buffer grown by half from 1 KiB to 16 MiB; returns the number of reallocs and leaves the buffer in *grown. */
static size_t grow(char **grown) {
    size_t steps = 0;
    *grown = NULL;
    for (size_t size = 1024; size <= (size_t)16 << 20; size += size / 2, steps++) {
        *grown = touch(realloc(*grown, size));
        (*grown)[size - 1] = 2;
    }
    return steps;
}

/* Buffers that have grown stay until the process ends, so that each grows into memory that is new. One operation is one
 * realloc, here and in the next case. */
static void grow_and_keep(size_t operations) {
    char *kept;
    for (size_t done = 0; done < operations;)
        done += grow(&kept);
}

/* Each buffer is freed before the next grows: a manager that remembers may grow it in place. */
static void grow_and_free(size_t operations) {
    char *grown;
    for (size_t done = 0; done < operations; free(grown))
        done += grow(&grown);
}

/* Four live blocks of 1 to 16 MiB, replaced at random. */
static void huge(size_t operations) {
    void *live[4] = {0};
    random_source random = random_of(4);
    for (size_t i = 0; i < operations; i++) {
        size_t slot = random_below(&random, 4);
        free(live[slot]);
        live[slot] = touch(malloc(random_between(&random, (size_t)1 << 20, (size_t)16 << 20)));
    }
    for (size_t i = 0; i < 4; i++)
        free(live[i]);
}

static void *pairs_in_thread(void *unused) {
    pair(PAIRS_A_THREAD);
    return unused;
}

static void thread_start(size_t operations) {
    for (size_t i = 0; i < operations; i++) {
        pthread_t thread;
        start_thread(&thread, pairs_in_thread, NULL);
        join_thread(thread);
    }
}

typedef struct hot_case {
    const char *name;
    void (*run)(size_t operations);
    size_t operations;
} hot_case;

static const hot_case cases[] = {
    {"batch-reverse", batch_reverse, 30000000},
    {"pair", pair, 50000000},
    {"fifo", first_in_first_out, 25000000},
    {"replace-small", replace_small, 8000000},
    {"replace-medium", replace_medium, 4000000},
    {"replace-large", replace_large, 3000000},
    {"cross-thread", cross_thread, 6000000},
    {"aligned", aligned, 24000000},
    {"realloc", grow_and_keep, 600},
    {"realloc-again", grow_and_free, 2400},
    {"huge", huge, 60000},
    {"thread-start", thread_start, 8000},
};

static double cpu_nanoseconds(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now))
        fail("clock_gettime");
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int measure(const hot_case *chosen) {
    chosen->run(chosen->operations / 10);
    double start = cpu_nanoseconds();
    chosen->run(chosen->operations);
    printf("%.3f\n", (cpu_nanoseconds() - start) / (double)chosen->operations);
    return 0;
}

int main(int count, char **arguments) {
    for (size_t i = 0; count == 2 && i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(arguments[1], cases[i].name))
            return measure(&cases[i]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        fprintf(stderr, "hot %s\n", cases[i].name);
    return 2;
}
