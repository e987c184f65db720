/* growth.c: adversaries whose blocks grow: by realloc, and inside libc, by streams and strings. Start at the table at
 * the end. */
#include "adversary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64 };

typedef struct grown {
    unsigned char *bytes;
    size_t size;
} grown;

static void let_go(grown *block) {
    free(block->bytes);
    want_less(block->size);
    *block = (grown){0};
}

static void check_grown(const grown *block, unsigned char mark) {
    if (block->size != 0 && (block->bytes[0] != mark || block->bytes[block->size - 1] != mark ||
                             block->bytes[random_below(block->size)] != mark))
        broken("realloc lost what was in the block");
}

/* Half as large again, the new bytes written; false if there is no more. */
static bool grow(grown *block, unsigned char mark) {
    size_t more = block->size / 2 + 100;
    if (!want(more))
        return false;
    unsigned char *bytes = realloc(block->bytes, block->size + more);
    if (bytes == NULL) {
        want_less(more);
        note_denied();
        return false;
    }
    memset(bytes + block->size, mark, more);
    *block = (grown){bytes, block->size + more};
    return true;
}

static void shrink(grown *block) {
    size_t less = block->size / 2;
    unsigned char *bytes = realloc(block->bytes, block->size - less);
    if (bytes == NULL)
        return;
    *block = (grown){bytes, block->size - less};
    want_less(less);
}

/* Every other one of them is given back or halved. */
static void make_room(grown *held) {
    for (size_t i = random_below(2); i < BLOCKS; i += 2) {
        if (random_below(2) == 0)
            let_go(&held[i]);
        else if (held[i].size > 1)
            shrink(&held[i]);
    }
}

static void by_realloc(void) {
    grown held[BLOCKS] = {0};
    while (time_left()) {
        size_t i = random_below(BLOCKS);
        check_grown(&held[i], (unsigned char)i);
        if (!grow(&held[i], (unsigned char)i))
            make_room(held);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        let_go(&held[i]);
}

/* Writes to a stream in memory until it takes no more; gives its text, or NULL where there is none. */
static char *write_stream(size_t *length) {
    static char line[8000];
    char *text = NULL;
    FILE *stream = open_memstream(&text, length);
    if (stream == NULL)
        return NULL;
    memset(line, 'x', sizeof line);
    size_t most = (size_t)96 << 20;
    while (time_left() && most > sizeof line && fwrite(line, 1, sizeof line, stream) == sizeof line)
        most -= sizeof line;
    if (ferror(stream))
        note_denied();
    if (fclose(stream) != 0)
        note_denied();
    return text;
}

static void copy_text(const char *text, size_t length) {
    enum { COPIES = 40 };
    char *copies[COPIES] = {0};
    for (size_t i = 0; i < COPIES && time_left(); i++) {
        copies[i] = strdup(text);
        if (copies[i] == NULL) {
            note_denied();
            break;
        }
        if (copies[i][length] != 0 || copies[i][length / 2] != text[length / 2])
            broken("a copy of a string is not the string");
    }
    for (size_t i = 0; i < COPIES; i++)
        free(copies[i]);
}

/* A stream of another kind: getline grows its line to all that a file holds. */
static void read_line(char *text, size_t length) {
    FILE *stream = length == 0 ? NULL : fmemopen(text, length, "r");
    char *line = NULL;
    size_t room = 0;
    if (stream == NULL) {
        note_denied();
        return;
    }
    if (getline(&line, &room, stream) != (ssize_t)length)
        note_denied();
    free(line);
    fclose(stream);
}

static void join_text(const char *text) {
    char *joined = NULL;
    if (asprintf(&joined, "%s, %s, %s", text, text, text) < 0)
        note_denied();
    else
        free(joined);
}

static void by_text(void) {
    while (time_left()) {
        size_t length = 0;
        char *text = write_stream(&length);
        if (text == NULL) {
            note_denied();
            pause_briefly();
            continue;
        }
        length = strlen(text);
        copy_text(text, length);
        join_text(text);
        read_line(text, length);
        free(text);
    }
}

static const adversary cases[] = {
    {"realloc", by_realloc, 1},
    {"text", by_text, 1},
};

const adversaries growth = {cases, sizeof cases / sizeof *cases};
