/* on_limit.c: what happens at the process's limit besides NULL: the thread may wait for memory, or the process end.
 *
 * Asked for by RATION_ON_LIMIT, or `ration run --on-limit`. Start with on_limit_wait. */
#include "footprint.h"
#include "pressure.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINE_BYTES = 160, PAUSE_US = 10000, PAUSE_FIRST_US = 500 };

static struct {
    on_limit_action action;
    unsigned argument; /* how long to wait, in ms; the exit code */
} policy;

void on_limit_set(on_limit_action action, unsigned argument) {
    policy.action = action;
    policy.argument = argument;
}

bool on_limit_waits(void) {
    return policy.action == ON_LIMIT_WAIT;
}

/* What other threads and processes free is not told of: it is looked for. */
bool on_limit_wait(size_t bytes, size_t (*look)(void)) {
    uint64_t now = os_clock_ms();
    if (this_thread.wait_until == 0)
        this_thread.wait_until = now + policy.argument;
    for (unsigned pause = PAUSE_FIRST_US; now < this_thread.wait_until; now = os_clock_ms()) {
        os_pause(pause);
        pause = 2 * pause < PAUSE_US ? 2 * pause : PAUSE_US;
        look();
        if (heap_has_room(&root_heap, bytes))
            return true;
    }
    return false;
}

static void say_limit(size_t bytes, const char *end) {
    char line[LINE_BYTES];
    int length =
        snprintf(line, sizeof line, "ration: %zu bytes asked for at the limit of %zu, of which %zu are held: %s\n",
                 bytes, footprint_limit(), footprint_bytes(), end);
    if (length > 0)
        os_say(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

/* Not by exit: what it runs may want a lock that this thread holds. */
void on_limit_denied(size_t bytes) {
    if (policy.action == ON_LIMIT_ABORT) {
        say_limit(bytes, "abort");
        abort();
    }
    if (policy.action == ON_LIMIT_EXIT) {
        say_limit(bytes, "exit");
        os_exit((int)policy.argument);
    }
}
