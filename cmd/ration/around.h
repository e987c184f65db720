/* around.h: the `ration run` around this command, if it was started within one. */
#ifndef RATION_CMD_AROUND_H
#define RATION_CMD_AROUND_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the environment tells of one, which may be gone, or out of reach. */
bool around_told(void);
/* Whether this process takes part in it: its limit then holds for what we start, too. */
bool around_joined(void);
/* The limit that all its processes have together, and the one that each has; 0: none. */
uint64_t around_limit(void);
uint64_t around_limit_each(void);

#endif
