/* shared.c: the limit that a process shares with others of one `ration run`. */
#include "shared.h"

bool shared_limited(void) {
    return false;
}

size_t shared_limit(void) {
    return 0;
}

bool shared_cover(size_t bytes, size_t withheld) {
    (void)bytes;
    (void)withheld;
    return true;
}

void shared_settle(size_t bytes) {
    (void)bytes;
}
