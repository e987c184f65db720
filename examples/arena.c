/* arena.c: orders read from lines into an arena. One that turns out to be malformed is rewound, with all that was made for it;
 * the limit is the heap's, and at the end everything goes at once.
 *
 * Build: cc arena.c -lration. Start at read_order. */
#include <ration/ration.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct item {
    struct item *next;
    const char *product;
    long quantity;
} item;

typedef struct order {
    struct order *next;
    const char *customer;
    item *items;
} order;

/* An item is PRODUCT*QUANTITY. */
static item *read_item(rn_arena *arena, const char *text, size_t length) {
    const char *times = memchr(text, '*', length);
    item *made = RN_ARENA_NEW(arena, item);
    if (made == NULL || times == NULL)
        return NULL;
    char *end;
    *made = (item){.product = rn_arena_strndup(arena, text, (size_t)(times - text)),
                   .quantity = strtol(times + 1, &end, 10)};
    return made->product != NULL && end == text + length ? made : NULL;
}

/* An order is CUSTOMER: ITEM, ITEM, … Where it is malformed, or there is no memory, nothing is left of it. */
static order *read_order(rn_arena *arena, const char *line) {
    rn_mark before = rn_arena_mark(arena);
    const char *colon = strchr(line, ':');
    order *made = colon == NULL ? NULL : RN_ARENA_NEW(arena, order);
    if (made != NULL) {
        *made = (order){.customer = rn_arena_strndup(arena, line, (size_t)(colon - line))};
        for (const char *at = colon + 1; made != NULL && *at != '\0'; at += strspn(at, ", ")) {
            at += strspn(at, " ");
            size_t length = strcspn(at, ",");
            item *one = read_item(arena, at, length);
            if (one == NULL) {
                made = NULL;
                break;
            }
            one->next = made->items;
            made->items = one;
            at += length;
        }
    }
    if (made == NULL || made->customer == NULL) {
        rn_arena_rewind(arena, before);
        return NULL;
    }
    return made;
}

int main(void) {
    static const char *const lines[] = {"Anna: pears*3, apples*12", "Bert: plums*many", "Cleo: figs*1"};
    rn_heap *heap = rn_heap_new(NULL, "orders", 1 << 20);
    rn_arena *arena = heap == NULL ? NULL : rn_arena_new(heap, 0);
    if (arena == NULL)
        return 1;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const order *read = read_order(arena, lines[i]);
        rn_arena_stats stats;
        rn_arena_read(arena, &stats);
        printf("%s: %zu bytes in use\n", read == NULL ? "malformed" : read->customer, stats.used);
    }
    size_t pieces = 0;
    while (RN_ARENA_NEW(arena, order) != NULL)
        pieces++;
    printf("%s more orders fit into 1 MiB, then one is denied\n", pieces > 40000 ? "over 40000" : "too few");
    rn_heap_destroy(heap); /* the arena is gone with it */
    return 0;
}
