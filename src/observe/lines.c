/* lines.c: reads /proc. Start with lines_open. */
#include "lines.h"

#include <string.h>

static char text[4096], line[512];
static size_t at, end;
static int file;

bool lines_open(const char *path) {
    at = end = 0;
    file = os_open(path);
    return file >= 0;
}

void lines_close(void) {
    os_close(file);
}

static bool fill(void) {
    long got = os_read(file, text, sizeof text);
    at = 0;
    end = got > 0 ? (size_t)got : 0;
    return end != 0;
}

const char *lines_next(void) {
    size_t length = 0;
    bool any = false;
    while (at != end || fill()) {
        char c = text[at++];
        any = true;
        if (c == '\n')
            break;
        if (length < sizeof line - 1)
            line[length++] = c;
    }
    line[length] = 0;
    return any ? line : NULL;
}

static int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads digits of base 16, and what must follow them. NULL where that is not so. */
static const char *read_hex(const char *from, char follows, uint64_t *number) {
    *number = 0;
    for (; digit(*from) >= 0; from++)
        *number = *number << 4 | (unsigned)digit(*from);
    return *from == follows ? from + 1 : NULL;
}

static const char *skip_word(const char *from) {
    from += strcspn(from, " ");
    return from + strspn(from, " ");
}

bool mapping_read(const char *from, mapping *m) {
    uint64_t start, limit;
    if ((from = read_hex(from, '-', &start)) == NULL || (from = read_hex(from, ' ', &limit)) == NULL)
        return false;
    m->start = start;
    m->end = limit;
    m->permissions = from;
    if ((from = read_hex(skip_word(from), ' ', &m->offset)) == NULL)
        return false;
    m->name = skip_word(skip_word(from));
    return true;
}

const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}
