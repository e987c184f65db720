/* mappings.c: adversaries that take pages without malloc: by mmap, mprotect, mremap and sbrk. Start at the table at the
 * end. */
#include "adversary.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 }; /* of sizes asked for; a machine with larger pages rounds up */

static void *map(size_t size, int protection, int flags) {
    void *memory = mmap(NULL, size, protection, flags | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void *get_private(size_t size) {
    return map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

static void *get_shared(size_t size) {
    return map(size, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void unmap(void *memory, size_t size) {
    if (munmap(memory, size) != 0)
        broken("munmap failed");
}

static const source private_pages = {get_private, unmap, PAGE, 4 << 20, PAGE, false};

static void by_mmap(void) {
    press(&private_pages, INFINITY);
}

static void by_shared_mmap(void) {
    static const source from = {get_shared, unmap, PAGE, 4 << 20, PAGE, false};
    press(&from, INFINITY);
}

/* A mapping whose middle is given back at once, and mapped anew in its place every other time. Elsewhere another mapping
 * may come to lie in the hole, so the last third's first byte says whose it is. */
static void *get_with_hole(size_t size) {
    unsigned char *memory = get_private(size * 3);
    if (memory == NULL)
        return NULL;
    memset(memory, 1, size * 3);
    unmap(memory + size, size);
    memory[2 * size] =
        random_below(2) == 0 && mmap(memory + size, size, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED;
    if (memory[2 * size] != 0)
        memset(memory + size, 1, size);
    return memory;
}

static void drop_with_hole(void *memory, size_t size) {
    unsigned char *bytes = memory;
    bool filled = bytes[2 * size] != 0;
    unmap(bytes + 2 * size, size);
    unmap(bytes, filled ? 2 * size : size);
}

static void by_holes(void) {
    static const source from = {get_with_hole, drop_with_hole, PAGE, 1 << 20, PAGE, false};
    press(&from, INFINITY);
}

/* malloc and mmap take turns at what is left. */
static void by_both(void) {
    hoard mapped = {.from = &private_pages}, allocated = {.from = &every_size};
    while (time_left()) {
        hoard_press(&mapped, now() + 0.05);
        hoard_press(&allocated, now() + 0.05);
    }
    hoard_give_all(&mapped);
    hoard_give_all(&allocated);
}

enum { STEP = 256 << 10 };

/* The next step of a reservation becomes memory. */
static bool open_step(unsigned char *reserved, size_t open) {
    if (!want(STEP))
        return false;
    if (mprotect(reserved + open, STEP, PROT_READ | PROT_WRITE) != 0) {
        want_less(STEP);
        note_denied();
        return false;
    }
    memset(reserved + open, (int)(open / STEP), STEP);
    return true;
}

/* The last steps are reserved again, their pages dropped. Returns what is open still. */
static size_t close_steps(unsigned char *reserved, size_t open) {
    size_t left = open / STEP * random_below(100) / 100 * STEP;
    if (open == left)
        return open;
    if (madvise(reserved + left, open - left, MADV_DONTNEED) != 0 ||
        mprotect(reserved + left, open - left, PROT_NONE) != 0)
        broken("pages can't be closed");
    want_less(open - left);
    return left;
}

/* One great reservation, as runtimes have it, taken into use in steps. */
static void by_mprotect(void) {
    size_t size = (size_t)1 << 30, open = 0;
    unsigned char *reserved = map(size, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
    while (reserved == NULL && (size /= 2) > STEP)
        reserved = map(size, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
    if (reserved == NULL)
        broken("no address space for a reservation");
    while (time_left()) {
        if (open < size && open_step(reserved, open))
            open += STEP;
        else
            open = close_steps(reserved, open);
        if (open > 0 && reserved[open - 1] != (unsigned char)((open - 1) / STEP))
            broken("an open page changed");
    }
    unmap(reserved, size);
}

/* What a page of page tables reaches where pages are of 4 KiB. */
enum { REACH = 2 << 20, FAR_PIECES = 1 << 17 };

/* A page of memory each, so far apart that each needs a page of page tables, too: by a mapping of its own, or by a page of a
 * reservation. */
typedef struct far_pieces {
    unsigned char *reserved;
    bool (*open)(unsigned char *);
    void (*close)(unsigned char *);
} far_pieces;

static bool map_there(unsigned char *place) {
    return mmap(place, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static void unmap_there(unsigned char *place) {
    unmap(place, PAGE);
}

static bool protect_there(unsigned char *place) {
    return mprotect(place, PAGE, PROT_READ | PROT_WRITE) == 0;
}

/* By a reservation in its place, so that the page of page tables goes, too. */
static void reserve_there(unsigned char *place) {
    if (mmap(place, REACH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        broken("a page can't be reserved again");
}

/* Opens pieces in order until one is denied, then closes some of the last. */
static void press_far(const far_pieces *pieces) {
    enum { COST = 2 * PAGE };
    size_t open = 0;
    while (time_left()) {
        unsigned char *place = pieces->reserved + open * REACH;
        if (open < FAR_PIECES && want(COST)) {
            if (pieces->open(place)) {
                memset(place, (int)open | 1, PAGE);
                open++;
                continue;
            }
            want_less(COST);
            note_denied();
        }
        for (size_t less = 1 + random_below(open / 16 + 1); less > 0 && open > 0; less--) {
            place = pieces->reserved + --open * REACH;
            if (place[0] != (unsigned char)(open | 1))
                broken("a page far from others changed");
            pieces->close(place);
            want_less(COST);
        }
    }
}

static unsigned char *reserve_far(void) {
    unsigned char *reserved = map((size_t)FAR_PIECES * REACH, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
    if (reserved == NULL)
        broken("no address space for a reservation");
    return reserved;
}

static void by_far_mappings(void) {
    unsigned char *reserved = reserve_far();
    unmap(reserved, (size_t)FAR_PIECES * REACH);
    press_far(&(far_pieces){reserved, map_there, unmap_there});
}

static void by_far_pages(void) {
    press_far(&(far_pieces){reserve_far(), protect_there, reserve_there});
}

typedef struct mapping {
    unsigned char *bytes;
    size_t size;
} mapping;

static bool resize(mapping *one, size_t size) {
    void *moved = one->size == 0 ? get_private(size) : mremap(one->bytes, one->size, size, MREMAP_MAYMOVE);
    if (moved == NULL || moved == MAP_FAILED)
        return false;
    *one = (mapping){moved, size};
    return true;
}

static bool grow(mapping *one) {
    size_t old = one->size, more = (old / 2 / PAGE + 1) * PAGE;
    if (!want(more))
        return false;
    if (!resize(one, old + more)) {
        want_less(more);
        note_denied();
        return false;
    }
    memset(one->bytes + old, 5, more);
    if (one->bytes[random_below(old + more)] != 5)
        broken("mremap lost what was mapped");
    return true;
}

static void shrink(mapping *one) {
    size_t size = one->size / 2 / PAGE * PAGE, less = one->size - size;
    if (size == 0 || random_below(2) == 0) {
        unmap(one->bytes, one->size);
        want_less(one->size);
        *one = (mapping){0};
    } else if (resize(one, size)) {
        want_less(less);
    }
}

static void by_mremap(void) {
    enum { MAPPINGS = 40 };
    mapping held[MAPPINGS] = {0};
    while (time_left()) {
        if (grow(&held[random_below(MAPPINGS)]))
            continue;
        for (size_t i = random_below(2); i < MAPPINGS; i += 2)
            if (held[i].size != 0)
                shrink(&held[i]);
    }
}

static bool raise_break(intptr_t step) {
    if (!want((size_t)step))
        return false;
    void *old = sbrk(step);
    if (old == (void *)-1) {
        want_less((size_t)step);
        note_denied();
        return false;
    }
    memset(old, 7, (size_t)step);
    return true;
}

/* Nothing else may allocate in here: libc's malloc moves the break, too. */
static void by_sbrk(void) {
    enum { RAISE = 64 << 10 };
    intptr_t raised = 0;
    while (time_left()) {
        if (raise_break(RAISE)) {
            raised += RAISE;
            continue;
        }
        intptr_t lowered = raised / RAISE * (intptr_t)(1 + random_below(100)) / 100 * RAISE;
        if (lowered == 0)
            pause_briefly();
        else if (sbrk(-lowered) == (void *)-1)
            broken("the break can't be lowered");
        raised -= lowered;
        want_less((size_t)lowered);
    }
}

static const adversary cases[] = {
    {"mmap", by_mmap, 1},
    {"mmap-shared", by_shared_mmap, 1},
    {"mmap-holes", by_holes, 1},
    {"mmap-and-malloc", by_both, 1},
    {"mprotect", by_mprotect, 1},
    {"mremap", by_mremap, 1},
    {"sbrk", by_sbrk, 1},
    {"mmap-far", by_far_mappings, 1},
    {"mprotect-far", by_far_pages, 1},
};

const adversaries mappings = {cases, sizeof cases / sizeof *cases};
