/* random.h: the same numbers on every run for a seed; C and C++. The benchmarks draw theirs here, too.
 *
 * CHECK_SEED in the environment gives the tests other ones: they start with random_start, and print random_seed where
 * they fail. */
#ifndef RATION_RANDOM_H
#define RATION_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct random_source {
    uint64_t state; /* never 0 */
} random_source;

/* Marsaglia's xorshift64*: a few cycles, so that what is measured is not the generator. */
static inline uint64_t random_next(random_source *source) {
    uint64_t x = source->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    source->state = x;
    return x * 2685821657736338717u;
}

/* A number below the end, which is not 0 and at most 2^32, by multiplication: cheaper than a remainder. */
static inline size_t random_below(random_source *source, size_t end) {
    return (size_t)(((random_next(source) >> 32) * (uint64_t)end) >> 32);
}

/* Small for the most part, with a long tail up to 2^bits. */
static inline size_t random_size(random_source *source, unsigned bits) {
    return random_below(source, (size_t)1 << (1 + random_below(source, bits)));
}

static inline uint64_t random_seed(void) {
    const char *given = getenv("CHECK_SEED");
    return given ? strtoull(given, NULL, 10) : 20240229;
}

/* The nth of independent sources of this run. */
static inline random_source random_start(uint64_t nth) {
    random_source source = {(random_seed() + nth * 7919) * 2 + 1};
    return source;
}

#endif
