/* held.c: the clock, the appetite, the tally, and hoards: pieces of memory that are taken, written, checked and given
 * back. Start with hoard_press. */
#include "adversary.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_BROKEN = 3 };

void broken(const char *what) {
    char line[200];
    int length = snprintf(line, sizeof line, "broken: %s\n", what);
    if (write(STDERR_FILENO, line, (size_t)length) != length)
        _exit(EXIT_BROKEN + 1);
    _exit(EXIT_BROKEN);
}

void pause_briefly(void) {
    struct timespec moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
}

static _Thread_local uint64_t random_state;

void random_begin(void) {
    random_state = (uint64_t)(now() * 1e9) ^ (uint64_t)getpid() << 40 ^ ((uintptr_t)&random_state | 1);
}

/* xorshift64* */
size_t random_below(size_t bound) {
    if (random_state == 0)
        random_begin();
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (size_t)(random_state * 0x2545f4914f6cdd1du >> 11) % bound;
}

/* Between powers of two all sizes are as likely, and so are the powers. */
size_t size_from(const source *from) {
    unsigned doublings = 0;
    while (from->smallest << doublings < from->largest)
        doublings++;
    size_t base = from->smallest << random_below(doublings + 1);
    size_t size = base + random_below(base);
    if (size > from->largest)
        size = from->largest;
    return (size + from->granule - 1) / from->granule * from->granule;
}

static unsigned char mark_of(const piece *one) {
    return (unsigned char)((uintptr_t)one >> 4 ^ one->size);
}

static void write_piece(piece *one) {
    memset(one + 1, mark_of(one), one->size - sizeof *one);
    one->written = true;
}

/* Looks at the first, the last and a byte between. */
static void check_piece(const piece *one) {
    const unsigned char *bytes = (const unsigned char *)(one + 1);
    size_t length = one->size - sizeof *one;
    unsigned char mark = one->written ? mark_of(one) : 0;
    if (length == 0)
        return;
    if (bytes[0] != mark || bytes[length - 1] != mark || bytes[random_below(length)] != mark)
        broken("a block changed while it was held");
}

bool hoard_take(hoard *held, size_t size) {
    if (!want(size))
        return false;
    piece *one = held->from->get(size);
    if (one == NULL) {
        want_less(size);
        note_denied();
        return false;
    }
    *one = (piece){held->first, size, false};
    if (!held->from->late)
        write_piece(one);
    held->first = one;
    held->bytes += size;
    return true;
}

static void drop_piece(hoard *held, piece **place) {
    piece *one = *place;
    size_t size = one->size;
    check_piece(one);
    *place = one->next;
    held->bytes -= size;
    held->from->drop(one, size);
    want_less(size);
}

void hoard_give(hoard *held, size_t bytes) {
    size_t end = held->bytes > bytes ? held->bytes - bytes : 0;
    if (held->first != NULL)
        drop_piece(held, &held->first);
    for (piece **place = &held->first; *place != NULL && held->bytes > end;) {
        if (random_below(3) == 0)
            place = &(*place)->next;
        else
            drop_piece(held, place);
    }
}

void hoard_give_all(hoard *held) {
    while (held->first != NULL)
        drop_piece(held, &held->first);
}

void hoard_write(hoard *held) {
    for (piece *one = held->first; one != NULL; one = one->next) {
        check_piece(one);
        write_piece(one);
    }
}

/* Whoever has nothing left to give waits for others to give something. */
static void make_room(hoard *held) {
    if (held->from->late)
        hoard_write(held);
    if (held->first == NULL)
        pause_briefly();
    hoard_give(held, held->bytes / (1 + random_below(8)));
}

void hoard_press(hoard *held, double deadline) {
    while (in_time(deadline))
        if (!hoard_take(held, size_from(held->from)))
            make_room(held);
}

void press(const source *from, double deadline) {
    hoard held = {.from = from};
    hoard_press(&held, deadline);
    hoard_give_all(&held);
}
