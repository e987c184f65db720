/* adversary.c: `adversary NAME SECONDS` takes all the memory it can get, in the way that NAME says, and when it is
 * denied some it gives some back and goes on. When its time is up it says how often it was denied and exits with 0.
 * `adversary --list` prints names, and how many tasks each may have at once.
 *
 * No adversary knows what manages its memory: the same program is run on libc's malloc (tests/limits/run --glibc). */
#include "adversary.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static const size_t appetite = (size_t)256 << 20;

static const adversary exceptions_case = {"exceptions", exceptions, 1};
static const adversaries in_cpp = {&exceptions_case, 1};
static const adversaries *const themes[] = {&blocks, &growth, &mappings, &threads, &processes, &in_cpp};
enum { THEMES = sizeof themes / sizeof *themes };

static double end;
static atomic_size_t wanted;
static atomic_ulong *denied; /* in a page that forked processes share */

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

bool time_left(void) {
    return now() < end;
}

bool in_time(double deadline) {
    double time = now();
    return time < end && time < deadline;
}

bool want(size_t size) {
    if (atomic_fetch_add(&wanted, size) + size <= appetite)
        return true;
    want_less(size);
    return false;
}

void want_less(size_t size) {
    atomic_fetch_sub(&wanted, size);
}

void note_denied(void) {
    atomic_fetch_add(denied, 1);
}

unsigned long denied_so_far(void) {
    return atomic_load(denied);
}

static void list(void) {
    for (size_t i = 0; i < THEMES; i++)
        for (size_t j = 0; j < themes[i]->count; j++)
            printf("%s %u\n", themes[i]->cases[j].name, themes[i]->cases[j].tasks);
}

static const adversary *find(const char *name) {
    for (size_t i = 0; i < THEMES; i++)
        for (size_t j = 0; j < themes[i]->count; j++)
            if (strcmp(themes[i]->cases[j].name, name) == 0)
                return &themes[i]->cases[j];
    return NULL;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return 0;
    }
    const adversary *chosen = argc == 3 ? find(argv[1]) : NULL;
    if (chosen == NULL) {
        fprintf(stderr, "usage: adversary --list | adversary NAME SECONDS\n");
        return EXIT_USAGE;
    }
    denied = mmap(NULL, sizeof *denied, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (denied == MAP_FAILED)
        broken("no page for the tally");
    end = now() + strtod(argv[2], NULL);
    chosen->run();
    char line[64];
    int length = snprintf(line, sizeof line, "denied %lu\n", denied_so_far());
    return write(STDOUT_FILENO, line, (size_t)length) != length;
}
