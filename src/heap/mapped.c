/* mapped.c: memory that the program maps itself: the notes of its mappings, what is charged for them, and the rest, which is
 * measured.
 *
 * The lock here is a leaf: nothing is called under it that takes another. Start with mapped_reserve. */
#include "mapped.h"

#include "footprint.h"
#include "hardened.h"
#include "shared.h"

enum {
    THREAD_BYTES = 64 << 10,
    KERNELS_BYTES =
        400, /* its own for a mapping that was written to: what a cgroup is charged for each, beside page tables */
    EXAMINE_PAUSE_MS = 10,
    MEASURE_PAUSE_US = 10000
};

static struct {
    os_mutex lock;
    intervals table;
    size_t added, removed; /* by the notes of the call under way */
} notes OWN_LINE;

static size_t charged OWN_LINE; /* for mappings; an atomic, as the other */
static size_t threads;

/* Whether this thread is inside the notes, and how often: a signal handler may have interrupted it there, and may fork. */
static __thread unsigned within __attribute__((tls_model("initial-exec")));
static __thread bool is_counted __attribute__((tls_model("initial-exec")));

static size_t read_size(const size_t *value) {
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

size_t mapped_bytes(void) {
    return read_size(&charged) + read_size(&threads) * THREAD_BYTES + read_size(&notes.table.bytes);
}

/* --- the rest ------------------------------------------------------------------------------------------------- */

static bool watched;

/* Of what was measured, how much is known to the accounts, and what is the rest. */
typedef struct figure {
    size_t total, known;
    size_t rest;
} figure;

/* As of the last measure, which one thread at a time makes. */
static struct {
    bool busy;
    figure resident, page_tables;
    size_t rest; /* of both */
    size_t noted_page_tables;
    size_t highest_known; /* at any of those since the last that was due by time */
    uint64_t next_due;    /* us */
} measured;

static size_t fallen(size_t before, size_t after) {
    return before > after ? before - after : 0;
}

/* What the kernel has for the mappings, but for the page tables that it had when they were last measured. */
static size_t kernels_bytes(void) {
    size_t more = fallen(read_size(&notes.table.page_tables), read_size(&measured.noted_page_tables));
    return read_size(&notes.table.count) * KERNELS_BYTES + more * os.page_size;
}

size_t rest_bytes(void) {
    return read_size(&measured.rest) + kernels_bytes();
}

/* Of what is known some may be committed but not there yet, so that it hides as much of the rest: the rest is at least what is
 * there beyond all that is known, and falls only as far as the total fell by more than what is known did. */
static void update(figure *f, size_t total, size_t known) {
    size_t gone = fallen(fallen(f->total, total), fallen(f->known, known));
    size_t kept = fallen(f->rest, gone);
    size_t seen = fallen(total, known);
    f->rest = seen > kept ? seen : kept;
    __atomic_store_n(&f->total, total, __ATOMIC_RELAXED);
    f->known = known;
}

static size_t known_bytes(void) {
    return footprint_bytes() - rest_bytes();
}

void mapped_measure(void) {
    if (!__atomic_load_n(&watched, __ATOMIC_RELAXED) || __atomic_exchange_n(&measured.busy, true, __ATOMIC_ACQUIRE))
        return;
    size_t noted = read_size(&notes.table.page_tables);
    os_own_memory own;
    if (os_measure(&own)) {
        size_t page_tables = page_table_bytes();
        update(&measured.resident, own.resident, fallen(known_bytes(), page_tables));
        update(&measured.page_tables, own.page_tables, page_tables);
        __atomic_store_n(&measured.rest, measured.resident.rest + measured.page_tables.rest, __ATOMIC_RELAXED);
        __atomic_store_n(&measured.noted_page_tables, noted, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&measured.busy, false, __ATOMIC_RELEASE);
}

size_t mapped_resident_bytes(void) {
    return read_size(&measured.resident.total);
}

static bool is_due_by_time(size_t known) {
    uint64_t now = os_clock_us();
    if (now < __atomic_load_n(&measured.next_due, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&measured.next_due, now + MEASURE_PAUSE_US, __ATOMIC_RELAXED);
    __atomic_store_n(&measured.highest_known, known, __ATOMIC_RELAXED);
    return true;
}

/* A measure takes some 10 us: a program that gives and takes the same memory, or threads, over and over would wait for little
 * else. */
bool mapped_measure_if_due(void) {
    size_t known = known_bytes();
    bool grew = known > read_size(&measured.highest_known);
    if (!is_due_by_time(known) && !grew)
        return false;
    os_raise(&measured.highest_known, known);
    mapped_measure();
    return true;
}

void mapped_watch(void) {
    __atomic_store_n(&watched, true, __ATOMIC_RELAXED);
    if (footprint_limit() != 0)
        mapped_measure();
}

/* --- reserving ------------------------------------------------------------------------------------------------ */

/* Added to the charges since they were last compared with what is resident. */
static bool unexamined;

static bool add_if_there_is_room(size_t *count, /* NOLINT(readability-non-const-parameter): exchanged */
                                 size_t units, size_t bytes) {
    heap_end_need(&root_heap);
    if (!heap_has_room(&root_heap, bytes))
        return false;
    __atomic_fetch_add(count, units, __ATOMIC_RELAXED);
    if (footprint_cover())
        return true;
    __atomic_fetch_sub(count, units, __ATOMIC_RELAXED);
    return false;
}

/* A signal handler may map memory while its thread is inside the library, whose locks pressure would take. */
static void deny(size_t bytes) {
    if (library_is_at_work())
        heap_note_denied(&root_heap);
    else
        pressure_denied(&root_heap, bytes);
}

static bool reserve(size_t *count, size_t units, size_t bytes) {
    for (unsigned stages = 0; !add_if_there_is_room(count, units, bytes);)
        if (library_is_at_work() || !pressure_relieve(&root_heap, bytes, &stages)) {
            deny(bytes);
            return false;
        }
    return true;
}

static void note_growth(size_t bytes) {
    if (library_is_at_work())
        return;
    footprint_grew(bytes);
    footprint_tell_if_due();
}

bool mapped_reserve(size_t bytes) {
    if (bytes == 0)
        return true;
    __atomic_store_n(&unexamined, true, __ATOMIC_RELAXED);
    return reserve(&charged, bytes, bytes);
}

/* Threads made before this one may have used more of their stacks by now than they count. */
bool mapped_thread_begins(void) {
    if (footprint_limit() != 0)
        mapped_measure_if_due();
    if (!reserve(&threads, 1, THREAD_BYTES))
        return false;
    note_growth(THREAD_BYTES);
    return true;
}

void mapped_thread_not_made(void) {
    __atomic_fetch_sub(&threads, 1, __ATOMIC_RELAXED);
    footprint_shrunk();
}

void mapped_thread_ends(void) {
    is_counted = false;
    mapped_thread_not_made();
}

void mapped_thread_is_counted(void) {
    is_counted = true;
}

/* --- notes ---------------------------------------------------------------------------------------------------- */

void mapped_lock(void) {
    bool first = within++ == 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (first)
        os_lock(&notes.lock);
}

void mapped_unlock(void) {
    if (within == 1)
        os_unlock(&notes.lock);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    within--;
}

bool mapped_begin(void) {
    if (within != 0)
        return false;
    mapped_lock();
    notes.added = notes.removed = 0;
    return true;
}

void mapped_end(bool begun, size_t reserved) {
    size_t change = -reserved; /* modulo 2^64, as the sum is */
    if (begun) {
        change += notes.added - notes.removed;
        mapped_unlock();
    }
    __atomic_fetch_add(&charged, change, __ATOMIC_RELAXED);
    ptrdiff_t grown = (ptrdiff_t)(change + reserved);
    if ((ptrdiff_t)change < 0)
        footprint_shrunk();
    if (grown <= 0)
        return;
    shared_note_had(); /* only now: the system may have refused what was reserved */
    note_growth((size_t)grown);
}

void mapped_note(uintptr_t start, size_t size, interval_state state, size_t charge) {
    const interval wanted = {.start = start, .end = start + size, .charge = charge, .state = state};
    size_t removed;
    if (intervals_put(&notes.table, wanted, &removed))
        notes.added += charge;
    notes.removed += removed;
}

size_t mapped_forget(uintptr_t start, size_t size) {
    size_t removed = intervals_remove(&notes.table, start, start + size);
    notes.removed += removed;
    return removed;
}

/* What lies at the address, or the gap there is, up to the end. */
static interval piece_at(uintptr_t address, uintptr_t end) {
    const interval *next = intervals_next(&notes.table, address);
    interval piece = {.start = address, .end = end, .state = INTERVAL_PROTECTED};
    if (next == NULL || next->start >= end)
        return piece;
    if (next->start > address) {
        piece.end = next->start;
        return piece;
    }
    piece.state = next->state;
    piece.end = next->end < end ? next->end : end;
    size_t length = next->end - next->start;
    piece.charge = (size_t)((unsigned __int128)next->charge * (piece.end - address) / length);
    return piece;
}

/* What is not noted is presumed private: so is what the loader maps. */
void mapped_note_writable(uintptr_t start, size_t size) {
    interval piece;
    for (uintptr_t end = start + size; start < end; start = piece.end) {
        piece = piece_at(start, end);
        if (piece.state == INTERVAL_PROTECTED)
            mapped_note(start, piece.end - start, INTERVAL_WRITABLE, piece.end - start);
    }
}

void mapped_note_protected(uintptr_t start, size_t size) {
    interval piece;
    for (uintptr_t end = start + size; start < end; start = piece.end) {
        piece = piece_at(start, end);
        if (piece.state == INTERVAL_WRITABLE && piece.charge != 0)
            mapped_note(start, piece.end - start, INTERVAL_PROTECTED, piece.charge);
        else if (piece.state == INTERVAL_WRITABLE || piece.state == INTERVAL_LATE)
            mapped_forget(start, piece.end - start);
    }
}

interval_state mapped_state_of(uintptr_t start) {
    return piece_at(start, start + 1).state;
}

bool mapped_counts(uintptr_t start, size_t size) {
    bool begun = mapped_begin();
    interval piece = {.state = INTERVAL_PROTECTED};
    if (begun)
        piece = piece_at(start, start + size);
    mapped_end(begun, 0);
    return piece.charge != 0 || piece.state == INTERVAL_WRITABLE || piece.state == INTERVAL_SHARED;
}

static size_t sum_over(uintptr_t start, size_t size, size_t (*of)(const interval *)) {
    size_t sum = 0;
    bool begun = mapped_begin();
    interval piece;
    for (uintptr_t end = start + size; begun && start < end; start = piece.end) {
        piece = piece_at(start, end);
        sum += of(&piece);
    }
    mapped_end(begun, 0);
    return sum;
}

static size_t charge_of(const interval *i) {
    return i->charge;
}

static size_t uncharged_of(const interval *i) {
    return i->state == INTERVAL_PROTECTED ? i->end - i->start - i->charge : 0;
}

size_t mapped_charge_of(uintptr_t start, size_t size) {
    return sum_over(start, size, charge_of);
}

size_t mapped_uncharged(uintptr_t start, size_t size) {
    return sum_over(start, size, uncharged_of);
}

/* --- truing up ------------------------------------------------------------------------------------------------ */

/* Nothing charged has nothing to lose: so reservations, however large, are not walked through. */
static bool examine(interval *i) {
    size_t resident = 0, size = i->end - i->start;
    if (i->charge == 0)
        return true;
    if (!(i->state == INTERVAL_SHARED ? os_resident_bytes : os_own_bytes)((void *)i->start, size, &resident))
        return false;
    notes.added += resident;
    notes.removed += i->charge;
    i->charge = resident;
    return true;
}

static void examine_all(void) {
    uintptr_t at = 0;
    for (bool more = true; more;) {
        if (!mapped_begin())
            return;
        interval *next = intervals_next(&notes.table, at);
        more = next != NULL && examine(next);
        if (more)
            at = next->end;
        mapped_end(true, 0);
    }
}

static bool was_just_examined(void) {
    static uint64_t last;
    uint64_t now = os_clock_ms(), before = __atomic_exchange_n(&last, now, __ATOMIC_RELAXED);
    return !__atomic_exchange_n(&unexamined, false, __ATOMIC_RELAXED) && now - before < EXAMINE_PAUSE_MS;
}

size_t mapped_examine(void) {
    if (was_just_examined())
        return 0;
    size_t before = mapped_bytes() + rest_bytes();
    examine_all();
    mapped_measure();
    return fallen(before, mapped_bytes() + rest_bytes());
}

/* --- fork ----------------------------------------------------------------------------------------------------- */

/* Only the forking thread lives on, and nobody measures. */
void mapped_after_fork_in_child(void) {
    threads = is_counted;
    measured.busy = false;
}
