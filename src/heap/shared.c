/* shared.c: the limit that a process shares with others of one `ration run`.
 *
 * A process takes room of the limit ahead of its footprint, in chunks, and gives it back behind it. What a dead process had
 * taken the command gives back (cmd/ration). Start with shared_cover.
 *
 * A forked process begins as a copy of its parent, and all of that is its parent's account still. What it writes to becomes
 * its own, which nobody can deny: the command measures it (own), and says how much less that is than the footprint (offset).
 * From then on the footprint's growth is its own growth. When the footprint falls, that may have been the parent's memory as
 * well as its own: what counts does not fall below what was last measured, and growth counts from there. */
#include "shared.h"

#include "footprint.h"
#include "hardened.h"
#include "mapped.h"

#include <string.h>

enum {
    CHUNK = 256 << 10,
    SLACK = 1 << 20, /* a process gives back what it has taken beyond this, down to a chunk */
    SWEEP_WAIT_MS = 10,
    JOIN_WAIT_MS = 2000,
};

shared_page *shared;

static shared_slot *mine;

/* Lies in memory that the kernel empties in a forked child, and so tells it that it has no slot of its own yet, whoever forked it
 * and how: libc's fork handlers are there only where there are threads. */
static struct own {
    os_mutex lock;
    uint32_t has_slot;
} * own;

/* The footprint when it was last charged: what a forked child begins with. */
static size_t last_footprint;

static bool pid_is_foreign; /* the command knows this process by another number than itself, or not at all */

static uint64_t read_word(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void write_word(uint64_t *word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static COLD void begin_as_child(void);

/* False where this process is not, or no longer, in the run. */
static inline bool takes_part(void) {
    if (UNLIKELY(__atomic_load_n(&own->has_slot, __ATOMIC_ACQUIRE) == 0))
        begin_as_child();
    return LIKELY(shared != NULL);
}

static void note_footprint(size_t footprint) {
    __atomic_store_n(&last_footprint, footprint, __ATOMIC_RELAXED);
}

/* --- what counts ---------------------------------------------------------------------------------------------- */

/* How much of a footprint is this process's own account. */
static size_t counted(size_t footprint) {
    if (!mine->forked)
        return footprint;
    int64_t its_own = (int64_t)read_word(&mine->own), offset = __atomic_load_n(&mine->offset, __ATOMIC_RELAXED);
    int64_t grown = (int64_t)footprint - offset;
    if (grown >= its_own)
        return (size_t)grown;
    __atomic_store_n(&mine->offset, (int64_t)footprint - its_own, __ATOMIC_RELAXED);
    return (size_t)its_own;
}

/* --- taking and giving ---------------------------------------------------------------------------------------- */

static void raise_peak(uint64_t used) {
    uint64_t peak = read_word(&shared->peak);
    while (used > peak &&
           !__atomic_compare_exchange_n(&shared->peak, &peak, used, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* Takes so many bytes, and a chunk more if there is room. Gives what it took; 0 where there is no room. */
static uint64_t take(uint64_t bytes, uint64_t limit) {
    uint64_t used = read_word(&shared->used), more;
    do {
        if (used + bytes > limit)
            return 0;
        more = used + bytes + CHUNK <= limit ? bytes + CHUNK : bytes;
    } while (!__atomic_compare_exchange_n(&shared->used, &used, used + more, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    raise_peak(used + more);
    return more;
}

bool shared_cover(size_t footprint, size_t withheld) {
    if (!takes_part())
        return true;
    size_t needed = counted(footprint);
    for (uint64_t taken; (taken = read_word(&mine->taken)) < needed;) {
        uint64_t got = take(needed - taken, shared_limit() - withheld);
        if (got == 0)
            return false;
        __atomic_fetch_add(&mine->taken, got, __ATOMIC_RELAXED);
    }
    note_footprint(footprint);
    return true;
}

void shared_settle(size_t footprint) {
    if (!takes_part())
        return;
    note_footprint(footprint);
    uint64_t needed = counted(footprint), taken = read_word(&mine->taken);
    while (taken > needed + SLACK)
        if (__atomic_compare_exchange_n(&mine->taken, &taken, needed + CHUNK, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            __atomic_fetch_sub(&shared->used, taken - needed - CHUNK, __ATOMIC_RELAXED);
            return;
        }
}

/* --- the others ----------------------------------------------------------------------------------------------- */

size_t shared_sweep(void) {
    if (!shared_limited())
        return 0;
    uint64_t before = read_word(&shared->used);
    uint32_t ticket = __atomic_add_fetch(&shared->sweeps_wanted, 1, __ATOMIC_RELEASE);
    os_wake_shared(&shared->sweeps_wanted);
    uint64_t end = os_clock_us() + SWEEP_WAIT_MS * 1000;
    for (uint32_t done; (int32_t)((done = __atomic_load_n(&shared->sweeps_done, __ATOMIC_ACQUIRE)) - ticket) < 0;) {
        uint64_t now = os_clock_us();
        if (now >= end)
            break;
        os_wait_shared(&shared->sweeps_done, done, (unsigned)(end - now));
    }
    uint64_t after = read_word(&shared->used);
    return before > after ? before - after : 0;
}

/* --- figures -------------------------------------------------------------------------------------------------- */

void shared_tell(void) {
    if (shared == NULL || !takes_part())
        return;
    page_heap_figures pages = page_heap_read();
    size_t used = __atomic_load_n(&root_heap.used, __ATOMIC_RELAXED), footprint = footprint_bytes();
    write_word(&mine->footprint, footprint);
    if (footprint > read_word(&mine->peak))
        write_word(&mine->peak, footprint);
    write_word(&mine->live, live_bytes_now());
    write_word(&mine->used, used);
    write_word(&mine->free, pages.dirty);
    write_word(&mine->mapped, mapped_bytes());
    write_word(&mine->rest, rest_bytes());
    write_word(&mine->returned, pages.purged + store_purged_bytes());
    write_word(&mine->denied, __atomic_load_n(&root_heap.denied, __ATOMIC_RELAXED));
    write_word(&mine->pressure_us, pressure_time());
}

/* --- joining -------------------------------------------------------------------------------------------------- */

bool shared_join(const char *how) {
    shared_welcome welcome;
    shared_page *page = os_join_memory(how, strcspn(how, " "), sizeof *page, &welcome, sizeof welcome, JOIN_WAIT_MS);
    if (page == NULL)
        return false;
    own = os_map_emptied_by_fork(sizeof *own);
    if (page->magic != SHARED_MAGIC || welcome.slot >= SHARED_SLOTS || own == NULL) {
        os_release(page, sizeof *page);
        return false;
    }
    own->has_slot = 1;
    mine = &page->slots[welcome.slot];
    pid_is_foreign = welcome.pid != os_process_id();
    shared = page;
    return true;
}

bool shared_excludes_children(void) {
    return shared != NULL && shared->children == SHARED_CHILDREN_NONE;
}

static shared_slot *claim_slot(void) {
    for (unsigned i = 0; i < SHARED_SLOTS; i++) {
        uint32_t expected = SHARED_FREE;
        if (__atomic_compare_exchange_n(&shared->slots[i].state, &expected, SHARED_CLAIMED, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return &shared->slots[i];
    }
    return NULL;
}

/* A namespace's first process, and what it forks, are no longer known by their numbers. */
static int known_pid(void) {
    int pid = os_process_id();
    pid_is_foreign |= pid == 1;
    return pid_is_foreign ? 0 : pid;
}

static void begin_slot(shared_slot *slot) {
    size_t footprint = __atomic_load_n(&last_footprint, __ATOMIC_RELAXED);
    *slot = (shared_slot){.state = SHARED_CLAIMED, .forked = 1, .pid = known_pid(), .footprint = footprint};
    slot->offset = (int64_t)footprint;
    __atomic_store_n(&slot->state, SHARED_USED, __ATOMIC_RELEASE);
}

/* One that finds no slot has a limit of its own: what is left now. */
static void begin_without_slot(void) {
    uint64_t limit = shared_limit(), used = read_word(&shared->used);
    shared = NULL;
    if (limit != 0)
        root_heap.limit = footprint_bytes() + (used < limit ? limit - used : 0);
}

static void begin_sharing(void) {
    if (shared->children == SHARED_CHILDREN_NONE) {
        shared = NULL;
        return;
    }
    mine = claim_slot();
    if (mine != NULL)
        begin_slot(mine);
    else
        begin_without_slot();
}

static void begin_as_child(void) {
    os_lock(&own->lock);
    if (own->has_slot == 0 && shared != NULL)
        begin_sharing();
    __atomic_store_n(&own->has_slot, 1, __ATOMIC_RELEASE);
    os_unlock(&own->lock);
}

void shared_after_fork_in_child(void) {
    if (shared != NULL)
        takes_part();
}
