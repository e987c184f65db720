/* apart.h: what is looked at from outside: what a process of its own says and how it ends; and memory that would stop
 * this one, were it touched.
 *
 * Start with said_by and ends_well: the library starts anew in their processes, where this one has not used it yet. */
#ifndef RATION_APART_H
#define RATION_APART_H

#include "check.h"

static inline bool ended_well(pid_t child) {
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0;
}

/* Whether a process that runs the function ends with status 0 within the seconds; returning is that. */
static inline bool ends_well(void (*function)(void), unsigned seconds) {
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(seconds);
        function();
        _exit(0);
    }
    return ended_well(child);
}

/* The wait status of a process that runs the function, returning from which ends it with 0, or 1 if a check failed; what it
 * writes to its descriptor 2 is in text up to the next call. */
static inline int ending(void (*function)(const void *), const void *argument, const char **text) {
    static char said[4096];
    int ends[2], status = -1;
    REQUIRE(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        function(argument);
        fflush(stdout);
        _exit(__atomic_load_n(&check.failures, __ATOMIC_RELAXED) != 0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], said + length, sizeof said - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    *text = said;
    return status;
}

/* What such a process writes; it is checked to end well. */
static inline const char *said_by(void (*function)(const void *), const void *argument) {
    const char *text;
    CHECK_EQ(0, ending(function, argument, &text));
    return text;
}

/* Asked of the kernel, which answers EFAULT where the program would be stopped. */
static inline bool can_read(const volatile void *address) {
    int ends[2];
    __asm__("" : "+r"(address)); /* the compiler knows better what may be read */
    REQUIRE(pipe(ends) == 0);
    bool can = write(ends[1], (const void *)address, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return can;
}

static inline bool can_write(volatile void *address) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    bool can = write(ends[1], "x", 1) == 1 && read(ends[0], (void *)address, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return can;
}

/* Whether a process with threads can fork, and go on: not under an emulator, and TSan's children may start no threads. */
static inline bool threads_can_fork(void) {
#if defined(__SANITIZE_THREAD__)
    return false;
#else
    return !emulated();
#endif
}

/* qemu-user says yes to advice that it does not know. */
static inline bool guards_can_be_seen(void) {
    return !emulated();
}

#endif
