/* thinned: 200 MiB of small blocks, of which a random 90 % are freed; then 200 MiB again, in other sizes.
 *
 * Prints the MiB resident a second after the freeing, and after the refill. The table of pointers is mapped apart from
 * malloc and not counted. Three quarters of the blocks have 16 to 255 bytes, one quarter 16 to 2015; the refill has 300
 * to 999. Every page of a block is written. */
#include "../workloads/workload.h"
#include "resident.h"
#include <sys/mman.h>

enum { MOST_BLOCKS = 1 << 20, PAGE = 4096 };

static const size_t target = (size_t)200 << 20;

typedef struct held {
    block_head **blocks;
    size_t count, bytes;
} held;

static void add_block(held *all, size_t size) {
    if (all->count == MOST_BLOCKS)
        fail("the table of blocks is too small");
    block_head *block = block_make(size, (uint32_t)all->count);
    all->blocks[all->count++] = block;
    all->bytes += size;
}

static void fill(held *all, random_source *random) {
    while (all->bytes < target) {
        size_t most = random_below(random, 4) == 0 ? 2015 : 255;
        add_block(all, random_between(random, 16, most));
    }
}

static void shuffle(held *all, random_source *random) {
    for (size_t i = all->count - 1; i > 0; i--) {
        size_t other = random_below(random, i + 1);
        block_head *kept = all->blocks[i];
        all->blocks[i] = all->blocks[other];
        all->blocks[other] = kept;
    }
}

static void free_most(held *all) {
    size_t keep = all->count / 10;
    while (all->count > keep) {
        block_head *block = all->blocks[--all->count];
        all->bytes -= block->size;
        block_free(block);
    }
}

static void refill(held *all, random_source *random) {
    while (all->bytes < target)
        add_block(all, random_between(random, 300, 999));
}

static double resident_mib(void) {
    return (double)(resident_kib() - (long)(MOST_BLOCKS * sizeof(block_head *) / 1024)) / 1024;
}

int main(void) {
    random_source random = random_of(12);
    held all = {.blocks = mmap(NULL, MOST_BLOCKS * sizeof(block_head *), PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)};
    if (all.blocks == MAP_FAILED)
        fail("mmap");
    fill(&all, &random);
    shuffle(&all, &random);
    free_most(&all);
    sleep(1);
    double thinned = resident_mib();
    refill(&all, &random);
    double refilled = resident_mib();
    for (size_t i = 0; i < all.count; i++)
        block_check(all.blocks[i]);
    printf("%.1f %.1f\n", thinned, refilled);
    return 0;
}
