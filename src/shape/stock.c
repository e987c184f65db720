/* stock.c: see stock.h. */
#include "stock.h"
#include "watch.h"

enum { FIRST_CHUNK = GRANULE, LAST_DOUBLED = 1 << 20, GAP = 16 };

void stock_begin(stock *s, size_t chunk_size) {
    s->chunk_size = chunk_size == 0 ? FIRST_CHUNK : chunk_size > PTRDIFF_MAX / 2 ? PTRDIFF_MAX / 2 : chunk_size;
    s->gap = watch_wanted() ? GAP : 0;
}

static span *take_waiting(stock *s) {
    return __atomic_exchange_n(&s->waiting, NULL, __ATOMIC_ACQUIRE);
}

static void put_back(stock *s, span *first) {
    if (first == NULL)
        return;
    span *last = first, *behind = NULL;
    if (__atomic_compare_exchange_n(&s->waiting, &behind, first, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        return;
    while (last->next != NULL)
        last = last->next;
    do
        last->next = behind;
    while (!__atomic_compare_exchange_n(&s->waiting, &behind, first, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

void stock_put(stock *s, span *chunk) {
    chunk->next = NULL;
    put_back(s, chunk);
}

/* The smallest that has room: a large one is for what needs it. */
static span *take_waiting_for(stock *s, size_t size, size_t align) {
    span *list = take_waiting(s), **best = NULL;
    for (span **link = &list; *link != NULL; link = &(*link)->next)
        if (has_room(*link, size, align) && (best == NULL || (*link)->size < (*best)->size))
            best = link;
    span *chunk = best == NULL ? NULL : *best;
    if (chunk != NULL)
        *best = chunk->next;
    put_back(s, list);
    return chunk;
}

/* Doubling at first; then an eighth of what there is, so that the chunks of the largest arena are not many. */
static size_t next_size(const stock *s, size_t size) {
    size_t eighth = __atomic_load_n(&s->shape.held, __ATOMIC_RELAXED) / 8;
    return larger(size < LAST_DOUBLED ? 2 * size : size, eighth);
}

static span *take_new(stock *s, size_t size, size_t align) {
    size_t usual = __atomic_load_n(&s->chunk_size, __ATOMIC_RELAXED);
    span *chunk = chunk_take(&s->shape, size, larger(usual, size), align);
    if (chunk != NULL)
        __atomic_store_n(&s->chunk_size, next_size(s, usual), __ATOMIC_RELAXED);
    return chunk;
}

span *stock_take(stock *s, size_t size, size_t align) {
    span *chunk = take_waiting_for(s, size, align);
    if (chunk == NULL && (chunk = take_new(s, size, align)) == NULL)
        return NULL;
    if (s->gap != 0)
        watch_out_of_bounds((void *)chunk->start, chunk->size);
    return chunk;
}

static void end_watch(const stock *s, const span *chunk) {
    if (s->gap != 0)
        watch_in_bounds((void *)chunk->start, chunk->size);
}

static size_t give(stock *s, span *list) {
    size_t bytes = 0;
    for (span *next; list != NULL; list = next) {
        next = list->next;
        bytes += list->size;
        end_watch(s, list);
        chunk_give(&s->shape, list);
    }
    return bytes;
}

size_t stock_release(stock *s) {
    return give(s, take_waiting(s));
}

size_t stock_settle(stock *s) {
    size_t keep = larger(s->most_in_use, s->most_before);
    span *kept = take_waiting(s), *rest = NULL, **link = &kept;
    while (*link != NULL) {
        span *chunk = *link;
        if (chunk->size <= keep) {
            keep -= chunk->size;
            link = &chunk->next;
        } else {
            *link = chunk->next;
            chunk->next = rest;
            rest = chunk;
        }
    }
    put_back(s, kept);
    s->most_before = s->most_in_use;
    s->most_in_use = 0;
    return give(s, rest);
}

static void forget(const stock *s, const span *list) {
    for (; list != NULL; list = list->next)
        end_watch(s, list);
}

void stock_forget(stock *s, const span *list) {
    forget(s, list);
    forget(s, take_waiting(s));
}
