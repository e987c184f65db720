/* held.h: blocks that a test of refusals holds, each full of a byte of its own; requests of every kind for them, each of which is
 * met or denied; and what must hold once nothing is refused any more.
 *
 * Start with hold and give_all_back. */
#ifndef RATION_HELD_H
#define RATION_HELD_H

#include "check.h"
#include "span/whole.h"

#include <pthread.h>
#include <ration/ration.h>

enum { BLOCKS = 512, HEAPS = 3 };

static struct {
    unsigned char *bytes[BLOCKS];
    size_t size[BLOCKS];
    size_t count;
    unsigned denied; /* requests */
    rn_heap *heaps[HEAPS];
} held;

static bool all_are(const unsigned char *bytes, size_t count, unsigned char value) {
    for (size_t i = 0; i<count; i += count> 4096 ? 1024 : 1)
        if (bytes[i] != value)
            return false;
    return true;
}

static unsigned char stamp(size_t i) {
    return (unsigned char)(i % 255 + 1);
}

static void note_denied(void) {
    CHECK_EQ(ENOMEM, errno);
    __atomic_add_fetch(&held.denied, 1, __ATOMIC_RELAXED);
}

/* A request was answered: with memory, or with NULL and its reason. */
static void hold(void *bytes, size_t size) {
    if (bytes == NULL) {
        note_denied();
        return;
    }
    REQUIRE(held.count < BLOCKS);
    held.bytes[held.count] = bytes;
    held.size[held.count] = size;
    memset(bytes, stamp(held.count), size);
    held.count++;
}

static void grow(size_t i, size_t size) {
    errno = 0;
    unsigned char *moved = rn_realloc(held.bytes[i], size);
    if (moved == NULL) {
        note_denied();
        CHECK(all_are(held.bytes[i], held.size[i], stamp(i)));
        return;
    }
    CHECK(all_are(moved, held.size[i] < size ? held.size[i] : size, stamp(i)));
    memset(moved, stamp(i), size);
    held.bytes[i] = moved;
    held.size[i] = size;
}

static void release(size_t i) {
    CHECK(all_are(held.bytes[i], held.size[i], stamp(i)));
    rn_free(held.bytes[i]);
    held.bytes[i] = NULL;
    held.size[i] = 0;
}

/* --- requests of every kind ------------------------------------------------------------------------------------- */

static void make_heaps(void) {
    for (size_t i = 0; i < HEAPS; i++) {
        errno = 0;
        held.heaps[i] = rn_heap_new(i == 0 ? NULL : held.heaps[i - 1], "denied", 0);
        if (held.heaps[i] == NULL) {
            note_denied();
            held.heaps[i] = i == 0 ? rn_heap_root() : held.heaps[i - 1];
        }
    }
}

static void allocate_every_size(void) {
    for (size_t size = 8; size < 1 << 20; size = size * 5 + 5) {
        for (size_t i = 0; i < HEAPS; i++) {
            errno = 0;
            hold(rn_heap_malloc(held.heaps[i], size), size);
        }
        errno = 0;
        unsigned char *zeroed = rn_calloc(1, size);
        CHECK(zeroed == NULL || all_are(zeroed, size, 0));
        hold(zeroed, size);
        errno = 0;
        hold(rn_aligned_alloc(1 << 16, size), size);
    }
    errno = 0;
    hold(rn_aligned_alloc((size_t)8 << 20, 100), 100);
}

static void grow_some(void) {
    for (size_t i = 0; i < held.count; i += 3)
        grow(i, held.size[i] + 400000);
    for (size_t i = 0; i < held.count; i += 6)
        grow(i, held.size[i] * 3);
    for (size_t i = 0; i < held.count; i += 5)
        grow(i, held.size[i] / 3 + 1);
}

static void *allocate_and_end(void *unused) {
    void *blocks[40];
    for (size_t i = 0; i < 40; i++) {
        errno = 0;
        blocks[i] = rn_malloc(100 * i);
        if (blocks[i] == NULL)
            note_denied();
        else
            memset(blocks[i], 1, 100 * i);
    }
    for (size_t i = 0; i < 40; i++)
        rn_free(blocks[i]);
    return unused;
}

static void run_a_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, allocate_and_end, NULL) == 0)
        pthread_join(thread, NULL);
}

static void release_some(void) {
    for (size_t i = 0; i < held.count; i += 2)
        release(i);
}

/* Blocks that go with the heap that holds them are forgotten. */
static void destroy_the_last_heap(void) {
    rn_heap *heap = held.heaps[HEAPS - 1];
    if (heap == rn_heap_root() || heap == held.heaps[HEAPS - 2])
        return;
    for (size_t i = 0; i < held.count; i++)
        if (held.bytes[i] != NULL && rn_heap_of(held.bytes[i]) == heap)
            held.bytes[i] = NULL;
    rn_heap_destroy(heap);
    held.heaps[HEAPS - 1] = rn_heap_root();
}

/* --- what must hold after them ---------------------------------------------------------------------------------- */

static void check_that_requests_are_met_again(void) {
    for (size_t size = 1; size < 1 << 20; size *= 7) {
        unsigned char *block = rn_calloc(1, size);
        REQUIRE(block != NULL);
        CHECK(all_are(block, size, 0));
        memset(block, 1, size);
        rn_free(block);
    }
}

static void give_all_back(void) {
    for (size_t i = 0; i < held.count; i++)
        if (held.bytes[i] != NULL)
            release(i);
    for (size_t i = HEAPS; i-- > 0;)
        if (held.heaps[i] != rn_heap_root() && (i == 0 || held.heaps[i] != held.heaps[i - 1]))
            rn_heap_destroy(held.heaps[i]);
    rn_heap_trim(rn_heap_root());
}

static void check_that_nothing_is_lost(void) {
    rn_stats stats;
    rn_heap_stats(rn_heap_root(), &stats);
    CHECK_EQ(0u, stats.objects);
    CHECK_EQ(0u, stats.live);
    CHECK_EQ(0u, stats.used);
    whole_look();
    CHECK_EQ(0u, page_heap_read().dirty);
}

#endif
