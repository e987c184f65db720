/* random.h: the same numbers on every run for a seed; CHECK_SEED in the environment gives others.
 *
 * A test that fails at random prints the seed with random_say. */
#ifndef RATION_RANDOM_H
#define RATION_RANDOM_H

#include "check.h"

typedef struct random_source {
    uint64_t state;
} random_source;

CHECK_UNUSED static uint64_t random_seed(void) {
    const char *given = getenv("CHECK_SEED");
    return given ? strtoull(given, NULL, 10) : 20240229;
}

/* The nth of independent sources of this run. */
CHECK_UNUSED static random_source random_start(uint64_t nth) {
    random_source source = {(random_seed() + nth * 7919) * 2 + 1};
    return source;
}

/* xorshift64* */
CHECK_UNUSED static uint64_t random_next(random_source *source) {
    uint64_t x = source->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    source->state = x;
    return x * 2685821657736338717u;
}

/* A number below the end, which is not 0. */
CHECK_UNUSED static size_t random_below(random_source *source, size_t end) {
    return (size_t)(random_next(source) >> 8) % end;
}

/* Small for the most part, with a long tail up to 2^bits. */
CHECK_UNUSED static size_t random_size(random_source *source, unsigned bits) {
    return random_below(source, (size_t)1 << (1 + random_below(source, bits)));
}

#endif
