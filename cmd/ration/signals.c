/* signals.c: passes on to the program what is sent to the command alone, and stops with it.
 *
 * The program is in our process group: what the terminal sends reaches both. We stop only once the program has: it may take a
 * SIGTSTP for something else, or put the terminal in order first. Start at signals_take(). */
#include "run.h"

#include "process.h"

#include <sys/wait.h>
#include <unistd.h>

enum { STOP_MS = 5000 }; /* a program that puts the terminal in order first has stopped by then */

/* Not those by which the terminal stops who uses it from the background, nor those that tell of a fault of our own. */
void signals_taken(sigset_t *set) {
    static const int kept[] = {SIGTTIN, SIGTTOU, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

    (void)sigfillset(set);
    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        (void)sigdelset(set, kept[i]);
}

/* Such as the terminal sends to a whole group. Of its end it tells the leader of its session alone. */
static bool is_from_terminal(const struct signalfd_siginfo *info) {
    switch (info->ssi_signo) {
    case SIGINT:
    case SIGQUIT:
    case SIGTSTP:
    case SIGWINCH:
        return info->ssi_code == SI_KERNEL;
    case SIGHUP:
        return info->ssi_code == SI_KERNEL && getsid(0) != getpid();
    default:
        return false;
    }
}

/* What the terminal sends to the group has reached the program already, and so has what the program sends to its own group; what
 * it sends to its parent is not meant for itself. What others send may have gone to us alone: that it went to the group
 * (kill(2), a number of 0 or below) nothing tells, and a signal too many does less harm than one that is lost. */
static void forward(const run_state *state, const struct signalfd_siginfo *info) {
    pid_t sender = (pid_t)info->ssi_pid;
    bool is_from_us = info->ssi_code != SI_KERNEL && (sender == state->program || sender == getpid());

    if (!is_from_us && !is_from_terminal(info))
        (void)kill(state->program, (int)info->ssi_signo);
}

/* Sent to the group it has reached the program, which then is not stopped any more. */
static void go_on(run_state *state) {
    state->told_to_stop_until = 0;
    state->stopped_by = 0;
    if (process_is_stopped(state->program))
        (void)kill(state->program, SIGCONT);
}

static void look_at_program(run_state *state) {
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_PID, (id_t)state->program, &info, WSTOPPED | WCONTINUED | WNOHANG) == 0 && info.si_pid != 0)
        state->stopped_by = info.si_code == CLD_STOPPED ? info.si_status : 0;
}

void signals_take(run_state *state, const struct signalfd_siginfo *info) {
    switch (info->ssi_signo) {
    case SIGCHLD:
        look_at_program(state);
        return;
    case SIGCONT:
        go_on(state);
        return;
    case SIGTSTP:
        state->told_to_stop_until = run_now_ms() + STOP_MS;
        break;
    default:
        break;
    }
    forward(state, info);
}

/* By the same signal, which is blocked until here: the shell is to see why. */
void signals_stop_with_program(run_state *state) {
    sigset_t set, before;

    bool told = state->told_to_stop_until >= run_now_ms();

    if (!told || state->stopped_by == 0)
        return;
    state->told_to_stop_until = 0;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, state->stopped_by);
    (void)kill(getpid(), state->stopped_by);
    (void)sigprocmask(SIG_UNBLOCK, &set, &before);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}
