/* pressure.h: what the parts of pressure ask of each other. pressure.c takes the measures when a request was refused, ease.c in
 * small steps beyond a soft limit, callbacks.c calls the program. */
#ifndef RATION_HEAP_PRESSURE_H
#define RATION_HEAP_PRESSURE_H

#include "hardened.h"

#pragma GCC visibility push(hidden)

/* The right to call callbacks, which one thread has at a time. False while another has it. */
bool callbacks_begin(void);
void callbacks_end(void);
/* Whether the program asked for any in the heap or below it. */
bool callbacks_are_there(struct heap *top);
/* The same as callbacks_begin, after waiting while another thread has it; not for long, since a callback may wait for a lock that this thread
 * holds. */
bool callbacks_begin_soon(void);
/* All may be called once more. */
void callbacks_new_round(void);
/* Calls the next in the heap's subtree that was not called in this round, of the lowest priority; *released is what it says.
 * False where none is left. */
bool callbacks_call_next(const struct heap *, size_t want, size_t *released);

/* --- at the process's limit (on_limit.c) ------------------------------------------------------------------------ */

/* Whether a request is to wait for room before it is denied; and doing so: until there is room for so many bytes, as far as
 * look has found by giving back what it could. False when the time is up. */
bool on_limit_waits(void);
bool on_limit_wait(size_t bytes, size_t (*look)(void));
/* A request was denied: ends the process, if that is asked for. */
void on_limit_denied(size_t bytes);

#pragma GCC visibility pop

#endif
