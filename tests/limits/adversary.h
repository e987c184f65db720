/* adversary.h: what the programs that push against a limit share: the cases, the clock, and hoards of memory.
 *
 * Start with press(): it takes from a source until it is denied, gives some back and goes on, until its time is up. An
 * adversary that needs more than a source has a function of its own, in the file of its theme. */
#ifndef ADVERSARY_H
#define ADVERSARY_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct adversary {
    const char *name;
    void (*run)(void);
    unsigned tasks; /* threads and processes that exist at once, at most: each costs the kernel memory, too */
} adversary;

typedef struct adversaries {
    const adversary *cases;
    size_t count;
} adversaries;

extern const adversaries blocks, growth, mappings, threads, processes;
void exceptions(void); /* the one in C++ */

/* The clock: time_left() is about the whole program's time, in_time() about a deadline within it. */
double now(void);
bool time_left(void);
bool in_time(double deadline);
void pause_briefly(void);

/* A number from 0 to below the bound. Each thread has a sequence of its own; a forked child begins one. */
size_t random_below(size_t bound);
void random_begin(void);

/* What the process wants is bounded, far above any limit that it is run with, so that it can't eat the machine where
 * there is none. want() is false, and nothing is noted, where it has that much; want_less() takes it back. */
bool want(size_t size);
void want_less(size_t size);

/* A request was denied. Counted for the process and those that it forks. */
void note_denied(void);
unsigned long denied_so_far(void);

/* What should never be was seen (memory that changed by itself, a call that failed for no lack of memory): the program
 * ends with a line that says so. */
__attribute__((noreturn)) void broken(const char *what);

/* Where memory comes from. Sizes are drawn between smallest and largest, small ones as often as large ones. */
typedef struct source {
    void *(*get)(size_t size);
    void (*drop)(void *memory, size_t size);
    size_t smallest, largest; /* no smaller than a piece */
    size_t granule;           /* sizes are multiples of this */
    bool late;                /* comes zeroed and is written only when the next request is denied */
} source;

typedef struct piece {
    struct piece *next;
    size_t size;
    bool written;
} piece;

/* Pieces of one source, linked through themselves, so that keeping them takes no memory. */
typedef struct hoard {
    const source *from;
    piece *first;
    size_t bytes;
} hoard;

size_t size_from(const source *from);
bool hoard_take(hoard *held, size_t size);      /* one more piece, every byte written; false if there is none */
void hoard_give(hoard *held, size_t bytes);     /* drops about so many, here and there */
void hoard_give_all(hoard *held);               /* checks every piece, and drops it */
void hoard_write(hoard *held);                  /* writes every byte that it holds */
void hoard_press(hoard *held, double deadline); /* press, into a hoard that is kept */
void press(const source *from, double deadline);

/* malloc's blocks from a few bytes to a few pages, and beyond. */
extern const source every_class, every_size;

#ifdef __cplusplus
}
#endif

#endif
