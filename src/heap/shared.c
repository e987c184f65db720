/* shared.c: the limit that a process shares with others of one `ration run`.
 *
 * A process takes room of the limit ahead of its footprint, in chunks, and gives it back behind it. What a dead process had
 * taken the command gives back (cmd/ration). Start with shared_cover.
 *
 * Processes that a fork made of one are entangled: they hold the same pages until one of them writes to a page or gives it up,
 * and then the other has it alone. So what one gives back may make no room, and what it writes to takes some that nobody can
 * deny. Until such a process is measured (by the command, often and when one is about to be denied) it counts as what it was
 * found to hold, a shared page in parts, what was handed out and not yet written to, and all that it took into use since. At first
 * that is its footprint in the parent, little in the child. Start with counted. */
#include "shared.h"

#include "footprint.h"
#include "hardened.h"
#include "mapped.h"

#include <string.h>

enum {
    CHUNK = 256 << 10,
    SLACK = 1 << 20, /* a process gives back what it has taken beyond this, down to a chunk */
    SWEEP_WAIT_MS = 50,
    JOIN_WAIT_MS =
        10000, /* on a starved machine the command may be late; a process without it would have a limit of its own */
};

shared_page *shared;

static shared_slot *mine;

/* Lies in memory that the kernel empties in a forked child, and so tells it that it has no slot of its own yet, whoever forked it
 * and how: libc's fork handlers know only of fork. */
static struct own {
    os_mutex lock;
    uint32_t has_slot;
} * own;

/* The footprint when it was last charged: what a forked child begins with. */
static size_t last_footprint;

/* What its parent had told already when it was forked. */
static struct { uint64_t denied, pressure_us; } inherited;

static uint64_t stack; /* where the command says that ours begins; a forked child's is there, too */

static bool pid_is_foreign; /* the command knows this process by another number than itself, or not at all */

static void write_word(uint64_t *word, uint64_t value) { // NOLINT(readability-non-const-parameter): exchanged
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static COLD bool begin_as_child(void);

/* False where this process is not, or no longer, in the run. */
static inline bool takes_part(void) {
    if (UNLIKELY(__atomic_load_n(&own->has_slot, __ATOMIC_ACQUIRE) == 0) && !begin_as_child())
        return false;
    return LIKELY(shared != NULL);
}

/* --- what counts ---------------------------------------------------------------------------------------------- */

static bool is_entangled(void) {
    return UNLIKELY(__atomic_load_n(&mine->entangled, __ATOMIC_RELAXED) != 0);
}

/* How much of the limit a footprint stands for. */
static size_t counted(size_t footprint) {
    if (!is_entangled())
        return footprint;
    size_t last = __atomic_load_n(&last_footprint, __ATOMIC_RELAXED), more = footprint > last ? footprint - last : 0;
    return shared_read(&mine->base) + shared_read(&mine->grown) + more - shared_read(&mine->grown_before);
}

/* So that of threads that charge at once none leaves an older one there. */
static void tell_charged(void) {
    size_t told;
    do {
        told = __atomic_load_n(&last_footprint, __ATOMIC_SEQ_CST);
        __atomic_store_n(&mine->charged, told, __ATOMIC_SEQ_CST);
    } while (told != __atomic_load_n(&last_footprint, __ATOMIC_SEQ_CST));
}

/* The footprint has become this. */
static void note_footprint(size_t footprint) {
    size_t last = __atomic_exchange_n(&last_footprint, footprint, __ATOMIC_SEQ_CST);
    if (!is_entangled())
        return;
    if (footprint > last)
        __atomic_fetch_add(&mine->grown, footprint - last, __ATOMIC_RELAXED);
    tell_charged();
}

/* --- taking and giving ---------------------------------------------------------------------------------------- */

/* Whether this thread has taken some that the peak does not show yet: the system may refuse what it was taken for. */
static __thread bool took __attribute__((tls_model("initial-exec")));

/* Takes so many bytes, and a chunk more if there is room, but not for one in need: that would be of the reserve. Gives what
 * it took; 0 where there is no room. */
static uint64_t take(uint64_t bytes, uint64_t limit) {
    uint64_t used = shared_read(&shared->used), more;
    do {
        if (used + bytes > limit)
            return 0;
        more = !heap_is_needed(&root_heap) && used + bytes + CHUNK <= limit ? bytes + CHUNK : bytes;
    } while (!__atomic_compare_exchange_n(&shared->used, &used, used + more, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    took = true;
    return more;
}

/* What it has taken ahead of its footprint nobody holds. */
static void raise_peak(void) {
    uint64_t used = shared_read(&shared->used), taken = shared_read(&mine->taken);
    uint64_t held = counted(__atomic_load_n(&last_footprint, __ATOMIC_RELAXED)),
             ahead = taken > held ? taken - held : 0;
    shared_raise_peak(shared, used > ahead ? used - ahead : 0);
}

void shared_note_had(void) {
    if (!took || !takes_part())
        return;
    took = false;
    raise_peak();
}

bool shared_has_room(size_t footprint, size_t withheld) {
    if (!takes_part())
        return true;
    uint64_t needed = counted(footprint), taken = shared_read(&mine->taken);
    return shared_read(&shared->used) + needed - taken <= shared_limit() - withheld;
}

bool shared_cover(size_t footprint, size_t withheld) {
    if (!takes_part())
        return true;
    size_t needed = counted(footprint);
    for (uint64_t taken; (taken = shared_read(&mine->taken)) < needed;) {
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
    uint64_t needed = counted(footprint), taken = shared_read(&mine->taken);
    while (taken > needed + SLACK)
        if (__atomic_compare_exchange_n(&mine->taken, &taken, needed + CHUNK, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            __atomic_fetch_sub(&shared->used, taken - needed - CHUNK, __ATOMIC_RELAXED);
            break;
        }
    note_footprint(footprint);
}

/* --- the others ----------------------------------------------------------------------------------------------- */

size_t shared_sweep(void) {
    if (!shared_limited())
        return 0;
    uint64_t before = shared_read(&shared->used);
    uint32_t ticket = __atomic_add_fetch(&shared->sweeps_wanted, 1, __ATOMIC_RELEASE);
    os_wake_shared(&shared->sweeps_wanted);
    uint64_t end = os_clock_us() + SWEEP_WAIT_MS * (uint64_t)1000;
    for (uint32_t done; (int32_t)((done = __atomic_load_n(&shared->sweeps_done, __ATOMIC_ACQUIRE)) - ticket) < 0;) {
        uint64_t now = os_clock_us();
        if (now >= end)
            break;
        os_wait_shared(&shared->sweeps_done, done, (unsigned)(end - now));
    }
    uint64_t after = shared_read(&shared->used);
    return before > after ? before - after : 0;
}

/* --- figures -------------------------------------------------------------------------------------------------- */

void shared_tell(void) {
    if (shared == NULL || !takes_part())
        return;
    page_heap_figures pages = page_heap_read();
    size_t used = __atomic_load_n(&root_heap.used, __ATOMIC_RELAXED), footprint = footprint_bytes();
    write_word(&mine->footprint, footprint);
    raise_peak();
    if (footprint > shared_read(&mine->peak))
        write_word(&mine->peak, footprint);
    write_word(&mine->live, live_bytes_now());
    write_word(&mine->cached, thread_cached_bytes());
    write_word(&mine->used, used);
    write_word(&mine->free, pages.dirty);
    write_word(&mine->mapped, mapped_bytes());
    write_word(&mine->rest, rest_bytes());
    write_word(&mine->returned, pages.purged + store_purged_bytes());
    write_word(&mine->denied, __atomic_load_n(&root_heap.denied, __ATOMIC_RELAXED) - inherited.denied);
    write_word(&mine->pressure_us, pressure_time() - inherited.pressure_us);
}

void shared_tell_last(void) {
    if (shared == NULL)
        return;
    mapped_measure();
    shared_tell();
    if (shared != NULL)
        write_word(&mine->resident, mapped_resident_bytes());
}

void shared_tell_autopsy(unsigned number) {
    if (shared == NULL || !takes_part())
        return;
    __atomic_store_n(&mine->autopsy_number, number, __ATOMIC_RELAXED);
    __atomic_store_n(&mine->autopsy_pid, (uint32_t)os_process_id(), __ATOMIC_RELEASE);
}

/* --- joining -------------------------------------------------------------------------------------------------- */

bool shared_join(const char *how) {
    shared_welcome welcome;
    shared_page *page = os_join_memory(how, strcspn(how, " "), sizeof *page, &welcome, sizeof welcome, JOIN_WAIT_MS);
    if (page == NULL)
        return false;
    own = os_map_emptied_by_fork(sizeof *own);
    if (page->magic != SHARED_MAGIC || welcome.slot >= SHARED_SLOTS || own == NULL) {
        os_unmap(page, sizeof *page);
        return false;
    }
    own->has_slot = 1;
    mine = &page->slots[welcome.slot];
    stack = shared_read(&mine->stack);
    pid_is_foreign = welcome.pid != os_process_id();
    shared = page;
    start_watching_forks();
    return true;
}

bool shared_excludes_children(void) {
    return shared != NULL && shared->children == SHARED_CHILDREN_NONE;
}

/* A namespace's first process, and what it forks, are no longer known by their numbers. */
static int known_pid(void) {
    int pid = os_process_id();
    pid_is_foreign |= pid == 1;
    return pid_is_foreign ? 0 : pid;
}

/* What of a footprint nobody has written to. */
static size_t untouched(size_t footprint) {
    os_own_memory held = {0};
    size_t there = os_measure(&held) ? held.resident + held.page_tables : 0;
    return footprint > there ? footprint - there : 0;
}

static void begin_slot(shared_slot *slot) {
    size_t footprint = __atomic_load_n(&last_footprint, __ATOMIC_RELAXED);
    *slot = (shared_slot){.state = SHARED_CLAIMED,
                          .entangled = 1,
                          .base = SHARED_CHILD,
                          .charged = footprint,
                          .inherited = untouched(footprint),
                          .pid = known_pid(),
                          .stack = stack,
                          .footprint = footprint};
    inherited.denied = __atomic_load_n(&root_heap.denied, __ATOMIC_RELAXED);
    inherited.pressure_us = pressure_time();
    __atomic_store_n(&slot->state, SHARED_USED, __ATOMIC_RELEASE);
}

/* One that finds no slot has a limit of its own: what is left now. */
static void begin_without_slot(void) {
    uint64_t limit = shared_limit(), used = shared_read(&shared->used);
    shared = NULL;
    if (limit != 0)
        root_heap.limit = footprint_bytes() + (used < limit ? limit - used : 0);
}

static void begin_sharing(void) {
    if (shared->children == SHARED_CHILDREN_NONE) {
        shared = NULL;
        return;
    }
    mine = shared_claim(shared);
    if (mine != NULL)
        begin_slot(mine);
    else
        begin_without_slot();
}

/* False in a signal handler that has interrupted it: what it maps is charged with what is next. */
static bool begin_as_child(void) {
    static __thread bool beginning __attribute__((tls_model("initial-exec")));
    if (beginning)
        return false;
    beginning = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    os_lock(&own->lock);
    if (own->has_slot == 0 && shared != NULL)
        begin_sharing();
    __atomic_store_n(&own->has_slot, 1, __ATOMIC_RELEASE);
    os_unlock(&own->lock);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    beginning = false;
    return true;
}

/* Free memory that parent and child both take into use again is there twice, and no charge tells of it. So where the limit may be
 * met, none is left to be inherited. */
static void give_free_memory(void) {
    if (shared_read(&shared->used) <= shared_limit() / 8)
        return;
    thread_drain_own();
    heap_lock_tree();
    heap_purge_subtree(&root_heap);
    heap_unlock_tree();
    page_heap_purge(0);
}

void shared_before_fork(void) {
    if (shared == NULL || !takes_part())
        return;
    give_free_memory();
    __atomic_fetch_add(&shared->forks, 1, __ATOMIC_RELEASE);
    if (is_entangled())
        return;
    write_word(&mine->base, __atomic_load_n(&last_footprint, __ATOMIC_RELAXED));
    write_word(&mine->grown_before, shared_read(&mine->grown));
    tell_charged();
    __atomic_store_n(&mine->entangled, 1, __ATOMIC_RELEASE);
}

void shared_after_fork_in_child(void) {
    if (shared == NULL)
        return;
    shared_page *page = shared;
    takes_part();
    __atomic_fetch_add(&page->forks_claimed, 1, __ATOMIC_RELEASE);
}
