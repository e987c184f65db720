/* page_heap.c: finds, splits, merges, purges and returns spans.
 *
 * Free spans hang in bins (bins.c). Neighbours merge through the page map: a free span's first and last entries name it. Which
 * pages of a free granule are dirty stands in its entry's tag. Start with page_heap_take and page_heap_give. */
#include "bins.h"
#include "page_map.h"

#include <string.h>

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Spans begin and end at multiples of this. */
static size_t unit_size(void) {
    return larger(os.page_size, GRANULE);
}

enum {
    ALL_PAGES = (1 << PAGES_IN_GRANULE) - 1,

    DESCRIPTORS = 6,            /* the most that one operation takes */
    OWN_REGION_ALIGN = 4 << 20, /* blocks aligned to more than this get a region each */
    REGION_MIN = 16 << 20,      /* address space taken at once: as much as there is, between these */
    REGION_MAX = 1 << 30,
    LIMITED_REGION_MAX = 8 << 20, /* and no more than this where address space is limited */
    REGION_ALIGN = 2 << 20,
    STEP_MIN = 256 << 10, /* made accessible at once; grows with what is reserved, to STEP_MAX */
    STEP_MAX = 64 << 20,

    FORMERS = 32, /* spans given back last that are remembered; a power of two, since their count wraps around */
    FORMER_WAIT_MS = 10,
};

/* What the page map covers, in a count of granules that 32 bits hold. */
static const size_t SIZE_LIMIT = (size_t)1 << 45;

static struct {
    os_mutex lock;
    free_spans free;
    uintptr_t open; /* the current region: accessible below open, reserved below region_end */
    uintptr_t region_end;
    size_t reserved;
    size_t dirty_bytes;
    size_t tail_bytes;
    size_t purged_bytes;
    size_t kept_bytes; /* dirty, though more than are allowed: the system refused to purge them; 0 where it did not */
    uint32_t turns;
} OWN_LINE heap;

/* The spans given back last. Under the heap's lock. */
static struct {
    uint32_t count;
    span_former spans[FORMERS];
} formers;

/* Pages that are dirty and free; or, negative, no longer. Limits read the count without the lock. */
static void count_dirty(size_t pages) {
    __atomic_fetch_add(&heap.dirty_bytes, pages * PAGE, __ATOMIC_RELAXED);
}

/* Pages behind a large span's size were not asked for, but may hold old contents. */
static void count_tail(span *s) {
    size_t tail = s->clean ? 0 : (size_t)s->granules * PAGES_IN_GRANULE - (s->size + PAGE - 1) / PAGE;
    __atomic_fetch_add(&heap.tail_bytes, (tail - s->tail) * PAGE, __ATOMIC_RELAXED);
    s->tail = (uint32_t)tail;
}

static void forget_tail(span *s) {
    __atomic_fetch_sub(&heap.tail_bytes, (size_t)s->tail * PAGE, __ATOMIC_RELAXED);
    s->tail = 0;
}

size_t span_overhead_bytes(void) {
    size_t dirty = __atomic_load_n(&heap.dirty_bytes, __ATOMIC_RELAXED);
    size_t tails = __atomic_load_n(&heap.tail_bytes, __ATOMIC_RELAXED);
    return dirty + tails + span_table_bytes();
}

/* --- entries of free granules --------------------------------------------------------------------------------- */

static page_entry *entry_at(uintptr_t address) {
    return page_map_entry((const void *)address);
}

static void set_entry(page_entry *entry, uint32_t tag, uint32_t id) {
    __atomic_store_n((uint64_t *)entry, (uint64_t)id << 32 | tag, __ATOMIC_RELAXED);
}

/* Of a free granule: which of its pages hold old contents, and which had theirs returned to the system; a bit each. */
static uint32_t free_tag(unsigned dirty, unsigned purged) {
    return (purged << PAGES_IN_GRANULE | dirty) << TAG_HEAP_SHIFT | TAG_FREE;
}

static void name_end(uintptr_t address, uint32_t id) {
    page_entry *entry = entry_at(address);
    if (entry->tag == 0)
        page_map_note_written(address, 1);
    set_entry(entry, entry->tag == 0 ? free_tag(0, 0) : entry->tag, id);
}

static void name_ends(const span *free) {
    name_end(free->start, free->id);
    name_end(free->start + ((size_t)free->granules - 1) * GRANULE, free->id);
}

/* The free span that owns the granule at address, if that is the first or last of one. */
static span *free_neighbour(uintptr_t address) {
    page_entry *entry = entry_at(address);
    return (entry->tag & 0xff) == TAG_FREE ? span_of_id(entry->span) : NULL;
}

static unsigned bits_set(unsigned pages) {
    static const uint8_t bits[ALL_PAGES + 1] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
    return bits[pages & ALL_PAGES];
}

static unsigned dirty_in(uint32_t tag) {
    return bits_set(tag >> TAG_HEAP_SHIFT);
}

static unsigned purged_in(uint32_t tag) {
    return bits_set(tag >> TAG_HEAP_SHIFT >> PAGES_IN_GRANULE);
}

/* The entry of the next granule: one further on, except from one leaf to the next. */
static page_entry *next_entry(page_entry *entry, uintptr_t address) {
    return (uint32_t)address == 0 ? entry_at(address) : entry + 1;
}

typedef struct free_pages {
    size_t dirty;
    size_t purged;
} free_pages;

static free_pages count_pages(uintptr_t start, size_t granules) {
    free_pages count = {0};
    page_entry *entry = entry_at(start);
    for (uintptr_t address = start;; entry = next_entry(entry, address)) {
        count.dirty += dirty_in(entry->tag);
        count.purged += purged_in(entry->tag);
        if ((address += GRANULE) == start + granules * GRANULE)
            break;
    }
    return count;
}

/* A free span in the bins for granules whose entries carry their dirty bits already. Never fails: the descriptor is
 * the caller's. */
static void insert_free(span *free, uintptr_t start, size_t granules, size_t dirty_pages) {
    free->state = SPAN_FREE;
    free->start = start;
    free->granules = (uint32_t)granules;
    free->dirty_pages = (uint32_t)dirty_pages;
    name_ends(free);
    free_spans_add(&heap.free, free);
}

static uintptr_t end_of(const span *s) {
    return s->start + (size_t)s->granules * GRANULE;
}

/* Puts a span's granules, whose entries say what is dirty, among the free, merged with its neighbours. */
static span *merge_free(span *fresh) {
    span *before = free_neighbour(fresh->start - GRANULE);
    if (before != NULL) {
        free_spans_remove(&heap.free, before);
        fresh->start = before->start;
        fresh->granules += before->granules;
        fresh->dirty_pages += before->dirty_pages;
        span_descriptor_give(before);
    }
    span *after = free_neighbour(end_of(fresh));
    if (after != NULL) {
        free_spans_remove(&heap.free, after);
        fresh->granules += after->granules;
        fresh->dirty_pages += after->dirty_pages;
        span_descriptor_give(after);
    }
    insert_free(fresh, fresh->start, fresh->granules, fresh->dirty_pages);
    return fresh;
}

/* --- growth --------------------------------------------------------------------------------------------------- */

static size_t granules_for(size_t size) {
    size_t unit = unit_size();
    return ((size + unit - 1) & ~(unit - 1)) >> GRANULE_SHIFT;
}

/* Makes [open, open + size) of the current region accessible, as a clean free span or part of one. NULL if refused. */
static span *open_step(size_t size) {
    span *fresh = span_descriptor_take();
    if (fresh == NULL)
        return NULL;
    /* Under strict overcommit what is writable counts, so that is left until a span is taken. */
    if (!os.strict_overcommit && !os_commit((void *)heap.open, size)) {
        span_descriptor_give(fresh);
        return NULL;
    }
    /* Entries that were never set serve for clean granules as they are; insert_free names the ends. */
    fresh->start = heap.open;
    fresh->granules = (uint32_t)(size >> GRANULE_SHIFT);
    fresh->dirty_pages = 0;
    heap.open += size;
    return merge_free(fresh);
}

static size_t step_size(void) {
    return larger(STEP_MIN, smaller(heap.reserved / 8, STEP_MAX)) & ~(unit_size() - 1);
}

/* How much address space to take for a span of size bytes. A large one gets exactly its own where address space is
 * short, so that no remainder is lost beside it. */
static size_t region_size(size_t size) {
    if (!os.address_limit)
        return larger(size, larger(REGION_MIN, smaller(heap.reserved, REGION_MAX)) & ~(unit_size() - 1));
    size_t region = larger(STEP_MIN, smaller(heap.reserved / 8, LIMITED_REGION_MAX)) & ~(unit_size() - 1);
    return size >= region / 32 ? size : region;
}

/* Reserves address space for size bytes or, better, much more, and makes it the current region. */
static bool new_region(size_t size, size_t align) {
    size_t wanted = region_size(size);
    if (!os.address_limit && align < REGION_ALIGN)
        align = REGION_ALIGN;
    for (;;) {
        uintptr_t start = (uintptr_t)os_reserve(wanted, align);
        if (start != 0) {
            if (!page_map_cover(start, start + wanted)) {
                os_release((void *)start, wanted);
                return false;
            }
            os_name((void *)start, wanted, "ration: spans");
            heap.open = start;
            heap.region_end = start + wanted;
            heap.reserved += wanted;
            return true;
        }
        if (wanted == size)
            return false;
        wanted = larger(size, granules_for(wanted / 2) << GRANULE_SHIFT);
        if (align == REGION_ALIGN)
            align = unit_size();
    }
}

/* Gives up the rest of the current region to the free spans, and starts another. */
static bool next_region(size_t size, size_t align) {
    size_t room = heap.region_end - heap.open;
    if (room != 0 && open_step(room) == NULL)
        os_release((void *)heap.open, room);
    return new_region(size, align);
}

/* Adds at least size bytes of clean free memory, in one piece together with what lies free before it. */
static bool grow(size_t size) {
    size_t room = heap.region_end - heap.open;
    span *before = room == 0 ? NULL : free_neighbour(heap.open - GRANULE);
    size_t missing = size - (before == NULL ? 0 : smaller(size, (size_t)before->granules * GRANULE));
    if (missing > room) {
        if (!next_region(size, unit_size()))
            return false;
        missing = size;
        room = heap.region_end - heap.open;
    }
    size_t step = smaller(room, larger(missing, step_size()));
    return open_step(step) != NULL || (step > missing && open_step(missing) != NULL);
}

/* --- tables where address space has run out -------------------------------------------------------------------- */

/* Where a table of so many granules, guards and all, lies in a free span's end: zeroed, with a page before and behind it
 * that traps. NULL if refused. */
static void *make_table(const span *free, size_t granules, size_t size) {
    char *end = (char *)end_of(free), *start = end - granules * GRANULE;
    char *table = start + os.page_size, *behind = table + size;
    bool usable = (free->dirty_pages == 0 || os_purge(start, granules * GRANULE)) &&
                  (!os.strict_overcommit || os_commit(table, size)) && os_guard(start, os.page_size);
    if (!usable)
        return NULL;
    if (os_guard(behind, (size_t)(end - behind)))
        return table;
    os_unguard(start, os.page_size);
    return NULL;
}

/* Cuts the end off a free span for good: it becomes nobody's. Needs no descriptor, because it serves to make them. */
static void cut_off(span *free, size_t granules) {
    uintptr_t start = end_of(free) - granules * GRANULE;
    size_t dirty = free->dirty_pages == 0 ? 0 : count_pages(start, granules).dirty;
    free_spans_remove(&heap.free, free);
    free->granules -= (uint32_t)granules;
    free->dirty_pages -= (uint32_t)dirty;
    count_dirty(-dirty);
    for (uintptr_t address = start; address < start + granules * GRANULE; address += GRANULE)
        set_entry(entry_at(address), 0, 0);
    insert_free(free, free->start, free->granules, free->dirty_pages);
}

void *span_table_map(size_t size) {
    void *fresh = os_map(size);
    if (fresh != NULL)
        return fresh;
    size = (size + os.page_size - 1) & ~(os.page_size - 1);
    size_t granules = granules_for(size + 2 * os.page_size);
    span *free = bins_best_fit(&heap.free.clean, granules + 1);
    if (free == NULL)
        free = bins_best_fit(&heap.free.dirty, granules + 1);
    void *table = free == NULL ? NULL : make_table(free, granules, size);
    if (table != NULL)
        cut_off(free, granules);
    return table;
}

void *page_heap_map_table(size_t size) {
    os_lock(&heap.lock);
    void *result = span_table_map(size);
    os_unlock(&heap.lock);
    return result;
}

/* --- purging -------------------------------------------------------------------------------------------------- */

/* Where to begin so that up to the span's end lie so many dirty pages, or all there are. */
static uintptr_t purge_from(const span *free, size_t pages) {
    if (pages >= free->dirty_pages)
        return free->start;
    uintptr_t from = end_of(free);
    for (size_t dirty = 0; dirty < pages; dirty += dirty_in(entry_at(from)->tag))
        from -= GRANULE;
    return from & ~(uintptr_t)(unit_size() - 1);
}

/* Purges at least so many dirty pages of a free span, at its end, or all of it. */
static void purge_span(span *free, size_t pages) {
    uintptr_t from = purge_from(free, pages);
    if (!os_purge((void *)from, end_of(free) - from))
        return;
    size_t purged = 0;
    page_entry *entry = entry_at(from);
    for (uintptr_t address = from;; entry = next_entry(entry, address)) {
        unsigned held = entry->tag >> TAG_HEAP_SHIFT;
        purged += dirty_in(entry->tag);
        __atomic_store_n(&entry->tag, free_tag(0, (held | held >> PAGES_IN_GRANULE) & ALL_PAGES), __ATOMIC_RELAXED);
        if ((address += GRANULE) == end_of(free))
            break;
    }
    free_spans_remove(&heap.free, free);
    free->dirty_pages -= (uint32_t)purged;
    free_spans_add(&heap.free, free);
    count_dirty(-purged);
    heap.purged_bytes += purged * PAGE;
    regret_purged();
}

/* Those free longest first. */
static size_t purge_down_to(size_t keep) {
    size_t before = heap.dirty_bytes;
    for (span *free = heap.free.oldest, *newer; free != NULL && heap.dirty_bytes > keep; free = newer) {
        newer = free->newer;
        purge_span(free, (heap.dirty_bytes - keep + PAGE - 1) / PAGE); /* locked pages stay as they are */
    }
    return before - heap.dirty_bytes;
}

/* Locked pages (mlockall(2)) are not asked for at each free, but when there are an eighth more. */
static bool worth_purging(size_t allowed) {
    heap.kept_bytes = smaller(heap.kept_bytes, heap.dirty_bytes);
    return heap.dirty_bytes - heap.kept_bytes > larger(allowed, heap.kept_bytes / 8);
}

static void purge_excess(void) {
    size_t allowed = free_allowance();
    if (!worth_purging(allowed))
        return;
    purge_down_to(allowed / 2);
    heap.kept_bytes = heap.dirty_bytes > allowed ? heap.dirty_bytes : 0;
}

/* --- taking and giving ---------------------------------------------------------------------------------------- */

static bool all_dirty(const span *free) {
    return free->dirty_pages == free->granules * PAGES_IN_GRANULE;
}

/* Dirty pages in some of a free span's granules; only where it is mixed must they be counted. */
static size_t dirty_among(const span *free, uintptr_t start, size_t granules) {
    if (free->dirty_pages == 0)
        return 0;
    return all_dirty(free) ? granules * PAGES_IN_GRANULE : count_pages(start, granules).dirty;
}

/* Cuts [start, start + granules) out of a free span that holds it; what is left over stays free. */
static bool carve_out(span *free, uintptr_t start, size_t granules) {
    size_t head = (start - free->start) >> GRANULE_SHIFT;
    size_t tail = free->granules - head - granules;
    span *before = head == 0 ? NULL : span_descriptor_take();
    span *after = tail == 0 ? NULL : span_descriptor_take();
    if ((head != 0 && before == NULL) || (tail != 0 && after == NULL)) {
        if (before != NULL)
            span_descriptor_give(before);
        if (after != NULL)
            span_descriptor_give(after);
        return false;
    }
    free_spans_remove(&heap.free, free);
    size_t dirty = free->dirty_pages, dirty_head = 0, dirty_here = dirty_among(free, start, granules);
    if (head != 0) {
        dirty_head = dirty_among(free, free->start, head);
        insert_free(before, free->start, head, dirty_head);
    }
    if (tail != 0)
        insert_free(after, start + granules * GRANULE, tail, dirty - dirty_head - dirty_here);
    free->start = start;
    free->granules = (uint32_t)granules;
    free->dirty_pages = (uint32_t)dirty_here;
    return true;
}

static uintptr_t align_up(uintptr_t address, size_t align) {
    return (address + align - 1) & ~(uintptr_t)(align - 1);
}

/* A place in a region of its own: padding for so large an alignment would waste as much address space. */
static span *find_in_own_region(size_t granules, size_t align) {
    size_t size = granules << GRANULE_SHIFT;
    if (!next_region(size, align))
        return NULL;
    uintptr_t start = heap.open;
    span *fresh = open_step(size);
    return fresh != NULL && carve_out(fresh, start, granules) ? fresh : NULL;
}

/* A free span, out of the bins, of exactly so many granules at the alignment. */
static span *find(size_t granules, size_t align) {
    size_t with_padding = granules + ((align - unit_size()) >> GRANULE_SHIFT);
    span *fit = bins_best_fit(&heap.free.dirty, with_padding);
    if (fit == NULL)
        fit = bins_best_fit(&heap.free.clean, with_padding);
    if (fit == NULL && align > OWN_REGION_ALIGN)
        return find_in_own_region(granules, align);
    if (fit == NULL && grow(with_padding << GRANULE_SHIFT))
        fit = bins_best_fit(&heap.free.clean, with_padding);
    if (fit == NULL)
        fit = bins_best_fit(&heap.free.dirty, with_padding);
    return fit != NULL && carve_out(fit, align_up(fit->start, align), granules) ? fit : NULL;
}

/* Accounts for free granules coming into use: what was dirty no longer counts as free, what was purged is regretted. */
static void claim(uintptr_t start, size_t granules, size_t dirty_pages) {
    count_dirty(-dirty_pages);
    page_map_note_written(start, granules);
    page_map_note_reached(start, granules * GRANULE);
    if (regret_possible() && dirty_pages != granules * PAGES_IN_GRANULE)
        regret_revived(count_pages(start, granules).purged * PAGE);
}

enum { ENTRIES_AT_ONCE = 8 };
typedef uint64_t entries __attribute__((vector_size(ENTRIES_AT_ONCE * sizeof(page_entry)), aligned(8), may_alias));

/* Writes the same to the entries of a run of granules. A block of a GiB has 65536. */
static void fill_entries(uintptr_t start, size_t granules, uint32_t tag, uint32_t id) {
    const uint64_t value = (uint64_t)id << 32 | tag;
    for (size_t in_leaf; granules != 0; granules -= in_leaf, start += in_leaf * GRANULE) {
        page_entry *entry = entry_at(start);
        in_leaf = smaller(granules, PAGE_MAP_LEAF - page_map_index((const void *)start));
        const page_entry *end = entry + in_leaf;
        for (; end - entry >= ENTRIES_AT_ONCE; entry += ENTRIES_AT_ONCE)
            *(entries *)entry = (entries){0} + value;
        for (; entry != end; entry++)
            set_entry(entry, tag, id);
    }
}

static void start_blocks(span *fresh, uint8_t class_index) {
    size_t blocks = ((size_t)fresh->granules << GRANULE_SHIFT) / size_classes[class_index].size;
    fresh->capacity = (uint16_t)smaller(blocks, SPAN_BLOCKS_MAX);
    fresh->class_index = class_index;
    fresh->bucket = SPAN_UNLISTED;
    fresh->carved = fresh->free = 0;
    fresh->touched = fresh->dirty_pages == 0 ? 0 : (uint16_t)(fresh->granules * PAGES_IN_GRANULE);
    fresh->purged = 0;
    memset(fresh->free_blocks, 0, sizeof fresh->free_blocks);
}

span *page_heap_take(size_t size, size_t align, span_state state, uint32_t tag, struct heap *owner) {
    if (size > SIZE_LIMIT || align > SIZE_LIMIT)
        return NULL;
    size_t granules = granules_for(size);
    align = larger(align, unit_size());
    os_lock(&heap.lock);
    span *found = span_descriptors_ready(DESCRIPTORS) ? find(granules, align) : NULL;
    if (found != NULL && os.strict_overcommit && !os_commit((void *)found->start, granules << GRANULE_SHIFT)) {
        merge_free(found);
        found = NULL;
    }
    if (found != NULL) {
        claim(found->start, granules, found->dirty_pages);
        found->state = (uint8_t)state;
        found->heap = owner;
        found->size = size;
        found->clean = found->dirty_pages == 0;
        found->next = found->prev = found->older = found->newer = NULL;
        found->hardened = found->moved = 0;
        found->tail = 0;
        found->turn = ++heap.turns;
        if (state == SPAN_SMALL)
            start_blocks(found, (uint8_t)tag);
        else
            count_tail(found);
        fill_entries(found->start, granules, tag, found->id);
    }
    os_unlock(&heap.lock);
    return found;
}

/* The tag of a granule that starts with the span's page-th page. */
static uint32_t tag_once_free(span_pages pages, size_t page) {
    size_t used = page >= pages.end ? 0 : smaller(pages.end - page, PAGES_IN_GRANULE);
    unsigned reached = (1u << used) - 1;
    unsigned purged = page < 64 ? (unsigned)(pages.purged >> page) & reached : 0;
    return free_tag(reached & ~purged, purged);
}

/* Says of every granule of a span which pages are dirty, and counts them. Most spans are dirty from end to end. */
static void mark_free(span *given, span_pages pages) {
    size_t whole = pages.purged == 0 ? smaller(pages.end / PAGES_IN_GRANULE, given->granules) : 0;
    fill_entries(given->start, whole, free_tag(ALL_PAGES, 0), given->id);
    given->dirty_pages = (uint32_t)(whole * PAGES_IN_GRANULE);
    for (size_t granule = whole; granule < given->granules; granule++) {
        uint32_t tag = tag_once_free(pages, granule * PAGES_IN_GRANULE);
        set_entry(entry_at(given->start + granule * GRANULE), tag, given->id);
        given->dirty_pages += dirty_in(tag);
    }
}

static void note_former(const span *given) {
    formers.spans[formers.count++ % FORMERS] =
        (span_former){given->start, end_of(given), given->size, entry_at(given->start)->tag};
}

static const span_former *find_former(uintptr_t address) {
    for (uint32_t age = 1; age <= FORMERS; age++) {
        const span_former *former = &formers.spans[(formers.count - age) % FORMERS];
        if (address >= former->start && address < former->end)
            return former;
    }
    return NULL;
}

bool page_heap_former(const void *address, span_former *found) {
    if (!os_lock_within(&heap.lock, FORMER_WAIT_MS))
        return false;
    const span_former *former = find_former((uintptr_t)address);
    if (former != NULL)
        *found = *former;
    os_unlock(&heap.lock);
    return former != NULL;
}

static void give(span *given, span_pages pages) {
    note_former(given);
    forget_tail(given);
    mark_free(given, pages);
    count_dirty(given->dirty_pages);
    merge_free(given);
}

void page_heap_give(span *given, span_pages pages) {
    os_lock(&heap.lock);
    give(given, pages);
    purge_excess();
    os_unlock(&heap.lock);
}

void page_heap_give_unpurged(span *given, span_pages pages) {
    os_lock(&heap.lock);
    give(given, pages);
    os_unlock(&heap.lock);
}

void page_heap_purge_excess(void) {
    os_lock(&heap.lock);
    purge_excess();
    os_unlock(&heap.lock);
}

/* The free span behind a span in use, if it has so many granules or the region can be opened that far. */
static span *room_behind(const span *used, size_t granules) {
    span *after = free_neighbour(end_of(used));
    if (after != NULL && after->granules >= granules)
        return after;
    uintptr_t free_end = after == NULL ? end_of(used) : end_of(after);
    if (free_end != heap.open || heap.region_end - end_of(used) < granules * GRANULE)
        return NULL;
    return grow(granules * GRANULE) ? free_neighbour(end_of(used)) : NULL;
}

/* Makes so many granules of a free span part of the span in use before it. */
static bool annex(span *used, span *after, size_t granules) {
    if (!carve_out(after, after->start, granules))
        return false;
    if (os.strict_overcommit && !os_commit((void *)after->start, granules * GRANULE)) {
        merge_free(after);
        return false;
    }
    uintptr_t start = after->start;
    claim(start, granules, after->dirty_pages);
    used->granules += (uint32_t)granules;
    used->clean &= after->dirty_pages == 0;
    fill_entries(start, granules, entry_at(used->start)->tag, used->id);
    span_descriptor_give(after);
    return true;
}

bool page_heap_extend(span *used, size_t size) {
    size_t granules = granules_for(size);
    os_lock(&heap.lock);
    bool done = granules <= used->granules;
    if (!done && span_descriptors_ready(DESCRIPTORS)) {
        size_t missing = granules - used->granules;
        span *after = room_behind(used, missing);
        done = after != NULL && annex(used, after, missing);
    }
    if (done) {
        used->size = size;
        count_tail(used);
    }
    os_unlock(&heap.lock);
    return done;
}

void page_heap_shrink(span *used, size_t size) {
    size_t granules = granules_for(size);
    size_t old_pages = span_used_pages(used).end;
    os_lock(&heap.lock);
    bool excess = granules < used->granules, cut = excess && span_descriptors_ready(DESCRIPTORS);
    span *rest = cut ? span_descriptor_take() : NULL;
    if (rest != NULL) {
        rest->start = used->start + granules * GRANULE;
        rest->granules = (uint32_t)(used->granules - granules);
        used->granules = (uint32_t)granules;
        size_t kept = granules * PAGES_IN_GRANULE;
        mark_free(rest, (span_pages){.end = old_pages > kept ? old_pages - kept : 0});
        count_dirty(rest->dirty_pages);
        merge_free(rest);
        purge_excess();
    }
    if ((excess && !cut) || (size < used->size && (size & (GRANULE - 1)) != 0))
        used->clean = 0; /* more than size says may hold contents */
    used->size = size;
    count_tail(used);
    os_unlock(&heap.lock);
}

size_t page_heap_purge(size_t keep) {
    os_lock(&heap.lock);
    size_t bytes = purge_down_to(keep);
    os_unlock(&heap.lock);
    return bytes;
}

page_heap_figures page_heap_read(void) {
    os_lock(&heap.lock);
    page_heap_figures figures = {
        .reserved = heap.reserved,
        .dirty = heap.dirty_bytes,
        .purged = heap.purged_bytes,
        .allowance = free_allowance(),
        .descriptors = page_map_descriptor_bytes(),
    };
    os_unlock(&heap.lock);
    return figures;
}

void page_heap_lock(void) {
    tables_lock();
    os_lock(&heap.lock);
}

void page_heap_unlock(void) {
    os_unlock(&heap.lock);
    tables_unlock();
}
