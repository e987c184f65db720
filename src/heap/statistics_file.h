/* statistics_file.h: the figures that a process writes into a file at its end. */
#ifndef RATION_HEAP_STATISTICS_FILE_H
#define RATION_HEAP_STATISTICS_FILE_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum { STATISTICS_NAME_MAX = 4095 };

/* Takes the value of RATION_STATS, once, at start: [PID:]FILE. A relative name is looked up from here on in the directory of now.
 * False where it names no file. */
bool statistics_file_set(const char *value);
/* The process ends: writes the file, if this process is to. False where it can't. */
bool statistics_file_write(void);
/* What it was told to write: the whole name. */
const char *statistics_file_name(void);

#pragma GCC visibility pop

#endif
