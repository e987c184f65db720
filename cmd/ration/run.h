/* run.h: what the parts of `ration run` share. run_options.c reads the command line, run.c starts the program, supervise.c stays
 * with it and signals.c passes on what is sent to it, summary.c tells how it went. */
#ifndef RATION_CMD_RUN_H
#define RATION_CMD_RUN_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <sys/types.h>
#include <time.h>

#include "offer.h"

/* A process that allocates nothing holds about half of this, tables and the loader's pages included. */
#define RUN_LIMIT_MIN ((uint64_t)2 << 20)

typedef struct run_options {
    uint64_t limit, soft, reserve; /* bytes; 0: none, but for the reserve */
    uint64_t limit_most;           /* what a limit that follows the container may come to be; 0: anything */
    const char *limit_text, *soft_text;
    bool limit_auto, reserve_given, harden, quiet;
    enum shared_children children;
    char on_limit[32];         /* as the library takes it; "" where nothing was asked for */
    char statistics[PATH_MAX]; /* the whole name; "" where none is wanted */
    const char *autopsy;
    char **program; /* and its arguments */
} run_options;

/* 0, or an exit status after a line that says what is wrong; RUN_HELP where help was asked for. */
enum { RUN_HELP = -1 };
int run_options_read(int argc, char **argv, run_options *options);

enum { STRAYS_MAX = 64 };

/* A process that runs without Ration. */
typedef struct stray {
    pid_t pid;
    char name[32];
} stray;

/* What the program is started with and what becomes of it. */
typedef struct run_state {
    const run_options *options;
    offer offer;
    bool shares; /* offer is there */
    pid_t program;
    uint64_t most_resident; /* of it, ever, what is of files included; once it has ended */
    const char *name;
    time_t begun;
    stray strays[STRAYS_MAX];
    unsigned stray_count;
    unsigned left;               /* processes that go on */
    uint64_t told_to_stop_until; /* ms: beyond it a stop is another's doing */
    int stopped_by;              /* the program has stopped by this signal; 0: it runs */
} run_state;

/* Of two limits, of which 0 is none, the one that is met first. */
uint64_t run_tighter(uint64_t limit, uint64_t other);

/* Of a clock that only goes on. */
uint64_t run_now_ms(void);

/* The signals that are taken: blocked before the program is started. */
void signals_taken(sigset_t *set);
/* Passes one on, if it was sent to us alone. */
void signals_take(run_state *state, const struct signalfd_siginfo *info);
/* After those that were there: stops if that was asked for and the program has stopped. Returns when we go on. */
void signals_stop_with_program(run_state *state);

/* Stays until the program ends, forwarding signals. Gives its wait status. */
int run_supervise(run_state *state);

/* One paragraph on stderr. */
void run_summary(const run_state *state, int status);

#endif
