/* shared.h: the limit that a process shares with others of one `ration run`. */
#ifndef RATION_HEAP_SHARED_H
#define RATION_HEAP_SHARED_H

#include "heap.h"
#include "shared_page.h"

#pragma GCC visibility push(hidden)

/* NULL while the process shares nothing. */
extern shared_page *shared;

/* Whether there is a limit, what it is, and what all have taken of it. */
static inline bool shared_limited(void) {
    return UNLIKELY(shared != NULL) && __atomic_load_n(&shared->limit, __ATOMIC_RELAXED) != 0;
}
static inline size_t shared_limit(void) {
    return __atomic_load_n(&shared->limit, __ATOMIC_RELAXED);
}
static inline size_t shared_used(void) {
    return __atomic_load_n(&shared->used, __ATOMIC_RELAXED);
}

/* Joins the others, as RATION_RUN says how; once, at start. False where that can't be done. */
bool shared_join(const char *how);
/* Whether programs that this one starts are to run without Ration. */
bool shared_excludes_children(void);
/* Whether the limit has room for what of a footprint the process has not taken, with so much of it withheld. */
bool shared_has_room(size_t footprint, size_t withheld);
/* Makes sure that what the process has taken of the limit covers its footprint, with so much of the limit withheld. False where
 * there is no room. */
bool shared_cover(size_t footprint, size_t withheld);
/* What this thread took of the limit is had: the peak shows it from now on. */
void shared_note_had(void);
/* Gives back what the process has taken beyond its footprint, and a little. */
void shared_settle(size_t footprint);
/* Has the command look for processes that have died, and measure those that forked. Gives the bytes that came back meanwhile. */
size_t shared_sweep(void);
/* Tells the command the process's figures. */
void shared_tell(void);
/* The same at the process's end, with what is resident now. */
void shared_tell_last(void);
/* Tells it that the process has left an autopsy: ration-PID.autopsy or, with a number that is not 0, ration-PID.NUMBER.autopsy. */
void shared_tell_autopsy(unsigned number);
void shared_before_fork(void);
void shared_after_fork_in_child(void);

#pragma GCC visibility pop

#endif
