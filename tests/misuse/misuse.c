/* misuse.c: `misuse CLASS/CASE` makes one mistake with memory, as a real program would, goes on, says "survived" and
 * exits with 0 when nothing stopped it. `misuse --list` names the cases.
 *
 * No case leans on how any manager works inside; the same binary is run on all of them by tests/misuse/run. */
#define _GNU_SOURCE
#include "misuse.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const misuse_class *const classes[] = {
    &double_free_class, &invalid_free_class,     &overflow_class,
    &underflow_class,   &write_after_free_class, &zero_size_class,
};
enum { CLASS_COUNT = sizeof classes / sizeof classes[0] };

/* Exit codes that are neither "survived" nor a stop: the runner shows them as broken. */
enum { EXIT_USAGE = 2, EXIT_NO_MEMORY = 3 };

void *get(size_t size) {
    void *block = malloc(size);
    if (block == NULL)
        _exit(EXIT_NO_MEMORY);
    return block;
}

void *resize(void *block, size_t size) {
    return realloc(block, size);
}

void drop(void *block) {
    free(block);
}

void carry_on(size_t size) {
    enum { ROUNDS = 3000, KEPT = 64 };
    void *same[KEPT] = {0};
    void *other[KEPT] = {0};
    /* Big blocks are slow to fill and few in real programs. */
    unsigned rounds = size > 100000 ? 40 : ROUNDS;
    for (unsigned round = 0; round < rounds; round++) {
        unsigned slot = round * 7 % KEPT;
        size_t other_size = 16 + (size_t)round * 37 % 2000;
        free(same[slot]);
        free(other[slot]);
        same[slot] = get(size);
        other[slot] = get(other_size);
        memset(same[slot], (int)round, size);
        memset(other[slot], (int)round, other_size);
    }
    for (unsigned slot = 0; slot < KEPT; slot++) {
        free(same[slot]);
        free(other[slot]);
    }
}

void in_thread(void *(*function)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, argument) != 0)
        _exit(EXIT_NO_MEMORY);
    pthread_join(thread, NULL);
}

static void list_cases(void) {
    for (size_t i = 0; i < CLASS_COUNT; i++)
        for (size_t j = 0; j < classes[i]->count; j++)
            printf("%s/%s\n", classes[i]->name, classes[i]->cases[j].name);
}

static const misuse_case *find_case(const char *name) {
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        size_t length = strlen(classes[i]->name);
        if (strncmp(name, classes[i]->name, length) != 0 || name[length] != '/')
            continue;
        for (size_t j = 0; j < classes[i]->count; j++)
            if (strcmp(name + length + 1, classes[i]->cases[j].name) == 0)
                return &classes[i]->cases[j];
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list_cases();
        return 0;
    }
    const misuse_case *chosen = argc == 2 ? find_case(argv[1]) : NULL;
    if (chosen == NULL) {
        fprintf(stderr, "usage: misuse --list | misuse CLASS/CASE\n");
        return EXIT_USAGE;
    }
    if (chosen->plain != NULL)
        chosen->plain();
    else
        chosen->sized(chosen->size, chosen->by);
    puts("survived");
    return 0;
}
