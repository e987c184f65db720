/* denial.h: something refuses on demand: its calls are wrapped (--wrap of the linker), counted, and refused once their turn has
 * come; and a scenario, in which the n-th call is refused, for n = 1, 2, … until it has so few calls.
 *
 * Each n has a process of its own, in which the library starts anew. After it nothing may be lost: blocks that were given
 * hold what was written, what refused succeeds and so do requests, and in the end all is free and the page heap in order.
 * Start with calls_until_passed. */
#ifndef RATION_DENIAL_H
#define RATION_DENIAL_H

#include "held.h"

enum { MOST_CALLS = 2000, FAILED = 1, PASSED = 2 };

/* Each test has its own. */
static void scenario(void);

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

static int run_denied(unsigned first, unsigned last) {
    denial_begin(first, last);
    scenario();
    unsigned calls = denial_end();
    check_that_requests_are_met_again();
    give_all_back();
    check_that_nothing_is_lost();
    if (__atomic_load_n(&check.failures, __ATOMIC_RELAXED) != 0)
        return FAILED;
    return calls < first ? PASSED : 0;
}

/* Whether there is more to refuse; gives up on the first that goes wrong. */
static bool denied_at(unsigned first, unsigned last) {
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int result = run_denied(first, last);
        fflush(stdout);
        _exit(result);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == PASSED)
        return false;
    if (status != 0)
        check_fail(__FILE__, __LINE__, "calls %u to %u refused: wait status %#x", first, last, (unsigned)status);
    return status == 0;
}

/* Runs the scenario with the calls 1 to width refused, 2 to width + 1, and so on, until none is; gives how many calls it has. */
static unsigned calls_until_passed(unsigned width) {
    unsigned call = 1;
    while (denied_at(call, width > UINT32_MAX - call ? UINT32_MAX : call + width - 1))
        call++;
    return call;
}

#endif
