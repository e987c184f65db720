/* use.c: `use SIZE OTHER LIMIT` fills memory with live blocks of SIZE until malloc denies one, frees all but a few
 * scattered ones, and fills what that freed with blocks of OTHER size. It prints, in bytes: what the process had at
 * start, what it could use of the blocks, what lay in pages that then held no live block, and what could be had again.
 *
 * Blocks are linked through themselves and the tables are static, so that what is counted takes no memory. */
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, KEPT_PER_PAGES = 16 };

typedef struct block {
    struct block *next;
    bool kept;
} block;

typedef struct filled {
    block *first;
    size_t usable; /* bytes */
    bool denied;
} filled;

/* The pages that blocks lie on, by number. Twice as many places as the largest limit, 128 MiB, has pages. */
enum { PLACES = 1 << 16 };
static struct {
    uintptr_t page;
    bool live;
} pages[PLACES];

static void note_page(uintptr_t page, bool live) {
    size_t place = page * 0x9e3779b97f4a7c15u >> 48;
    while (pages[place].page != 0 && pages[place].page != page)
        place = (place + 1) % PLACES;
    pages[place].page = page;
    pages[place].live |= live;
}

static void note_pages(const block *one, bool live) {
    uintptr_t start = (uintptr_t)one, end = start + malloc_usable_size((void *)one);
    for (uintptr_t page = start / PAGE; page <= (end - 1) / PAGE; page++)
        note_page(page, live);
}

/* What the process has before it allocates anything: its libraries' data and whatever its malloc began with. */
static size_t resident_at_start(void) {
    char text[4096];
    FILE *status = fopen("/proc/self/status", "re");
    size_t kibibytes = 0;
    while (status != NULL && fgets(text, sizeof text, status) != NULL)
        if (sscanf(text, "RssAnon: %zu kB", &kibibytes) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return kibibytes * 1024;
}

static filled fill(size_t size, size_t most) {
    filled all = {0};
    while (all.usable < most) {
        block *one = malloc(size);
        if (one == NULL) {
            all.denied = true;
            break;
        }
        size_t usable = malloc_usable_size(one);
        memset(one, 1, usable);
        *one = (block){all.first, false};
        all.first = one;
        all.usable += usable;
    }
    return all;
}

/* Frees all but one block for each 16 pages, at random places. */
static void scatter(filled *all, size_t size) {
    size_t one_of = KEPT_PER_PAGES * PAGE / size > KEPT_PER_PAGES ? KEPT_PER_PAGES * PAGE / size : KEPT_PER_PAGES;
    uint64_t state = 88172645463325252u;
    for (block **place = &all->first, *one; (one = *place) != NULL;) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bool kept = state % one_of == 0;
        note_pages(one, kept);
        if (kept) {
            place = &one->next;
        } else {
            *place = one->next;
            free(one);
        }
    }
}

static size_t bytes_without_live_blocks(void) {
    size_t count = 0;
    for (size_t i = 0; i < PLACES; i++)
        count += pages[i].page != 0 && !pages[i].live;
    return count * PAGE;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: use SIZE OTHER LIMIT\n");
        return 2;
    }
    size_t size = strtoul(argv[1], NULL, 10), other = strtoul(argv[2], NULL, 10), limit = strtoul(argv[3], NULL, 10);
    /* The table is the program's own data: resident from here on, so that it grows by nothing later. */
    memset(pages, 1, sizeof pages);
    memset(pages, 0, sizeof pages);
    size_t base = resident_at_start();
    filled first = fill(size, 2 * limit);
    scatter(&first, size);
    size_t emptied = bytes_without_live_blocks();
    filled second = fill(other, 2 * limit);
    printf("%zu %zu %zu %zu %d\n", base, first.usable, emptied, second.usable, first.denied && second.denied);
    return 0;
}
