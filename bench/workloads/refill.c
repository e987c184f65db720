/* refill: memory is filled with one range of sizes, thinned at random, and filled up again with another, again and again.
 *
 * What stays from each phase is spread over all pages, as in a server whose kinds of requests change over the day. */
#include "workload.h"

enum { SLOTS = 120000, PHASES = 48 };

typedef struct range {
    size_t low, high;
} range;

static const range ranges[] = {{16, 64}, {100, 300}, {32, 160}, {300, 999}, {16, 400}};
static const size_t target = (size_t)16 << 20;

static block_head *slots[SLOTS];

static size_t fill(random_source *random, range sizes, size_t live) {
    for (size_t i = 0; i < SLOTS && live < target; i++) {
        if (slots[i])
            continue;
        slots[i] = block_make(random_between(random, sizes.low, sizes.high), (uint32_t)random_next(random));
        live += slots[i]->size;
    }
    return live;
}

/* Frees three quarters of what there is; returns the bytes that went. */
static size_t thin(random_source *random, uint64_t *sum) {
    size_t freed = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        if (!slots[i] || random_below(random, 4) == 0)
            continue;
        freed += slots[i]->size;
        *sum += block_free(slots[i]);
        slots[i] = NULL;
    }
    return freed;
}

int main(void) {
    random_source random = random_of(8);
    uint64_t sum = 0;
    size_t live = 0;
    for (size_t phase = 0; phase < PHASES; phase++) {
        live = fill(&random, ranges[phase % (sizeof ranges / sizeof *ranges)], live);
        live -= thin(&random, &sum);
    }
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i])
            sum += block_free(slots[i]);
    return finish(sum);
}
