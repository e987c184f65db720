/* offer.c: the page that the processes of one run share.
 *
 * A process joins by connecting to a socket with an abstract name or, from another network namespace, to one with a path, which its
 * own user alone may reach: it gets the page's descriptor and the number of its slot.
 * The kernel says who it is, so its own idea of its number does not matter. One that forks claims a slot for the child itself.
 * A thread of ours waits for processes that want to know who has died. Start at offer_open(), then offer_sweep(). */
#include "offer.h"

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    MARGIN = 256 << 10, /* what an entangled process may write to until it is measured again */
    FORK_PATIENCE_MS = 500,
    BETWEEN_TRIES_US = 1000,
    TRIES = 3,                 /* to measure all between two forks */
    SPARE = 256 << 10,         /* how far a process may be ahead, so that it need not take room at each step */
    SHARED_LITTLE = 256 << 10, /* pages that others have, too, and that may as well be forgotten */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- slots: under the lock, but for what processes write themselves ---------------------------------------------- */

static bool in_use(const shared_slot *slot) {
    return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SHARED_USED;
}

static bool is_left(const shared_slot *slot) {
    return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SHARED_LEFT;
}

static unsigned slots_ever(const offer *o) {
    return __atomic_load_n(&o->page->slots_ever, __ATOMIC_ACQUIRE);
}

static void add_totals(offer *o, const shared_slot *slot) {
    if (slot->pid == o->program)
        o->last = *slot;
    if (slot->peak > o->totals.highest_peak)
        o->totals.highest_peak = slot->peak;
    o->totals.denied += slot->denied;
    o->totals.denied_processes += slot->denied != 0;
    if (slot->autopsy_pid != 0) {
        o->totals.autopsy_pid = slot->autopsy_pid;
        o->totals.autopsy_number = slot->autopsy_number;
    }
    o->totals.pressure_us += slot->pressure_us;
    o->totals.processes++;
}

static shared_slot *slot_of(const offer *o, pid_t pid) {
    for (unsigned i = 0; i < slots_ever(o); i++)
        if (o->page->slots[i].pid == pid && in_use(&o->page->slots[i]))
            return &o->page->slots[i];
    return NULL;
}

static void lower_taken(const offer *o, shared_slot *slot, uint64_t to) {
    uint64_t taken = shared_read(&slot->taken);

    while (taken > to)
        if (__atomic_compare_exchange_n(&slot->taken, &taken, to, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            __atomic_fetch_sub(&o->page->used, taken - to, __ATOMIC_RELAXED);
            return;
        }
}

/* Whether or not there is room: nobody can deny what a process has written to. */
static void raise_taken(const offer *o, shared_slot *slot, uint64_t to) {
    uint64_t taken = shared_read(&slot->taken);

    if (taken >= to)
        return;
    __atomic_fetch_add(&slot->taken, to - taken, __ATOMIC_RELAXED);
    __atomic_fetch_add(&o->page->used, to - taken, __ATOMIC_RELAXED);
}

static uint64_t clock_ms(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- measuring: under the lock ---------------------------------------------------------------------------------------- */

static bool is_measured(const shared_slot *slot) {
    return in_use(slot) && slot->entangled && slot->pid != 0;
}

/* Whether it has become another program, by where its stack begins now; 0 tells nothing. */
static bool is_another(shared_slot *slot, uint64_t stack) {
    if (slot->stack == 0)
        slot->stack = stack;
    return stack != 0 && stack != slot->stack;
}

/* Whether it is gone, or has become another program: one that is on Ration joins anew, with a slot of its own by then. */
static bool has_left(shared_slot *slot) {
    uint64_t started, stack;

    if (slot->pid == 0)
        return false; /* nobody knows */
    started = process_started(slot->pid, &stack);
    if (slot->started == 0)
        slot->started = started;
    return started == 0 || started != slot->started || is_another(slot, stack);
}

static void leave(shared_slot *slot) {
    __atomic_store_n(&slot->state, SHARED_LEFT, __ATOMIC_RELEASE);
}

static bool has_changed(shared_slot *slot) {
    uint64_t stack = 0;

    (void)process_started(slot->pid, &stack);
    return is_another(slot, stack);
}

/* What was handed out to it, and not yet written to. What it inherited so is counted as it writes to it; and there is no more of
 * that than of both. */
static uint64_t untouched(shared_slot *slot, uint64_t footprint, uint64_t resident) {
    uint64_t bytes = footprint > resident ? footprint - resident : 0;

    if (slot->inherited > bytes)
        slot->inherited = bytes;
    return bytes - slot->inherited;
}

/* What the process takes into use meanwhile counts twice, until the next time. */
static struct measurement {
    bool found;
    process_memory held;
    uint64_t grown, footprint;
} measured[SHARED_SLOTS];

static void measure(shared_slot *slot, struct measurement *m) {
    m->grown = shared_read(&slot->grown);
    m->footprint = __atomic_load_n(&slot->charged, __ATOMIC_ACQUIRE);
    m->found = !has_changed(slot) && process_measure(slot->pid, &m->held) && !has_changed(slot);
}

/* Of what others hold, too, how much more than so many, of whom each may have the same pages, have as their parts: it is with
 * somebody who is not among them, who has ended and whose memory is not gone yet, perhaps. */
static uint64_t unexplained(const process_memory *held, unsigned processes) {
    uint64_t explained = (held->share + held->others) / processes * (processes - 1);

    return held->others > explained ? held->others - explained : 0;
}

static void note_measured(const offer *o, shared_slot *slot, const struct measurement *m, unsigned processes) {
    uint64_t own = m->held.share + m->held.page_tables + unexplained(&m->held, processes);
    uint64_t base = own + untouched(slot, m->footprint, m->held.resident + m->held.page_tables) + MARGIN;

    __atomic_store_n(&slot->base, base, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->grown_before, m->grown, __ATOMIC_RELAXED);
    raise_taken(o, slot, base);
    if (m->held.others < SHARED_LITTLE)
        __atomic_store_n(&slot->entangled, 0, __ATOMIC_RELEASE);
}

static void settle(const offer *o, shared_slot *slot) {
    lower_taken(o, slot,
                shared_read(&slot->base) + shared_read(&slot->grown) - shared_read(&slot->grown_before) + SPARE);
}

/* One's share is the other's once the page is given up: so first all who hold more take it, then those who hold less give. */
static void note_all(const offer *o) {
    unsigned processes = 0;

    for (unsigned i = 0; i < slots_ever(o); i++)
        processes += measured[i].found;
    for (unsigned i = 0; i < slots_ever(o); i++)
        if (measured[i].found)
            note_measured(o, &o->page->slots[i], &measured[i], processes);
    for (unsigned i = 0; i < slots_ever(o); i++)
        if (measured[i].found)
            settle(o, &o->page->slots[i]);
}

/* A child shares its parent's pages before it has a slot to be measured by. One that never claims any was killed before, or could
 * not be told of its fork: it is not waited for long. */
static bool forks_are_settled(shared_page *page) {
    static uint64_t waiting_since;
    uint32_t begun = __atomic_load_n(&page->forks, __ATOMIC_ACQUIRE);
    uint32_t claimed = __atomic_load_n(&page->forks_claimed, __ATOMIC_ACQUIRE);

    if (begun == claimed) {
        waiting_since = 0;
        return true;
    }
    if (waiting_since == 0)
        waiting_since = clock_ms();
    if (clock_ms() < waiting_since + FORK_PATIENCE_MS)
        return false;
    __atomic_fetch_add(&page->forks_claimed, begun - claimed, __ATOMIC_RELEASE);
    waiting_since = 0;
    return true;
}

enum finding { WORTHLESS, IN_PART, WHOLE };

/* One that ends before it is measured leaves its pages to others who may have been found with a share of them only. So it is not
 * measured again until they were, nor are they measured without it. */
static enum finding find(shared_slot *slot, struct measurement *m) {
    measure(slot, m);
    if (m->found)
        return WHOLE;
    if (!has_left(slot))
        return IN_PART;
    leave(slot);
    return WORTHLESS;
}

static enum finding find_all(const offer *o) {
    uint32_t forks = __atomic_load_n(&o->page->forks, __ATOMIC_ACQUIRE);
    enum finding all = WHOLE, one;

    for (unsigned i = 0; i < slots_ever(o); i++) {
        measured[i].found = false;
        if (is_measured(&o->page->slots[i]) && (one = find(&o->page->slots[i], &measured[i])) < all)
            all = one;
    }
    return forks == __atomic_load_n(&o->page->forks, __ATOMIC_ACQUIRE) ? all : WORTHLESS;
}

/* Who can't be looked at may be about to end, or is never to be: then it is left out. */
static bool measure_all(const offer *o) {
    for (int tries = 1; forks_are_settled(o->page); tries++) {
        enum finding all = find_all(o);

        if (all == WHOLE || (all == IN_PART && tries == TRIES)) {
            note_all(o);
            return true;
        }
        if (tries == TRIES)
            break;
        (void)usleep(BETWEEN_TRIES_US);
    }
    return false;
}

/* What was allocated and not yet written to is taken only. Of pages that several hold each has taken its share only. */
static uint64_t charged(const shared_slot *slot) {
    uint64_t taken = shared_read(&slot->taken), resident;

    return slot->pid != 0 && process_resident(slot->pid, &resident) && resident < taken ? resident : taken;
}

uint64_t offer_charged(offer *o) {
    uint64_t bytes = 0;

    (void)pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < slots_ever(o); i++)
        if (in_use(&o->page->slots[i]))
            bytes += charged(&o->page->slots[i]);
    (void)pthread_mutex_unlock(&lock);
    return bytes;
}

/* --- processes that come and go: under the lock ------------------------------------------------------------------------- */

static void free_slot(offer *o, shared_slot *slot) {
    uint64_t taken = __atomic_exchange_n(&slot->taken, 0, __ATOMIC_RELAXED);

    __atomic_fetch_sub(&o->page->used, taken, __ATOMIC_RELAXED);
    add_totals(o, slot);
    __atomic_store_n(&slot->state, SHARED_FREE, __ATOMIC_RELEASE);
}

/* What processes had that are gone or have become other programs. Their share of what others hold, too, is theirs before it is
 * anybody's: so that is not given back where it could not be measured. */
static void free_left(offer *o, bool have_measured) {
    for (unsigned i = 0; i < slots_ever(o); i++) {
        shared_slot *slot = &o->page->slots[i];

        if (is_left(slot) && (have_measured || !slot->entangled))
            free_slot(o, slot);
    }
    shared_raise_peak(o->page, shared_read(&o->page->used));
}

static bool is_any_share_left(const offer *o) {
    for (unsigned i = 0; i < slots_ever(o); i++)
        if (is_left(&o->page->slots[i]) && o->page->slots[i].entangled)
            return true;
    return false;
}

static void take_back(offer *o) {
    free_left(o, is_any_share_left(o) && measure_all(o));
}

void offer_measure(offer *o) {
    (void)pthread_mutex_lock(&lock);
    free_left(o, measure_all(o));
    (void)pthread_mutex_unlock(&lock);
}

/* A process that started another program keeps its number. */
static shared_slot *slot_for(offer *o, pid_t pid) {
    shared_slot *slot = slot_of(o, pid);
    uint64_t stack, started = process_started(pid, &stack);

    if (slot != NULL) {
        leave(slot);
        take_back(o);
    }
    slot = shared_claim(o->page);
    if (slot == NULL)
        return NULL;
    *slot = (shared_slot){.state = SHARED_CLAIMED, .joined = 1, .pid = pid, .started = started, .stack = stack};
    __atomic_store_n(&slot->state, SHARED_USED, __ATOMIC_RELEASE);
    return slot;
}

void offer_sweep(offer *o) {
    (void)pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < slots_ever(o); i++)
        if (in_use(&o->page->slots[i]) && has_left(&o->page->slots[i]))
            leave(&o->page->slots[i]);
    take_back(o);
    (void)pthread_mutex_unlock(&lock);
}

bool offer_knows(const offer *o, pid_t pid) {
    return slot_of(o, pid) != NULL;
}

/* And the directory that was made for it. */
static void remove_path(offer *o) {
    char *slash = strrchr(o->path, '/');

    if (slash == NULL)
        return;
    (void)unlink(o->path);
    *slash = 0;
    (void)rmdir(o->path);
    o->path[0] = 0;
}

void offer_close(offer *o) {
    (void)pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < slots_ever(o); i++)
        if (in_use(&o->page->slots[i]) || is_left(&o->page->slots[i]))
            add_totals(o, &o->page->slots[i]);
    (void)pthread_mutex_unlock(&lock);
    remove_path(o);
}

/* --- the thread that is asked about the dead ------------------------------------------------------------------------ */

static void *answer(void *argument) {
    offer *o = argument;
    shared_page *page = o->page;

    for (uint32_t done = 0;;) {
        uint32_t wanted = __atomic_load_n(&page->sweeps_wanted, __ATOMIC_ACQUIRE);

        if (wanted == done) {
            (void)syscall(SYS_futex, &page->sweeps_wanted, FUTEX_WAIT, wanted, NULL, NULL, 0);
            continue;
        }
        offer_sweep(o);
        offer_measure(o);
        done = wanted;
        __atomic_store_n(&page->sweeps_done, done, __ATOMIC_RELEASE);
        (void)syscall(SYS_futex, &page->sweeps_done, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
    return NULL;
}

static int start_answering(offer *o) {
    pthread_t thread;
    sigset_t all, before;
    int failure;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&thread, NULL, answer, o);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failure;
    return failure == 0 ? pthread_detach(thread) : -1;
}

/* --- the page and the socket ------------------------------------------------------------------------------------ */

/* Where we were started without a standard file, its number is not for ours: /dev/null will be there. */
static int above_standard_files(int file) {
    int above = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (file >= 0)
        (void)close(file);
    return above;
}

static int make_page(offer *o, uint64_t limit, enum shared_children children) {
    o->memory = above_standard_files(memfd_create(OFFER_MEMORY_NAME, MFD_CLOEXEC));
    if (o->memory < 0 || ftruncate(o->memory, sizeof(*o->page)) != 0)
        return -1;
    o->page = mmap(NULL, sizeof(*o->page), PROT_READ | PROT_WRITE, MAP_SHARED, o->memory, 0);
    if (o->page == MAP_FAILED)
        return -1;
    o->page->children = children;
    o->page->limit = limit;
    o->page->magic = SHARED_MAGIC;
    return 0;
}

/* Somebody may connect; or -1. */
static int listen_at(const struct sockaddr_un *address, size_t length) {
    int made = above_standard_files(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (made >= 0 && (bind(made, (const struct sockaddr *)address,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0 ||
                      listen(made, BACKLOG) != 0)) {
        (void)close(made);
        return -1;
    }
    return made;
}

/* The name is nobody's to guess. */
static int make_socket(offer *o) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t secret[2];
    size_t length;

    if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
        return -1;
    length = (size_t)snprintf(o->names, sizeof(o->names), "ration-%d-%016llx%016llx", (int)getpid(),
                              (unsigned long long)secret[0], (unsigned long long)secret[1]);
    memcpy(address.sun_path + 1, o->names, length);
    o->socket = listen_at(&address, 1 + length);
    return o->socket < 0 ? -1 : 0;
}

int offer_open(offer *o, uint64_t limit, enum shared_children children) {
    *o = (offer){.memory = -1, .socket = -1, .path_socket = -1};
    if (make_page(o, limit, children) != 0 || make_socket(o) != 0)
        return -1;
    return start_answering(o);
}

/* In a new directory that is its owner's alone. What the library is told has no space in it. */
static bool make_directory(offer *o, const char *parent) {
    static const char name[] = "/socket";
    size_t length;

    if (parent == NULL || parent[0] != '/' || strchr(parent, ' ') != NULL)
        return false;
    length = (size_t)snprintf(o->path, sizeof(o->path), "%s/ration-XXXXXX", parent);
    if (length + sizeof(name) <= sizeof(o->path) && mkdtemp(o->path) != NULL) {
        memcpy(o->path + length, name, sizeof(name));
        return true;
    }
    o->path[0] = 0;
    return false;
}

void offer_add_path(offer *o) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(o->names);

    if (!make_directory(o, getenv("XDG_RUNTIME_DIR")) && !make_directory(o, "/tmp"))
        return;
    memcpy(address.sun_path, o->path, sizeof(o->path));
    o->path_socket = listen_at(&address, strlen(o->path) + 1);
    if (o->path_socket >= 0)
        (void)snprintf(o->names + length, sizeof(o->names) - length, ":%s", o->path);
    else
        remove_path(o);
}

/* One short message into an empty buffer: it never blocks. */
static void welcome(const offer *o, int client, const shared_slot *slot) {
    shared_welcome text = {.slot = (uint32_t)(slot - o->page->slots), .pid = slot->pid};
    struct iovec part = {.iov_base = &text, .iov_len = sizeof(text)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &o->memory, sizeof(int));
    (void)sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int accept_any(const offer *o) {
    int client = accept4(o->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    return client >= 0 ? client : accept4(o->path_socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

pid_t offer_serve(offer *o) {
    struct ucred who = {.pid = 0};
    socklen_t length = sizeof(who);
    int client = accept_any(o);
    shared_slot *slot = NULL;

    if (client < 0)
        return 0;
    /* Whoever may connect could otherwise write into the page: /proc/net/unix tells names. */
    if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && process_is_ours(who.pid)) {
        (void)pthread_mutex_lock(&lock);
        slot = slot_for(o, who.pid);
        if (slot != NULL)
            welcome(o, client, slot);
        (void)pthread_mutex_unlock(&lock);
    }
    (void)close(client);
    return slot == NULL ? 0 : who.pid;
}
