/* double-free.c: blocks freed twice: at once, later, by another owner, by another thread, in a clean-up that runs
 * again. Start at the table at the end. `by` is the number of other blocks freed in between. */
#define _GNU_SOURCE
#include "misuse.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void at_once(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    memset(block, 1, size);
    drop(block);
    drop(block);
    carry_on(size);
}

static void after_frees_of_same_size(size_t size, size_t by) {
    char *block = get(size);
    void **others = get(by * sizeof *others);
    for (size_t i = 0; i < by; i++)
        others[i] = get(size);
    drop(block);
    for (size_t i = 0; i < by; i++)
        drop(others[i]);
    drop(block);
    drop(others);
    carry_on(size);
}

static void after_frees_of_other_sizes(size_t size, size_t by) {
    char *block = get(size);
    void **others = get(by * sizeof *others);
    for (size_t i = 0; i < by; i++)
        others[i] = get(size * 2 + i * 48);
    drop(block);
    for (size_t i = 0; i < by; i++)
        drop(others[i]);
    drop(block);
    drop(others);
    carry_on(size);
}

/* The block has a new owner when it is freed again; the owner's own free comes later. */
static void after_reuse(size_t size, size_t by) {
    char *block = get(size);
    void **owners = get(by * sizeof *owners);
    drop(block);
    for (size_t i = 0; i < by; i++)
        owners[i] = get(size);
    drop(block);
    for (size_t i = 0; i < by; i++)
        drop(owners[i]);
    drop(owners);
    carry_on(size);
}

static void calloc_block(void) {
    int *table = calloc(20, sizeof *table);
    drop(table);
    drop(table);
    carry_on(80);
}

static void aligned_twice(size_t size, size_t alignment) {
    char *block = hide(aligned_alloc(alignment, size));
    memset(block, 1, size);
    drop(block);
    drop(block);
    carry_on(size);
}

static void memalign_twice(size_t size, size_t alignment) {
    void *block = NULL;
    if (posix_memalign(&block, alignment, size) != 0)
        return;
    drop(block);
    carry_on(64);
    drop(block);
    carry_on(64);
}

static void string_copy(void) {
    char *name = strdup("a name that two fields share");
    drop(name);
    drop(name);
    carry_on(32);
}

static void line_of_getline(void) {
    char text[] = "first line\nsecond line\n";
    FILE *stream = fmemopen(text, sizeof text - 1, "r");
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stream) > 0)
        continue;
    fclose(stream);
    drop(line);
    drop(line);
    carry_on(120);
}

/* The error path frees what the common clean-up frees again. */
static int parse(char *work, int broken) {
    if (broken) {
        drop(work);
        return -1;
    }
    work[0] = 0;
    return 0;
}

static void error_path(void) {
    char *work = get(500);
    int result = parse(work, 1);
    carry_on(300);
    if (result < 0)
        drop(work);
    carry_on(500);
}

typedef struct person {
    char *name;
    char *address;
} person;

static void person_finish(person *who) {
    drop(who->address);
    drop(who->name);
}

static void shallow_copy(void) {
    person first = {strdup("Ada"), strdup("12 St James's Square, London")};
    person second = first;
    person_finish(&first);
    person_finish(&second);
    carry_on(32);
}

static void same_entry_twice(void) {
    enum { ENTRIES = 50 };
    void *entries[ENTRIES];
    for (size_t i = 0; i < ENTRIES; i++)
        entries[i] = get(72);
    entries[40] = entries[3];
    for (size_t i = 0; i < ENTRIES; i++)
        drop(entries[i]);
    carry_on(72);
}

static void clean_up_runs_twice(size_t size, size_t by) {
    void **blocks = get(by * sizeof *blocks);
    for (size_t i = 0; i < by; i++)
        blocks[i] = get(size);
    for (int run = 0; run < 2; run++)
        for (size_t i = 0; i < by; i++)
            drop(blocks[i]);
    drop(blocks);
    carry_on(size);
}

static void clean_up_runs_back(size_t size, size_t by) {
    void **blocks = get(by * sizeof *blocks);
    for (size_t i = 0; i < by; i++)
        blocks[i] = get(size);
    for (size_t i = 0; i < by; i++)
        drop(blocks[i]);
    for (size_t i = by; i > 0; i--)
        drop(blocks[i - 1]);
    drop(blocks);
    carry_on(size);
}

/* The old pointer is freed although realloc has done so, or, where the block did not move, freed under both names. */
static void old_and_new_of_realloc(size_t size, size_t by) {
    char *old = get(size);
    char *grown = resize(old, by);
    drop(old);
    drop(grown);
    carry_on(size);
}

static void realloc_of_freed(size_t size, size_t by) {
    char *block = get(size);
    drop(block);
    char *grown = resize(block, by);
    carry_on(size);
    drop(grown);
    carry_on(size);
}

/* realloc is refused, the function frees the block and reports failure; its caller frees the block, too. */
static void after_refused_realloc(void) {
    char *block = get(4000);
    char *grown = resize(block, PTRDIFF_MAX - 4096);
    if (grown == NULL)
        drop(block);
    carry_on(100);
    drop(block);
    carry_on(4000);
}

static void *free_argument(void *block) {
    drop(block);
    return NULL;
}

static void here_then_in_thread(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    drop(block);
    in_thread(free_argument, block);
    carry_on(size);
}

static void in_thread_then_here(size_t size, size_t by) {
    (void)by;
    char *block = get(size);
    in_thread(free_argument, block);
    drop(block);
    carry_on(size);
}

static void in_two_threads(void) {
    for (int i = 0; i < 4; i++) {
        void *block = get(48);
        pthread_t first, second;
        pthread_create(&first, NULL, free_argument, block);
        pthread_create(&second, NULL, free_argument, block);
        pthread_join(first, NULL);
        pthread_join(second, NULL);
    }
    carry_on(48);
}

static void *make_and_free(void *unused) {
    (void)unused;
    char *block = get(96);
    drop(block);
    return block;
}

static void block_of_an_ended_thread(void) {
    pthread_t thread;
    void *block = NULL;
    pthread_create(&thread, NULL, make_and_free, NULL);
    pthread_join(thread, &block);
    drop(block);
    carry_on(96);
}

static pthread_key_t buffer_key;

static void *free_own_buffer(void *unused) {
    (void)unused;
    char *buffer = get(512);
    pthread_setspecific(buffer_key, buffer);
    buffer[0] = 1;
    drop(buffer);
    return NULL;
}

static void in_thread_exit_destructor(void) {
    pthread_key_create(&buffer_key, free);
    in_thread(free_own_buffer, NULL);
    carry_on(512);
}

static void *at_exit_block;

static void free_at_exit(void) {
    drop(at_exit_block);
}

static void at_exit(size_t size, size_t by) {
    (void)by;
    atexit(free_at_exit);
    at_exit_block = get(size);
    carry_on(size);
    drop(at_exit_block);
}

static void *destructor_block;

__attribute__((destructor)) static void free_in_destructor(void) {
    drop(destructor_block);
}

static void in_destructor(void) {
    destructor_block = get(200);
    drop(destructor_block);
}

/* Freed before the fork and once more by the child; the parent ends as its child did. */
static void in_forked_child(void) {
    char *block = get(160);
    drop(block);
    carry_on(64);
    pid_t child = fork();
    if (child == 0) {
        drop(block);
        carry_on(160);
        exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
}

typedef struct node {
    struct node *left, *right;
    long key;
} node;

static node *new_node(long key, node *left, node *right) {
    node *made = get(sizeof *made);
    *made = (node){left, right, key};
    return made;
}

/* A subtree hangs below two parents; the owner of each frees it. */
static void shared_subtree(void) {
    node *shared = new_node(1, NULL, NULL);
    node *first = new_node(2, shared, NULL);
    node *second = new_node(3, shared, NULL);
    drop(first->left);
    drop(first);
    drop(second->left);
    drop(second);
    carry_on(sizeof(node));
}

static void memory_stream_buffer(void) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    for (int i = 0; i < 500; i++)
        fprintf(stream, "line %d\n", i);
    fclose(stream);
    drop(text);
    drop(text);
    carry_on(length);
}

static const misuse_case cases[] = {
    {"at-once-1-byte", .sized = at_once, .size = 1},
    {"at-once-32", .sized = at_once, .size = 32},
    {"at-once-1000", .sized = at_once, .size = 1000},
    {"at-once-8-kib", .sized = at_once, .size = 8192},
    {"at-once-60-kib", .sized = at_once, .size = 60000},
    {"at-once-256-kib", .sized = at_once, .size = 256 << 10},
    {"at-once-8-mib", .sized = at_once, .size = 8 << 20},
    {"after-1-free", .sized = after_frees_of_same_size, .size = 40, .by = 1},
    {"after-10-frees", .sized = after_frees_of_same_size, .size = 40, .by = 10},
    {"after-1000-frees", .sized = after_frees_of_same_size, .size = 40, .by = 1000},
    {"after-50-frees-of-5000", .sized = after_frees_of_same_size, .size = 5000, .by = 50},
    {"after-5-frees-of-1-mib", .sized = after_frees_of_same_size, .size = 1 << 20, .by = 5},
    {"after-100-frees-of-other-sizes", .sized = after_frees_of_other_sizes, .size = 56, .by = 100},
    {"after-reuse-by-1", .sized = after_reuse, .size = 64, .by = 1},
    {"after-reuse-by-500", .sized = after_reuse, .size = 64, .by = 500},
    {"after-reuse-of-400-kib", .sized = after_reuse, .size = 400 << 10, .by = 3},
    {"calloc", .plain = calloc_block},
    {"aligned-64", .sized = aligned_twice, .size = 128, .by = 64},
    {"aligned-page", .sized = aligned_twice, .size = 4096, .by = 4096},
    {"aligned-1-mib-later", .sized = memalign_twice, .size = 3000, .by = 1 << 20},
    {"strdup", .plain = string_copy},
    {"getline", .plain = line_of_getline},
    {"open-memstream", .plain = memory_stream_buffer},
    {"error-path", .plain = error_path},
    {"shallow-copy", .plain = shallow_copy},
    {"same-entry-twice", .plain = same_entry_twice},
    {"shared-subtree", .plain = shared_subtree},
    {"clean-up-runs-twice", .sized = clean_up_runs_twice, .size = 104, .by = 100},
    {"clean-up-runs-back", .sized = clean_up_runs_back, .size = 24, .by = 100},
    {"old-and-new-of-realloc", .sized = old_and_new_of_realloc, .size = 100, .by = 1 << 20},
    {"old-and-new-of-large-realloc", .sized = old_and_new_of_realloc, .size = 1 << 20, .by = 9 << 20},
    {"realloc-of-freed", .sized = realloc_of_freed, .size = 64, .by = 640},
    {"realloc-of-freed-large", .sized = realloc_of_freed, .size = 300000, .by = 600000},
    {"after-refused-realloc", .plain = after_refused_realloc},
    {"here-then-in-thread", .sized = here_then_in_thread, .size = 80},
    {"in-thread-then-here", .sized = in_thread_then_here, .size = 80},
    {"large-in-thread-then-here", .sized = in_thread_then_here, .size = 500000},
    {"in-two-threads", .plain = in_two_threads},
    {"block-of-an-ended-thread", .plain = block_of_an_ended_thread},
    {"in-thread-exit-destructor", .plain = in_thread_exit_destructor},
    {"at-exit", .sized = at_exit, .size = 136},
    {"large-at-exit", .sized = at_exit, .size = 200000},
    {"in-destructor", .plain = in_destructor},
    {"in-forked-child", .plain = in_forked_child},
};

const misuse_class double_free_class = {"double-free", cases, sizeof cases / sizeof cases[0]};
