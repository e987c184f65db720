/* parts.h: the parts of an autopsy, in order. Each writes its own to the paper, and says what it could not find out. */
#ifndef RATION_OBSERVE_PARTS_H
#define RATION_OBSERVE_PARTS_H

#include "../heap/heap.h"

#pragma GCC visibility push(hidden)

enum { PART_WAIT_MS = 200 /* for a lock; then the part is left out */ };

typedef struct denial {
    struct heap *asked, *without_room;
    size_t bytes;
    size_t refused_by_system; /* requests before this one */
} denial;

/* summary.c */
bool is_larger_than_limit(const denial *);
void tell_denial(const denial *);
void tell_process(void);
void tell_next_steps(const denial *);
/* heaps.c */
void tell_heaps(void);
/* blocks.c: looks at every span first; both others tell of it */
void survey_blocks(void);
void tell_classes(void);
void tell_largest_blocks(void);
/* stack.c: of the thread that calls */
void tell_stack(void);
/* mappings.c */
void tell_mappings(void);

#pragma GCC visibility pop

#endif
