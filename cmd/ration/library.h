/* library.h: where this command finds libration-preload.so. */
#ifndef RATION_CMD_LIBRARY_H
#define RATION_CMD_LIBRARY_H

#include <limits.h>

/* The library's file name, the same in the build tree and installed. */
#define LIBRARY_NAME "libration-preload.so"

/* The absolute path of the library: what RATION_PRELOAD_PATH names, or else beside this command. 0, or -1 with errno;
 * path is then where it was looked for first. */
int library_find(char path[PATH_MAX]);

#endif
