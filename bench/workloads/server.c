/* server: two workers answer requests in the manner of C++ and Java services: clients live long and change hands, each
 * request makes a tree of short-lived objects, header strings, a growing body and a few calloc'ed tables.
 *
 * Clients sit in one table behind a lock for each part; the worker that replaces a client is often not its maker. */
#include "workload.h"

enum { WORKERS = 2, CLIENTS = 8192, PARTS = 64, REQUESTS = 90000, HEADERS = 12, OBJECTS = 48 };

typedef struct client {
    block_head *user, *token;
    uint64_t *counters;
    size_t counter_count;
} client;

static client clients[CLIENTS];
static pthread_mutex_t locks[PARTS];

typedef struct worker {
    random_source random;
    uint64_t sum;
} worker;

static block_head *make_text(worker *self, unsigned low_bits, unsigned high_bits) {
    size_t size = random_size_skewed(&self->random, low_bits, high_bits);
    block_head *text = block_make(size, (uint32_t)random_next(&self->random));
    memset(text + 1, 'x', size - sizeof *text - 1);
    return text;
}

static client make_client(worker *self) {
    client fresh = {.counter_count = random_between(&self->random, 4, 40)};
    fresh.user = make_text(self, 5, 7);
    fresh.token = make_text(self, 6, 9);
    fresh.counters = must_calloc(fresh.counter_count, sizeof *fresh.counters);
    return fresh;
}

static void drop_client(client old) {
    if (!old.user)
        return;
    block_check(old.user);
    block_check(old.token);
    for (size_t i = 0; i < old.counter_count; i++)
        if (old.counters[i])
            fail("calloc gave memory that is not zero");
    free(old.counters);
    free(old.token);
    free(old.user);
}

static void replace_client(worker *self) {
    size_t slot = random_below(&self->random, CLIENTS);
    client fresh = make_client(self);
    pthread_mutex_lock(&locks[slot % PARTS]);
    client old = clients[slot];
    clients[slot] = fresh;
    pthread_mutex_unlock(&locks[slot % PARTS]);
    drop_client(old);
}

static uint64_t answer_body(worker *self) {
    size_t room = 256, length = 0, end = random_size_skewed(&self->random, 8, 14);
    unsigned char *body = must_malloc(room);
    size_t piece;
    do {
        piece = random_between(&self->random, 40, 400);
        if (length + piece > room)
            body = must_realloc(body, room = room * 2 + piece);
        memset(body + length, (int)(piece & 0x7f), piece);
        length += piece;
    } while (length < end);
    uint64_t sum = length + body[length - piece];
    free(body);
    return sum;
}

static uint64_t serve_request(worker *self) {
    block_head *headers[HEADERS], *objects[OBJECTS];
    uint64_t sum = 0;
    for (size_t i = 0; i < HEADERS; i++)
        headers[i] = make_text(self, 4, 8);
    for (size_t i = 0; i < OBJECTS; i++)
        objects[i] = block_make(random_between(&self->random, 24, 120), (uint32_t)random_next(&self->random));
    sum += answer_body(self);
    for (size_t i = OBJECTS; i-- > 0;)
        sum += block_free(objects[i]);
    for (size_t i = 0; i < HEADERS; i++)
        sum += block_free(headers[i]);
    return sum;
}

static void *work(void *argument) {
    worker *self = argument;
    for (int i = 0; i < REQUESTS; i++) {
        self->sum += serve_request(self);
        if (i % 2 == 0)
            replace_client(self);
    }
    return NULL;
}

int main(void) {
    worker workers[WORKERS];
    pthread_t threads[WORKERS];
    uint64_t sum = 0;
    for (size_t i = 0; i < PARTS; i++)
        pthread_mutex_init(&locks[i], NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.random = random_of(11 + i)};
        start_thread(&threads[i], work, &workers[i]);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        join_thread(threads[i]);
        sum += workers[i].sum;
    }
    for (size_t i = 0; i < CLIENTS; i++)
        drop_client(clients[i]);
    return finish(sum);
}
