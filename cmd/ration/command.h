/* command.h: what the verbs of `ration` share. main.c has the table of verbs; each verb is one file.
 *
 * A verb's function gets its own arguments, argv[0] being the verb, and returns the exit status. What goes wrong is one
 * line on stderr, beginning with the command and the verb; standard output is for answers only. */
#ifndef RATION_CMD_COMMAND_H
#define RATION_CMD_COMMAND_H

#include <stdbool.h>

/* The exit status for a command line, or a setting, that can't be followed. */
enum { COMMAND_MISUSED = 2 };

int doctor_main(int argc, char **argv);
int run_main(int argc, char **argv);

/* One line to stderr, "ration VERB: …" or with a NULL verb "ration: …". */
void command_complain(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for an argument that the verb does not know, with the way to its help; returns COMMAND_MISUSED. */
int command_unknown(const char *verb, const char *argument);

/* Whether it asks for help: -h, --help. */
bool command_is_help(const char *argument);

/* Writes text to standard output; the exit status, which is 1 where it could not be written. */
int command_print(const char *verb, const char *text);

/* Ends a verb that has printed with stdio; the same status. */
int command_finish(const char *verb);

#endif
