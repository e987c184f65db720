/* address_space: how much of a limited address space can be had by malloc, in one size, and then in another.
 *
 * Usage: address_space ROOM_KIB FIRST_SIZE SECOND_SIZE, run under RLIMIT_AS. ROOM_KIB is what the limit leaves beyond an
 * empty process, so that a manager that reserves much at start is charged for it; 0 prints this process's own size
 * instead. Prints four percentages of the room: usable and asked-for bytes in the first size, and in the second. Blocks
 * are chained through themselves, so that the test needs no memory of its own. */
#include "resident.h"
#include <malloc.h>

enum { PAGE = 4096 };

typedef struct cell {
    struct cell *next;
} cell;

typedef struct share {
    size_t usable, asked;
} share;

static void touch_pages(char *block, size_t size) {
    for (size_t at = sizeof(cell); at < size; at += PAGE)
        block[at] = 1;
}

/* Allocates until malloc says no, then frees everything. */
static share fill_and_free(size_t size) {
    share got = {0};
    cell *chain = NULL;
    for (cell *block; (block = malloc(size)); chain = block) {
        touch_pages((char *)block, size);
        block->next = chain;
        got.usable += malloc_usable_size(block);
        got.asked += size;
    }
    for (cell *next; chain; chain = next) {
        next = chain->next;
        free(chain);
    }
    return got;
}

static double percent(size_t bytes, double room_kib) {
    return (double)bytes / 1024 / room_kib * 100;
}

int main(int count, char **arguments) {
    if (count != 4)
        return 2;
    double room_kib = strtod(arguments[1], NULL);
    if (room_kib <= 0)
        return printf("%ld\n", address_space_kib()) < 0;
    share first = fill_and_free(strtoul(arguments[2], NULL, 10));
    share second = fill_and_free(strtoul(arguments[3], NULL, 10));
    printf("%.2f %.2f %.2f %.2f\n", percent(first.usable, room_kib), percent(first.asked, room_kib),
           percent(second.usable, room_kib), percent(second.asked, room_kib));
    return 0;
}
