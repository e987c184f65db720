/* crossing: a producer thread makes messages, a consumer thread reads and frees them.
 *
 * Messages travel in crates of 256 through a short bounded queue with a mutex, so that the row measures blocks that
 * cross threads and not the queue. Every 16th message has a body of its own. Start at main. */
#include "workload.h"

enum { CRATE = 256, DEPTH = 16, CRATES = 72000 };

typedef struct message {
    block_head head;
    block_head *body;
} message;

typedef struct crate {
    message *messages[CRATE];
} crate;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    crate *slots[DEPTH];
    size_t put, taken;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void queue_put(crate *full) {
    pthread_mutex_lock(&queue.lock);
    while (queue.put - queue.taken == DEPTH)
        pthread_cond_wait(&queue.changed, &queue.lock);
    queue.slots[queue.put++ % DEPTH] = full;
    pthread_cond_signal(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

static crate *queue_take(void) {
    pthread_mutex_lock(&queue.lock);
    while (queue.put == queue.taken)
        pthread_cond_wait(&queue.changed, &queue.lock);
    crate *full = queue.slots[queue.taken++ % DEPTH];
    pthread_cond_signal(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return full;
}

static message *new_message(random_source *random, size_t index) {
    size_t size = random_between(random, sizeof(message) + 1, 200);
    message *fresh = (message *)block_make(size, (uint32_t)random_next(random));
    fresh->body = index % 16 == 0 ? block_make(random_between(random, 300, 3000), (uint32_t)index) : NULL;
    return fresh;
}

static void *produce(void *unused) {
    (void)unused;
    random_source random = random_of(2);
    for (size_t i = 0; i < CRATES; i++) {
        crate *full = must_malloc(sizeof *full);
        for (size_t j = 0; j < CRATE; j++)
            full->messages[j] = new_message(&random, j);
        queue_put(full);
    }
    return NULL;
}

static uint64_t consume(message *arrived) {
    uint64_t sum = 0;
    if (arrived->body)
        sum += block_free(arrived->body);
    return sum + block_free(&arrived->head);
}

int main(void) {
    pthread_t producer;
    uint64_t sum = 0;
    start_thread(&producer, produce, NULL);
    for (size_t i = 0; i < CRATES; i++) {
        crate *full = queue_take();
        for (size_t j = 0; j < CRATE; j++)
            sum += consume(full->messages[j]);
        free(full);
    }
    join_thread(producer);
    return finish(sum);
}
