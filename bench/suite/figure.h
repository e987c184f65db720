/* figure.h: what the programs of every contest share: a table of cases, each of which gives one figure, and the clock.
 *
 * Usage of each program: PROGRAM CASE. The figure goes to stdout, in the unit that contests.py names. Start at
 * print_figure. */
#ifndef BENCH_SUITE_FIGURE_H
#define BENCH_SUITE_FIGURE_H

#include "../workloads/workload.h"
#include <time.h>

typedef struct figure_case {
    const char *name;
    double (*figure)(size_t argument);
    size_t argument;
} figure_case;

static inline double nanoseconds(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now))
        fail("clock_gettime");
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline double cpu_nanoseconds(void) {
    return nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* A block that is not really there is found out. */
static inline void *touch(void *block) {
    if (!block)
        fail("no memory");
    *(volatile char *)block = 1;
    return block;
}

static inline int print_figure(int argument_count, char **arguments, const figure_case *cases, size_t count) {
    for (size_t i = 0; argument_count == 2 && i < count; i++)
        if (!strcmp(arguments[1], cases[i].name)) {
            printf("%.3f\n", cases[i].figure(cases[i].argument));
            return 0;
        }
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s %s\n", arguments[0], cases[i].name);
    return 2;
}

#endif
