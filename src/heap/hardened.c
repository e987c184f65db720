/* hardened.c: RATION_HARDEN=1: every allocation is seen, and every free is judged at once.
 *
 * Threads keep the empty cache, so that nothing takes the fast paths. A small block ends in a seal: its size and state,
 * sealed with a secret, its address and its span's turn, so that a stale or forged one does not pass; between what was
 * asked for and the seal lie canary bytes. A freed block is filled with a pattern, waits in its thread's quarantine, and
 * is looked at again when it leaves and when it is handed out; which one of the cached blocks comes out next is drawn by lot. A large block lies between guards, and its pages are gone and guarded for a while after it is freed.
 *
 * Start with hardened_take and hardened_give. */
#include "hardened.h"

#include <string.h>

bool hardened;

static uint64_t secret;

void hardened_start(void) {
    secret = os_random() | 1;
    __atomic_store_n(&hardened, true, __ATOMIC_RELEASE);
}

/* --- seals ---------------------------------------------------------------------------------------------------- */

enum {
    FREED = 1 << 24, /* a seal's content: the size asked for, or, with this bit, what a free block holds */
    PATTERN_WHOLE = FREED,
    PATTERN_NONE = FREED | 1,
    CONTENT_MASK = (FREED << 1) - 1,
    CONTENT_BITS = 25,

    QUARANTINE = 128, /* blocks a thread, each at most so large: */
    QUARANTINE_BLOCK_MAX = 2048,

    FILL = 0xdf,
    FILL_MAX = 1024, /* of larger blocks, the two ends */
};

static uint64_t mix(uint64_t x) {
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
}

/* What ties a seal to its block and to this use of the span. */
static uint64_t key_of(const span *s, const void *block) {
    return mix((uintptr_t)block ^ secret ^ (uint64_t)s->turn << 40);
}

static uint64_t *seal_of(const span *s, const void *block) {
    return (uint64_t *)((char *)block + size_classes[s->class_index].size - HARDENED_SEAL);
}

static uint64_t seal_value(uint64_t key, unsigned content) {
    uint64_t proof = (key ^ content) * 0xd1342543de82ef95u;
    return (proof << CONTENT_BITS | content) ^ key;
}

/* The content of a block's seal, or -1 if it does not hold. */
static int read_seal(const span *s, const void *block) {
    uint64_t key = key_of(s, block), value = *seal_of(s, block);
    unsigned content = (unsigned)(value ^ key) & CONTENT_MASK;
    return value == seal_value(key, content) ? (int)content : -1;
}

static void write_seal(const span *s, void *block, unsigned content) {
    *seal_of(s, block) = seal_value(key_of(s, block), content);
}

static bool all_are(const unsigned char *bytes, size_t count, unsigned char value) {
    uint64_t word, wanted = value * 0x0101010101010101u, wrong = 0;
    for (; count >= sizeof word; count -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        wrong |= word ^ wanted;
    }
    while (count-- > 0)
        wrong |= *bytes++ ^ value;
    return wrong == 0;
}

static unsigned char canary(const void *block) {
    return (unsigned char)(mix((uintptr_t)block ^ secret) >> 24) | 1;
}

static size_t room_of(const span *s) {
    return size_classes[s->class_index].size - HARDENED_SEAL;
}

/* --- the pattern of freed blocks ------------------------------------------------------------------------------ */

static size_t fill_of_end(size_t room) {
    return room <= FILL_MAX ? room : FILL_MAX / 2;
}

static void fill(const span *s, unsigned char *block) {
    size_t room = room_of(s), end = fill_of_end(room);
    memset(block, FILL, end);
    memset(block + room - end, FILL, end);
}

static bool is_filled(const span *s, const unsigned char *block) {
    size_t room = room_of(s), end = fill_of_end(room);
    return all_are(block, end, FILL) && all_are(block + room - end, end, FILL);
}

static void check_freed(const span *s, const void *block) {
    int content = read_seal(s, block);
    if (content < 0 || (content == PATTERN_WHOLE && !is_filled(s, block)))
        misuse(block, "written to after it was freed");
}

/* --- small blocks --------------------------------------------------------------------------------------------- */

static span *span_of_block(const void *block) {
    return span_of_id(page_map_entry(block)->span);
}

/* Blocks fresh from the store may have been on purged or never used pages: they get a seal that promises no pattern. */
static void seal_fresh(void **from, void **to) {
    for (; from < to; from++) {
        const span *s = span_of_block(*from);
        int content = read_seal(s, *from);
        if (content != PATTERN_WHOLE)
            write_seal(s, *from, PATTERN_NONE);
    }
}

static void *draw(cache *c, unsigned class_index, uint64_t random) {
    void **top = c->top[class_index];
    size_t count = cache_blocks(c, class_index);
    void **drawn = top - 1 - mix(random) % count;
    void *block = *drawn;
    *drawn = top[-1];
    c->top[class_index] = top - 1;
    return block;
}

static void *take_from(cache *c, unsigned class_index) {
    thread *t = this_thread.thread;
    if (cache_blocks(c, class_index) == 0) {
        void *last = cache_refill(c, class_index);
        if (last == NULL)
            return NULL;
        if (c->top[class_index] == c->end[class_index]) {
            seal_fresh(&last, &last + 1);
            return last;
        }
        *c->top[class_index]++ = last;
        seal_fresh(c->top[class_index] - cache_blocks(c, class_index), c->top[class_index]);
    }
    return draw(c, class_index, t->turns++ ^ secret);
}

static void *take_small(rn_heap *heap, unsigned class_index) {
    cache *c = local_enter();
    void *block = NULL;
    if (c != NULL && c->heap != heap && (c = local_cache_for(heap)) == NULL)
        local_end();
    if (c == NULL) {
        if (store_take(heap, class_index, &block + 1, 1) == 1)
            seal_fresh(&block, &block + 1);
        return block;
    }
    block = take_from(c, class_index);
    local_end();
    return block;
}

void *hardened_take(rn_heap *heap, unsigned class_index, size_t size) {
    unsigned char *block = take_small(heap, class_index);
    if (block == NULL)
        return NULL;
    span *s = span_of_block(block);
    check_freed(s, block);
    memset(block + size, canary(block), room_of(s) - size);
    write_seal(s, block, (unsigned)size);
    return block;
}

size_t hardened_size(const span *s, const void *block) {
    if (s->state == SPAN_LARGE) {
        if ((uintptr_t)block != s->start + s->front)
            misuse_block(block, SPAN_BLOCK_INTERIOR);
        return s->asked;
    }
    int content = read_seal(s, block);
    if (content < 0)
        misuse(block, "the bytes behind the block were overwritten");
    if ((content & FREED) != 0)
        misuse(block, "use of a block after it was freed");
    return (size_t)content;
}

static void check_live(const span *s, const unsigned char *block) {
    span_verdict verdict = span_judge(s, block);
    if (verdict != SPAN_BLOCK_FINE)
        misuse_block(block, verdict);
    int content = read_seal(s, block);
    if (content >= 0 && (content & FREED) != 0)
        misuse_block(block, SPAN_BLOCK_FREE_ALREADY);
    if (content < 0 || !all_are(block + content, room_of(s) - (size_t)content, canary(block)))
        misuse(block, "the bytes behind the block were overwritten");
}

/* Puts a block into the quarantine. Gives the one that has waited longest instead, or NULL. */
static void *exchange(thread *t, void *block) {
    if (t->quarantine == NULL && (t->quarantine = table_take(QUARANTINE * sizeof *t->quarantine)) == NULL)
        return block;
    void **place = &t->quarantine[t->turns++ % QUARANTINE];
    void *longest = *place;
    *place = block;
    return longest;
}

static void release(void *block) {
    const span *s = span_of_block(block);
    check_freed(s, block);
    cache *c = local_cache_for(s->heap);
    if (c == NULL)
        store_give(s->heap, s->class_index, &block, 1);
    else
        cache_put(c, s->class_index, block);
}

void hardened_give(span *s, void *block) {
    check_live(s, block);
    fill(s, block);
    write_seal(s, block, PATTERN_WHOLE);
    if (local_enter() == NULL) {
        store_give(s->heap, s->class_index, &block, 1);
        return;
    }
    if (size_classes[s->class_index].size <= QUARANTINE_BLOCK_MAX)
        block = exchange(this_thread.thread, block);
    if (block != NULL)
        release(block);
    local_end();
}

static void leave_quarantine(thread *t, const rn_heap *only, bool give) {
    for (unsigned i = 0; t->quarantine != NULL && i < QUARANTINE; i++) {
        void *block = t->quarantine[i];
        const span *s = block == NULL ? NULL : span_of_block(block);
        if (s == NULL || (only != NULL && s->heap != only))
            continue;
        t->quarantine[i] = NULL;
        check_freed(s, block);
        if (give)
            store_give(s->heap, s->class_index, &block, 1);
    }
}

void hardened_drain(thread *t) {
    leave_quarantine(t, NULL, true);
    if (t->quarantine != NULL)
        table_give(t->quarantine, QUARANTINE * sizeof *t->quarantine);
    t->quarantine = NULL;
}

void hardened_forget(thread *t, const rn_heap *heap) {
    leave_quarantine(t, heap, false);
}

static void check_span(const span *s) {
    if (!s->hardened || s->state != SPAN_SMALL)
        return;
    for (unsigned i = 0; i < s->carved; i++) {
        const void *block = (const void *)(s->start + i * (size_t)size_classes[s->class_index].size);
        if ((s->free_blocks[i / 64] >> i % 64 & 1) == 0 && read_seal(s, block) < 0)
            misuse(block, "the bytes behind the block were overwritten");
    }
}

void hardened_check_all(void) {
    heap_each_span(check_span);
}

/* --- large blocks --------------------------------------------------------------------------------------------- */

enum { LARGE_WAITING = 16 };

static const size_t WAITING = SIZE_MAX; /* in place of what was asked for, once it is freed */

static struct {
    os_mutex lock;
    span *waiting[LARGE_WAITING];
    unsigned turn;
} large;

static size_t pages_of(size_t asked) {
    return ((asked == 0 ? 1 : asked) + os.page_size - 1) & ~(os.page_size - 1);
}

void *hardened_take_large(rn_heap *heap, size_t size, size_t align, bool *clean) {
    if (size > PTRDIFF_MAX / 2 || align > PTRDIFF_MAX / 2)
        return NULL;
    size_t front = align > os.page_size ? align : os.page_size;
    size_t pages = pages_of(size);
    char *start = large_take(heap, front + pages + os.page_size, align, clean);
    if (start == NULL)
        return NULL;
    span *s = span_of_block(start);
    s->hardened = 1;
    s->front = front;
    s->asked = size;
    char *block = start + front;
    os_guard(start, front);
    os_guard(block + pages, os.page_size);
    memset(block + size, canary(block), pages - size);
    return block;
}

static size_t extent(const span *s) {
    return (size_t)s->granules << GRANULE_SHIFT;
}

/* A range that stays guarded is lost rather than handed out. */
static void give_waiting(span *s) {
    if (!os_unguard((void *)s->start, extent(s)))
        return;
    page_heap_give(s, s->clean ? (span_pages){0} : span_used_pages(s));
}

static void check_large(const span *s, const unsigned char *block) {
    if (s->asked == WAITING)
        misuse_block(block, SPAN_BLOCK_FREE_ALREADY);
    if ((uintptr_t)block != s->start + s->front)
        misuse_block(block, SPAN_BLOCK_INTERIOR);
    if (!all_are(block + s->asked, pages_of(s->asked) - s->asked, canary(block)))
        misuse(block, "the bytes behind the block were overwritten");
}

void hardened_lock(void) {
    os_lock(&large.lock);
}

void hardened_unlock(void) {
    os_unlock(&large.lock);
}

void hardened_release(span *s) {
    if (os_unguard((void *)s->start, extent(s)))
        page_heap_give(s, span_used_pages(s));
}

void hardened_give_large(span *s, void *block) {
    os_lock(&large.lock);
    check_large(s, block);
    s->asked = WAITING;
    span *longest = large.waiting[large.turn];
    large.waiting[large.turn] = s;
    large.turn = (large.turn + 1) % LARGE_WAITING;
    large_detach(s);
    heap_uncharge(s->heap, s->size);
    s->clean = os_purge((void *)s->start, extent(s));
    os_guard((void *)s->start, extent(s));
    os_unlock(&large.lock);
    if (longest != NULL)
        give_waiting(longest);
}
