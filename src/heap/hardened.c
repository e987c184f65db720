/* hardened.c: RATION_HARDEN=1: every allocation is seen, and every free is judged at once.
 *
 * Threads keep the empty cache, so that nothing takes the fast paths. A small block ends in a seal: its size and state,
 * sealed with a secret, its address and its span's turn, so that a stale or forged one does not pass; between what was
 * asked for and the seal lie canary bytes. A freed block is filled with a pattern, waits in its thread's quarantine,
 * which it leaves in an order drawn by lot, and is looked at when it is handed out again; blocks from the store are
 * shuffled. Large blocks: hardened_large.c.
 *
 * Start with hardened_take and hardened_give. */
#include "hardened_marks.h"

#include <string.h>

bool hardened;

uint64_t hardened_secret;

void hardened_start(void) {
    hardened_secret = os_random() | 1;
    __atomic_store_n(&hardened, true, __ATOMIC_RELEASE);
}

/* --- seals ---------------------------------------------------------------------------------------------------- */

enum {
    FREED = 1 << 24, /* a seal's content: the size asked for, or, with this bit, what a free block holds */
    PATTERN_WHOLE = FREED,
    PATTERN_NONE = FREED | 1,
    CONTENT_MASK = (FREED << 1) - 1,
    CONTENT_BITS = 25,

    FILL_MAX = 256, /* of larger blocks, the two ends are filled */
};

/* What ties a seal to its block and to this use of the span. */
static uint64_t key_of(const span *s, const void *block) {
    return mix((uintptr_t)block ^ hardened_secret ^ (uint64_t)s->turn << 40);
}

static size_t room_of(unsigned class_index) {
    return size_classes[class_index].size - HARDENED_SEAL;
}

static uint64_t *seal_of(const void *block, size_t room) {
    return (uint64_t *)((char *)block + room);
}

static uint64_t seal_value(uint64_t key, unsigned content) {
    uint64_t proof = (key ^ content) * 0xd1342543de82ef95u;
    return (proof << CONTENT_BITS | content) ^ key;
}

/* The content of a seal, or -1 if it does not hold. */
static int open_seal(uint64_t key, uint64_t value) {
    unsigned content = (unsigned)(value ^ key) & CONTENT_MASK;
    return LIKELY(value == seal_value(key, content)) ? (int)content : -1;
}

static int read_seal(const span *s, const void *block) {
    return open_seal(key_of(s, block), *seal_of(block, room_of(s->class_index)));
}

/* --- the pattern of freed blocks ------------------------------------------------------------------------------ */

static inline void fill(char *block, size_t room) {
    if (LIKELY(room <= FILL_MAX)) {
        set_words(block, room, FILL);
    } else {
        set_words(block, FILL_MAX / 2, FILL);
        set_words(block + room - FILL_MAX / 2, FILL_MAX / 2, FILL);
    }
}

static inline bool is_filled(const char *block, size_t room) {
    if (LIKELY(room <= FILL_MAX))
        return words_are(block, room, FILL);
    return words_are(block, FILL_MAX / 2, FILL) && words_are(block + room - FILL_MAX / 2, FILL_MAX / 2, FILL);
}

static inline bool is_intact(const char *block, size_t room, uint64_t key) {
    uint64_t value = *seal_of(block, room);
    if (LIKELY(value == seal_value(key, PATTERN_WHOLE)))
        return is_filled(block, room);
    return open_seal(key, value) == PATTERN_NONE;
}

static void check_freed(const span *s, const void *block) {
    if (!is_intact(block, room_of(s->class_index), key_of(s, block)))
        misuse_of_freed(block);
}

/* --- taking small blocks -------------------------------------------------------------------------------------- */

/* Blocks fresh from the store may be on purged or never used pages: they get a seal that promises no pattern. */
static void seal_fresh(void *const *blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        const span *s = span_of_block(blocks[i]);
        uint64_t key = key_of(s, blocks[i]), *seal = seal_of(blocks[i], room_of(s->class_index));
        if (*seal != seal_value(key, PATTERN_WHOLE))
            *seal = seal_value(key, PATTERN_NONE);
    }
}

static void shuffle(thread *t, void **blocks, unsigned count) {
    uint64_t random = hardened_secret + t->turns++;
    for (unsigned left = count; left > 1; left--) {
        random = mix(random + left);
        void **drawn = &blocks[(random & UINT32_MAX) * left >> 32], *block = *drawn;
        *drawn = blocks[left - 1];
        blocks[left - 1] = block;
    }
}

/* A block of a class that has none left; those that come from the store with it are shuffled. */
static COLD void *refill(cache *c, unsigned class_index) {
    void *block = cache_refill(c, class_index);
    if (block == NULL)
        return NULL;
    unsigned more = cache_blocks(c, class_index);
    void **blocks = c->top[class_index] - more;
    if (more == 0) {
        seal_fresh(&block, 1);
        return block;
    }
    blocks[more] = block; /* its place is above the top */
    seal_fresh(blocks, more + 1);
    shuffle(this_thread.thread, blocks, more + 1);
    return blocks[more];
}

static COLD void *take_from_store(struct heap *heap, unsigned class_index) {
    void *block = NULL;
    if (store_take(heap, class_index, &block + 1, 1) == 1)
        seal_fresh(&block, 1);
    return block;
}

static COLD cache *enter_slowly(struct heap *heap) {
    cache *c = local_enter();
    if (c != NULL && c->heap != heap && (c = local_cache_for(heap)) == NULL)
        local_end();
    return c;
}

static bool is_revoked(const thread *t) {
    return __atomic_load_n(&t->revoked, __ATOMIC_ACQUIRE);
}

/* local_enter, but for the heap whose cache is the first. */
static inline cache *enter(struct heap *heap) {
    thread *t = this_thread.thread;
    if (LIKELY(t != NULL)) {
        local_begin();
        cache *c = t->caches;
        if (LIKELY(!is_revoked(t) && c != NULL && c->heap == heap))
            return c;
        local_end();
    }
    return enter_slowly(heap);
}

static inline void *take_small(struct heap *heap, unsigned class_index) {
    cache *c = enter(heap);
    if (UNLIKELY(c == NULL))
        return take_from_store(heap, class_index);
    void **top = c->top[class_index], *block = top[-1];
    if (LIKELY(block != NULL))
        __atomic_store_n(&c->top[class_index], top - 1, __ATOMIC_RELAXED);
    else
        block = refill(c, class_index);
    local_end();
    return block;
}

/* Looks at a block that was free, and seals it for its new owner. */
static inline void *issue(char *block, unsigned class_index, size_t size) {
    if (UNLIKELY(block == NULL))
        return NULL;
    size_t room = room_of(class_index);
    uint64_t key = key_of(span_of_block(block), block);
    if (UNLIKELY(!is_intact(block, room, key)) && !this_thread.aborting)
        misuse_of_freed(block);
    set_canary(block, size, room);
    *seal_of(block, room) = seal_value(key, (unsigned)size);
    return block;
}

void *hardened_take(struct heap *heap, unsigned class_index, size_t size) {
    return issue(take_small(heap, class_index), class_index, size);
}

void *hardened_take_uncached(struct heap *heap, unsigned class_index, size_t size) {
    return issue(take_from_store(heap, class_index), class_index, size);
}

/* --- giving small blocks -------------------------------------------------------------------------------------- */

/* What is wrong with a block whose seal has such a content, or -1 where it does not hold. */
static span_verdict judge(const span *s, const void *block, int content) {
    span_verdict verdict = span_judge(s, block);
    if (verdict != SPAN_BLOCK_FINE)
        return verdict;
    if (content < 0 || (content & FREED) == 0)
        misuse(block, "the bytes behind the block were overwritten");
    return SPAN_BLOCK_FREE_ALREADY;
}

static COLD _Noreturn void refuse(const span *s, const void *block, int content) {
    misuse_block(block, judge(s, block, content));
}

static COLD _Noreturn void refuse_use(const span *s, const void *block, int content) {
    misuse_use(block, judge(s, block, content));
}

/* Without the store's lock: that other blocks are carved meanwhile does not matter. */
static inline __attribute__((no_sanitize("thread"))) unsigned carved(const span *s) {
    return s->carved;
}

/* Whether a block that was carved starts there. */
static inline bool starts_block(const span *s, const char *block) {
    return span_index(&size_classes[s->class_index], (uintptr_t)block - s->start) < carved(s);
}

/* A block that lies in the store has a seal that says so, or that does not hold: no need to look at the span's bits. */
static inline void check_live(const span *s, const char *block, size_t room, uint64_t key) {
    if (UNLIKELY(!starts_block(s, block)))
        refuse(s, block, -1);
    int content = open_seal(key, *seal_of(block, room));
    if (UNLIKELY(content < 0 || content >= FREED || !canary_holds(block, (size_t)content, room)))
        refuse(s, block, content);
}

size_t hardened_size(const span *s, const void *block) {
    if (s->state == SPAN_LARGE)
        return hardened_large_size(s, block);
    int content = LIKELY(starts_block(s, block)) ? read_seal(s, block) : -1;
    if (UNLIKELY(content < 0 || (content & FREED) != 0))
        refuse_use(s, block, content);
    return (size_t)content;
}

enum {
    WAITING_SMALL = 128, /* blocks a thread, */
    WAITING_LARGER = 8,  /* and above so many bytes: */
    LARGER = 2048,
    QUARANTINE = WAITING_SMALL + WAITING_LARGER,
    DRAWN_FROM = 8,
};

/* A thread's freed blocks: each waits for some hundred more to be freed, or for as many larger ones as have places. */
typedef struct quarantine {
    void *blocks[QUARANTINE];
    unsigned small_turn, larger_turn;
} quarantine;

static quarantine *quarantine_of(thread *t) {
    if (UNLIKELY(t->quarantine == NULL))
        t->quarantine = table_take(sizeof(quarantine));
    return (quarantine *)(void *)t->quarantine;
}

/* Gives one that has waited long, drawn by lot from the longest. */
static inline void *exchange_small(quarantine *q, void *block) {
    unsigned turn = q->small_turn++;
    unsigned drawn = turn + (unsigned)(mix(turn ^ hardened_secret) >> 32) % DRAWN_FROM;
    void **place = &q->blocks[turn % WAITING_SMALL], **leaving = &q->blocks[drawn % WAITING_SMALL];
    void *left = *leaving;
    *leaving = *place;
    *place = block;
    return left;
}

static void *exchange_larger(quarantine *q, void *block) {
    void **place = &q->blocks[WAITING_SMALL + q->larger_turn++ % WAITING_LARGER];
    void *left = *place;
    *place = block;
    return left;
}

static COLD void release_slowly(void *block) {
    const span *s = span_of_block(block);
    cache *c = local_cache_for(s->heap);
    if (c == NULL)
        store_give(s->heap, s->class_index, &block, 1);
    else
        cache_put(c, s->class_index, block);
}

/* What was written to it since it was freed is seen when it is handed out again, or at the end. */
static inline void release(const thread *t, void *block) {
    cache *c = t->caches;
    uint32_t class_index = page_map_entry(block)->tag ^ c->tag;
    if (UNLIKELY(class_index >= SIZE_CLASSES_COUNT || c->top[class_index] == c->end[class_index])) {
        release_slowly(block);
        return;
    }
    void **top = c->top[class_index];
    *top = block;
    __atomic_store_n(&c->top[class_index], top + 1, __ATOMIC_RELAXED);
}

/* Looks at a block that was out, and fills it. */
static inline void take_back(const span *s, void *block) {
    size_t room = room_of(s->class_index);
    uint64_t key = key_of(s, block);
    check_live(s, block, room, key);
    fill(block, room);
    *seal_of(block, room) = seal_value(key, PATTERN_WHOLE);
}

/* What leaves the thread's quarantine for the block, if anything does. */
static inline void *exchange(thread *t, const span *s, void *block) {
    quarantine *q = quarantine_of(t);
    if (UNLIKELY(q == NULL))
        return block;
    return room_of(s->class_index) < LARGER ? exchange_small(q, block) : exchange_larger(q, block);
}

void hardened_give(span *s, void *block) {
    take_back(s, block);
    if (UNLIKELY(enter(s->heap) == NULL)) {
        store_give(s->heap, s->class_index, &block, 1);
        return;
    }
    thread *t = this_thread.thread;
    block = exchange(t, s, block);
    if (block != NULL)
        release(t, block);
    local_end();
}

static void give_to_store(void *block) {
    const span *s = span_of_block(block);
    store_give(s->heap, s->class_index, &block, 1);
}

void hardened_give_uncached(const span *s, void *block) {
    take_back(s, block);
    bool waits = local_enter() != NULL;
    if (waits)
        block = exchange(this_thread.thread, s, block);
    if (block != NULL)
        give_to_store(block);
    if (waits)
        local_end();
}

static void leave_quarantine(quarantine *q, const struct heap *only, bool give) {
    for (unsigned i = 0; q != NULL && i < QUARANTINE; i++) {
        void *block = q->blocks[i];
        const span *s = block == NULL ? NULL : span_of_block(block);
        if (s == NULL || (only != NULL && s->heap != only))
            continue;
        q->blocks[i] = NULL;
        check_freed(s, block);
        if (give)
            store_give(s->heap, s->class_index, &block, 1);
    }
}

void hardened_drain(thread *t) {
    quarantine *q = (quarantine *)(void *)t->quarantine;
    leave_quarantine(q, NULL, true);
    if (q != NULL)
        table_give(q, sizeof *q);
    t->quarantine = NULL;
}

void hardened_forget(thread *t, const struct heap *heap) {
    leave_quarantine((quarantine *)(void *)t->quarantine, heap, false);
}

/* --- the end -------------------------------------------------------------------------------------------------- */

static bool live_holds(const span *s, const void *block, int content) {
    return content >= 0 && content < FREED && canary_holds(block, (size_t)content, room_of(s->class_index));
}

static void check_block(const span *s, const void *block, bool in_store) {
    int content = read_seal(s, block);
    if (content == PATTERN_WHOLE)
        check_freed(s, block);
    else if (!in_store && content != PATTERN_NONE && !live_holds(s, block, content))
        misuse(block, "the bytes behind the block were overwritten");
}

/* Blocks in the store may never have had a seal, or lie on pages that are gone. */
static void check_small_span(const span *s) {
    for (unsigned i = 0; i < s->carved; i++) {
        const void *block = (const void *)(s->start + i * (size_t)size_classes[s->class_index].size);
        check_block(s, block, (s->free_blocks[i / 64] >> i % 64 & 1) != 0);
    }
}

static void check_span(const span *s) {
    if (s->hardened)
        (s->state == SPAN_LARGE ? hardened_check_large : check_small_span)(s);
}

void hardened_check_heap(struct heap *heap) {
    os_lock(&heap->spans_lock);
    for (const span *s = heap->spans; s != NULL; s = s->older)
        check_span(s);
    os_unlock(&heap->spans_lock);
}

void hardened_check_all(void) {
    heap_each_span(check_span);
}
