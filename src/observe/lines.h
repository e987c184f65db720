/* lines.h: files of /proc, line by line, without memory: one at a time. */
#ifndef RATION_OBSERVE_LINES_H
#define RATION_OBSERVE_LINES_H

#include "../os/os.h"

#pragma GCC visibility push(hidden)

bool lines_open(const char *path);
/* The next line without its end, good until the one after; of a long one the beginning. NULL at the end. */
const char *lines_next(void);
void lines_close(void);

typedef struct mapping {
    uintptr_t start, end;
    uint64_t offset;
    const char *permissions; /* four letters */
    const char *name;        /* in the line */
} mapping;

/* False where the line of maps or smaps is none that begins a mapping. */
bool mapping_read(const char *line, mapping *);
/* The name behind the last slash. */
const char *last_part(const char *path);

#pragma GCC visibility pop

#endif
