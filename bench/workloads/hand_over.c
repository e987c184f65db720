/* hand_over: a chain of threads: each takes a list of records from the one before, drops a half, adds as many, starts the
 * next thread and ends. Blocks outlive their makers by several threads. */
#include "workload.h"

enum { GENERATIONS = 1200, RECORDS = 12000 };

typedef struct record {
    block_head head;
    struct record *next;
} record;

static record *first_record;
static uint64_t total;

static void add_records(random_source *random, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t size = random_between(random, sizeof(record) + 1, 300);
        record *fresh = (record *)block_make(size, (uint32_t)random_next(random));
        fresh->next = first_record;
        first_record = fresh;
    }
}

/* Drops every record whose stamp has the chosen bit; returns how many went. */
static size_t drop_records(uint32_t bit) {
    size_t dropped = 0;
    for (record **link = &first_record; *link;) {
        record *here = *link;
        if (!(here->head.stamp >> bit & 1)) {
            link = &here->next;
            continue;
        }
        *link = here->next;
        total += block_free(&here->head);
        dropped++;
    }
    return dropped;
}

static void *generation(void *argument) {
    uint32_t index = (uint32_t)(uintptr_t)argument;
    random_source random = random_of(index + 7);
    add_records(&random, drop_records(index % 32));
    return NULL;
}

int main(void) {
    random_source random = random_of(7);
    add_records(&random, RECORDS);
    for (uintptr_t i = 0; i < GENERATIONS; i++) {
        pthread_t thread;
        start_thread(&thread, generation, (void *)i);
        join_thread(thread);
    }
    while (first_record) {
        record *here = first_record;
        first_record = here->next;
        total += block_free(&here->head);
    }
    return finish(total);
}
