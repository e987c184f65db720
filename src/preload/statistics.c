/* statistics.c: libc's own reporting calls, answered from the root heap's figures and those of the heaps below it. */
#include "../heap/heap.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

/* Not every libc declares them. NOLINTBEGIN(readability-redundant-declaration) */
int malloc_trim(size_t pad);
int mallopt(int parameter, int value);
void malloc_stats(void);
int malloc_info(int options, FILE *out);
/* NOLINTEND(readability-redundant-declaration) */

EXPORT int malloc_trim(size_t pad) {
    (void)pad;
    return heap_trim(&root_heap) != 0;
}

/* Ration has no tunables of libc's kind: every parameter is taken, and changes nothing. */
EXPORT int mallopt(int parameter, int value) {
    (void)parameter;
    (void)value;
    return 1;
}

struct parts {
    size_t blocks[SIZE_CLASSES_COUNT];
    size_t large_blocks, large_bytes;
};

static void add_parts(struct parts *parts, const struct heap *heap) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        parts->blocks[i] += __atomic_load_n(&heap->stores[i].blocks_out, __ATOMIC_RELAXED);
    parts->large_blocks += __atomic_load_n(&heap->large_blocks, __ATOMIC_RELAXED);
    parts->large_bytes += __atomic_load_n(&heap->large_bytes, __ATOMIC_RELAXED);
}

/* Of all heaps, as the total is. */
static struct parts read_parts(void) {
    struct parts parts = {0};
    heap_lock_tree();
    for (struct heap *heap = heap_first_in(&root_heap); heap != NULL; heap = heap_next_in(&root_heap, heap))
        add_parts(&parts, heap);
    heap_unlock_tree();
    return parts;
}

#if defined(__GLIBC__) /* whose structures these are */

EXPORT struct mallinfo2 mallinfo2(void) {
    rn_stats stats;
    heap_read(&root_heap, &stats);
    page_heap_figures pages = page_heap_read();
    struct parts parts = read_parts();
    return (struct mallinfo2){
        .arena = stats.used + pages.dirty,
        .hblks = parts.large_blocks,
        .hblkhd = parts.large_bytes,
        .uordblks = stats.live,
        .fordblks = stats.used + pages.dirty - stats.live,
        .keepcost = pages.dirty,
    };
}

static int to_int(size_t bytes) {
    return bytes > INT_MAX ? INT_MAX : (int)bytes;
}

EXPORT struct mallinfo mallinfo(void) {
    struct mallinfo2 wide = mallinfo2();
    return (struct mallinfo){
        .arena = to_int(wide.arena),
        .hblks = to_int(wide.hblks),
        .hblkhd = to_int(wide.hblkhd),
        .uordblks = to_int(wide.uordblks),
        .fordblks = to_int(wide.fordblks),
        .keepcost = to_int(wide.keepcost),
    };
}

#endif

EXPORT void malloc_stats(void) {
    rn_stats stats;
    heap_read(&root_heap, &stats);
    page_heap_figures pages = page_heap_read();
    fprintf(stderr, "ration: live %zu in %zu blocks, used %zu, peak %zu, free and resident %zu, returned %zu\n",
            stats.live, stats.objects, stats.used, stats.peak, pages.dirty, pages.purged + store_purged_bytes());
}

EXPORT int malloc_info(int options, FILE *out) {
    if (options != 0) {
        errno = EINVAL;
        return -1;
    }
    rn_stats stats;
    heap_read(&root_heap, &stats);
    page_heap_figures pages = page_heap_read();
    struct parts parts = read_parts();
    fprintf(out, "<malloc version=\"1\">\n");
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++)
        if (parts.blocks[i] != 0)
            fprintf(out, "<class size=\"%u\" blocks=\"%zu\"/>\n", size_classes[i].size, parts.blocks[i]);
    fprintf(out, "<large blocks=\"%zu\" bytes=\"%zu\"/>\n", parts.large_blocks, parts.large_bytes);
    fprintf(out, "<total live=\"%zu\" used=\"%zu\" peak=\"%zu\" free=\"%zu\" returned=\"%zu\"/>\n</malloc>\n",
            stats.live, stats.used, stats.peak, pages.dirty, pages.purged + store_purged_bytes());
    return 0;
}
