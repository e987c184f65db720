/* main.c: the command `ration`. A table of verbs, and what belongs to no verb.
 *
 * To add a verb, write cmd/ration/VERB.c, declare its function in command.h and give it a line in the table here. */
#include "command.h"

#include <errno.h>
#include <ration/base.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The library's variables in our environment are for what we start. */
extern const char rn_starts_another;
const char rn_starts_another = 1;

static const struct verb {
    const char *name;
    const char *purpose;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"doctor", "show what this system offers, and what Ration does with it", doctor_main},
    {"run", "start a program with Ration as its malloc", run_main},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

void command_complain(const char *verb, const char *format, ...) {
    va_list arguments;

    (void)fprintf(stderr, "ration%s%s: ", verb == NULL ? "" : " ", verb == NULL ? "" : verb);
    va_start(arguments, format);
    /* The analyzer forgets va_start where it looks at several files in one run. */
    (void)vfprintf(stderr, format, arguments); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(arguments);
    (void)fputc('\n', stderr);
}

int command_unknown(const char *verb, const char *argument) {
    const char *kind = argument[0] == '-' ? "option" : verb == NULL ? "verb" : "argument";

    command_complain(verb, "unknown %s '%s'; see 'ration %s%s--help'", kind, argument, verb == NULL ? "" : verb,
                     verb == NULL ? "" : " ");
    return COMMAND_MISUSED;
}

int command_finish(const char *verb) {
    /* A full disk may show only when the buffer is written. */
    bool written = fflush(stdout) == 0;

    if (written && !ferror(stdout))
        return 0;
    command_complain(verb, "standard output: %s", written ? "not all could be written" : strerror(errno));
    return 1;
}

int command_print(const char *verb, const char *text) {
    (void)fputs(text, stdout);
    return command_finish(verb);
}

static void print_help(FILE *stream) {
    (void)fputs("Usage: ration VERB [OPTIONS]\n"
                "Memory for C programs that must live within a fixed allowance.\n"
                "\n"
                "Verbs:\n",
                stream);
    for (size_t i = 0; i < VERB_COUNT; i++)
        (void)fprintf(stream, "  %-8s  %s\n", verbs[i].name, verbs[i].purpose);
    (void)fputs("\n"
                "Options:\n"
                "  -h, --help  show this; 'ration help VERB' tells more about a verb\n"
                "  --version   show the version\n",
                stream);
}

static int print_version(void) {
    (void)printf("ration %s\n", rn_version());
    return command_finish(NULL);
}

static const struct verb *find_verb(const char *name) {
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(name, verbs[i].name) == 0)
            return &verbs[i];
    return NULL;
}

bool command_is_help(const char *argument) {
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* The verb's, or with a NULL name the command's. */
static int help(char *name) {
    static char option[] = "--help";
    const struct verb *verb = name == NULL ? NULL : find_verb(name);

    if (verb != NULL)
        return verb->run(2, (char *[]){name, option, NULL});
    if (name != NULL)
        return command_unknown(NULL, name);
    print_help(stdout);
    return command_finish(NULL);
}

int main(int argc, char **argv) {
    const struct verb *verb = argc < 2 ? NULL : find_verb(argv[1]);

    if (argc < 2) {
        print_help(stderr);
        return COMMAND_MISUSED;
    }
    if (verb != NULL)
        return verb->run(argc - 1, argv + 1);
    if (command_is_help(argv[1]))
        return help(NULL);
    if (strcmp(argv[1], "help") == 0)
        return help(argv[2]);
    if (strcmp(argv[1], "--version") == 0)
        return print_version();
    return command_unknown(NULL, argv[1]);
}
