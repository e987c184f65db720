/* cost.c: a program that does little but allocate: lists of blocks of many sizes that come, grow and go, on one thread.
 * It prints a sum of what it wrote, so that runs can be compared. The work is the same in every run. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = 4000, ROUNDS = 400000 };

static unsigned char *blocks[SLOTS];
static uint64_t state = 88172645463325252u;

static size_t next_below(size_t bound) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % bound);
}

/* Mostly another block, now and then the same at another size. */
static unsigned char *renewed(unsigned char *block) {
    size_t size = (size_t)16 << next_below(next_below(100) == 0 ? 14 : 8);
    bool grows = next_below(8) == 0;
    if (!grows)
        free(block);
    unsigned char *made = grows ? realloc(block, size) : malloc(size);
    if (made == NULL)
        exit(1);
    made[0] = (unsigned char)next_below(256);
    made[size - 1] = (unsigned char)(size >> 4);
    return made;
}

int main(void) {
    unsigned long sum = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t slot = next_below(SLOTS);
        blocks[slot] = renewed(blocks[slot]);
        sum += blocks[slot][0];
    }
    printf("%lu\n", sum);
    return 0;
}
