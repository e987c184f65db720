/* library.c: finds the preload library relative to this command's own file, so that a tree can be moved as a whole. */
#include "library.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* From the command's directory to the library's. The build sets it where a distribution installs elsewhere. */
#ifndef RATION_LIBRARY_DIRECTORY
#define RATION_LIBRARY_DIRECTORY "../lib"
#endif

/* The directory that this command's file is in, links resolved; without /proc, as the kernel was asked for it. */
static int own_directory(char directory[PATH_MAX]) {
    const char *started = (const char *)getauxval(AT_EXECFN);

    if (realpath("/proc/self/exe", directory) == NULL && (started == NULL || realpath(started, directory) == NULL))
        return -1;
    *(strrchr(directory, '/') + 1) = 0;
    return 0;
}

/* directory/relative/LIBRARY_NAME, resolved where it exists and as it was looked for where not. */
static int look(const char *directory, const char *relative, char path[PATH_MAX]) {
    char candidate[PATH_MAX];
    int written = snprintf(candidate, sizeof(candidate), "%s%s/%s", directory, relative, LIBRARY_NAME);

    if (written < 0 || (size_t)written >= sizeof(candidate)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, candidate, (size_t)written + 1);
    return access(candidate, R_OK) == 0 && realpath(candidate, path) != NULL ? 0 : -1;
}

int library_find(char path[PATH_MAX]) {
    const char *named = secure_getenv("RATION_PRELOAD_PATH");
    char directory[PATH_MAX], other[PATH_MAX];

    if (named != NULL) {
        (void)snprintf(path, PATH_MAX, "%s", named);
        return access(named, R_OK) == 0 && realpath(named, path) != NULL ? 0 : -1;
    }
    if (own_directory(directory) != 0) {
        (void)snprintf(path, PATH_MAX, "%s", LIBRARY_NAME);
        return -1;
    }
    if (look(directory, "../lib", path) == 0)
        return 0;
    if (look(directory, RATION_LIBRARY_DIRECTORY, other) != 0)
        return -1;
    memcpy(path, other, sizeof(other));
    return 0;
}
