/* supervise.c: stays with the program until it ends: forwards signals, reaps orphans, lets processes join the shared memory and
 * keeps it in order.
 *
 * The program is in our process group, so that what the terminal sends reaches both, and stopping and going on works as if we
 * were not there. What somebody sends to us alone is forwarded. Start at run_supervise(). */
#include "run.h"

#include "cgroup.h"
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 100, SHORT_TICK_MS = 20, MEASURE_PART = 20, DESCENDANTS_MAX = 512 };

static uint64_t now_ms(void) {
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

/* One that was not known at the last look either has not just begun. */
static void look_for_strays(run_state *state) {
    static pid_t suspects[DESCENDANTS_MAX];
    static unsigned suspect_count;
    pid_t found[DESCENDANTS_MAX], unknown[DESCENDANTS_MAX] = {0};
    unsigned count = process_add_children(getpid(), found, 0, DESCENDANTS_MAX), unknown_count = 0;

    for (unsigned i = 0; i < count; i++) {
        count = process_add_children(found[i], found, count, DESCENDANTS_MAX);
        if (offer_knows(&state->offer, found[i]))
            continue;
        unknown[unknown_count++] = found[i];
        if (contains(suspects, suspect_count, found[i]))
            add_stray(state, found[i]);
    }
    memcpy(suspects, unknown, unknown_count * sizeof(unknown[0]));
    suspect_count = unknown_count;
}

/* --- signals -------------------------------------------------------------------------------------------------------- */

/* Not those that stop us with the program, nor those that tell of a fault of our own. */
void run_signals(sigset_t *set) {
    static const int kept[] = {SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

    (void)sigfillset(set);
    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        (void)sigdelset(set, kept[i]);
}

/* Whether the process is the program or comes from it. */
static bool is_of_ours(pid_t pid) {
    while (pid > 1 && pid != getpid())
        pid = process_parent(pid);
    return pid == getpid();
}

/* What the terminal sends, and what the program sends to its own group, has reached the program already. */
static void forward(const run_state *state, const struct signalfd_siginfo *info) {
    bool by_kernel = info->ssi_code == SI_KERNEL;

    if (info->ssi_signo != SIGCHLD && !by_kernel && !is_of_ours((pid_t)info->ssi_pid))
        (void)kill(state->program, (int)info->ssi_signo);
}

/* Reaps all that have ended. True if the program was among them. */
static bool reap(run_state *state, int *status) {
    bool ended = false;
    int this_status;
    pid_t pid;

    if (state->shares)
        offer_sweep(&state->offer); /* while the dead still have their numbers */
    while ((pid = waitpid(-1, &this_status, WNOHANG)) > 0)
        if (pid == state->program) {
            ended = true;
            *status = this_status;
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
    limit = cgroup_auto_limit(&facts);
    __atomic_store_n(&state->offer.page->limit, limit < RUN_LIMIT_MIN ? RUN_LIMIT_MIN : limit, __ATOMIC_RELAXED);
}

/* What is to be done ten times a second; measuring may take no more than a part of the time. */
static void tick(run_state *state) {
    static uint64_t measure_at;
    uint64_t begin = now_ms();

    offer_sweep(&state->offer);
    if (begin < measure_at)
        return;
    offer_measure(&state->offer);
    look_for_strays(state);
    if (state->options->limit_auto)
        follow_cgroup(state);
    measure_at = now_ms() + MEASURE_PART * (now_ms() - begin);
}

/* Near the limit, what forked processes write to is looked at more often. */
static uint64_t tick_length(const run_state *state) {
    const shared_page *page = state->offer.page;
    bool is_near = page->limit != 0 && __atomic_load_n(&page->used, __ATOMIC_RELAXED) > page->limit / 8 * 7;

    return is_near && page->forks != 0 ? SHORT_TICK_MS : TICK_MS;
}

static bool read_signals(run_state *state, int signals, int *status) {
    struct signalfd_siginfo info;
    bool ended = false;

    while (!ended && read(signals, &info, sizeof(info)) == sizeof(info)) {
        forward(state, &info);
        if (info.ssi_signo == SIGCHLD)
            ended = reap(state, status);
    }
    return ended;
}

static int loop(run_state *state, int signals) {
    struct pollfd files[] = {{.fd = signals, .events = POLLIN},
                             {.fd = state->shares ? state->offer.socket : -1, .events = POLLIN},
                             {.fd = state->shares ? state->offer.path_socket : -1, .events = POLLIN}};
    uint64_t next = now_ms() + TICK_MS;
    int status = 0;

    for (;;) {
        uint64_t now = now_ms();

        (void)poll(files, 3, state->shares ? (int)(now < next ? next - now : 0) : -1);
        if (((files[1].revents | files[2].revents) & POLLIN) != 0)
            remove_stray(state, offer_serve(&state->offer));
        if ((files[0].revents & POLLIN) != 0 && read_signals(state, signals, &status))
            return status;
        if (state->shares && now_ms() >= next) {
            tick(state);
            next = now_ms() + tick_length(state);
        }
    }
}

int run_supervise(run_state *state) {
    pid_t left[DESCENDANTS_MAX];
    sigset_t set;
    int signals, status;

    run_signals(&set);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    status = loop(state, signals);
    (void)close(signals);
    state->left = process_add_children(getpid(), left, 0, DESCENDANTS_MAX);
    return status;
}
