/* paper.c: the text of a report on its way to a file. Start with paper_begin. */
#include "paper.h"

#include <string.h>

static char text[4096];
static size_t length;
static unsigned column;
static size_t room_in_file;
static int paper;
static bool failed;

void paper_begin(int file) {
    paper = file;
    length = column = 0;
    failed = false;
    room_in_file = os_file_size_limit();
}

static void write_out(void) {
    failed = failed || length > room_in_file || !os_write(paper, text, length);
    room_in_file -= length;
    length = 0;
}

bool paper_end(void) {
    write_out();
    return !failed;
}

static void put(char c) {
    if (length == sizeof text)
        write_out();
    text[length++] = c;
    column = c == '\n' ? 0 : column + 1;
}

void paper_text(const char *words) {
    while (*words != 0)
        put(*words++);
}

void paper_name(const char *name, size_t most) {
    for (; most > 0 && *name != 0; most--, name++)
        put((char)((unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name));
}

void paper_column(unsigned wanted) {
    if (column >= wanted)
        put('\n');
    while (column < wanted)
        put(' ');
}

void paper_line(void) {
    put('\n');
}

void paper_title(const char *words) {
    paper_line();
    paper_text(words);
    paper_line();
    for (size_t i = strlen(words); i > 0; i--)
        put('-');
    paper_line();
}

const char *decimal(uint64_t number, char room[DIGITS]) {
    char *first = &room[DIGITS - 1];
    *first = 0;
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    return first;
}

static void right_aligned(const char *words, unsigned width) {
    for (size_t used = strlen(words); used < width; used++)
        put(' ');
    paper_text(words);
}

void paper_number(uint64_t number, unsigned width) {
    char room[DIGITS];
    right_aligned(decimal(number, room), width);
}

void paper_size(uint64_t bytes, unsigned width) {
    static const char units[] = "KMGTPE";
    if (bytes < 1024) {
        paper_number(bytes, width);
        return;
    }
    unsigned unit = 0;
    while (unit + 1 < sizeof units - 1 && bytes >> (10 * (unit + 2)) != 0)
        unit++;
    uint64_t whole = bytes >> (10 * (unit + 1)), part = bytes >> (10 * unit) & 1023;
    if (whole < 100) {
        paper_number(whole, width > 3 ? width - 3 : 0);
        put('.');
        put((char)('0' + part * 10 / 1024));
    } else {
        paper_number(whole, width > 1 ? width - 1 : 0);
    }
    put(units[unit]);
}

void paper_hex(uint64_t number) {
    paper_text("0x");
    unsigned shift = number == 0 ? 0 : (63 - (unsigned)__builtin_clzl(number)) / 4 * 4;
    for (;; shift -= 4) {
        put("0123456789abcdef"[number >> shift & 15]);
        if (shift == 0)
            break;
    }
}
