/* thread_churn: a thread for every request: each starts, makes and frees some blocks, keeps none, and ends. */
#include "workload.h"

enum { REQUESTS = 10000, BLOCKS = 400 };

static void *serve(void *argument) {
    random_source random = random_of((uint64_t)(uintptr_t)argument);
    block_head *blocks[BLOCKS];
    uint64_t sum = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = block_make(random_size_skewed(&random, 4, 10), (uint32_t)random_next(&random));
    for (size_t i = 0; i < BLOCKS; i++)
        sum += block_free(blocks[i]);
    return (void *)(uintptr_t)(sum & 0xffffffff);
}

static pthread_t begin(size_t request) {
    pthread_t thread;
    start_thread(&thread, serve, (void *)(uintptr_t)(request + 1));
    return thread;
}

static uint64_t end(pthread_t thread) {
    void *result;
    if (pthread_join(thread, &result))
        fail("pthread_join");
    return (uint64_t)(uintptr_t)result;
}

int main(void) {
    uint64_t sum = 0;
    for (size_t request = 0; request < REQUESTS; request += 2) {
        pthread_t first = begin(request), second = begin(request + 1);
        sum += end(first) + end(second);
    }
    return finish(sum);
}
