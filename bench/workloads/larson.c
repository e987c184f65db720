/* larson: the server of Larson and Krishnan, "Memory allocation for long-running server applications" (ISMM 1998).
 *
 * Two workers each replace random blocks of 10 to 500 bytes in a window of live ones. After each stint a worker ends and
 * a new thread takes its window over, so that most blocks are freed by a thread other than their maker. */
#include "workload.h"

enum { WORKERS = 2, WINDOW = 5000, STINTS = 14, REPLACEMENTS = 1000000 };

typedef struct worker {
    random_source random;
    uint64_t sum;
    block_head *window[WINDOW];
} worker;

static block_head *new_block(worker *self) {
    size_t size = random_between(&self->random, 10, 500);
    return block_make(size, (uint32_t)random_next(&self->random));
}

static void *stint(void *argument) {
    worker *self = argument;
    for (int i = 0; i < REPLACEMENTS; i++) {
        size_t slot = random_below(&self->random, WINDOW);
        self->sum += block_free(self->window[slot]);
        self->window[slot] = new_block(self);
    }
    return NULL;
}

static void fill(worker *self, uint64_t seed) {
    self->random = random_of(seed);
    for (size_t i = 0; i < WINDOW; i++)
        self->window[i] = new_block(self);
}

int main(void) {
    static worker workers[WORKERS];
    uint64_t sum = 0;
    for (size_t i = 0; i < WORKERS; i++)
        fill(&workers[i], i + 1);
    for (int round = 0; round < STINTS; round++) {
        pthread_t threads[WORKERS];
        for (size_t i = 0; i < WORKERS; i++)
            start_thread(&threads[i], stint, &workers[i]);
        for (size_t i = 0; i < WORKERS; i++)
            join_thread(threads[i]);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        for (size_t j = 0; j < WINDOW; j++)
            sum += block_free(workers[i].window[j]);
        sum += workers[i].sum;
    }
    return finish(sum);
}
