/* threads.c: adversaries of many threads: caches that sleepers keep, stacks, threads that come and go, blocks that one
 * thread takes and another frees. Start at the table at the end. */
#include "adversary.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Starts a thread; where the system or a limit has no room for one, that is a denial. */
static bool start(pthread_t *thread, size_t stack, void *(*run)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (stack != 0)
        pthread_attr_setstacksize(&attributes, stack);
    int problem = pthread_create(thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    if (problem != 0 && problem != EAGAIN && problem != ENOMEM)
        broken("pthread_create failed for no lack of memory");
    if (problem != 0)
        note_denied();
    return problem == 0;
}

static void join_all(pthread_t *running, size_t count) {
    for (size_t i = 0; i < count; i++)
        pthread_join(running[i], NULL);
}

/* A door that threads wait at. */
typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    size_t waiting;
    bool open;
} gate;

#define GATE_CLOSED \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false }

static void gate_pass(gate *door) {
    pthread_mutex_lock(&door->lock);
    door->waiting++;
    pthread_cond_broadcast(&door->moved);
    while (!door->open)
        pthread_cond_wait(&door->moved, &door->lock);
    pthread_mutex_unlock(&door->lock);
}

static void gate_wait_for(gate *door, size_t count) {
    pthread_mutex_lock(&door->lock);
    while (door->waiting < count)
        pthread_cond_wait(&door->moved, &door->lock);
    pthread_mutex_unlock(&door->lock);
}

static void gate_open(gate *door) {
    pthread_mutex_lock(&door->lock);
    door->open = true;
    pthread_cond_broadcast(&door->moved);
    pthread_mutex_unlock(&door->lock);
}

static gate sleepers = GATE_CLOSED;

/* Frees what it took, so that all of it may stay in its cache, and sleeps on it. */
static void *fill_cache(void *unused) {
    (void)unused;
    hoard held = {.from = &every_class};
    while (held.bytes < (size_t)3 << 20 && hoard_take(&held, size_from(&every_class)))
        continue;
    hoard_give_all(&held);
    gate_pass(&sleepers);
    return NULL;
}

/* The main thread wants all, again and again, while 64 others sleep on full caches. */
static void caches(void) {
    enum { THREADS = 64 };
    pthread_t running[THREADS];
    size_t count = 0;
    while (count < THREADS && start(&running[count], 256 << 10, fill_cache, NULL))
        count++;
    gate_wait_for(&sleepers, count);
    press(&every_size, INFINITY);
    gate_open(&sleepers);
    join_all(running, count);
}

static void *press_on(void *from) {
    press(from, INFINITY);
    return NULL;
}

/* Eight threads come to the limit at once. */
static void crowd(void) {
    enum { THREADS = 8 };
    static const source *const from[] = {&every_class, &every_size};
    pthread_t running[THREADS];
    size_t count = 0;
    while (count < THREADS && start(&running[count], 256 << 10, press_on, (void *)from[count % 2]))
        count++;
    if (count == 0)
        press(&every_size, INFINITY);
    join_all(running, count);
}

/* Writes so many bytes of its stack, and stays. */
__attribute__((noinline)) static void use_stack(size_t bytes) {
    unsigned char page[4000];
    memset(page, (int)bytes, sizeof page);
    if (bytes > sizeof page + 100)
        use_stack(bytes - sizeof page - 100);
    __asm__ volatile("" : : "r"(page) : "memory");
}

typedef struct crew {
    gate gate;
    size_t least, most; /* of its stack that each writes to */
} crew;

static void *stay(void *member_of) {
    crew *of = member_of;
    use_stack(of->least + random_below(of->most - of->least));
    gate_pass(&of->gate);
    return NULL;
}

enum { THREADS = 400 };

/* Hundreds of threads, each with a part of its stack in use, while others' blocks fill what is left. */
static void fill_stacks(size_t least, size_t most) {
    static pthread_t running[THREADS];
    hoard held = {.from = &every_class};
    while (time_left()) {
        crew made = {GATE_CLOSED, least, most};
        size_t count = 0;
        while (count < THREADS && time_left() && start(&running[count], (size_t)1 << 20, stay, &made))
            count++;
        gate_wait_for(&made.gate, count);
        hoard_press(&held, now() + 0.1);
        gate_open(&made.gate);
        join_all(running, count);
        hoard_give_all(&held);
    }
}

static void stacks(void) {
    fill_stacks(8 << 10, 48 << 10);
}

static void stacks_deep(void) {
    fill_stacks(128 << 10, 640 << 10);
}

/* What an ended thread leaves behind is another's to free. */
static void *leave_hoard(void *of) {
    hoard *left = of;
    press(&every_class, now() + 0.005);
    while (left->bytes < (size_t)1 << 20 && hoard_take(left, size_from(&every_class)))
        continue;
    return NULL;
}

static void churn(void) {
    enum { AT_ONCE = 16, LEFT = 200 };
    static hoard left[LEFT];
    for (size_t round = 0; time_left(); round++) {
        pthread_t running[AT_ONCE];
        size_t count = 0;
        for (size_t i = 0; i < AT_ONCE; i++) {
            hoard *next = &left[(round * AT_ONCE + i) % LEFT];
            hoard_give_all(next);
            next->from = &every_class;
            count += start(&running[count], 128 << 10, leave_hoard, next);
        }
        join_all(running, count);
        if (count < AT_ONCE)
            hoard_give_all(&left[random_below(LEFT)]);
    }
}

/* A belt of hoards: makers fill them until denied, takers free them. */
typedef struct belt {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    hoard queue[64];
    size_t first, count;
    bool hungry; /* someone was denied: the takers shall free all that is there */
    bool ended;
} belt;

static belt conveyor = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
enum { PLACES = sizeof conveyor.queue / sizeof *conveyor.queue };

static void put(hoard full, bool was_denied) {
    pthread_mutex_lock(&conveyor.lock);
    while (conveyor.count == PLACES)
        pthread_cond_wait(&conveyor.moved, &conveyor.lock);
    conveyor.queue[(conveyor.first + conveyor.count++) % PLACES] = full;
    conveyor.hungry |= was_denied || conveyor.count == PLACES;
    pthread_cond_broadcast(&conveyor.moved);
    pthread_mutex_unlock(&conveyor.lock);
}

static bool take_off(hoard *out) {
    pthread_mutex_lock(&conveyor.lock);
    while (!conveyor.hungry && !conveyor.ended)
        pthread_cond_wait(&conveyor.moved, &conveyor.lock);
    bool any = conveyor.count > 0;
    if (any) {
        *out = conveyor.queue[conveyor.first];
        conveyor.first = (conveyor.first + 1) % PLACES;
        conveyor.count--;
    }
    conveyor.hungry = conveyor.count > 0;
    bool more = any || !conveyor.ended;
    if (!any)
        *out = (hoard){.from = &every_class};
    pthread_cond_broadcast(&conveyor.moved);
    pthread_mutex_unlock(&conveyor.lock);
    return more;
}

static void *make_hoards(void *unused) {
    (void)unused;
    while (time_left()) {
        hoard made = {.from = &every_class};
        bool taken = true;
        while (taken && made.bytes < (size_t)3 << 20)
            taken = hoard_take(&made, size_from(&every_class));
        put(made, !taken);
    }
    return NULL;
}

static void *free_hoards(void *unused) {
    (void)unused;
    for (hoard taken; take_off(&taken);)
        hoard_give_all(&taken);
    return NULL;
}

static void crossing(void) {
    pthread_t makers[2], takers[2];
    for (size_t i = 0; i < 2; i++)
        if (!start(&makers[i], 256 << 10, make_hoards, NULL) || !start(&takers[i], 256 << 10, free_hoards, NULL))
            broken("no room for four threads");
    join_all(makers, 2);
    pthread_mutex_lock(&conveyor.lock);
    conveyor.ended = true;
    pthread_cond_broadcast(&conveyor.moved);
    pthread_mutex_unlock(&conveyor.lock);
    join_all(takers, 2);
}

static const adversary cases[] = {
    {"caches", caches, 65}, {"crowd", crowd, 9},       {"stacks", stacks, 401}, {"stacks-deep", stacks_deep, 401},
    {"churn", churn, 17},   {"crossing", crossing, 5},
};

const adversaries threads = {cases, sizeof cases / sizeof *cases};
