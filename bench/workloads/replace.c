/* replace small|medium|large: blocks in a window of live ones are replaced at random.
 *
 * small: 50,000 live of 16 to 128 bytes. medium: 20,000 live of 32 bytes to 2 KiB. large: 3,000 live of 1 to 32 KiB.
 * Sizes are skewed towards the small end; what is made is written at both ends, medium and large also in the middle. */
#include "workload.h"

typedef struct kind {
    const char *name;
    size_t window;
    size_t replacements;
    unsigned low_bits, high_bits;
} kind;

static const kind kinds[] = {
    {"small", 50000, 14000000, 4, 7},
    {"medium", 20000, 8000000, 5, 11},
    {"large", 3000, 6000000, 10, 15},
};

static block_head *new_block(const kind *chosen, random_source *random) {
    size_t size = random_size_skewed(random, chosen->low_bits, chosen->high_bits);
    block_head *block = block_make(size, (uint32_t)random_next(random));
    if (size >= 64)
        memset(block + 1, 0x5a, size < 512 ? size / 4 : 128);
    return block;
}

static uint64_t run(const kind *chosen) {
    random_source random = random_of(4);
    uint64_t sum = 0;
    block_head **window = must_malloc(chosen->window * sizeof(void *));
    for (size_t i = 0; i < chosen->window; i++)
        window[i] = new_block(chosen, &random);
    for (size_t i = 0; i < chosen->replacements; i++) {
        size_t slot = random_below(&random, chosen->window);
        sum += block_free(window[slot]);
        window[slot] = new_block(chosen, &random);
    }
    for (size_t i = 0; i < chosen->window; i++)
        sum += block_free(window[i]);
    free(window);
    return sum;
}

int main(int count, char **arguments) {
    for (size_t i = 0; count == 2 && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(arguments[1], kinds[i].name))
            return finish(run(&kinds[i]));
    fail("usage: replace small|medium|large");
}
