/* blocks.c: adversaries that take blocks by malloc and its family and keep the size they asked for. Start at the table
 * at the end. */
#include "adversary.h"

#include <malloc.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static void *get_block(size_t size) {
    return malloc(size);
}

static void drop_block(void *block, size_t size) {
    (void)size;
    free(block);
}

static const source tiny_blocks = {get_block, drop_block, sizeof(piece), 96, 1, false};
static const source huge_blocks = {get_block, drop_block, 65 << 10, 16 << 20, 1, false};
const source every_class = {get_block, drop_block, sizeof(piece), 64 << 10, 1, false};
const source every_size = {get_block, drop_block, sizeof(piece), 4 << 20, 1, false};

static void tiny(void) {
    press(&tiny_blocks, INFINITY);
}

static void classes(void) {
    press(&every_class, INFINITY);
}

static void huge(void) {
    press(&huge_blocks, INFINITY);
}

static void mixed(void) {
    press(&every_size, INFINITY);
}

static void *get_zeroed(size_t size) {
    return calloc(1, size);
}

/* Zeroed blocks of which only the first page is written, and the rest when all is spoken for. */
static void calloc_late(void) {
    static const source from = {get_zeroed, drop_block, 16 << 10, 4 << 20, 1, true};
    press(&from, INFINITY);
}

static void *get_aligned(size_t size) {
    void *block = NULL;
    size_t alignment = (size_t)32 << random_below(17);
    if (random_below(2) == 0)
        return aligned_alloc(alignment, size);
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

/* Aligned as far as a page of page tables reaches, where pages are of 4 KiB, or half as far: so that few blocks share one. */
static void *get_far(size_t size) {
    enum { REACH = 2 << 20 };
    void *block = NULL;
    return posix_memalign(&block, (size_t)REACH >> random_below(2), size) == 0 ? block : NULL;
}

static void aligned_far(void) {
    enum { PAGE = 4096 };
    static const source from = {get_far, drop_block, PAGE, PAGE, 1, false};
    press(&from, INFINITY);
}

static void aligned(void) {
    static const source from = {get_aligned, drop_block, sizeof(piece), 200 << 10, 1, false};
    press(&from, INFINITY);
}

/* Writes what malloc_usable_size says may be written, not only what was asked for. */
static void *get_usable(size_t size) {
    size_t alignment = (size_t)16 << random_below(9);
    unsigned char *block = random_below(3) == 0 ? memalign(alignment, size) : malloc(size);
    size_t usable = block == NULL ? 0 : malloc_usable_size(block);
    for (size_t i = size; i < usable; i++)
        block[i] = (unsigned char)i;
    return block;
}

static void drop_usable(void *block, size_t size) {
    unsigned char *bytes = block;
    size_t usable = malloc_usable_size(block);
    for (size_t i = size; i < usable; i++)
        if (bytes[i] != (unsigned char)i)
            broken("a usable byte changed");
    free(block);
}

static void usable(void) {
    static const source from = {get_usable, drop_usable, sizeof(piece), 300 << 10, 1, false};
    press(&from, INFINITY);
}

/* All of one size, then only scattered ones of them, then another size. */
static void fragments(void) {
    for (size_t round = 0; time_left(); round++) {
        static const size_t sizes[] = {64, 4000, 200, 30000, 1000, 100, 90000, 500};
        size_t size = sizes[round % (sizeof sizes / sizeof *sizes)];
        hoard kept = {.from = &every_class};
        while (time_left() && hoard_take(&kept, size))
            continue;
        hoard_give(&kept, kept.bytes / 10 * 9);
        press(&every_size, now() + 0.15);
        hoard_give_all(&kept);
    }
}

static const adversary cases[] = {
    {"tiny", tiny, 1},
    {"classes", classes, 1},
    {"huge", huge, 1},
    {"mixed", mixed, 1},
    {"calloc-late", calloc_late, 1},
    {"aligned", aligned, 1},
    {"aligned-far", aligned_far, 1},
    {"usable", usable, 1},
    {"fragments", fragments, 1},
};

const adversaries blocks = {cases, sizeof cases / sizeof *cases};
