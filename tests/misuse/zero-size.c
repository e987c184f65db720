/* zero-size.c: blocks of size 0 that are written to. Their neighbours are of size 0, too, and all are freed in the
 * end. `by` is the number of bytes written. */
#define _GNU_SOURCE
#include "misuse.h"

#include <stdlib.h>
#include <string.h>

enum { AROUND = 8 };

static void filled(size_t size, size_t by) {
    char *blocks[AROUND];
    for (size_t i = 0; i < AROUND; i++)
        blocks[i] = get(size);
    memset(blocks[AROUND / 2], 0x3c, by);
    for (size_t i = 0; i < AROUND; i++)
        drop(blocks[i]);
    carry_on(16);
}

static void from_calloc(void) {
    char *none = hide(calloc(0, 64));
    if (none != NULL)
        memset(none, 0xff, 64);
    drop(none);
    carry_on(64);
}

static void from_realloc(void) {
    char *none = resize(NULL, 0);
    if (none != NULL)
        memset(none, 0xff, 24);
    drop(none);
    carry_on(24);
}

static void from_aligned_alloc(void) {
    char *none = hide(aligned_alloc(64, 0));
    if (none != NULL)
        memset(none, 0xff, 64);
    drop(none);
    carry_on(64);
}

/* A length of a file that turned out empty; the terminator is written all the same. */
static void terminator_of_an_empty_text(void) {
    size_t length = (size_t)hide(NULL);
    char *texts[AROUND];
    for (size_t i = 0; i < AROUND; i++) {
        texts[i] = get(length);
        texts[i][length] = 0;
    }
    for (size_t i = 0; i < AROUND; i++)
        drop(texts[i]);
    carry_on(16);
}

/* count * sizeof wraps round to nothing; the first elements are written. */
static void product_that_wrapped(void) {
    unsigned count = (unsigned)(size_t)hide((void *)0x10000000);
    unsigned bytes = count * 16;
    long *pairs = get(bytes);
    long *others = get(bytes);
    for (size_t i = 0; i < 8; i++)
        pairs[i] = (long)i + 1;
    drop(others);
    drop(pairs);
    carry_on(32);
}

static void byte_before(void) {
    char *blocks[AROUND];
    for (size_t i = 0; i < AROUND; i++)
        blocks[i] = get(0);
    blocks[3][-1] = 'x';
    for (size_t i = 0; i < AROUND; i++)
        drop(blocks[i]);
    carry_on(16);
}

static const misuse_case cases[] = {
    {"byte", .sized = filled, .by = 1},
    {"word", .sized = filled, .by = 8},
    {"16-bytes", .sized = filled, .by = 16},
    {"32-bytes", .sized = filled, .by = 32},
    {"page", .sized = filled, .by = 4096},
    {"calloc", .plain = from_calloc},
    {"realloc", .plain = from_realloc},
    {"aligned-alloc", .plain = from_aligned_alloc},
    {"terminator-of-an-empty-text", .plain = terminator_of_an_empty_text},
    {"product-that-wrapped", .plain = product_that_wrapped},
    {"byte-before", .plain = byte_before},
};

const misuse_class zero_size_class = {"zero-size", cases, sizeof cases / sizeof cases[0]};
