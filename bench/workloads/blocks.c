/* blocks large|huge: blocks come and go in a small window, and every page of each is touched.
 *
 * large: 64 live of 16 to 512 KiB. huge: 6 live of 1 to 16 MiB, as of images or columns that are loaded and dropped. */
#include "workload.h"

enum { PAGE = 4096, MOST_LIVE = 64 };

typedef struct kind {
    const char *name;
    size_t live, replacements, low, high;
} kind;

static const kind kinds[] = {
    {"large", 64, 280000, (size_t)16 << 10, (size_t)512 << 10},
    {"huge", 6, 1100, (size_t)1 << 20, (size_t)16 << 20},
};

static unsigned char *blocks[MOST_LIVE];
static size_t sizes[MOST_LIVE];

static unsigned char *new_block(const kind *chosen, random_source *random, size_t *size) {
    *size = random_between(random, chosen->low, chosen->high);
    unsigned char *block = must_malloc(*size);
    for (size_t at = 0; at < *size; at += PAGE)
        block[at] = (unsigned char)(at / PAGE);
    return block;
}

static uint64_t drop_block(unsigned char *block, size_t size) {
    uint64_t sum = size;
    for (size_t at = 0; at < size; at += PAGE) {
        if (block[at] != (unsigned char)(at / PAGE))
            fail("a page's contents changed");
        sum += block[at];
    }
    free(block);
    return sum;
}

static uint64_t run(const kind *chosen) {
    random_source random = random_of(6);
    uint64_t sum = 0;
    for (size_t i = 0; i < chosen->live; i++)
        blocks[i] = new_block(chosen, &random, &sizes[i]);
    for (size_t i = 0; i < chosen->replacements; i++) {
        size_t slot = random_below(&random, chosen->live);
        sum += drop_block(blocks[slot], sizes[slot]);
        blocks[slot] = new_block(chosen, &random, &sizes[slot]);
    }
    for (size_t i = 0; i < chosen->live; i++)
        sum += drop_block(blocks[i], sizes[i]);
    return sum;
}

int main(int count, char **arguments) {
    for (size_t i = 0; count == 2 && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(arguments[1], kinds[i].name))
            return finish(run(&kinds[i]));
    fail("usage: blocks large|huge");
}
