/* shared_page.h: the memory that `ration run` and the processes it started share: one limit, who has taken what of it, and
 * figures for the summary. The command makes it; both read and write it, without locks, by atomics. */
#ifndef RATION_HEAP_SHARED_PAGE_H
#define RATION_HEAP_SHARED_PAGE_H

#include <stdint.h>

enum {
    SHARED_MAGIC = 0x52415403, /* the last byte counts versions of this layout */
    SHARED_SLOTS = 8192,
    SHARED_CHILD =
        512 << 10, /* what a forked process is taken to write to at once: stack, libraries' data, our tables */
};

/* What becomes of the programs that the program starts. */
enum shared_children { SHARED_CHILDREN_SHARE, SHARED_CHILDREN_EACH, SHARED_CHILDREN_NONE };

/* One that is left is free once it can be said whose its pages are that others hold, too. */
enum shared_state { SHARED_FREE, SHARED_CLAIMED, SHARED_USED, SHARED_LEFT };

/* One process. */
typedef struct shared_slot {
    uint32_t state;
    uint32_t entangled; /* pages of its are another process's, too, since a fork */
    int32_t pid;        /* as the command sees it; 0 where that is not known: the slot is never taken from it */
    uint32_t joined;    /* by way of the command */
    uint64_t
        started; /* in the kernel's ticks, which tells it from a later process of the same number; 0: not yet looked at */
    uint64_t taken; /* bytes of the page's used */
    /* Entangled: what it counted for when it was last measured; all that it has taken into use so far, and what of that had been
     * then; its footprint as last charged; and how much of that it had inherited from the process that forked it without
     * anybody's having written to it. */
    uint64_t base, grown, grown_before, charged, inherited;
    uint64_t stack; /* where its stack begins, as the command sees it: elsewhere once it has become another program */
    /* As it last told: bytes, but for counts and times. */
    uint64_t footprint, peak, live, used, free, mapped, rest, returned;
    uint64_t cached; /* of live, by the thread that told */
    uint64_t
        resident; /* in the end; 0 before, since what has just been charged is yet to be written to, and where not measured */
    uint64_t denied, pressure_us;
    /* The autopsy that it has left: its own idea of its number, 0 for none; and the number behind that in the file's name. */
    uint32_t autopsy_pid, autopsy_number;
    uint64_t unused[9];
} shared_slot;

_Static_assert(sizeof(shared_slot) == 256, "slots lie on lines of their own");

typedef struct shared_page {
    uint32_t magic;
    uint32_t children; /* enum shared_children */
    uint64_t limit;    /* of all together; 0: none */
    uint64_t used;     /* what they have taken */
    uint64_t peak;
    uint32_t sweeps_wanted; /* counted up by a process that wants to know whether others have died; a futex */
    uint32_t sweeps_done;   /* the count up to which the command has looked; a futex */
    uint32_t slots_ever;    /* slots from here on were never used */
    uint32_t forks;         /* begun: what is measured while a child has not claimed its slot yet is worth nothing */
    uint32_t forks_claimed;
    uint32_t padding;
    uint64_t unused[9];
    shared_slot slots[SHARED_SLOTS];
} shared_page;

static inline uint64_t shared_read(const uint64_t *value) {
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

/* So much is taken now. */
static inline void shared_raise_peak(shared_page *page, uint64_t used) {
    uint64_t peak = shared_read(&page->peak);
    while (peak < used && !__atomic_compare_exchange_n(&page->peak, &peak, used, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* The lowest free slot, claimed: it is SHARED_USED once the claimer has filled it in. NULL where none is free. */
static inline shared_slot *shared_claim(shared_page *page) {
    for (uint32_t i = 0; i < SHARED_SLOTS; i++) {
        uint32_t state = SHARED_FREE, ever = __atomic_load_n(&page->slots_ever, __ATOMIC_RELAXED);
        if (!__atomic_compare_exchange_n(&page->slots[i].state, &state, SHARED_CLAIMED, 0, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED))
            continue;
        while (ever <= i &&
               !__atomic_compare_exchange_n(&page->slots_ever, &ever, i + 1, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            ;
        return &page->slots[i];
    }
    return 0;
}

/* What the command sends to one that joins, with the descriptor of the page. */
typedef struct shared_welcome {
    uint32_t slot;
    int32_t pid;
} shared_welcome;

#endif
