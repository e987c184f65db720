/* hardened_large.c: large blocks where RATION_HARDEN=1. Each lies between guards, which it keeps while it is parked: freed,
 * and waiting to be handed out again. Meanwhile its pages, too, are gone and guarded, as long as that is not most of what
 * the program does; else they are filled with a pattern. Start with hardened_take_large and hardened_give_large. */
#include "hardened_marks.h"

#include <string.h>

enum {
    PARKED_MAX = 128, /* large blocks that wait, in all; */
    PARKED_LEAST = 8, /* after so many more have been freed, one may be handed out again. */
    PARKED_PART = 1,  /* Those with pages come to no more than this part of what is live, or */
    PARKED_BYTES = 4 << 20,
    PARKED_LARGEST = 1 << 20, /* and those above have none. */
    SLACK_PART = 8,           /* A block handed out again is at most this part too large. */

    FENCE_MAX = 4096, /* canary bytes behind a block */
    END_BYTES = 512,  /* of a freed block with pages, filled at either end */

    TRAPS_FIRST = 64 << 20, /* Freed blocks are unmapped until so much was, and from then on */
    TRAPS_PART = 256,       /* this part of what is freed. */
};

static const size_t WAITING = SIZE_MAX; /* in place of what was asked for, once it is freed */

/* A freed large block between its guards, either guarded, too, or filled. */
typedef struct parked {
    span *span;
    bool trapped;
} parked;

static struct {
    os_mutex lock;
    unsigned count;
    size_t filled_bytes;       /* in those that have pages */
    size_t traps;              /* bytes that may be trapped now */
    parked parked[PARKED_MAX]; /* the one that has waited longest comes first */
} large = {.traps = TRAPS_FIRST};

static size_t pages_of(size_t asked) {
    return ((asked == 0 ? 1 : asked) + os.page_size - 1) & ~(os.page_size - 1);
}

static char *block_of(const span *s) {
    return (char *)s->start + s->front;
}

/* Between the guards. */
static size_t room_of_large(const span *s) {
    return s->size - s->front - os.page_size;
}

static size_t extent(const span *s) {
    return (size_t)s->granules << GRANULE_SHIFT;
}

static size_t fenced_room(const span *s) {
    size_t room = room_of_large(s), most = (s->asked & ~(size_t)7) + FENCE_MAX;
    return room < most ? room : most;
}

/* --- parking ----------------------------------------------------------------------------------------------------- */

static void fill_ends(const span *s) {
    char *block = block_of(s);
    set_words(block, END_BYTES, FILL);
    set_words(block + room_of_large(s) - END_BYTES, END_BYTES, FILL);
}

static void check_ends(const span *s) {
    const char *block = block_of(s);
    if (!words_are(block, END_BYTES, FILL) || !words_are(block + room_of_large(s) - END_BYTES, END_BYTES, FILL))
        misuse_of_freed(block);
}

/* A range that stays guarded is lost rather than handed out. */
static void give_parked(parked p) {
    if (!p.trapped)
        check_ends(p.span);
    if (os_unguard((void *)p.span->start, extent(p.span)))
        page_heap_give(p.span, p.trapped && p.span->clean ? (span_pages){0} : span_used_pages(p.span));
}

static parked unpark(unsigned i) {
    parked p = large.parked[i];
    large.count--;
    memmove(&large.parked[i], &large.parked[i + 1], (large.count - i) * sizeof p);
    if (!p.trapped)
        __atomic_fetch_sub(&large.filled_bytes, p.span->size, __ATOMIC_RELAXED);
    return p;
}

static bool park_is_full(void) {
    size_t live = __atomic_load_n(&live_bytes.large, __ATOMIC_RELAXED) / PARKED_PART;
    return large.count == PARKED_MAX || large.filled_bytes > (live > PARKED_BYTES ? live : PARKED_BYTES);
}

static void park(parked p) {
    while (park_is_full())
        give_parked(unpark(0));
    large.parked[large.count++] = p;
    if (!p.trapped)
        __atomic_fetch_add(&large.filled_bytes, p.span->size, __ATOMIC_RELAXED);
}

/* Whether so many bytes may be unmapped: it costs a fault a page when they are used again. */
static bool may_trap(size_t bytes) {
    large.traps += bytes / TRAPS_PART;
    if (large.traps < bytes)
        return false;
    large.traps -= bytes;
    return true;
}

static bool trap(span *s) {
    size_t room = room_of_large(s);
    if (!may_trap(room))
        return false;
    s->clean = os_purge((void *)s->start, extent(s));
    return os_guard(block_of(s), room);
}

static bool fits(const span *s, const struct heap *heap, size_t pages) {
    size_t room = room_of_large(s);
    return s->heap == heap && s->front == os.page_size && room >= pages && room - pages <= pages / SLACK_PART;
}

static bool find_parked(const struct heap *heap, size_t pages, parked *found) {
    bool any = false;
    os_lock(&large.lock);
    for (unsigned i = 0; i + PARKED_LEAST < large.count && !any; i++)
        if (fits(large.parked[i].span, heap, pages)) {
            *found = unpark(i);
            any = true;
        }
    os_unlock(&large.lock);
    return any;
}

/* --- taking and giving ---------------------------------------------------------------------------------------- */

static void count_again(struct heap *heap, const span *s) {
    __atomic_fetch_add(&heap->large_bytes, s->size, __ATOMIC_RELAXED);
    __atomic_fetch_add(&heap->large_blocks, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&live_bytes.large, s->size, __ATOMIC_RELAXED);
}

/* One that has waited, with its guards; NULL if none fits. Other heaps may be gone by then, or be another. */
static span *take_parked(struct heap *heap, size_t size, size_t align, bool *clean) {
    parked p;
    if (heap != &root_heap || align > os.page_size || !find_parked(heap, pages_of(size), &p))
        return NULL;
    span *s = p.span;
    if (p.trapped && !os_unguard(block_of(s), room_of_large(s)))
        return NULL;
    if (!p.trapped)
        check_ends(s);
    if (!heap_charge(heap, s->size)) {
        hardened_release(s);
        return NULL;
    }
    heap_add_span(heap, s);
    count_again(heap, s);
    *clean = p.trapped && s->clean;
    return s;
}

static span *take_guarded(struct heap *heap, size_t size, size_t align, bool *clean) {
    size_t front = align > os.page_size ? align : os.page_size;
    char *start = large_take(heap, front + pages_of(size) + os.page_size, align, clean);
    if (start == NULL)
        return NULL;
    span *s = span_of_block(start);
    s->hardened = 1;
    s->front = front;
    os_guard(start, front);
    os_guard(block_of(s) + room_of_large(s), os.page_size);
    return s;
}

void *hardened_take_large(struct heap *heap, size_t size, size_t align, bool *clean) {
    if (size > PTRDIFF_MAX / 2 || align > PTRDIFF_MAX / 2)
        return NULL;
    span *s = take_parked(heap, size, align, clean);
    if (s == NULL && (s = take_guarded(heap, size, align, clean)) == NULL)
        return NULL;
    s->asked = size;
    char *block = block_of(s);
    /* Not set_canary, which writes below size, too: the block may have to read as zero. */
    memset(block + size, (int)(canary_of(block) & 0xff), fenced_room(s) - size);
    return block;
}

void hardened_check_large(const span *s) {
    if (!canary_holds(block_of(s), s->asked, fenced_room(s)))
        misuse(block_of(s), "the bytes behind the block were overwritten");
}

static void check_given(const span *s, const char *block) {
    if (s->asked == WAITING)
        misuse_block(block, SPAN_BLOCK_FREE_ALREADY);
    if (block != block_of(s))
        misuse_block(block, SPAN_BLOCK_INTERIOR);
    hardened_check_large(s);
}

size_t hardened_parked_bytes(void) {
    return __atomic_load_n(&large.filled_bytes, __ATOMIC_RELAXED);
}

void hardened_give_parked(void) {
    os_lock(&large.lock);
    while (large.count != 0)
        give_parked(unpark(0));
    os_unlock(&large.lock);
}

void hardened_lock(void) {
    os_lock(&large.lock);
}

void hardened_unlock(void) {
    os_unlock(&large.lock);
}

size_t hardened_large_size(const span *s, const void *block) {
    if (s->asked == WAITING)
        misuse_use(block, SPAN_BLOCK_FREE_ALREADY);
    if (block != block_of(s))
        misuse_use(block, SPAN_BLOCK_INTERIOR);
    return s->asked;
}

void hardened_release(span *s) {
    if (os_unguard((void *)s->start, extent(s)))
        page_heap_give(s, span_used_pages(s));
}

void hardened_give_large(span *s, void *block) {
    os_lock(&large.lock);
    check_given(s, block);
    s->asked = WAITING;
    large_detach(s);
    struct heap *heap = s->heap;
    size_t bytes = s->size;
    bool trapped = trap(s), kept = trapped || s->size <= PARKED_LARGEST;
    if (kept && !trapped)
        fill_ends(s);
    if (kept)
        park((parked){.span = s, .trapped = trapped});
    os_unlock(&large.lock);
    if (!kept)
        hardened_release(s);
    heap_uncharge(heap, bytes);
}
