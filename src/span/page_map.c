/* page_map.c: the tables behind span_of and span_of_id, which grow and never shrink. */
#include "page_map.h"

struct page_map page_map;
span *span_tables[SPAN_TABLES];

/* Descriptors that are SPAN_UNUSED, linked by next. Id 0 is never given out: it marks an entry without a span. */
static span *unused_spans;
static unsigned unused_count;
static uint32_t next_id = 1;

/* --- what is there of it, and of the kernel's page tables ---------------------------------------------------------- */

static struct {
    const page_map_part *first;
    page_map_coverage of_first;
    size_t page_tables; /* an atomic */
} covered OWN_LINE;

static page_map_coverage *coverage_of(uintptr_t address) {
    page_map_part *part =
        (page_map_part *)page_map_entry((void *)(address >> PAGE_MAP_LEAF_SHIFT << PAGE_MAP_LEAF_SHIFT));
    return part == covered.first ? &covered.of_first : &part->coverage;
}

/* Sets the bits from first to last. Gives how many were not. */
static size_t set_bits(uint64_t *bits, size_t first, size_t last) {
    size_t fresh = 0;
    for (size_t word = first / 64; word <= last / 64; word++) {
        size_t from = word == first / 64 ? first % 64 : 0, to = word == last / 64 ? last % 64 : 63;
        uint64_t wanted = (UINT64_MAX << from) & (UINT64_MAX >> (63 - to)) & ~bits[word];
        bits[word] |= wanted;
        fresh += (size_t)__builtin_popcountll(wanted);
    }
    return fresh;
}

static unsigned system_page_shift(void) {
    return (unsigned)__builtin_ctzl(os.page_size);
}

/* Of the bits at this offset in coverages, one for each 2^shift bytes of [start, end). Gives how many were not set. */
static size_t note_covered(uintptr_t start, uintptr_t end, size_t offset, unsigned shift) {
    size_t fresh = 0;
    for (uintptr_t next; start < end; start = next) {
        next = ((start >> PAGE_MAP_LEAF_SHIFT) + 1) << PAGE_MAP_LEAF_SHIFT;
        uintptr_t last = (next < end ? next : end) - 1;
        uint64_t *bits = (uint64_t *)((char *)coverage_of(start) + offset);
        fresh += set_bits(bits, (uint32_t)start >> shift, (uint32_t)last >> shift);
    }
    return fresh;
}

void page_map_note_written(uintptr_t start, size_t granules) {
    unsigned shift = system_page_shift() - 3 + GRANULE_SHIFT; /* 8 bytes an entry */
    count_span_tables(os.page_size *
                      note_covered(start, start + granules * GRANULE, offsetof(page_map_coverage, written), shift));
}

void page_map_note_reached(uintptr_t start, size_t size) {
    unsigned shift = 2 * system_page_shift() - 3;
    size_t fresh = note_covered(start, start + size, offsetof(page_map_coverage, reached), shift);
    __atomic_fetch_add(&covered.page_tables, fresh, __ATOMIC_RELAXED);
    count_span_tables(fresh * os.page_size);
}

size_t page_table_bytes(void) {
    return __atomic_load_n(&covered.page_tables, __ATOMIC_RELAXED) * os.page_size;
}

/* --- making it ---------------------------------------------------------------------------------------------------- */

bool page_map_cover(uintptr_t start, uintptr_t end) {
    for (uintptr_t part = start >> 32; part <= (end - 1) >> 32; part++) {
        if (part >= PAGE_MAP_ROOT)
            return false;
        if (page_map.leaf[part] != 0)
            continue;
        page_map_part *fresh = os_map(sizeof *fresh);
        if (fresh == NULL)
            return false;
        if (covered.first == NULL)
            covered.first = fresh;
        __atomic_store_n(&page_map.leaf[part], (char *)fresh->leaf - (char *)page_map.nobodys, __ATOMIC_RELEASE);
    }
    return true;
}

static span *new_descriptor(void) {
    uint32_t table = next_id >> SPAN_TABLE_SHIFT;
    if (table >= SPAN_TABLES)
        return NULL;
    if (span_tables[table] == NULL) {
        span *fresh = span_table_map(sizeof(span) << SPAN_TABLE_SHIFT);
        if (fresh == NULL)
            return NULL;
        __atomic_store_n(&span_tables[table], fresh, __ATOMIC_RELEASE);
    }
    span *result = span_of_id(next_id);
    result->id = next_id;
    __atomic_store_n(&next_id, next_id + 1, __ATOMIC_RELAXED);
    count_span_tables(sizeof *result);
    return result;
}

bool span_descriptors_ready(unsigned count) {
    while (unused_count < count) {
        span *fresh = new_descriptor();
        if (fresh == NULL)
            return false;
        span_descriptor_give(fresh);
    }
    return true;
}

span *span_descriptor_take(void) {
    span *result = unused_spans;
    if (result != NULL) {
        unused_spans = result->next;
        unused_count--;
    }
    return result;
}

void span_descriptor_give(span *descriptor) {
    descriptor->state = SPAN_UNUSED;
    descriptor->next = unused_spans;
    unused_spans = descriptor;
    unused_count++;
}

size_t page_map_descriptor_bytes(void) {
    return (size_t)__atomic_load_n(&next_id, __ATOMIC_RELAXED) * sizeof(span);
}
