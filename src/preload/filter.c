/* filter.c: the calls by which a program installs a filter of system calls (seccomp(2)). From then on the library makes no
 * call but those that it can't do without: what is resident is no longer looked at. And the one by which a thread ends past libc.
 *
 * It is told before the filter is there, since afterwards might be too late. Start with filtered. */
#include "../heap/heap.h"
#include "../os/syscall.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/prctl.h>

#define EXPORT __attribute__((visibility("default")))

enum { OPERATIONS_THAT_FILTER = 2 }; /* of seccomp(2), strict and filter; the others only ask */

typedef struct call {
    long number, arguments[6];
} call;

static long make(const call *c) {
    const long *a = c->arguments;
    return os_syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long with_errno(long result) {
    if ((unsigned long)result <= -4096UL)
        return result;
    errno = (int)-result;
    return -1;
}

static bool installs_filter(const call *c) {
    return (c->number == SYS_seccomp && (unsigned long)c->arguments[0] < OPERATIONS_THAT_FILTER) ||
           (c->number == SYS_prctl && c->arguments[0] == PR_SET_SECCOMP);
}

static __attribute__((cold)) long filtered(const call *c) {
    bool before = os_forbid_looking(true);
    long result = make(c);
    if (result < 0 && !before)
        os_forbid_looking(false);
    return with_errno(result);
}

EXPORT long syscall(long number, ...) {
    call c = {.number = number};
    va_list more;
    va_start(more, number);
    for (int i = 0; i < 6; i++)
        c.arguments[i] =
            va_arg(more, long); /* those not given are not used NOLINT(clang-analyzer-valist.Uninitialized) */
    va_end(more);
    if (UNLIKELY(number == SYS_exit))
        thread_leave();
    return UNLIKELY(installs_filter(&c)) ? filtered(&c) : with_errno(make(&c));
}

EXPORT int prctl(int option, ...) {
    call c = {.number = SYS_prctl, .arguments = {option}};
    va_list more;
    va_start(more, option);
    for (int i = 1; i < 5; i++)
        c.arguments[i] = va_arg(more, long); // NOLINT(clang-analyzer-valist.Uninitialized): begun above
    va_end(more);
    return (int)(UNLIKELY(installs_filter(&c)) ? filtered(&c) : with_errno(make(&c)));
}
