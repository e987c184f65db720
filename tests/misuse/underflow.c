/* underflow.c: writes before the start of a block. As in overflow.c, the block has neighbours and all are freed in the
 * end. `by` is the number of bytes before the start that are written. */
#define _GNU_SOURCE
#include "misuse.h"

#include <stdlib.h>
#include <string.h>

enum { AROUND = 8 };

static void fill_from_before(size_t size, size_t by) {
    char *blocks[AROUND];
    for (size_t i = 0; i < AROUND; i++)
        blocks[i] = get(size);
    memset(blocks[AROUND / 2] - by, 0x5a, size + by);
    for (size_t i = 0; i < AROUND; i++)
        drop(blocks[i]);
    carry_on(size);
}

static void fill_aligned_from_before(size_t size, size_t by) {
    char *block = hide(aligned_alloc(size < 4096 ? 64 : 4096, size));
    memset(block - by, 0x33, size + by);
    drop(block);
    carry_on(size);
}

/* text[strlen(text) - 1] = 0 cuts off the line's end, of a line that is empty. */
static void chop_an_empty_line(void) {
    char *lines[AROUND];
    for (size_t i = 0; i < AROUND; i++) {
        lines[i] = get(32);
        memset(lines[i], '-', 32);
        lines[i][0] = 0;
    }
    for (size_t i = 0; i < AROUND; i++)
        lines[i][strlen(lines[i]) - 1] = 0;
    for (size_t i = 0; i < AROUND; i++)
        drop(lines[i]);
    carry_on(32);
}

/* The search returns -1 and the result is used as an index. */
static void index_of_nothing(void) {
    enum { COUNT = 20 };
    long *counts[AROUND];
    for (size_t i = 0; i < AROUND; i++)
        counts[i] = calloc(COUNT, sizeof(long));
    for (size_t i = 0; i < AROUND; i++) {
        long found = (long)hide((void *)-1);
        counts[i][found] += 1;
    }
    for (size_t i = 0; i < AROUND; i++)
        drop(counts[i]);
    carry_on(COUNT * sizeof(long));
}

/* A length is kept in front of the text, but malloc's block is taken for the text's. */
static void length_in_front(void) {
    char *texts[AROUND];
    for (size_t i = 0; i < AROUND; i++) {
        texts[i] = get(48);
        ((int *)(void *)texts[i])[-1] = 48;
    }
    for (size_t i = 0; i < AROUND; i++)
        drop(texts[i]);
    carry_on(48);
}

/* memmove to make room at the front goes the wrong way. */
static void shift_the_wrong_way(void) {
    char *text = get(200);
    char *next = get(200);
    memset(text, 't', 200);
    memset(next, 'n', 200);
    memmove(next - 12, next, 200);
    drop(text);
    drop(next);
    carry_on(200);
}

/* The first element is removed by moving the rest down, from the wrong index on. */
static void remove_first_from_the_wrong_index(void) {
    enum { COUNT = 30 };
    long *numbers = get(COUNT * sizeof *numbers);
    for (size_t i = 0; i < COUNT; i++)
        numbers[i] = (long)i + 1000;
    for (long i = 0; i < COUNT; i++)
        numbers[i - 1] = numbers[i];
    drop(numbers);
    carry_on(COUNT * sizeof *numbers);
}

static void push_down_onto_a_full_stack(void) {
    enum { ROOM = 64 };
    long *stack = get(ROOM * sizeof *stack);
    long *top = stack + ROOM;
    for (long i = 0; i <= ROOM; i++)
        *--top = i + 1;
    drop(stack);
    carry_on(ROOM * sizeof *stack);
}

static const misuse_case cases[] = {
    {"byte-of-24", .sized = fill_from_before, .size = 24, .by = 1},
    {"byte-of-64", .sized = fill_from_before, .size = 64, .by = 1},
    {"byte-of-1000", .sized = fill_from_before, .size = 1000, .by = 1},
    {"byte-of-20000", .sized = fill_from_before, .size = 20000, .by = 1},
    {"byte-of-3-mib", .sized = fill_from_before, .size = 3 << 20, .by = 1},
    {"word-of-24", .sized = fill_from_before, .size = 24, .by = 8},
    {"word-of-64", .sized = fill_from_before, .size = 64, .by = 8},
    {"word-of-1000", .sized = fill_from_before, .size = 1000, .by = 8},
    {"word-of-20000", .sized = fill_from_before, .size = 20000, .by = 8},
    {"word-of-3-mib", .sized = fill_from_before, .size = 3 << 20, .by = 8},
    {"page-of-64", .sized = fill_from_before, .size = 64, .by = 4096},
    {"page-of-1000", .sized = fill_from_before, .size = 1000, .by = 4096},
    {"page-of-200-kib", .sized = fill_from_before, .size = 200 << 10, .by = 4096},
    {"page-of-3-mib", .sized = fill_from_before, .size = 3 << 20, .by = 4096},
    {"word-of-aligned-64", .sized = fill_aligned_from_before, .size = 64, .by = 8},
    {"word-of-aligned-page", .sized = fill_aligned_from_before, .size = 8192, .by = 8},
    {"chop-an-empty-line", .plain = chop_an_empty_line},
    {"index-of-nothing", .plain = index_of_nothing},
    {"length-in-front", .plain = length_in_front},
    {"shift-the-wrong-way", .plain = shift_the_wrong_way},
    {"remove-first-from-the-wrong-index", .plain = remove_first_from_the_wrong_index},
    {"push-down-onto-a-full-stack", .plain = push_down_onto_a_full_stack},
};

const misuse_class underflow_class = {"underflow", cases, sizeof cases / sizeof cases[0]};
