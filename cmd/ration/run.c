/* run.c: `ration run`: replaces itself by a program that has Ration as its malloc.
 *
 * Start at run_main(). Everything that would keep the library out of the program is looked for first (program.h), since
 * the loader says nothing, or goes on without it, when a preloaded library can't be used. */
#include "command.h"

#include "image.h"
#include "library.h"
#include "program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char verb[] = "run";

static const char help[] = "Usage: ration run [--harden] [--] PROGRAM [ARGUMENTS]\n"
                           "Starts PROGRAM, unmodified, with Ration as its malloc, and the programs that\n"
                           "it starts.\n"
                           "\n"
                           "Options:\n"
                           "  --harden  check every free at once, guard large blocks, detect overflows and\n"
                           "            writes after free; costs some time\n"
                           "  --help    show this\n"
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

/* Becomes the program; returns only where that failed. */
static int start(char **program, bool harden) {
    char path[PATH_MAX], library[PATH_MAX], reason[PROGRAM_REASON_SIZE];
    image_facts facts;
    int failure = program_find(program[0], path);

    if (failure != 0) {
        command_complain(verb, "%s: %s", program[0],
                         failure == PROGRAM_NOT_FOUND ? "no such program" : strerror(errno));
        return failure;
    }
    failure = prepare_library(library, &facts);
    if (failure != 0)
        return failure;
    if (program_refuses(path, &facts, reason)) {
        command_complain(verb, "%s: %s", program[0], reason);
        return COMMAND_MISUSED;
    }
    if (preload(library) != 0 || (harden && setenv("RATION_HARDEN", "1", 1) != 0)) {
        command_complain(verb, "the environment: %s", strerror(errno));
        return COMMAND_MISUSED;
    }
    /* The path has a slash, so this looks nowhere else; it gives a file without #! to the shell, as shells do. */
    execvp(path, program);
    command_complain(verb, "%s: %s", program[0],
                     errno == ENOENT ? "its interpreter, or its loader, is missing" : strerror(errno));
    return PROGRAM_NOT_EXECUTABLE;
}

int run_main(int argc, char **argv) {
    bool harden = false;
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return command_print(verb, help);
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strcmp(argv[i], "--harden") != 0)
            return command_unknown(verb, argv[i]);
        harden = true;
    }
    if (i == argc) {
        command_complain(verb, "no program named; see 'ration run --help'");
        return COMMAND_MISUSED;
    }
    return start(argv + i, harden);
}
