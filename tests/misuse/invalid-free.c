/* invalid-free.c: frees of what is not the start of a live block: inside a block, past its end, on the stack, in the
 * program, in mappings, nowhere at all. Start at the table at the end. `by` is the distance from the block's start. */
#define _GNU_SOURCE
#include "misuse.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void interior(size_t size, size_t by) {
    char *block = get(size);
    memset(block, 1, size);
    drop(block + by);
    carry_on(size);
    drop(block);
    carry_on(size);
}

static void before_the_start(size_t size, size_t by) {
    char *block = get(size);
    memset(block, 1, size);
    drop(block - by);
    carry_on(size);
}

/* The pointer that walked over the string is freed instead of the one that kept its start. */
static void end_of_string(void) {
    char *cursor = strdup("key=value; other=thing");
    while (*cursor != 0)
        cursor++;
    drop(cursor);
    carry_on(32);
}

static void string_without_leading_spaces(void) {
    char *text = strdup("    indented");
    while (*text == ' ')
        text++;
    drop(text);
    carry_on(16);
}

typedef struct record {
    long id;
    long flags;
    char name[48];
} record;

static void element_of_an_array(void) {
    record *records = get(20 * sizeof *records);
    memset(records, 0, 20 * sizeof *records);
    drop(&records[7]);
    carry_on(sizeof *records);
    drop(records);
    carry_on(sizeof *records);
}

static void member_of_a_struct(void) {
    record *one = get(sizeof *one);
    memset(one, 0, sizeof *one);
    drop(one->name);
    carry_on(sizeof *one);
}

static void one_past_the_end(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    memset(block, 1, size);
    drop(block + size);
    carry_on(size);
}

/* Aligned by hand; the aligned address is freed, not the one malloc gave. */
static void aligned_by_hand(void) {
    char *raw = get(1000 + 256);
    char *aligned = (char *)(((uintptr_t)raw + 256) & ~(uintptr_t)255);
    memset(aligned, 0, 1000);
    drop(aligned);
    carry_on(1000);
}

static void stack_variable(void) {
    long variable = 5;
    drop(&variable);
    carry_on(32);
}

static void stack_array(void) {
    char buffer[1024];
    memset(buffer, 0, sizeof buffer);
    drop(buffer);
    carry_on(1024);
}

static void stack_of_a_thread_middle(void) {
    _Alignas(64) char buffer[4096];
    memset(buffer, 0, sizeof buffer);
    drop(buffer + 1024);
    carry_on(64);
}

static void *free_own_stack(void *unused) {
    stack_of_a_thread_middle();
    return unused;
}

static void stack_of_a_thread(void) {
    in_thread(free_own_stack, NULL);
}

static long global_number = 7;
static char global_buffer[8192];
static _Thread_local char thread_buffer[256];

static void global_variable(void) {
    drop(&global_number);
    carry_on(16);
}

static void global_array(void) {
    drop(global_buffer + 4096);
    carry_on(64);
}

static void thread_variable(void) {
    drop(thread_buffer);
    carry_on(64);
}

static void string_literal(void) {
    drop("a default that was never copied");
    carry_on(32);
}

static void code(void) {
    drop((void *)(size_t)&string_literal);
    carry_on(16);
}

static void code_of_libc(void) {
    drop((void *)(size_t)&printf);
    carry_on(16);
}

static void environment_string(void) {
    setenv("MISUSE_VARIABLE", "set in this program", 1);
    drop(getenv("PATH"));
    carry_on(32);
}

static void mapped_memory(void) {
    char *map = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map, 0, 1 << 16);
    drop(map);
    carry_on(1 << 16);
}

static void middle_of_mapped_memory(void) {
    char *map = mmap(NULL, 1 << 22, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map, 1, 1 << 22);
    drop(map + (1 << 21) + 16);
    carry_on(4096);
}

static void mapped_file(void) {
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    drop(map + 16);
    carry_on(4096);
}

static void reserved_memory(void) {
    char *map = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    drop(map + 4096);
    carry_on(4096);
}

static void unmapped_memory(void) {
    char *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(map, 1 << 20);
    drop(map + 64);
    carry_on(64);
}

static void failed_mapping(void) {
    void *map = mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    drop(map);
    carry_on(64);
}

static void wild(size_t address, size_t by) {
    (void)by;
    drop((void *)address);
    carry_on(64);
}

/* A pointer of which one bit flipped, or that was overwritten in part by a neighbouring field. */
static void with_a_bit_flipped(size_t size, size_t by) {
    char *block = get(size);
    drop((void *)((uintptr_t)block ^ by));
    carry_on(size);
}

static void realloc_of_stack(void) {
    char buffer[256];
    memset(buffer, 0, sizeof buffer);
    char *grown = resize(buffer, 512);
    carry_on(256);
    drop(grown);
}

static void realloc_of_global(void) {
    char *grown = resize(global_buffer, 2 * sizeof global_buffer);
    carry_on(256);
    drop(grown);
}

static void realloc_of_interior(size_t size, size_t by) {
    char *block = get(size);
    memset(block, 1, size);
    char *grown = resize(block + by, 2 * size);
    carry_on(size);
    drop(grown);
}

static const misuse_case cases[] = {
    {"interior-by-1", .sized = interior, .size = 64, .by = 1},
    {"interior-by-8", .sized = interior, .size = 64, .by = 8},
    {"interior-by-16", .sized = interior, .size = 64, .by = 16},
    {"interior-by-16-of-2000", .sized = interior, .size = 2000, .by = 16},
    {"interior-by-512-of-2000", .sized = interior, .size = 2000, .by = 512},
    {"interior-by-a-page", .sized = interior, .size = 40000, .by = 4096},
    {"interior-by-16-of-1-mib", .sized = interior, .size = 1 << 20, .by = 16},
    {"interior-by-a-page-of-1-mib", .sized = interior, .size = 1 << 20, .by = 4096},
    {"before-the-start-by-8", .sized = before_the_start, .size = 64, .by = 8},
    {"before-the-start-by-16", .sized = before_the_start, .size = 1000, .by = 16},
    {"before-the-start-of-1-mib", .sized = before_the_start, .size = 1 << 20, .by = 16},
    {"end-of-string", .plain = end_of_string},
    {"string-without-leading-spaces", .plain = string_without_leading_spaces},
    {"element-of-an-array", .plain = element_of_an_array},
    {"member-of-a-struct", .plain = member_of_a_struct},
    {"one-past-the-end", .sized = one_past_the_end, .size = 48},
    {"one-past-the-end-of-4096", .sized = one_past_the_end, .size = 4096},
    {"one-past-the-end-of-1-mib", .sized = one_past_the_end, .size = 1 << 20},
    {"aligned-by-hand", .plain = aligned_by_hand},
    {"stack-variable", .plain = stack_variable},
    {"stack-array", .plain = stack_array},
    {"stack-of-a-thread", .plain = stack_of_a_thread},
    {"global-variable", .plain = global_variable},
    {"global-array", .plain = global_array},
    {"thread-variable", .plain = thread_variable},
    {"string-literal", .plain = string_literal},
    {"code", .plain = code},
    {"code-of-libc", .plain = code_of_libc},
    {"environment-string", .plain = environment_string},
    {"mapped-memory", .plain = mapped_memory},
    {"middle-of-mapped-memory", .plain = middle_of_mapped_memory},
    {"mapped-file", .plain = mapped_file},
    {"reserved-memory", .plain = reserved_memory},
    {"unmapped-memory", .plain = unmapped_memory},
    {"failed-mapping", .plain = failed_mapping},
    {"low-address", .sized = wild, .size = 0x10},
    {"address-of-letters", .sized = wild, .size = 0x4141414141414141},
    {"address-of-the-kernel", .sized = wild, .size = 0xffff888000001000},
    {"address-in-the-gap", .sized = wild, .size = 0x00007abcdef01230},
    {"bit-4-flipped", .sized = with_a_bit_flipped, .size = 100, .by = 1 << 4},
    {"bit-30-flipped", .sized = with_a_bit_flipped, .size = 100, .by = 1 << 30},
    {"realloc-of-stack", .plain = realloc_of_stack},
    {"realloc-of-global", .plain = realloc_of_global},
    {"realloc-of-interior", .sized = realloc_of_interior, .size = 300, .by = 32},
};

const misuse_class invalid_free_class = {"invalid-free", cases, sizeof cases / sizeof cases[0]};
