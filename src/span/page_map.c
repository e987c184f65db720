/* page_map.c: the tables behind span_of and span_of_id, which grow and never shrink. */
#include "page_map.h"

struct page_map page_map;
span *span_tables[SPAN_TABLES];

/* Descriptors that are SPAN_UNUSED, linked by next. Id 0 is never given out: it marks an entry without a span. */
static span *unused_spans;
static unsigned unused_count;
static uint32_t next_id = 1;

bool page_map_cover(uintptr_t start, uintptr_t end) {
    for (uintptr_t part = start >> 32; part <= (end - 1) >> 32; part++) {
        if (part >= PAGE_MAP_ROOT)
            return false;
        if (page_map.leaf[part] != 0)
            continue;
        page_entry *leaf = os_map(PAGE_MAP_LEAF * sizeof *leaf);
        if (leaf == NULL)
            return false;
        __atomic_store_n(&page_map.leaf[part], (char *)leaf - (char *)page_map.nobodys, __ATOMIC_RELEASE);
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

size_t page_map_bytes(void) {
    return (size_t)__atomic_load_n(&next_id, __ATOMIC_RELAXED) * sizeof(span);
}
