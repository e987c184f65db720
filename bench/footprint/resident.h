/* resident.h: what this process holds in memory now, read without any allocation, so that asking changes nothing. */
#ifndef BENCH_RESIDENT_H
#define BENCH_RESIDENT_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number that follows a label in a file of /proc, in KiB; -1 if it is not there. */
static inline long proc_kib(const char *path, const char *label) {
    static char text[8192];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    size_t length = 0;
    for (ssize_t got; length < sizeof text - 1 && (got = read(file, text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    close(file);
    text[length] = '\0';
    const char *found = strstr(text, label);
    return found ? strtol(found + strlen(label), NULL, 10) : -1;
}

static inline long resident_kib(void) {
    return proc_kib("/proc/self/smaps_rollup", "\nRss:");
}

static inline long address_space_kib(void) {
    return proc_kib("/proc/self/status", "\nVmSize:");
}

#endif
