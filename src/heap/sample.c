/* sample.c: which blocks are checked where not every block is: the first requests of a process, so that what a short program does
 * is seen, and about one in a thousand of those that caches are filled with later, drawn by lot.
 *
 * A checked block has the hardened mode's seal, canary and pattern, and waits in quarantine. It lies in a span of a heap of
 * its own, whose tag no cache has, so that its free leaves the fast path by itself. A limit bounds the sample to nothing:
 * pages under a few checked blocks can't be given back. Start with sample_take. */
#include "sample.h"

#include "hardened_marks.h"
#include "shared.h"

#include <string.h>

enum {
    FIRST = 256,
    ONE_IN = 1000,
    LARGEST = SIZE_CLASS_4096,
    NOBODYS_PLACE = 1 << 16, /* an id, of place 0, which no heap is given */
};

struct heap sampled_heap;

int sample_first;

static bool on;

bool sample_is_taken(void) {
    return on;
}

/* The heap has no handle: what lies in it is the root's, as a retired heap's blocks are its parent's. */
static void join_tree(void) {
    sampled_heap.id = NOBODYS_PLACE;
    sampled_heap.parent = &root_heap;
    memcpy(sampled_heap.name, root_heap.name, sizeof sampled_heap.name);
    heap_lock_tree();
    heap_own(&root_heap, &sampled_heap);
    heap_unlock_tree();
}

/* memcheck sees more, and would take what is written behind a block for the program's. Where address space is short, blocks in
 * quarantine would split it. */
void sample_start(void) {
    if (hardened || os.valgrind || os.address_limit)
        return;
    hardened_secret = os_random() | 1;
    join_tree();
    on = true;
    __atomic_store_n(&sample_first, FIRST, __ATOMIC_RELEASE);
}

/* --- the lot ---------------------------------------------------------------------------------------------------- */

/* How many blocks from one checked block to the next. */
static int distance(thread *t) {
    uint64_t drawn = mix(hardened_secret + (uintptr_t)t + ++t->turns);
    return 1 + (int)((drawn & UINT32_MAX) * (2 * (uint64_t)ONE_IN) >> 32);
}

void sample_refilled(unsigned class_index, unsigned blocks) {
    thread *t = this_thread.thread;
    if (!on || class_index > LARGEST)
        return;
    bool begins = t->turns == 0;
    t->until_sampled -= (int)blocks;
    if (LIKELY(!begins && t->until_sampled > 0))
        return;
    t->until_sampled = distance(t);
    t->sampled = begins ? SAMPLE_NONE : (uint8_t)(class_index + 1);
}

static bool is_limited(void) {
    return __atomic_load_n(&root_heap.limit, __ATOMIC_RELAXED) != 0 || shared_limited();
}

/* A little more than FIRST may be checked where threads begin at once. */
static void count_taken(void) {
    if (this_thread.thread != NULL)
        this_thread.thread->sampled = SAMPLE_NONE;
    if (__atomic_load_n(&sample_first, __ATOMIC_RELAXED) > 0)
        __atomic_fetch_sub(&sample_first, 1, __ATOMIC_RELAXED);
}

COLD void *sample_take(unsigned class_index, size_t size) {
    if (class_index > LARGEST + 1 || is_limited())
        return NULL;
    count_taken();
    return hardened_take_uncached(&sampled_heap, class_index, size);
}

void sample_check_all(void) {
    hardened_check_heap(&sampled_heap);
}
