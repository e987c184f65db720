/* denial.h: the system refuses on demand: each call of os.h that may fail is wrapped (--wrap of the linker), counted,
 * and refused once its turn has come.
 *
 * Start with denial_begin. */
#ifndef RATION_DENIAL_H
#define RATION_DENIAL_H

#include "check.h"
#include "os/os.h"

#include <pthread.h>

/* Refused are the calls numbered from first to last, counted from 1. */
static struct { unsigned calls, first, last; } denial;

static inline bool denial_strikes(void) {
    unsigned call = __atomic_add_fetch(&denial.calls, 1, __ATOMIC_RELAXED);
    return call >= denial.first && call <= denial.last;
}

CHECK_UNUSED static void denial_begin(unsigned first, unsigned last) {
    denial.calls = 0;
    denial.first = first;
    denial.last = last;
}

/* Gives how many calls there were. */
CHECK_UNUSED static unsigned denial_end(void) {
    denial.first = denial.last = 0;
    return denial.calls;
}

#define DENY(type, name, parameters, arguments, refused)             \
    type __real_##name parameters;                                   \
    type __wrap_##name parameters;                                   \
    type __wrap_##name parameters {                                  \
        return denial_strikes() ? refused : __real_##name arguments; \
    }

DENY(void *, os_reserve, (size_t size, size_t align), (size, align), NULL)
DENY(bool, os_commit, (void *start, size_t size), (start, size), false)
DENY(void *, os_map, (size_t size), (size), NULL)
DENY(bool, os_purge, (void *start, size_t size), (start, size), false)
DENY(bool, os_release, (void *start, size_t size), (start, size), false)
DENY(bool, os_move, (void *from, void *to, size_t size), (from, to, size), false)
DENY(bool, os_guard, (void *start, size_t size), (start, size), false)
DENY(bool, os_unguard, (void *start, size_t size), (start, size), false)
DENY(bool, os_renew, (void *start, size_t size), (start, size), false)
DENY(bool, os_barrier_everywhere, (void), (), false)

#endif
