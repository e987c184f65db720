/* overflow.c: writes past the end of a block, by a byte, a word, a page, and in the ways in which real code comes to
 * write them. The block has neighbours and all are freed in the end. `by` is the number of bytes too many. */
#define _GNU_SOURCE
#include "misuse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AROUND = 8 };

/* Blocks of one size with the damaged one amid them, as a program that works with one kind of thing has them. */
static void fill_too_far(size_t size, size_t by) {
    char *blocks[AROUND];
    for (size_t i = 0; i < AROUND; i++)
        blocks[i] = get(size);
    memset(blocks[AROUND / 2], 0x5a, size + by);
    for (size_t i = 0; i < AROUND; i++)
        drop(blocks[i]);
    carry_on(size);
}

static void fill_too_far_alone(size_t size, size_t by) {
    char *block = get(size);
    memset(block, 0xa5, size + by);
    drop(block);
    carry_on(size);
}

static void fill_aligned_too_far(size_t size, size_t by) {
    char *block = hide(aligned_alloc(size < 4096 ? 64 : 4096, size));
    memset(block, 0x33, size + by);
    drop(block);
    carry_on(size);
}

/* malloc(strlen(s)) without room for the NUL. */
static void no_room_for_the_nul(size_t length, size_t by) {
    (void)by;
    char *source = get(length + 1);
    memset(source, 'n', length);
    source[length] = 0;
    char *copies[AROUND];
    for (size_t i = 0; i < AROUND; i++) {
        copies[i] = get(strlen(source));
        strcpy(copies[i], source);
    }
    for (size_t i = 0; i < AROUND; i++)
        drop(copies[i]);
    drop(source);
    carry_on(length);
}

/* for (i = 0; i <= count; i++) over longs. */
static void loop_one_too_long(size_t count, size_t by) {
    (void)by;
    long *numbers = get(count * sizeof *numbers);
    for (size_t i = 0; i <= count; i++)
        numbers[i] = (long)(i * i + 1);
    drop(numbers);
    carry_on(count * sizeof *numbers);
}

static void loop_of_ints_one_too_long(size_t count, size_t by) {
    (void)by;
    int *numbers = get(count * sizeof *numbers);
    int *more = get(count * sizeof *more);
    for (size_t i = 0; i <= count; i++)
        numbers[i] = -(int)i - 1;
    drop(more);
    drop(numbers);
    carry_on(count * sizeof *numbers);
}

static void message_longer_than_expected(void) {
    char *message = get(24);
    sprintf(message, "error %d at line %d of %s", 2147483647, 1000000, "a-file-with-a-long-name.c");
    drop(message);
    carry_on(24);
}

typedef struct settings {
    char name[32];
    long values[12];
} settings;

/* malloc(sizeof pointer) for malloc(sizeof *pointer). */
static void size_of_the_pointer(void) {
    settings *one = get(sizeof one);
    settings *two = get(sizeof two);
    memset(one, 0x11, sizeof *one);
    memset(two, 0x22, sizeof *two);
    drop(one);
    drop(two);
    carry_on(sizeof(settings));
}

/* calloc for ints, used as longs. */
static void elements_twice_as_wide(void) {
    enum { COUNT = 100 };
    long *numbers = calloc(COUNT, sizeof(int));
    for (size_t i = 0; i < COUNT; i++)
        numbers[i] = 1000000007L * (long)i;
    drop(numbers);
    carry_on(COUNT * sizeof(int));
}

static void shrunk_then_filled_as_before(size_t size, size_t by) {
    char *block = get(size + by);
    memset(block, 1, size + by);
    char *smaller = resize(block, size);
    memset(smaller, 2, size + by);
    drop(smaller);
    carry_on(size);
}

static void grown_by_too_little(void) {
    size_t room = 100;
    char *text = get(room);
    memset(text, 'a', room);
    text = resize(text, room + 50);
    memset(text + room, 'b', 80);
    drop(text);
    carry_on(150);
}

/* buffer[got] = 0 after a read that filled the buffer to the last byte. */
static void terminator_after_a_full_read(void) {
    enum { ROOM = 4096 };
    int ends[2];
    if (pipe(ends) != 0)
        return;
    char *buffer = get(ROOM);
    memset(buffer, 'r', ROOM);
    if (write(ends[1], buffer, ROOM) == ROOM) {
        ssize_t got = read(ends[0], buffer, ROOM);
        buffer[got] = 0;
    }
    close(ends[0]);
    close(ends[1]);
    drop(buffer);
    carry_on(ROOM);
}

static void push_without_growing(void) {
    enum { ROOM = 16 };
    void **stack = get(ROOM * sizeof *stack);
    size_t used = 0;
    while (used < ROOM + 1)
        stack[used++] = stack;
    drop(stack);
    carry_on(ROOM * sizeof *stack);
}

/* Rows and columns change places in the index. */
static void index_of_a_matrix(void) {
    enum { ROWS = 10, COLUMNS = 40 };
    double *matrix = get(ROWS * COLUMNS * sizeof *matrix);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t column = 0; column < COLUMNS; column++)
            matrix[column * COLUMNS + row] = 1.5;
    drop(matrix);
    carry_on(ROWS * COLUMNS * sizeof *matrix);
}

/* An index far out of bounds: what lies just behind the block stays whole. */
static void far_index(size_t size, size_t by) {
    char *blocks[AROUND];
    for (size_t i = 0; i < AROUND; i++) {
        blocks[i] = get(size);
        memset(blocks[i], 0, size);
    }
    blocks[1][size + by] = 0x77;
    for (size_t i = 0; i < AROUND; i++)
        drop(blocks[i]);
    carry_on(size);
}

static void wide_characters(void) {
    const char *narrow = "twenty-eight characters long";
    size_t length = strlen(narrow);
    unsigned short *wide = get(length + 1);
    for (size_t i = 0; i <= length; i++)
        wide[i] = (unsigned char)narrow[i];
    drop(wide);
    carry_on(length + 1);
}

static void last_of_many(void) {
    enum { COUNT = 3000, SIZE = 40 };
    char **blocks = get(COUNT * sizeof *blocks);
    for (size_t i = 0; i < COUNT; i++)
        blocks[i] = get(SIZE);
    memset(blocks[COUNT - 1], 0x7e, SIZE + 1);
    for (size_t i = 0; i < COUNT; i++)
        drop(blocks[i]);
    drop(blocks);
    carry_on(SIZE);
}

static void *overflow_in_thread(void *argument) {
    size_t size = (size_t)argument;
    char *block = get(size);
    memset(block, 0x44, size + 8);
    drop(block);
    carry_on(size);
    return NULL;
}

static void a_word_in_a_thread(void) {
    in_thread(overflow_in_thread, (void *)56);
}

static const misuse_case cases[] = {
    {"byte-of-24", .sized = fill_too_far, .size = 24, .by = 1},
    {"byte-of-64", .sized = fill_too_far, .size = 64, .by = 1},
    {"byte-of-1000", .sized = fill_too_far, .size = 1000, .by = 1},
    {"byte-of-20000", .sized = fill_too_far, .size = 20000, .by = 1},
    {"byte-of-200-kib", .sized = fill_too_far, .size = 200 << 10, .by = 1},
    {"byte-of-3-mib", .sized = fill_too_far_alone, .size = 3 << 20, .by = 1},
    {"word-of-24", .sized = fill_too_far, .size = 24, .by = 8},
    {"word-of-64", .sized = fill_too_far, .size = 64, .by = 8},
    {"word-of-1000", .sized = fill_too_far, .size = 1000, .by = 8},
    {"word-of-20000", .sized = fill_too_far_alone, .size = 20000, .by = 8},
    {"word-of-200-kib", .sized = fill_too_far, .size = 200 << 10, .by = 8},
    {"word-of-3-mib", .sized = fill_too_far_alone, .size = 3 << 20, .by = 8},
    {"page-of-24", .sized = fill_too_far, .size = 24, .by = 4096},
    {"page-of-1000", .sized = fill_too_far, .size = 1000, .by = 4096},
    {"page-of-20000", .sized = fill_too_far, .size = 20000, .by = 4096},
    {"page-of-200-kib", .sized = fill_too_far, .size = 200 << 10, .by = 4096},
    {"page-of-3-mib", .sized = fill_too_far_alone, .size = 3 << 20, .by = 4096},
    {"byte-of-aligned-64", .sized = fill_aligned_too_far, .size = 64, .by = 1},
    {"word-of-aligned-page", .sized = fill_aligned_too_far, .size = 4096, .by = 8},
    {"no-room-for-the-nul-of-10", .sized = no_room_for_the_nul, .size = 10},
    {"no-room-for-the-nul-of-16", .sized = no_room_for_the_nul, .size = 16},
    {"no-room-for-the-nul-of-24", .sized = no_room_for_the_nul, .size = 24},
    {"no-room-for-the-nul-of-100", .sized = no_room_for_the_nul, .size = 100},
    {"no-room-for-the-nul-of-4096", .sized = no_room_for_the_nul, .size = 4096},
    {"loop-one-too-long-of-9", .sized = loop_one_too_long, .size = 9},
    {"loop-one-too-long-of-512", .sized = loop_one_too_long, .size = 512},
    {"loop-of-ints-one-too-long-of-10", .sized = loop_of_ints_one_too_long, .size = 10},
    {"loop-of-ints-one-too-long-of-250", .sized = loop_of_ints_one_too_long, .size = 250},
    {"message-longer-than-expected", .plain = message_longer_than_expected},
    {"size-of-the-pointer", .plain = size_of_the_pointer},
    {"elements-twice-as-wide", .plain = elements_twice_as_wide},
    {"shrunk-then-filled-as-before", .sized = shrunk_then_filled_as_before, .size = 1000, .by = 1000},
    {"large-shrunk-then-filled-as-before", .sized = shrunk_then_filled_as_before, .size = 300000, .by = 300000},
    {"grown-by-too-little", .plain = grown_by_too_little},
    {"terminator-after-a-full-read", .plain = terminator_after_a_full_read},
    {"push-without-growing", .plain = push_without_growing},
    {"index-of-a-matrix", .plain = index_of_a_matrix},
    {"far-index", .sized = far_index, .size = 96, .by = 70},
    {"wide-characters", .plain = wide_characters},
    {"last-of-many", .plain = last_of_many},
    {"a-word-in-a-thread", .plain = a_word_in_a_thread},
};

const misuse_class overflow_class = {"overflow", cases, sizeof cases / sizeof cases[0]};
