/* program.h: the program that `ration run` is asked to start: where it is, and whether a preloaded malloc reaches it.
 *
 * Both functions only look. What they answer is for people: one line, without the command's name before it. */
#ifndef RATION_CMD_PROGRAM_H
#define RATION_CMD_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

#include "image.h"

/* The exit statuses by which shells say that a program could not be started. */
enum { PROGRAM_NOT_EXECUTABLE = 126, PROGRAM_NOT_FOUND = 127 };

/* Looks name up as a shell does and writes the file's path. 0, or one of the statuses above with errno set; path is
 * then untouched. */
int program_find(const char *name, char path[PATH_MAX]);

/* Room for a path within a sentence. */
#define PROGRAM_REASON_SIZE (PATH_MAX + 320)

/* True where the library (whose facts are given) would not become the program's malloc; reason then says why. */
bool program_refuses(const char *path, const image_facts *library, char reason[PROGRAM_REASON_SIZE]);

#endif
