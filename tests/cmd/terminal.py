#!/usr/bin/python3
"""terminal.py: `ration run` at a terminal, as a job of an interactive shell, and as the first process of a namespace.

Usage: terminal.py SOURCE BUILD COMPILER. Each case is a shell on a terminal of its own, to which lines and keys are sent and
whose answers are waited for. Start at the cases, at the end."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

SECONDS = 120  # until an answer that does not come is missed, on a machine where others run, too

# Tells of each line that it reads, and of signals, which it counts and takes only where it waits. Ends with 5.
WATCHER = r"""
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static volatile sig_atomic_t seen[65];

static void note(int number) {
    seen[number]++;
}

static void tell_window(void) {
    struct winsize size;
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    printf("window %d x %d\n", size.ws_row, size.ws_col);
}

int main(void) {
    static const int noted[] = {SIGINT, SIGQUIT, SIGWINCH, SIGPWR, SIGTERM};
    char line[128];
    sigset_t set, before;
    sigemptyset(&set);
    for (unsigned i = 0; i < sizeof noted / sizeof *noted; i++) {
        sigaction(noted[i], &(struct sigaction){.sa_handler = note}, NULL);
        sigaddset(&set, noted[i]);
    }
    sigprocmask(SIG_BLOCK, &set, &before);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    printf("command %d program %d ready\n", (int)getppid(), (int)getpid());
    for (;;) {
        struct pollfd file = {.fd = STDIN_FILENO, .events = POLLIN};
        if (ppoll(&file, 1, NULL, &before) < 0) {
            printf("seen INT %d QUIT %d WINCH %d PWR %d TERM %d.\n", (int)seen[SIGINT], (int)seen[SIGQUIT],
                   (int)seen[SIGWINCH], (int)seen[SIGPWR], (int)seen[SIGTERM]);
            if (seen[SIGWINCH])
                tell_window();
            continue;
        }
        ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
        if (length <= 0)
            return 1;
        line[length] = 0;
        line[strcspn(line, "\n")] = 0;
        if (strcmp(line, "end") == 0)
            return 5;
        printf("read %s.\n", line);
    }
}
"""


class Missed(Exception):
    """An answer did not come."""


def wait_until(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise Missed(what)
        time.sleep(0.02)


def state(process):
    """The letter of proc(5); "" where it is gone."""
    try:
        with open(f"/proc/{process}/stat", encoding="latin-1") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for_states(processes, states):
    wait_until(lambda: all(state(process) in states for process in processes),
               f"states {states}, not {[state(process) for process in processes]}")


class Terminal:
    """A shell with job control on a terminal of its own, which echoes nothing."""

    def __init__(self, place):
        self.answers = ""
        self.shell, self.master = pty.fork()
        if self.shell == 0:
            os.chdir(place)
            os.environ.update(PS1="", PS2="", TERM="dumb", HISTFILE="", LC_ALL="C")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.send("stty -echo; echo no'thing'")
        self.expect("nothing")

    def keys(self, text):
        os.write(self.master, text.encode())

    def send(self, line):
        self.keys(line + "\n")

    def expect(self, pattern):
        """What matches it, of all that was not yet taken."""
        end = time.monotonic() + SECONDS
        while not (match := re.search(pattern, self.answers)):
            if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                raise Missed(f"{pattern!r}, in {self.answers!r}")
            self.answers += os.read(self.master, 4096).decode(errors="replace").replace("\r", "")
        self.answers = self.answers[match.end():]
        return match

    def begin_watcher(self, how):
        self.send(how)
        match = self.expect(r"command (\d+) program (\d+) ready\n")
        return int(match[1]), int(match[2])

    def has_stopped_job(self):
        """Whether the shell has learned of it, too."""
        self.send("jobs")
        return self.expect(r"Stopped|Running")[0] == "Stopped"

    def status(self):
        self.send("echo status $?.")
        return int(self.expect(r"status (\d+)\.")[1])

    def hang_up(self):
        os.close(self.master)

    def finish(self):
        try:
            self.hang_up()
        except OSError:
            pass
        os.kill(self.shell, signal.SIGKILL)
        os.waitpid(self.shell, 0)


def all_forwarded(terminal, command):
    """What the program has seen once the command has forwarded what it had to: signals of lower numbers it takes first."""
    os.kill(command, signal.SIGPWR)
    return terminal.expect(r"seen (.*) PWR 1 TERM 0\.")[1]


# --- the cases -------------------------------------------------------------------------------------------------------

RUN = "ration run --quiet --limit 64M "


def begin_pair(terminal, script, behind="", how=RUN):
    """The numbers of the command and of a shell under it that runs the script."""
    terminal.send(f"{how} sh -c 'echo re\"\"ady $PPID $$; {script}'{behind}")
    match = terminal.expect(r"ready (\d+) (\d+)\n")
    return int(match[1]), int(match[2])


def the_interrupt_key_reaches_the_program_once(terminal):
    command, _ = terminal.begin_watcher(RUN + "./watcher")
    terminal.keys("\x03")
    terminal.expect(r"seen INT 1 QUIT 0")
    same("INT 1 QUIT 0 WINCH 0", all_forwarded(terminal, command))
    terminal.send("end")
    same(5, terminal.status())


def the_quit_key_reaches_the_program_once(terminal):
    command, _ = terminal.begin_watcher(RUN + "./watcher")
    terminal.keys("\x1c")
    terminal.expect(r"seen INT 0 QUIT 1")
    same("INT 0 QUIT 1 WINCH 0", all_forwarded(terminal, command))
    terminal.send("end")
    same(5, terminal.status())


def a_program_that_the_interrupt_key_ends_is_told_to_the_shell_as_that(terminal):
    terminal.send(RUN + "sh -c 'echo re\"\"ady; exec sleep 1000'")
    terminal.expect("ready\n")
    terminal.keys("\x03")
    same(130, terminal.status())


def the_stop_key_stops_both_and_fg_lets_both_go_on(terminal):
    both = terminal.begin_watcher(RUN + "./watcher")
    for line in "one", "two":
        terminal.keys("\x1a")
        terminal.expect("Stopped")
        wait_for_states(both, "T")
        terminal.send("fg")
        wait_for_states(both, "SR")
        terminal.send(line)
        terminal.expect(f"read {line}\\.")
    terminal.send("end")
    same(5, terminal.status())


def a_stopped_one_goes_on_in_the_background(terminal):
    terminal.send("mkfifo go-on")
    both = begin_pair(terminal, "read line <go-on; exit 6")
    terminal.keys("\x1a")
    terminal.expect("Stopped")
    wait_for_states(both, "T")
    terminal.send("bg")
    wait_for_states(both, "SRD")
    terminal.send("echo >go-on; wait %1")
    same(6, terminal.status())


def a_change_of_the_window_is_seen_once(terminal):
    command, _ = terminal.begin_watcher(RUN + "./watcher")
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    terminal.expect(r"WINCH 1")
    terminal.expect(r"window 33 x 111\n")
    same("INT 0 QUIT 0 WINCH 1", all_forwarded(terminal, command))
    terminal.send("end")
    same(5, terminal.status())


def one_in_the_background_is_stopped_when_it_reads_and_fg_lets_it_read(terminal):
    both = begin_pair(terminal, "read line; echo read $line.; exit 5", " &")
    wait_for_states(both, "T")
    wait_until(terminal.has_stopped_job, "the shell to know that it is stopped")
    terminal.send("fg")
    wait_for_states(both, "SR")
    terminal.send("hello")
    terminal.expect(r"read hello\.")
    same(5, terminal.status())


def all_end_when_the_terminal_is_gone(terminal):
    both = terminal.begin_watcher(RUN + "./watcher")
    terminal.hang_up()
    wait_until(lambda: not any(map(state, both)), "both to end")


def what_is_a_sessions_leader_passes_its_terminals_end_on(terminal):
    """As a terminal's window has it that was opened for the command: the kernel tells the leader alone."""
    both = begin_pair(terminal, "exec sleep 300 </dev/null", how="exec " + RUN)
    same(both[0], terminal.shell)
    terminal.hang_up()
    wait_until(lambda: state(both[1]) == "", "the program to end")


def begin_pair_beside(terminal, fifo, how=RUN):
    """A pair that uses no terminal and ends with 6 once something is written to the fifo, whoever has the terminal."""
    terminal.send(f"mkfifo {fifo}")
    return begin_pair(terminal, f"read line <{fifo}; exit 6", how=how)


def end_pair_beside(terminal, fifo):
    terminal.send(f"echo >{fifo}; wait %1")
    same(6, terminal.status())


def what_is_sent_to_the_command_alone_stops_both_and_lets_both_go_on(terminal):
    both = begin_pair_beside(terminal, "alone")
    for _ in range(2):
        os.kill(both[0], signal.SIGTSTP)
        wait_for_states(both, "T")
        wait_until(terminal.has_stopped_job, "the shell to know that it is stopped")
        os.kill(both[0], signal.SIGCONT)
        wait_for_states(both, "SRD")
    end_pair_beside(terminal, "alone")


def it_reaches_what_runs_within_a_run_likewise(terminal):
    inner, program = begin_pair_beside(terminal, "within", RUN + RUN)
    with open(f"/proc/{inner}/stat", encoding="latin-1") as file:
        outer = int(file.read().rsplit(")", 1)[1].split()[1])
    os.kill(outer, signal.SIGTSTP)
    wait_for_states((outer, inner, program), "T")
    wait_until(terminal.has_stopped_job, "the shell to know that it is stopped")
    os.kill(outer, signal.SIGCONT)
    wait_for_states((outer, inner, program), "SRD")
    end_pair_beside(terminal, "within")


def a_program_that_the_stop_key_does_not_stop_keeps_the_terminal(terminal):
    terminal.send(RUN + "sh -c 'trap \"\" TSTP; echo re\"\"ady $PPID $$; read line; echo read $line.; exit 5'")
    terminal.expect(r"ready (\d+) (\d+)\n")
    terminal.keys("\x1a")
    terminal.send("hello")
    terminal.expect(r"read hello\.")
    same(5, terminal.status())


def a_program_that_is_stopped_alone_goes_on_when_the_command_is_told_to(terminal):
    command, program = begin_pair_beside(terminal, "stopped")
    os.kill(program, signal.SIGSTOP)
    wait_for_states([program], "T")
    os.kill(command, signal.SIGCONT)
    wait_for_states((command, program), "SRD")
    terminal.keys("\x1a")
    terminal.expect("Stopped")
    terminal.send("bg")
    end_pair_beside(terminal, "stopped")


def what_runs_within_a_run_is_stopped_and_goes_on_likewise(terminal):
    both = terminal.begin_watcher(RUN + RUN + "./watcher")
    terminal.keys("\x1a")
    terminal.expect("Stopped")
    wait_for_states(both, "T")
    terminal.send("fg")
    wait_for_states(both, "SR")
    terminal.keys("\x03")
    terminal.expect(r"seen INT 1 ")
    same("INT 1 QUIT 0 WINCH 0", all_forwarded(terminal, both[0]))
    terminal.send("end")
    same(5, terminal.status())


def as_a_first_process_it_reaps_orphans(terminal):
    if not can_be_first(terminal):
        return
    terminal.send(FIRST + RUN + "sh -c 'for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.1 & echo $! >>orphans); done; "
                  "for one in $(cat orphans); do while [ -e /proc/$one ]; do sleep 0.1; done; done; echo $PPID re\"\"aped'")
    terminal.expect("1 reaped\n")
    same(0, terminal.status())


def as_a_first_process_it_passes_on_what_comes_from_outside(terminal):
    if not can_be_first(terminal):
        return
    command, _ = terminal.begin_watcher(FIRST + RUN + "./watcher")
    same(1, command)
    terminal.keys("\x03")
    terminal.expect(r"seen INT 1 ")
    same("INT 1 QUIT 0 WINCH 0", all_forwarded(terminal, first_process_below(terminal.shell)))
    terminal.send("end")
    same(5, terminal.status())


FIRST = "unshare --pid --fork --mount-proc --kill-child "


def can_be_first(terminal):
    terminal.send(FIRST + "true 2>/dev/null")
    if terminal.status() == 0:
        return True
    print("skipped: namespaces, which can't be made here")
    return False


def first_process_below(shell):
    """The number, seen from here, of the first process in a namespace that the shell's job has made."""
    with open(f"/proc/{shell}/task/{shell}/children", encoding="ascii") as file:
        unshare = file.read().split()[0]
    with open(f"/proc/{unshare}/task/{unshare}/children", encoding="ascii") as file:
        return int(file.read().split()[0])


CASES = [
    the_interrupt_key_reaches_the_program_once,
    the_quit_key_reaches_the_program_once,
    a_program_that_the_interrupt_key_ends_is_told_to_the_shell_as_that,
    the_stop_key_stops_both_and_fg_lets_both_go_on,
    a_stopped_one_goes_on_in_the_background,
    a_change_of_the_window_is_seen_once,
    one_in_the_background_is_stopped_when_it_reads_and_fg_lets_it_read,
    all_end_when_the_terminal_is_gone,
    what_is_a_sessions_leader_passes_its_terminals_end_on,
    what_is_sent_to_the_command_alone_stops_both_and_lets_both_go_on,
    it_reaches_what_runs_within_a_run_likewise,
    a_program_that_the_stop_key_does_not_stop_keeps_the_terminal,
    a_program_that_is_stopped_alone_goes_on_when_the_command_is_told_to,
    what_runs_within_a_run_is_stopped_and_goes_on_likewise,
    as_a_first_process_it_reaps_orphans,
    as_a_first_process_it_passes_on_what_comes_from_outside,
]


# --- the tally ---------------------------------------------------------------------------------------------------------

tally = {True: 0, False: 0}
differences = []


def same(expected, got):
    if expected != got:
        differences.append(f"expected: {expected}\n  got:      {got}")


def check(case, place):
    differences.clear()
    terminal = Terminal(place)
    try:
        case(terminal)
    except (Missed, OSError) as missed:
        differences.append(f"missed: {missed}")
    terminal.finish()
    tally[not differences] += 1
    if differences:
        print("FAIL", case.__name__.replace("_", " "), *differences, sep="\n  ")


def prepare(build, compiler, place):
    with open(f"{place}/watcher.c", "w", encoding="ascii") as file:
        file.write(WATCHER)
    subprocess.run([compiler, "-D_GNU_SOURCE", "-o", f"{place}/watcher", f"{place}/watcher.c"], check=True)
    for name in "LD_PRELOAD", "RATION_PRELOAD_PATH", "RATION_HARDEN":
        os.environ.pop(name, None)
    os.environ["PATH"] = f"{build}/bin:{os.environ['PATH']}"


def main():
    build, compiler = os.path.abspath(sys.argv[2]), sys.argv[3]
    place = tempfile.mkdtemp(prefix="cmd-terminal-", dir=f"{build}/tests")
    try:
        prepare(build, compiler, place)
        for case in CASES:
            check(case, place)
    finally:
        shutil.rmtree(place)
    print(f"{tally[True]} passed, {tally[False]} failed")
    return tally[False] > 0


sys.exit(main())
