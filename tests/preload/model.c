/* model.c: the whole malloc face at random, from many threads, against a model: each block has a size, a seed, and the
 * pattern that follows from them. Blocks change hands, so that most kinds of free happen on another thread than the
 * malloc. Whatever overlaps, moves wrongly or is not cleared shows as a pattern that does not hold.
 *
 * CHECK_SEED in the environment gives another sequence; a failure prints the seed. */
#define _GNU_SOURCE
#include "again.h"

#include <malloc.h>
#include <pthread.h>

enum { THREADS = 6, OPERATIONS = 500000, SLOTS = 1500, SHELVES = 256 };

typedef struct block {
    unsigned char *bytes;
    size_t size;
    size_t seed;
    size_t alignment;
} block;

/* Where threads leave blocks for each other. */
static struct {
    int taken;
    block block;
} shelves[SHELVES];

static uint64_t first_seed;

typedef struct worker {
    block slots[SLOTS];
    random_source random;
    size_t operations;
} worker;

/* Sizes as programs ask for them: small for the most part, with a long tail. */
static size_t draw_size(random_source *random) {
    uint64_t kind = random_next(random) % 1000;
    size_t top = kind < 700 ? 128 : kind < 900 ? 1024 : kind < 980 ? 16384 : kind < 998 ? 262144 : 6 << 20;
    return random_next(random) % top;
}

static bool holds(const block *one, size_t count) {
    return pattern_holds(one->bytes, one->size, count, one->seed);
}

static void mark(block *one, random_source *random) {
    one->seed = random_next(random) >> 8;
    CHECK(((uintptr_t)one->bytes & (one->alignment - 1)) == 0);
    CHECK(malloc_usable_size(one->bytes) >= one->size);
    pattern_write(one->bytes, one->size, one->seed);
}

static void check_whole(const block *one) {
    if (!holds(one, one->size))
        check_fail(__FILE__, __LINE__, "seed %llu: %p of %zu bytes was overwritten", (unsigned long long)first_seed,
                   (void *)one->bytes, one->size);
}

static void give_back(block *one) {
    if (one->bytes)
        check_whole(one);
    free(one->bytes);
    *one = (block){0};
}

static void make_plain(block *one, random_source *random) {
    one->size = draw_size(random);
    one->alignment = one->size >= 16 ? 16 : 8;
    one->bytes = malloc(one->size);
    REQUIRE(one->bytes != NULL);
    mark(one, random);
}

static void make_zeroed(block *one, random_source *random) {
    size_t width = 1 + random_next(random) % 16;
    size_t count = draw_size(random) / width;
    one->size = count * width;
    one->alignment = one->size >= 16 ? 16 : 8;
    one->bytes = calloc(count, width);
    REQUIRE(one->bytes != NULL);
    for (size_t i = 0; i < one->size; i++)
        if (one->bytes[i] != 0) {
            check_fail(__FILE__, __LINE__, "seed %llu: calloc of %zu bytes is not zero at %zu",
                       (unsigned long long)first_seed, one->size, i);
            break;
        }
    mark(one, random);
}

static void make_aligned(block *one, random_source *random) {
    uint64_t kind = random_next(random);
    one->alignment = (size_t)8 << kind % (kind % 64 == 0 ? 18 : 8);
    one->size = draw_size(random);
    void *bytes = NULL;
    if (kind >> 20 & 1)
        bytes = aligned_alloc(one->alignment, one->size);
    else if (kind >> 21 & 1)
        bytes = memalign(one->alignment, one->size);
    else
        CHECK_EQ(0, posix_memalign(&bytes, one->alignment, one->size));
    one->bytes = bytes;
    REQUIRE(one->bytes != NULL);
    if (one->size == 0)
        one->alignment = 1;
    mark(one, random);
}

static void resize(block *one, random_source *random) {
    if (one->bytes == NULL)
        return;
    size_t size = random_next(random) % 4 ? one->size * (random_next(random) % 300) / 100 : draw_size(random);
    size = size > (8 << 20) ? 100 : size + 1;
    size_t common = size < one->size ? size : one->size;
    unsigned char *moved =
        random_next(random) % 2 ? realloc(one->bytes, size) : reallocarray(one->bytes, size, hide_size(1));
    REQUIRE(moved != NULL);
    one->bytes = moved;
    if (!holds(one, common))
        check_fail(__FILE__, __LINE__, "seed %llu: contents lost by realloc from %zu to %zu",
                   (unsigned long long)first_seed, one->size, size);
    one->size = size;
    one->alignment = size >= 16 ? 16 : 8;
    mark(one, random);
}

/* The block changes places with what lies on a shelf that nobody else is at. */
static void exchange(block *one, random_source *random) {
    size_t shelf = random_next(random) % SHELVES;
    if (__atomic_exchange_n(&shelves[shelf].taken, 1, __ATOMIC_ACQUIRE))
        return;
    block other = shelves[shelf].block;
    shelves[shelf].block = *one;
    __atomic_store_n(&shelves[shelf].taken, 0, __ATOMIC_RELEASE);
    *one = other;
}

static void one_operation(worker *self) {
    block *one = &self->slots[random_next(&self->random) % SLOTS];
    uint64_t kind = random_next(&self->random) % 100;
    if (kind < 20) {
        resize(one, &self->random);
    } else if (kind < 45) {
        exchange(one, &self->random);
    } else {
        give_back(one);
        if (kind < 75)
            make_plain(one, &self->random);
        else if (kind < 85)
            make_zeroed(one, &self->random);
        else if (kind < 92)
            make_aligned(one, &self->random);
    }
}

/* Now and then a burst: all blocks go at once, and the caches overflow. */
static void *work(void *argument) {
    worker *self = (worker *)argument;
    for (size_t i = 0; i < self->operations; i++) {
        one_operation(self);
        if (i % 50000 == 49999)
            for (size_t slot = 0; slot < SLOTS; slot++)
                give_back(&self->slots[slot]);
    }
    return NULL;
}

static worker workers[THREADS];

static size_t operations_here(void) {
    return emulated() ? OPERATIONS / 20 : OPERATIONS;
}

static void seed_from_environment(void) {
    const char *given = getenv("CHECK_SEED");
    first_seed = given ? strtoull(given, NULL, 10) : 20240229;
}

/* Threads end and new ones take over their slots, with what is in them. */
static void run_threads(size_t threads, size_t operations, int generations) {
    seed_from_environment();
    for (int generation = 0; generation < generations; generation++) {
        pthread_t ids[THREADS];
        for (size_t i = 0; i < threads; i++) {
            workers[i].random.state = (first_seed + i * 1000 + (size_t)generation) * 2 + 1;
            workers[i].operations = operations / (size_t)generations;
            REQUIRE(pthread_create(&ids[i], NULL, work, &workers[i]) == 0);
        }
        for (size_t i = 0; i < threads; i++)
            pthread_join(ids[i], NULL);
    }
    for (size_t i = 0; i < SHELVES; i++)
        give_back(&shelves[i].block);
    for (size_t i = 0; i < threads; i++)
        for (size_t slot = 0; slot < SLOTS; slot++)
            give_back(&workers[i].slots[slot]);
}

static void one_thread_follows_the_model(void) {
    seed_from_environment();
    workers[0].random.state = first_seed * 2 + 1;
    workers[0].operations = operations_here();
    work(&workers[0]);
    for (size_t slot = 0; slot < SLOTS; slot++)
        give_back(&workers[0].slots[slot]);
}

static void many_threads_follow_the_model(void) {
    run_threads(THREADS, operations_here(), 1);
}

static void threads_that_come_and_go_follow_the_model(void) {
    run_threads(3, operations_here() / 4, 100);
}

TESTS(TEST(one_thread_follows_the_model), TEST(many_threads_follow_the_model),
      TEST(threads_that_come_and_go_follow_the_model))
