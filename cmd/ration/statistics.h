/* statistics.h: the file for the program's figures, which --stats or RATION_STATS names. */
#ifndef RATION_CMD_STATISTICS_H
#define RATION_CMD_STATISTICS_H

#include <limits.h>
#include <sys/types.h>

/* The file's whole name, whatever directory the program will be in. 0, or -1 with errno where it can't be written there. */
int statistics_name(const char *file, char name[PATH_MAX]);
/* What RATION_STATS names, unless a run around this one has set it for its own program; else NULL. */
const char *statistics_in_environment(void);
/* Tells the process, which is to become the program, to write the file; alone, where the name has no %p. 0, or -1 with errno. */
int statistics_set(const char *name);

#endif
