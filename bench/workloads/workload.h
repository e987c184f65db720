/* workload.h: what every workload shares: seeded random numbers, stamped blocks, and the result line.
 *
 * A block is stamped at both ends when it is made and checked before it is freed, so that a manager that hands out
 * overlapping blocks or loses contents fails the row instead of winning it. The sum of all stamps is printed at the end;
 * it depends on the seed only, and the runner compares it between allocators. Start reading at block_make. */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "../../tests/random.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline _Noreturn void fail(const char *reason) {
    fprintf(stderr, "workload failed: %s\n", reason);
    exit(1);
}

static inline random_source random_of(uint64_t seed) {
    random_source source = {seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    return source;
}

static inline size_t random_between(random_source *state, size_t low, size_t high) {
    return low + random_below(state, high - low + 1);
}

/* Mostly small, rarely large, as the sizes of real programs are: a uniform choice of the power of two first. */
static inline size_t random_size_skewed(random_source *state, unsigned low_bits, unsigned high_bits) {
    size_t bits = random_between(state, low_bits, high_bits - 1);
    return ((size_t)1 << bits) + random_below(state, (size_t)1 << bits);
}

static inline void *must_malloc(size_t size) {
    void *block = malloc(size);
    if (!block)
        fail("malloc gave NULL");
    return block;
}

static inline void *must_calloc(size_t count, size_t size) {
    void *block = calloc(count, size);
    if (!block)
        fail("calloc gave NULL");
    return block;
}

static inline void *must_realloc(void *old, size_t size) {
    void *block = realloc(old, size);
    if (!block)
        fail("realloc gave NULL");
    return block;
}

/* The head of a stamped block; the last byte of the block repeats the low byte of the stamp. */
typedef struct block_head {
    uint32_t stamp;
    uint32_t size;
} block_head;

static inline block_head *block_make(size_t size, uint32_t stamp) {
    block_head *block = must_malloc(size);
    ((unsigned char *)block)[size - 1] = (unsigned char)stamp;
    block->stamp = stamp;
    block->size = (uint32_t)size;
    return block;
}

static inline uint64_t block_check(const block_head *block) {
    size_t size = block->size;
    if (size > sizeof *block && ((const unsigned char *)block)[size - 1] != (unsigned char)block->stamp)
        fail("a block's contents changed");
    return block->stamp;
}

static inline uint64_t block_free(block_head *block) {
    uint64_t stamp = block_check(block);
    free(block);
    return stamp;
}

static inline void start_thread(pthread_t *thread, void *(*body)(void *), void *argument) {
    if (pthread_create(thread, NULL, body, argument))
        fail("pthread_create");
}

static inline void join_thread(pthread_t thread) {
    if (pthread_join(thread, NULL))
        fail("pthread_join");
}

static inline int finish(uint64_t sum) {
    printf("sum %016llx\n", (unsigned long long)sum);
    return 0;
}

#endif
