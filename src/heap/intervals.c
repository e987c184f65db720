/* intervals.c: a set of ranges that do not overlap, as a treap.
 *
 * Nodes come from chunks of the table's own, never from the heap's tables: a signal handler that maps memory may have
 * interrupted whoever holds those. Start with intervals_put. */
#include "intervals.h"

#include <sys/auxv.h>

enum { CHUNK = 16 << 10 };

/* --- nodes ---------------------------------------------------------------------------------------------------- */

/* What changes under the lock is read without it. */
static void add(size_t *sum, size_t difference) { // NOLINT(readability-non-const-parameter): stored
    __atomic_store_n(sum, *sum + difference, __ATOMIC_RELAXED);
}

static bool refill(intervals *table) {
    interval *fresh = os_map(CHUNK);
    if (fresh == NULL)
        return false;
    add(&table->bytes, CHUNK);
    for (size_t i = 0; i < CHUNK / sizeof *fresh; i++) {
        fresh[i].left = table->free;
        table->free = &fresh[i];
    }
    return true;
}

static uint32_t draw(intervals *table) {
    table->random = table->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(table->random >> 32);
}

static interval *new_node(intervals *table, const interval *like) {
    if (table->free == NULL && !refill(table))
        return NULL;
    interval *node = table->free;
    table->free = node->left;
    add(&table->count, 1);
    *node = *like;
    node->left = node->right = NULL;
    node->priority = draw(table);
    return node;
}

/* --- the treap ------------------------------------------------------------------------------------------------ */

/* Nodes that start before the address go to *left, others to *right. */
static void split(interval *node, uintptr_t address, interval **left, interval **right) {
    while (node != NULL) {
        if (node->start < address) {
            *left = node;
            left = &node->right;
            node = node->right;
        } else {
            *right = node;
            right = &node->left;
            node = node->left;
        }
    }
    *left = *right = NULL;
}

/* All of left lies before all of right. */
static interval *join(interval *left, interval *right) {
    interval *root = NULL, **link = &root;
    while (left != NULL && right != NULL) {
        if (left->priority > right->priority) {
            *link = left;
            link = &left->right;
            left = left->right;
        } else {
            *link = right;
            link = &right->left;
            right = right->left;
        }
    }
    *link = left != NULL ? left : right;
    return root;
}

static void insert(intervals *table, interval *node) {
    interval *left, *right;
    split(table->root, node->start, &left, &right);
    table->root = join(join(left, node), right);
}

interval *intervals_next(const intervals *table, uintptr_t address) {
    interval *best = NULL;
    for (interval *node = table->root; node != NULL;) {
        if (node->end > address) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

/* --- cutting -------------------------------------------------------------------------------------------------- */

/* The share of a charge that lies on the first part of a length. */
static size_t share(size_t charge, size_t part, size_t length) {
    if (charge == length)
        return part;
    return (size_t)((unsigned __int128)charge * part / length);
}

/* Makes two of the interval around the address, if one is. Gives the charge that is lost where there is no memory for the
 * second. */
static size_t cut(intervals *table, uintptr_t address) {
    interval *node = intervals_next(table, address);
    if (node == NULL || node->start >= address)
        return 0;
    interval tail = *node;
    node->charge = share(node->charge, address - node->start, node->end - node->start);
    node->end = tail.start = address;
    tail.charge -= node->charge;
    interval *second = new_node(table, &tail);
    if (second == NULL)
        return tail.charge;
    insert(table, second);
    return 0;
}

/* Gives the nodes back, and their charge. In a loop: a subtree's left branch is rotated away. */
static size_t free_all(intervals *table, interval *node) {
    size_t charge = 0;
    while (node != NULL) {
        interval *left = node->left;
        if (left != NULL) {
            node->left = left->right;
            left->right = node;
            node = left;
            continue;
        }
        interval *next = node->right;
        charge += node->charge;
        add(&table->count, (size_t)-1);
        node->left = table->free;
        table->free = node;
        node = next;
    }
    return charge;
}

static size_t take_out(intervals *table, uintptr_t start, uintptr_t end) {
    interval *left, *inside, *right;
    size_t charge = cut(table, end);
    charge += cut(table, start);
    split(table->root, start, &left, &right);
    split(right, end, &inside, &right);
    charge += free_all(table, inside);
    table->root = join(left, right);
    return charge;
}

/* --- putting -------------------------------------------------------------------------------------------------- */

static bool is_even(const interval *i) {
    return i->charge == 0 || i->charge == i->end - i->start;
}

/* Whether nothing is lost if the two are one. */
static bool are_alike(const interval *a, const interval *b) {
    return a->state == b->state && is_even(a) && is_even(b) && (a->charge == 0) == (b->charge == 0);
}

/* Takes in a neighbour. */
static void absorb(intervals *table, interval *wanted, const interval *other) {
    if (other == NULL || !are_alike(wanted, other) || (other->end != wanted->start && other->start != wanted->end))
        return;
    uintptr_t start = other->start, end = other->end;
    wanted->charge += take_out(table, start, end);
    if (start < wanted->start)
        wanted->start = start;
    else
        wanted->end = end;
}

/* A neighbour that was taken in has left its node: so if there is none, none was. */
static bool put(intervals *table, interval wanted, size_t *removed) {
    *removed = take_out(table, wanted.start, wanted.end);
    absorb(table, &wanted, intervals_next(table, wanted.start - 1));
    absorb(table, &wanted, intervals_next(table, wanted.end));
    interval *node = new_node(table, &wanted);
    if (node != NULL)
        insert(table, node);
    return node != NULL;
}

/* --- page tables ---------------------------------------------------------------------------------------------------- */

/* What one page of them covers: as many pages as it has entries. There may be ranges before the library has started. */
static unsigned reach_shift(void) {
    size_t page_size = os.page_size != 0 ? os.page_size : getauxval(AT_PAGESZ);
    return 2 * (unsigned)__builtin_ctzl(page_size) - 3;
}

static bool counts(const interval *i) {
    return i->state != INTERVAL_LATE && i->state != INTERVAL_SHARED_FILE;
}

/* Those for what lies between the addresses; each once, however many ranges share it. */
static size_t page_tables_for(const intervals *table, uintptr_t start, uintptr_t end) {
    const unsigned shift = reach_shift();
    const uintptr_t last = (end - 1) >> shift;
    size_t sum = 0;
    for (uintptr_t from = start >> shift; from <= last;) {
        const interval *i = intervals_next(table, from << shift);
        while (i != NULL && !counts(i))
            i = intervals_next(table, i->end);
        if (i == NULL || i->start >> shift > last)
            break;
        uintptr_t first = i->start >> shift, behind = ((i->end - 1) >> shift) + 1;
        first = first > from ? first : from;
        behind = behind <= last ? behind : last + 1;
        sum += behind - first;
        from = behind;
    }
    return sum;
}

/* --- what others call ------------------------------------------------------------------------------------------------ */

bool intervals_put(intervals *table, interval wanted, size_t *removed) {
    size_t before = page_tables_for(table, wanted.start, wanted.end);
    bool done = put(table, wanted, removed);
    add(&table->page_tables, page_tables_for(table, wanted.start, wanted.end) - before);
    return done;
}

size_t intervals_remove(intervals *table, uintptr_t start, uintptr_t end) {
    size_t before = page_tables_for(table, start, end);
    size_t charge = take_out(table, start, end);
    add(&table->page_tables, page_tables_for(table, start, end) - before);
    return charge;
}
