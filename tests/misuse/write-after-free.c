/* write-after-free.c: writes to blocks that were freed: at once, after more frees, through stale pointers of
 * structures, by other threads. The program goes on and uses more blocks of the size. `by` is the number of other
 * blocks of the size that are freed before the write. */
#define _GNU_SOURCE
#include "misuse.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    memset(block, 1, size);
    drop(block);
    memset(block, 0x6b, size);
    carry_on(size);
}

static void first_word(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    memset(block, 1, size);
    drop(block);
    *(long *)(void *)block = 0x123456789abcdef;
    carry_on(size);
}

static void middle_word(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    memset(block, 1, size);
    drop(block);
    *(long *)(void *)(block + size / 16 * 8) = 42;
    carry_on(size);
}

static void last_byte(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    memset(block, 1, size);
    drop(block);
    block[size - 1] = 1;
    carry_on(size);
}

static void after_more_frees(size_t size, size_t by) {
    char **others = get(by * sizeof *others);
    char *block = get(size);
    for (size_t i = 0; i < by; i++)
        others[i] = get(size);
    drop(block);
    for (size_t i = 0; i < by; i++)
        drop(others[i]);
    memset(block, 0x29, size);
    drop(others);
    carry_on(size);
}

/* The block is freed, the program works on with other sizes, and much later a stale pointer is written through. */
static void much_later(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    drop(block);
    for (size_t i = 0; i < 20; i++)
        carry_on(size * 3 + i * 100);
    memset(block, 0x31, size);
    carry_on(size);
}

/* Secrets wiped in the wrong order: first free, then memset to zero. */
static void wiped_after_free(size_t size, size_t by) {
    (void)by;
    char *secret = get(size);
    memset(secret, 's', size);
    drop(secret);
    memset(secret, 0, size);
    carry_on(size);
}

typedef struct item {
    struct item *next, *previous;
    int references;
    char text[36];
} item;

static item *new_item(void) {
    item *made = get(sizeof *made);
    memset(made, 0, sizeof *made);
    made->references = 1;
    return made;
}

/* The item is freed first and unlinked after, through its neighbour that was freed before it. */
static void unlinked_after_free(void) {
    item *first = new_item();
    item *second = new_item();
    item *third = new_item();
    first->next = second;
    second->previous = first;
    second->next = third;
    third->previous = second;
    drop(second);
    item *stale = third->previous;
    stale->next = NULL;
    stale->previous = first;
    drop(first);
    drop(third);
    carry_on(sizeof(item));
}

static void reference_count_after_free(void) {
    item *shared = new_item();
    item *holder = shared;
    drop(shared);
    holder->references--;
    carry_on(sizeof(item));
}

static void flag_after_free(void) {
    enum { CLOSED = 4 };
    item *connection = new_item();
    drop(connection);
    connection->references |= CLOSED;
    connection->text[0] = 'c';
    carry_on(sizeof(item));
}

/* A pointer into an array that realloc has moved away. */
static void stale_pointer_into_grown_array(size_t size, size_t by) {
    (void)by;
    char *array = get(size);
    char *element = array + size / 2;
    char *barrier = get(size);
    char *grown = resize(array, size * 20);
    memset(element, 0x55, 24);
    carry_on(size);
    drop(grown);
    drop(barrier);
    carry_on(size);
}

static void *write_argument(void *block) {
    memset(block, 0x61, 112);
    return NULL;
}

static void in_another_thread(void) {
    char *block = get(112);
    drop(block);
    in_thread(write_argument, block);
    carry_on(112);
}

static void *free_argument(void *block) {
    drop(block);
    return NULL;
}

static void freed_by_another_thread(void) {
    char *block = get(112);
    in_thread(free_argument, block);
    memset(block, 0x62, 112);
    carry_on(112);
}

static void append_to_freed_string(void) {
    char *path = get(64);
    strcpy(path, "/usr/share");
    drop(path);
    strcpy(path + 10, "/doc/package");
    carry_on(64);
}

/* The buffer of a stream is freed while the stream still writes to it. */
static void buffer_of_an_open_stream(void) {
    char *buffer = get(2048);
    FILE *stream = fopen("/dev/null", "w");
    setvbuf(stream, buffer, _IOFBF, 2048);
    fprintf(stream, "before\n");
    drop(buffer);
    for (int i = 0; i < 50; i++)
        fprintf(stream, "after %d\n", i);
    carry_on(2048);
    fclose(stream);
}

static void all_of_many(void) {
    enum { COUNT = 500 };
    long *blocks[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        blocks[i] = get(88);
    for (size_t i = 0; i < COUNT; i++)
        drop(blocks[i]);
    for (size_t i = 0; i < COUNT; i++)
        blocks[i][5] = (long)i + 1;
    carry_on(88);
}

static void calloc_is_not_zero_after(void) {
    char *block = get(40);
    drop(block);
    memset(block, 0xff, 40);
    long sum = 0;
    for (int i = 0; i < 100; i++) {
        long *zeroed = calloc(5, sizeof(long));
        sum += zeroed[0];
        drop(zeroed);
    }
    hide(&sum);
    carry_on(40);
}

static const misuse_case cases[] = {
    {"fill-24", .sized = fill, .size = 24},
    {"fill-200", .sized = fill, .size = 200},
    {"fill-1000", .sized = fill, .size = 1000},
    {"fill-8-kib", .sized = fill, .size = 8192},
    {"fill-60-kib", .sized = fill, .size = 60000},
    {"fill-256-kib", .sized = fill, .size = 256 << 10},
    {"fill-4-mib", .sized = fill, .size = 4 << 20},
    {"first-word-of-48", .sized = first_word, .size = 48},
    {"first-word-of-3000", .sized = first_word, .size = 3000},
    {"first-word-of-1-mib", .sized = first_word, .size = 1 << 20},
    {"middle-word-of-96", .sized = middle_word, .size = 96},
    {"middle-word-of-2000", .sized = middle_word, .size = 2000},
    {"last-byte-of-80", .sized = last_byte, .size = 80},
    {"last-byte-of-500", .sized = last_byte, .size = 500},
    {"last-byte-of-500-kib", .sized = last_byte, .size = 500 << 10},
    {"after-10-frees", .sized = after_more_frees, .size = 72, .by = 10},
    {"after-1000-frees", .sized = after_more_frees, .size = 72, .by = 1000},
    {"after-100-frees-of-4000", .sized = after_more_frees, .size = 4000, .by = 100},
    {"much-later", .sized = much_later, .size = 56},
    {"wiped-64-after-free", .sized = wiped_after_free, .size = 64},
    {"wiped-700-after-free", .sized = wiped_after_free, .size = 700},
    {"unlinked-after-free", .plain = unlinked_after_free},
    {"reference-count", .plain = reference_count_after_free},
    {"flag", .plain = flag_after_free},
    {"stale-pointer-into-grown-array", .sized = stale_pointer_into_grown_array, .size = 160},
    {"stale-pointer-into-grown-large-array", .sized = stale_pointer_into_grown_array, .size = 50000},
    {"in-another-thread", .plain = in_another_thread},
    {"freed-by-another-thread", .plain = freed_by_another_thread},
    {"append-to-freed-string", .plain = append_to_freed_string},
    {"buffer-of-an-open-stream", .plain = buffer_of_an_open_stream},
    {"all-of-many", .plain = all_of_many},
    {"before-calloc", .plain = calloc_is_not_zero_after},
};

const misuse_class write_after_free_class = {"write-after-free", cases, sizeof cases / sizeof cases[0]};
