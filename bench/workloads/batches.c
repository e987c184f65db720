/* batches: a batch of blocks is made, then freed in the order of making, reversed, and at random, in turn.
 *
 * Batch lengths vary from some hundreds to many thousands, so that caches both hold and overflow. */
#include "workload.h"

enum { LONGEST = 20000, ROUNDS = 840 };

typedef enum order { IN_ORDER, REVERSED, AT_RANDOM, ORDERS } order;

static block_head *batch[LONGEST];

static void shuffle(random_source *random, size_t length) {
    for (size_t i = length - 1; i > 0; i--) {
        size_t other = random_below(random, i + 1);
        block_head *kept = batch[i];
        batch[i] = batch[other];
        batch[other] = kept;
    }
}

static void make_batch(random_source *random, size_t length) {
    for (size_t i = 0; i < length; i++)
        batch[i] = block_make(random_between(random, 16, 256), (uint32_t)random_next(random));
}

static uint64_t free_batch(random_source *random, size_t length, order how) {
    uint64_t sum = 0;
    if (how == AT_RANDOM)
        shuffle(random, length);
    for (size_t i = 0; i < length; i++)
        sum += block_free(batch[how == REVERSED ? length - 1 - i : i]);
    return sum;
}

int main(void) {
    random_source random = random_of(3);
    uint64_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (order how = IN_ORDER; how < ORDERS; how++) {
            size_t length = random_between(&random, 300, LONGEST);
            make_batch(&random, length);
            sum += free_batch(&random, length, how);
        }
    }
    return finish(sum);
}
