/* supervise.c: stays with the program until it ends: takes signals (signals.c), reaps orphans, lets processes join the shared
 * memory and keeps it in order. Start at run_supervise(). */
#include "run.h"

#include "cgroup.h"
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 100, IDLE_TICK_MS = 1000, SHORT_TICK_MS = 20, MEASURE_PART = 20, DESCENDANTS_MAX = 512 };

uint64_t run_now_ms(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- processes that are not on Ration ------------------------------------------------------------------------------ */

static bool contains(const pid_t *list, unsigned length, pid_t pid) {
    for (unsigned i = 0; i < length; i++)
        if (list[i] == pid)
            return true;
    return false;
}

static unsigned find_stray(const run_state *state, pid_t pid) {
    unsigned at = 0;

    while (at < state->stray_count && state->strays[at].pid != pid)
        at++;
    return at;
}

static void add_stray(run_state *state, pid_t pid) {
    stray *added = &state->strays[state->stray_count];

    if (state->stray_count == STRAYS_MAX || find_stray(state, pid) != state->stray_count)
        return;
    added->pid = pid;
    process_name(pid, added->name, sizeof(added->name));
    state->stray_count++;
}

/* One that has joined after all was slow to begin. */
static void remove_stray(run_state *state, pid_t pid) {
    unsigned at = find_stray(state, pid);

    if (at != state->stray_count)
        state->strays[at] = state->strays[--state->stray_count];
}

/* One that was forked by a process on Ration is on it, too, be it so slow that it has told nothing yet. */
static bool may_be_stray(const run_state *state, pid_t pid) {
    pid_t parent;

    return !offer_knows(&state->offer, pid) && !(process_is_a_fork(pid, &parent) && offer_knows(&state->offer, parent));
}

/* One that was not known at the last look either has not just begun. */
static void look_for_strays(run_state *state) {
    static pid_t suspects[DESCENDANTS_MAX];
    static unsigned suspect_count;
    pid_t found[DESCENDANTS_MAX], unknown[DESCENDANTS_MAX] = {0};
    unsigned count = process_add_children(getpid(), found, 0, DESCENDANTS_MAX), unknown_count = 0;

    for (unsigned i = 0; i < count; i++) {
        count = process_add_children(found[i], found, count, DESCENDANTS_MAX);
        if (!may_be_stray(state, found[i]))
            continue;
        unknown[unknown_count++] = found[i];
        if (contains(suspects, suspect_count, found[i]))
            add_stray(state, found[i]);
    }
    memcpy(suspects, unknown, unknown_count * sizeof(unknown[0]));
    suspect_count = unknown_count;
}

/* --- signals -------------------------------------------------------------------------------------------------------- */

/* Reaps all that have ended. True if the program was among them. */
static bool reap(run_state *state, int *status) {
    bool ended = false;
    struct rusage used;
    int this_status;
    pid_t pid;

    if (state->shares)
        offer_sweep(&state->offer); /* while the dead still have their numbers */
    while ((pid = wait4(-1, &this_status, WNOHANG, &used)) > 0)
        if (pid == state->program) {
            ended = true;
            *status = this_status;
            state->most_resident = (uint64_t)used.ru_maxrss * 1024;
        }
    return ended;
}

/* --- the loop --------------------------------------------------------------------------------------------------------- */

/* Where others have it all, a limit stays: 0 would be none. */
static void follow_cgroup(run_state *state) {
    cgroup_room_facts facts;
    uint64_t limit;

    if (!cgroup_room(offer_charged(&state->offer), &facts))
        return;
    limit = run_tighter(cgroup_auto_limit(&facts), state->options->limit_most);
    __atomic_store_n(&state->offer.page->limit, limit < RUN_LIMIT_MIN ? RUN_LIMIT_MIN : limit, __ATOMIC_RELAXED);
}

/* Measuring may take no more than a part of the time. */
static void look_at_processes(run_state *state) {
    static uint64_t measure_at;
    uint64_t begin = run_now_ms();

    offer_sweep(&state->offer);
    if (begin < measure_at)
        return;
    offer_measure(&state->offer);
    look_for_strays(state);
    if (state->options->limit_auto)
        follow_cgroup(state);
    measure_at = run_now_ms() + MEASURE_PART * (run_now_ms() - begin);
}

/* Near the limit, what forked processes write to is looked at more often. */
static uint64_t tick_length(const run_state *state) {
    const shared_page *page = state->offer.page;
    bool is_near = page->limit != 0 && __atomic_load_n(&page->used, __ATOMIC_RELAXED) > page->limit / 8 * 7;

    return is_near && page->forks != 0 ? SHORT_TICK_MS : TICK_MS;
}

/* When to do what. Looking at processes takes reading of /proc; at the page, next to nothing. */
typedef struct pace {
    uint64_t page_due, processes_due;
    uint64_t pause; /* between two looks at processes: longer and longer while nothing happens */
    uint64_t used;  /* as seen at the last look at the page */
    uint32_t forks;
} pace;

static uint64_t earlier(uint64_t time, uint64_t other) {
    return time < other ? time : other;
}

static bool has_changed(const run_state *state, pace *p) {
    const shared_page *page = state->offer.page;
    uint64_t used = shared_read(&page->used);
    uint32_t forks = __atomic_load_n(&page->forks, __ATOMIC_RELAXED);
    bool changed = used != p->used || forks != p->forks;

    p->used = used;
    p->forks = forks;
    return changed;
}

/* What forked processes write to, and what others in our cgroup do, shows nowhere in the page. */
static bool may_change_unseen(const run_state *state) {
    return state->options->limit_auto || (state->offer.page->limit != 0 && state->offer.page->forks != 0);
}

static void look(run_state *state, pace *p) {
    bool busy = has_changed(state, p) || may_change_unseen(state);

    p->pause = busy ? tick_length(state) : earlier(2 * p->pause, IDLE_TICK_MS);
    if (busy || run_now_ms() >= p->processes_due) {
        look_at_processes(state);
        p->processes_due = run_now_ms() + p->pause;
    }
    p->page_due = p->processes_due;
    if (state->offer.page->limit != 0)
        p->page_due = earlier(p->page_due, run_now_ms() + TICK_MS);
}

/* Somebody came or went. */
static void hurry(pace *p) {
    p->pause = TICK_MS;
    p->processes_due = earlier(p->processes_due, run_now_ms() + TICK_MS);
    p->page_due = earlier(p->page_due, p->processes_due);
}

static bool read_signals(run_state *state, int signals, int *status) {
    struct signalfd_siginfo info;
    bool ended = false;

    while (!ended && read(signals, &info, sizeof(info)) == sizeof(info)) {
        signals_take(state, &info);
        if (info.ssi_signo == SIGCHLD)
            ended = reap(state, status);
    }
    if (!ended)
        signals_stop_with_program(state);
    return ended;
}

static int wait_ms(const run_state *state, const pace *p) {
    uint64_t now = run_now_ms();

    if (!state->shares)
        return -1;
    return now < p->page_due ? (int)(p->page_due - now) : 0;
}

static int loop(run_state *state, int signals) {
    struct pollfd files[] = {{.fd = signals, .events = POLLIN},
                             {.fd = state->shares ? state->offer.socket : -1, .events = POLLIN},
                             {.fd = state->shares ? state->offer.path_socket : -1, .events = POLLIN}};
    pace p = {.page_due = run_now_ms() + TICK_MS, .processes_due = run_now_ms() + TICK_MS, .pause = TICK_MS};
    int status = 0;

    for (;;) {
        if (poll(files, 3, wait_ms(state, &p)) > 0)
            hurry(&p);
        if (((files[1].revents | files[2].revents) & POLLIN) != 0)
            remove_stray(state, offer_serve(&state->offer));
        if ((files[0].revents & POLLIN) != 0 && read_signals(state, signals, &status))
            return status;
        if (state->shares && run_now_ms() >= p.page_due)
            look(state, &p);
    }
}

int run_supervise(run_state *state) {
    pid_t left[DESCENDANTS_MAX];
    sigset_t set;
    int signals, status;

    signals_taken(&set);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    status = loop(state, signals);
    (void)close(signals);
    state->left = process_add_children(getpid(), left, 0, DESCENDANTS_MAX);
    return status;
}
