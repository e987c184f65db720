/* run.c: `ration run`: starts a program that has Ration as its malloc, and stays as its parent.
 *
 * Start at run_main(). Everything that would keep the library out of the program is looked for first (program.h), since
 * the loader says nothing, or goes on without it, when a preloaded library can't be used. */
#include "run.h"

#include "around.h"
#include "command.h"
#include "image.h"
#include "library.h"
#include "program.h"
#include "statistics.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char verb[] = "run";

static const char help[] = "Usage: ration run [OPTIONS] [--] PROGRAM [ARGUMENTS]\n"
                           "Starts PROGRAM, unmodified, with Ration as its malloc, and the programs that\n"
                           "it starts; stays as its parent and tells at the end where the memory went.\n"
                           "\n"
                           "Options:\n"
                           "  --limit SIZE       what all processes together may hold: 500M, 1.5G, 64KiB;\n"
                           "                     40% of the machine's memory; auto: 95% of what the\n"
                           "                     container leaves, followed while it changes\n"
                           "  --soft SIZE        beyond this, memory is given back early; nothing is denied\n"
                           "  --on-limit WHAT    deny (NULL and ENOMEM; the default), wait:TIME (as 2s, then\n"
                           "                     deny), abort, exit:CODE\n"
                           "  --reserve SIZE     what of the limit is kept for a thread that was just denied\n"
                           "                     something, to say so with (64K)\n"
                           "  --children WHICH   share: one limit for all (the default); each: the limit for\n"
                           "                     each process; none: what PROGRAM starts runs without Ration\n"
                           "  --autopsy DIR      where ration-PID.autopsy is written at the first denial (.)\n"
                           "  --harden           check every free at once, guard large blocks, detect\n"
                           "                     overflows and writes after free; costs some time\n"
                           "  --stats FILE       write PROGRAM's figures at its end; %p in FILE is a process's\n"
                           "                     number, and each process writes its own then\n"
                           "  --quiet            tell nothing at the end\n"
                           "  -h, --help         show this\n"
                           "\n"
                           "Environment:\n"
                           "  LD_PRELOAD           kept: Ration is put before what it names\n"
                           "  RATION_PRELOAD_PATH  the " LIBRARY_NAME " to use, instead of the one that\n"
                           "                       is installed with this command\n"
                           "\n"
                           "Exit status: the program's own; 2 where Ration can't be its malloc, 126 where it\n"
                           "can't be started, 127 where there is no such program.\n";

/* Puts the library first in LD_PRELOAD, once: a `ration run` within a `ration run` finds it there already. */
static int preload(const char *library) {
    const char *before = getenv("LD_PRELOAD");
    size_t length = strlen(library);
    char *value = NULL;
    int result;

    if (before == NULL || before[0] == 0)
        return setenv("LD_PRELOAD", library, 1);
    if (strncmp(before, library, length) == 0 && strchr(": ", before[length]) != NULL)
        return 0;
    if (asprintf(&value, "%s:%s", library, before) < 0)
        return -1;
    result = setenv("LD_PRELOAD", value, 1);
    free(value);
    return result;
}

/* Finds the library and its facts, or complains. */
static int prepare_library(char path[PATH_MAX], image_facts *facts) {
    if (library_find(path) != 0) {
        command_complain(verb, "%s: %s; RATION_PRELOAD_PATH can name the library", path, strerror(errno));
        return COMMAND_MISUSED;
    }
    if (image_read(path, facts) != 0 || facts->kind == IMAGE_OTHER || facts->kind == IMAGE_SCRIPT ||
        facts->kind == IMAGE_FOREIGN) {
        command_complain(verb, "%s: is no library for this processor", path);
        return COMMAND_MISUSED;
    }
    /* ld.so(8) splits LD_PRELOAD at both and knows no way to quote. */
    if (strpbrk(path, ": ") != NULL) {
        command_complain(verb, "%s: a path with a space or a colon can't be preloaded", path);
        return COMMAND_MISUSED;
    }
    return 0;
}

/* --- what the program is told by its environment ------------------------------------------------------------------- */

static int set_bytes(const char *name, uint64_t bytes) {
    char text[32];

    (void)snprintf(text, sizeof(text), "%lluB", (unsigned long long)bytes);
    return setenv(name, text, 1);
}

/* Where a process writes it that has changed its directory. */
static int set_autopsy(const char *directory) {
    char whole[PATH_MAX];

    if (directory == NULL)
        return 0;
    return setenv("RATION_AUTOPSY", realpath(directory, whole) == NULL ? directory : whole, 1);
}

/* How to join, and the limit where that is not possible. */
static int set_run(const run_state *state) {
    char text[sizeof(state->offer.names) + 32];

    if (state->offer.page->limit == 0)
        return setenv("RATION_RUN", state->offer.names, 1);
    (void)snprintf(text, sizeof(text), "%s %lluB", state->offer.names, (unsigned long long)state->offer.page->limit);
    return setenv("RATION_RUN", text, 1);
}

uint64_t run_tighter(uint64_t limit, uint64_t other) {
    return limit == 0 || (other != 0 && other < limit) ? other : limit;
}

/* A process's own limit; and none that somebody else told it, where all have one together. Of a run around this one it stays. */
static int set_limits(const run_state *state) {
    const run_options *options = state->options;
    bool is_own = options->limit != 0 && (!state->shares || options->children != SHARED_CHILDREN_SHARE);
    uint64_t limit = is_own ? run_tighter(options->limit, around_limit_each()) : 0;
    int failure = 0;

    if (limit != 0)
        failure = set_bytes("RATION_LIMIT", limit);
    else if (options->limit != 0 && !around_told())
        failure = unsetenv("RATION_LIMIT");
    if (options->soft != 0) {
        uint64_t bound = limit != 0 ? limit : run_tighter(options->limit_most, around_limit_each());
        failure |= set_bytes("RATION_SOFT", run_tighter(options->soft, bound));
    }
    return failure;
}

/* What a variable says already, told by who started us or by a run around this one, holds where no option says otherwise. */
static int set_environment(const run_state *state, const char *library) {
    const run_options *options = state->options;
    int failure = preload(library) | set_limits(state);

    if (options->reserve_given)
        failure |=
            options->reserve != 0 ? set_bytes("RATION_RESERVE", options->reserve) : setenv("RATION_RESERVE", "0", 1);
    if (options->on_limit[0] != 0)
        failure |= setenv("RATION_ON_LIMIT", options->on_limit, 1);
    failure |= set_autopsy(options->autopsy);
    if (options->harden)
        failure |= setenv("RATION_HARDEN", "1", 1);
    if (state->shares)
        failure |= set_run(state);
    return failure;
}

/* --- starting ------------------------------------------------------------------------------------------------------- */

/* In the child: becomes the program, or tells why not. */
static _Noreturn void become(const run_state *state, const char *path, const sigset_t *mask, int report) {
    const char *statistics = state->options->statistics;
    int error;

    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    /* The path has a slash, so execvp looks nowhere else; it gives a file without #! to the shell, as shells do. */
    if (statistics[0] == 0 || statistics_set(statistics) == 0)
        (void)execvp(path, state->options->program);
    error = errno;
    (void)!write(report, &error, sizeof(error));
    _exit(PROGRAM_NOT_EXECUTABLE);
}

/* The program as our child, signals blocked here; 0, or an errno: ours, or why it could not be executed. */
static int start_child(run_state *state, const char *path) {
    int report[2], error = 0;
    sigset_t forwarded, before;

    if (pipe2(report, O_CLOEXEC) != 0)
        return errno;
    signals_taken(&forwarded);
    (void)sigprocmask(SIG_BLOCK, &forwarded, &before);
    state->program = fork();
    if (state->program == 0)
        become(state, path, &before, report[1]);
    if (state->program < 0)
        error = errno;
    (void)close(report[1]);
    if (state->program > 0 && read(report[0], &error, sizeof(error)) == sizeof(error))
        (void)waitpid(state->program, NULL, 0);
    (void)close(report[0]);
    return error;
}

/* Ends as the program did. A first process of a namespace is not ended by signals. */
static int end_like(int status) {
    static const struct rlimit no_core = {0, 0};
    sigset_t set;
    int number;

    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    number = WTERMSIG(status);
    if (getpid() != 1) {
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(number, SIG_DFL);
        (void)sigemptyset(&set);
        (void)sigaddset(&set, number);
        (void)fflush(NULL);
        (void)kill(getpid(), number);
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    return 128 + number;
}

/* Ours are closed on exec. Those that are open are asked for: where the limit is a million, trying each takes a second. */
static void close_inherited(void) {
    DIR *files = opendir("/proc/self/fd");
    const struct dirent *entry;

    while (files != NULL && (entry = readdir(files)) != NULL) {
        int file = (int)strtol(entry->d_name, NULL, 10);
        if (file > STDERR_FILENO && fcntl(file, F_GETFD) == 0)
            (void)close(file);
    }
    if (files != NULL)
        (void)closedir(files);
}

/* What the program reads and writes ends when the program ends it, not when we do. */
static void leave_files(void) {
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (nothing < 0)
        return;
    (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(nothing, STDOUT_FILENO);
    close_inherited();
}

static void end_offer(run_state *state) {
    if (state->shares)
        offer_close(&state->offer);
}

static int run(run_state *state, const char *path) {
    int error = start_child(state, path), status;

    if (error != 0) {
        end_offer(state);
        command_complain(verb, "%s: %s", state->options->program[0],
                         error == ENOENT ? "its interpreter, or its loader, is missing" : strerror(error));
        return PROGRAM_NOT_EXECUTABLE;
    }
    leave_files();
    state->offer.program = state->program;
    status = run_supervise(state);
    end_offer(state);
    if (state->shares && !state->options->quiet)
        run_summary(state, status);
    return end_like(status);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* Offers what the processes share, unless a run around this one does, whose limit holds for us, too. */
static int offer_memory(run_state *state) {
    const run_options *options = state->options;
    bool together = options->children != SHARED_CHILDREN_EACH;

    if (around_joined())
        return 0;
    if (offer_open(&state->offer, together ? options->limit : 0, options->children) != 0) {
        command_complain(verb, "the memory that the processes share: %s", strerror(errno));
        return COMMAND_MISUSED;
    }
    offer_add_path(&state->offer);
    state->shares = true;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    return 0;
}

static int start(const run_options *options) {
    char path[PATH_MAX], library[PATH_MAX], reason[PROGRAM_REASON_SIZE];
    run_state state = {.options = options, .name = base_name(options->program[0]), .begun = time(NULL)};
    const char *name = options->program[0];
    image_facts facts;
    int failure = program_find(name, path);

    if (failure != 0) {
        command_complain(verb, "%s: %s", name, failure == PROGRAM_NOT_FOUND ? "no such program" : strerror(errno));
        return failure;
    }
    failure = prepare_library(library, &facts);
    if (failure != 0)
        return failure;
    if (program_refuses(path, &facts, reason)) {
        command_complain(verb, "%s: %s", name, reason);
        return COMMAND_MISUSED;
    }
    failure = offer_memory(&state);
    if (failure != 0)
        return failure;
    if (set_environment(&state, library) != 0) {
        end_offer(&state);
        command_complain(verb, "the environment: %s", strerror(errno));
        return COMMAND_MISUSED;
    }
    return run(&state, path);
}

/* Of a run that can't be joined, the limit is all that is left: no run of ours may pass it. */
static void inherit_limit(run_options *options) {
    if (around_joined())
        return;
    options->limit_most = around_limit();
    options->limit = run_tighter(options->limit, options->limit_most);
}

int run_main(int argc, char **argv) {
    run_options options;
    int failure = run_options_read(argc, argv, &options);

    if (failure == RUN_HELP)
        return command_print(verb, help);
    if (failure != 0)
        return failure;
    inherit_limit(&options);
    if (options.autopsy == NULL)
        options.autopsy = secure_getenv("RATION_AUTOPSY");
    if (options.limit != 0 && options.autopsy == NULL)
        options.autopsy = ".";
    return start(&options);
}
