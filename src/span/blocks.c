/* blocks.c: the blocks of a small span: which are free, which pages under them are committed.
 *
 * A bit a block, kept in the descriptor: 1 is free in the span. Blocks in programs' hands and in threads' caches are
 * 0 alike. Pages are carved in order of address and may be purged later one by one. Start with span_take_blocks. */
#include "span.h"

static const size_class *class_of(const span *s) {
    return &size_classes[s->class_index];
}

static size_t round_to_page(size_t bytes) {
    return (bytes + os.page_size - 1) & ~(os.page_size - 1);
}

/* Bytes from the span's start to the end of the last page that carved blocks reach. */
static size_t carved_bytes(const span *s) {
    return round_to_page((size_t)s->carved * class_of(s)->size);
}

/* The same, to the end of the pages that held contents when the span was taken. */
static size_t reached_bytes(const span *s) {
    size_t carved = carved_bytes(s), touched = (size_t)s->touched * PAGE;
    return carved > touched ? carved : touched;
}

size_t span_committed(const span *s) {
    if (s->state == SPAN_LARGE)
        return s->size;
    return reached_bytes(s) - (size_t)__builtin_popcountl(s->purged) * PAGE;
}

span_pages span_used_pages(const span *s) {
    /* The last granule may have come with old contents behind the block's own pages. */
    if (s->state == SPAN_LARGE)
        return (span_pages){.end = s->clean ? s->size >> PAGE_SHIFT : (size_t)s->granules * PAGES_IN_GRANULE};
    return (span_pages){.purged = s->purged, .end = reached_bytes(s) >> PAGE_SHIFT};
}

/* The bits first..last of a word, last < 64. */
static uint64_t bit_range(unsigned first, unsigned last) {
    return (~0ull << first) & (~0ull >> (63 - last));
}

/* The pages that bytes [from, to) of a span lie in, a bit each. */
static uint64_t pages_under(size_t from, size_t to) {
    return bit_range((unsigned)(from >> PAGE_SHIFT), (unsigned)((to - 1) >> PAGE_SHIFT));
}

static void set_free(span *s, unsigned first, unsigned end) {
    s->free = (uint16_t)(s->free + (end - first));
    for (unsigned next; first < end; first = next) {
        next = first / 64 * 64 + 64;
        s->free_blocks[first / 64] |= bit_range(first % 64, next <= end ? 63 : (end - 1) % 64);
    }
}

/* --- committing ----------------------------------------------------------------------------------------------- */

/* Blocks carved after the next step: those that end by the end of the next page, or of the pages that are dirty anyway;
 * one at least. */
static unsigned carved_next(const span *s) {
    const size_class *class = class_of(s);
    if (s->carved == s->capacity)
        return s->carved;
    size_t used = (size_t)s->carved * class->size;
    size_t end = round_to_page(used + 1), touched = (size_t)s->touched * PAGE;
    if (end < touched)
        end = touched;
    unsigned next = (unsigned)(end / class->size);
    if (next <= s->carved)
        next = s->carved + 1u;
    return next < s->capacity ? next : s->capacity;
}

size_t span_carve_cost(const span *s) {
    size_t reached = reached_bytes(s);
    size_t next = round_to_page((size_t)carved_next(s) * class_of(s)->size);
    return next > reached ? next - reached : 0;
}

bool span_carve(span *s) {
    unsigned next = carved_next(s);
    if (next == s->carved)
        return false;
    set_free(s, s->carved, next);
    s->carved = (uint16_t)next;
    return true;
}

static size_t system_page_pages(void) {
    return os.page_size >> PAGE_SHIFT;
}

size_t span_revive_cost(const span *s) {
    return s->purged == 0 ? 0 : os.page_size;
}

bool span_revive(span *s) {
    size_t page = (size_t)__builtin_ctzl(s->purged);
    if (os.strict_overcommit && !os_commit((void *)(s->start + page * PAGE), os.page_size))
        return false;
    s->purged &= ~bit_range((unsigned)page, (unsigned)(page + system_page_pages() - 1));
    return true;
}

/* --- taking --------------------------------------------------------------------------------------------------- */

static bool is_resident(const span *s, unsigned index) {
    size_t from = (size_t)index * class_of(s)->size;
    return (s->purged & pages_under(from, from + class_of(s)->size)) == 0;
}

/* The bits of a word whose blocks lie on committed pages. */
static uint64_t resident_bits(const span *s, unsigned word) {
    uint64_t resident = 0;
    for (uint64_t left = s->free_blocks[word]; left != 0; left &= left - 1)
        if (is_resident(s, word * 64 + (unsigned)__builtin_ctzl(left)))
            resident |= left & -left;
    return resident;
}

/* Takes from one word of bits. Returns how many. */
static unsigned take_from_word(span *s, unsigned word, void **end, unsigned want) {
    size_t size = class_of(s)->size;
    uint64_t resident = s->purged == 0 ? s->free_blocks[word] : resident_bits(s, word);
    uint64_t left = resident;
    char *block = (char *)s->start + (size_t)word * 64 * size;
    unsigned taken = 0;
    if (left == ~0ull && want >= 64) {
        for (; taken < 64; taken++, block += size)
            *--end = block;
        left = 0;
    }
    for (; left != 0 && taken < want; left &= left - 1, taken++)
        *--end = block + (unsigned)__builtin_ctzl(left) * size;
    s->free_blocks[word] ^= resident ^ left;
    return taken;
}

unsigned span_take_blocks(span *s, void **end, unsigned want) {
    unsigned taken = 0, words = (s->carved + 63u) / 64;
    for (unsigned word = 0; word < words && taken < want; word++)
        if (s->free_blocks[word] != 0)
            taken += take_from_word(s, word, end - taken, want - taken);
    s->free = (uint16_t)(s->free - taken);
    return taken;
}

/* --- giving --------------------------------------------------------------------------------------------------- */

/* Hardened frees come without the store's lock: other blocks of the span may come and go meanwhile, this one only if the
 * program errs. */
__attribute__((no_sanitize("thread"))) span_verdict span_judge(const span *s, const void *block) {
    uintptr_t offset = (uintptr_t)block - s->start;
    unsigned index = span_index(class_of(s), offset);
    if (!page_map_reaches(block))
        return SPAN_BLOCK_FOREIGN;
    if (offset >= (size_t)s->granules << GRANULE_SHIFT || index == SPAN_NOT_A_BLOCK)
        return SPAN_BLOCK_INTERIOR;
    if (index >= s->carved)
        return SPAN_BLOCK_UNUSED;
    return (s->free_blocks[index / 64] >> index % 64 & 1) != 0 ? SPAN_BLOCK_FREE_ALREADY : SPAN_BLOCK_FINE;
}

/* --- purging -------------------------------------------------------------------------------------------------- */

static bool all_free(const span *s, unsigned first, unsigned last) {
    for (unsigned w = first / 64; w <= last / 64; w++) {
        uint64_t mask = bit_range(w == first / 64 ? first % 64 : 0, w == last / 64 ? last % 64 : 63);
        if ((s->free_blocks[w] & mask) != mask)
            return false;
    }
    return true;
}

/* Whether a system page of the carved part holds only free blocks, and is worth a call. */
static bool page_is_idle(const span *s, size_t page) {
    size_t from = page * PAGE, size = class_of(s)->size;
    if (s->purged >> page & 1)
        return false;
    unsigned first = (unsigned)(from / size);
    unsigned last = (unsigned)((from + os.page_size - 1) / size);
    /* A last page that is carved in part: blocks not carved yet would touch it later, and count it twice. */
    if (last >= s->carved) {
        if (s->carved != s->capacity)
            return false;
        last = s->carved - 1u;
    }
    return all_free(s, first, last);
}

/* Returns the pages beyond the carved part that came with the span. */
static size_t purge_touched(span *s) {
    size_t carved = carved_bytes(s), bytes = reached_bytes(s) - carved;
    if (bytes == 0 || !os_purge((void *)(s->start + carved), bytes))
        return 0;
    s->touched = 0;
    return bytes;
}

/* How many pages may be returned at once. */
static size_t most_pages(const purge_slice *slice) {
    if (slice == NULL)
        return SIZE_MAX;
    size_t step = system_page_pages(), pages = (slice->bytes >> PAGE_SHIFT) / step * step;
    return pages > step ? pages : step;
}

/* The end of the idle pages from this one on, most of them at most. */
static size_t end_of_idle(const span *s, size_t page, size_t end, size_t most) {
    size_t step = system_page_pages(), run = page + step;
    while (run < end && run - page < most && page_is_idle(s, run))
        run += step;
    return run;
}

static size_t purge_idle(span *s, purge_slice *slice) {
    size_t bytes = 0, end = carved_bytes(s) >> PAGE_SHIFT, next;
    for (size_t page = 0; page < end; page = next) {
        next = page + system_page_pages();
        if (!page_is_idle(s, page))
            continue;
        next = end_of_idle(s, page, end, most_pages(slice));
        size_t run = (next - page) * PAGE;
        if ((slice != NULL && purge_slice_is_over(slice)) || !os_purge((void *)(s->start + page * PAGE), run))
            break;
        s->purged |= bit_range((unsigned)page, (unsigned)next - 1);
        bytes += run;
        if (slice != NULL)
            slice->bytes += run;
    }
    return bytes;
}

/* What came with the span and was not carved yet is nobody's before long: a slice leaves it. */
size_t span_purge(span *s, purge_slice *slice) {
    size_t touched = os.strict_overcommit || slice != NULL ? 0 : purge_touched(s);
    return touched + purge_idle(s, slice);
}
