/* statistics.c: the file for the program's figures. The library writes it (src/heap/statistics_file.c); here it is seen to at
 * the start that it can, and that only the program will. Start at statistics_name(). */
#include "statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char variable[] = "RATION_STATS";

static bool may(const char *path, int mode) {
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

/* Its slash included. */
static bool directory_may_be_written(const char *path) {
    char directory[PATH_MAX];
    size_t length = (size_t)(strrchr(path, '/') + 1 - path);

    memcpy(directory, path, length);
    directory[length] = 0;
    return may(directory, W_OK | X_OK);
}

/* Without a trace: a file from before stays as it is until the program ends. */
static bool may_be_written(const char *path) {
    struct stat status;

    if (stat(path, &status) != 0)
        return errno == ENOENT && directory_may_be_written(path);
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return false;
    }
    return may(path, W_OK);
}

int statistics_name(const char *file, char name[PATH_MAX]) {
    char directory[PATH_MAX] = "", whole[2 * PATH_MAX];

    if (file[0] == 0) {
        errno = ENOENT;
        return -1;
    }
    if (file[0] != '/' && getcwd(directory, sizeof(directory)) == NULL)
        return -1;
    if (snprintf(whole, sizeof(whole), "%s%s%s", directory, file[0] == '/' ? "" : "/", file) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name, whole, strlen(whole) + 1);
    return may_be_written(name) ? 0 : -1;
}

const char *statistics_in_environment(void) {
    const char *value = secure_getenv(variable);
    size_t digits = value == NULL ? 0 : strspn(value, "0123456789");

    if (value == NULL || value[0] == 0 || (digits != 0 && strncmp(value + digits, ":/", 2) == 0))
        return NULL;
    return value;
}

int statistics_set(const char *name) {
    char value[PATH_MAX + 16];

    if (strstr(name, "%p") != NULL)
        return setenv(variable, name, 1);
    (void)snprintf(value, sizeof(value), "%d:%s", (int)getpid(), name);
    return setenv(variable, value, 1);
}
