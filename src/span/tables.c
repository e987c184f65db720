/* tables.c: memory for the library's own structures.
 *
 * Chunks come straight from the system, apart from all spans, so that an overflowing block never meets them. Pieces
 * are powers of two from 64 bytes on, kept in a free list a size. Start with table_take. */
#include "span.h"

#include <string.h>

enum { PIECE_SHIFT_MIN = 6, PIECE_SHIFTS = 48, CHUNK = 256 * 1024 };

typedef struct piece {
    struct piece *next;
} piece;

static struct {
    os_mutex lock;
    piece *free[PIECE_SHIFTS];
    char *unused;
    size_t unused_bytes;
    size_t taken;
} OWN_LINE tables;

size_t span_table_total OWN_LINE;

/* Bytes more, or, negative, fewer. */
static void count_taken(size_t bytes) {
    __atomic_fetch_add(&tables.taken, bytes, __ATOMIC_RELAXED);
    count_span_tables(bytes);
}

static unsigned piece_shift(size_t size) {
    if (size <= (size_t)1 << PIECE_SHIFT_MIN)
        return PIECE_SHIFT_MIN;
    return 64 - (unsigned)__builtin_clzl(size - 1);
}

static void *cut(size_t size) {
    if (size > tables.unused_bytes) {
        size_t chunk = size > CHUNK ? size : CHUNK;
        char *fresh = page_heap_map_table(chunk);
        if (fresh == NULL)
            return NULL;
        os_name(fresh, chunk, "ration: tables");
        tables.unused = fresh;
        tables.unused_bytes = chunk;
    }
    void *result = tables.unused;
    tables.unused += size;
    tables.unused_bytes -= size;
    return result;
}

void *table_take(size_t size) {
    unsigned shift = piece_shift(size);
    os_lock(&tables.lock);
    piece *result = tables.free[shift];
    if (result != NULL)
        tables.free[shift] = result->next;
    else
        result = cut((size_t)1 << shift);
    if (result != NULL)
        count_taken((size_t)1 << shift);
    os_unlock(&tables.lock);
    if (result != NULL)
        result->next = NULL;
    return result;
}

void table_give(void *start, size_t size) {
    unsigned shift = piece_shift(size);
    piece *freed = start;
    memset(start, 0, size);
    os_lock(&tables.lock);
    freed->next = tables.free[shift];
    tables.free[shift] = freed;
    count_taken(-((size_t)1 << shift));
    os_unlock(&tables.lock);
}

size_t table_bytes(void) {
    return __atomic_load_n(&tables.taken, __ATOMIC_RELAXED);
}

void tables_lock(void) {
    os_lock(&tables.lock);
}

void tables_unlock(void) {
    os_unlock(&tables.lock);
}
