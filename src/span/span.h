/* span.h: what stands above the system's pages: spans, the map from an address to its span, and the page heap.
 *
 * A span is a run of granules (16 KiB) with one purpose. Start with struct span, then page_entry, then the page heap.
 * Nothing here knows what a heap is but for its id and the pointer that a span carries. */
#ifndef RATION_SPAN_SPAN_H
#define RATION_SPAN_SPAN_H

#include "../os/os.h"
#include "size_class.h"

/* Nothing here is seen outside the library, and the compiler may rely on it. */
#pragma GCC visibility push(hidden)

struct heap;

enum {
    PAGE_SHIFT = 12, /* pages are counted in 4 KiB whatever the system's page; one span covers whole system pages */
    PAGE = 1 << PAGE_SHIFT,
    PAGES_IN_GRANULE = GRANULE / PAGE,

    SPAN_BLOCKS_MAX = 1024,
    SPAN_BITMAP_WORDS = SPAN_BLOCKS_MAX / 64,
    SPAN_SMALL_BYTES_MAX = 64 * PAGE, /* of blocks: a word of bits names the pages */

    /* The low byte of a page entry's tag: a size class, or one of these. */
    TAG_CHUNK = 0xfd, /* large, and no block: a shape divides it */
    TAG_FREE = 0xfe,
    TAG_LARGE = 0xff,
    TAG_HEAP_SHIFT = 8,
};

typedef enum span_state { SPAN_UNUSED, SPAN_FREE, SPAN_SMALL, SPAN_LARGE } span_state;

/* One run of granules. Descriptors lie in tables of their own, out of reach of any block. */
typedef struct span {
    uintptr_t start;   /* from here to the first free_blocks is what giving a block back touches: one cache line */
    uint16_t carved;   /* small: blocks whose pages are committed; the rest was never touched */
    uint16_t free;     /* small: bits set in free_blocks */
    uint16_t moves_at; /* small: how many free blocks move it to another list */
    uint16_t touched;  /* small: pages that were dirty when the span was taken, counted from its start; committed too */
    uint64_t purged;   /* small: carved pages given back to the system, a bit each */
    uint64_t free_blocks[SPAN_BITMAP_WORDS];
    struct span *next, *prev;   /* in the one list that the state says: free list, class's list of a heap */
    struct span *older, *newer; /* free: by when it was freed; in use: the heap's list of all its spans */
    struct heap *heap;
    size_t size; /* what was asked of the page heap; large: in whole system pages */
    uint32_t id;
    uint32_t granules;
    uint32_t dirty_pages; /* free: pages that hold old contents */
    uint32_t turn;        /* tells this use of the granules from the last */
    uint32_t tail;        /* large: pages behind size that may be dirty */
    uint16_t capacity;    /* small: blocks there is room for */
    uint8_t state;
    uint8_t class_index;
    uint8_t bucket;   /* small: which list of its class it is in, or SPAN_UNLISTED */
    uint8_t clean;    /* read as zero throughout when handed out */
    uint8_t hardened; /* its blocks are sealed or guarded */
    uint8_t moved;    /* large: pages of another span were moved in */
    size_t asked;     /* hardened, large: bytes asked for, and the bytes before them; of chunks for who divides them */
    size_t front;
} OWN_LINE span;

enum { SPAN_UNLISTED = 0xff };

/* --- address -> span -------------------------------------------------------------------------------------------
 * Two levels: a root with an entry for each 4 GiB, which in any one process touches a cache line or two, and leaves
 * with an entry for each granule. Where nothing is ours the root leads to a leaf of zeros, so that every address has an
 * entry and no look-up has a branch. */

typedef struct page_entry {
    /* Heap id << 8 | class; of a free granule purged pages << 12 | dirty ones << 8 | TAG_FREE; 0: nobody's. */
    uint32_t tag;
    uint32_t span;
} __attribute__((aligned(8))) page_entry;

enum {
    PAGE_MAP_ROOT = 1 << 16,
    PAGE_MAP_LEAF_SHIFT = 32, /* bytes of addresses that a leaf is for */
    PAGE_MAP_LEAF = 1 << (PAGE_MAP_LEAF_SHIFT - GRANULE_SHIFT),
    SPAN_TABLE_SHIFT = 10,
    SPAN_TABLES = 1 << 16,
};

struct page_map {
    page_entry nobodys[PAGE_MAP_LEAF]; /* the leaf of zeros; first, so that distances from it are from here */
    ptrdiff_t leaf[PAGE_MAP_ROOT];     /* bytes from the leaf of zeros */
};

extern struct page_map page_map;
extern span *span_tables[SPAN_TABLES];

static inline uint32_t page_map_index(const void *address) {
    return (uint32_t)(uintptr_t)address >> GRANULE_SHIFT;
}

static inline page_entry *page_map_entry(const void *address) {
    char *leaf = (char *)&page_map;
    uintptr_t part = (uintptr_t)address >> 32 & (PAGE_MAP_ROOT - 1);
#if defined(__x86_64__) && !defined(RN_SANITIZE)
    /* Load and add at once; compilers make three instructions of it. */
    __asm__("add %c[root](%[leaf], %[part], 8), %[leaf]"
            : [leaf] "+r"(leaf)
            : [part] "r"(part), [root] "i"(offsetof(struct page_map, leaf)), "m"(page_map.leaf[0])
            : "cc");
#else
    leaf += __atomic_load_n(&page_map.leaf[part], __ATOMIC_RELAXED);
#endif
    return (page_entry *)leaf + page_map_index(address);
}

/* The entry above leaves out an address's upper bits, which are zero in all that is ours: for who is handed any address. */
static inline bool page_map_reaches(const void *address) {
    return (uintptr_t)address >> 32 < PAGE_MAP_ROOT;
}

static inline span *span_of_id(uint32_t id) {
    return &span_tables[id >> SPAN_TABLE_SHIFT][id & ((1u << SPAN_TABLE_SHIFT) - 1)];
}

/* --- how much free memory may wait ------------------------------------------------------------------------------
 * Free memory is kept down to the larger of 1 MiB and 12 % of what is live: half of that in free spans, half on idle
 * pages of spans in use. Where pages are wanted again within a second of being purged, that was too early: so much more
 * may wait from then on, half of it forgotten each second. */

/* Pages were purged, whether any ever were, and purged pages came into use again. */
void regret_purged(void);
bool regret_possible(void);
void regret_revived(size_t bytes);
/* Whether less may wait than when this was last asked: what waits already is to be looked at. */
bool regret_has_faded(void);
/* How much may wait in free spans; as much again may on idle pages of spans in use. */
size_t free_allowance(void);

/* --- the page heap ----------------------------------------------------------------------------------------------
 * All address space that is ours, in spans in use and free spans. Any thread. */

typedef struct page_heap_figures {
    size_t reserved;    /* address space */
    size_t dirty;       /* free pages with old contents: committed, and nobody's */
    size_t purged;      /* bytes returned to the system so far */
    size_t allowance;   /* dirty may grow to this before the oldest are purged */
    size_t descriptors; /* bytes of span descriptors */
} page_heap_figures;

/* Which pages of a span held contents: all below end, but for those whose bits are set in purged (of the first 64). */
typedef struct span_pages {
    uint64_t purged;
    size_t end;
} span_pages;

typedef struct span_former {
    uintptr_t start, end;
    size_t size;
    uint32_t tag;
} span_former;

/* Bytes in blocks handed out, as far as batches have told; free memory is kept in proportion. Atomics. */
struct live_bytes {
    size_t small, large;
};
extern struct live_bytes live_bytes OWN_LINE;

static inline size_t live_bytes_now(void) {
    return __atomic_load_n(&live_bytes.small, __ATOMIC_RELAXED) + __atomic_load_n(&live_bytes.large, __ATOMIC_RELAXED);
}

/* A span of at least size bytes at a multiple of align (a power of two), its descriptor and every entry of the page map
 * that it covers set; clean says whether it reads as zero throughout. NULL if refused. */
span *page_heap_take(size_t size, size_t align, span_state state, uint32_t tag, struct heap *owner);
/* Makes the span's memory free. What is dirty and free beyond the allowance is purged, oldest first. */
void page_heap_give(span *, span_pages pages);
/* The same in two parts, for one who gives many spans: purging once costs less. */
void page_heap_give_unpurged(span *, span_pages pages);
void page_heap_purge_excess(void);
/* What the address was part of before its memory became free, if that is among the spans given back last: the tag of its entries,
 * where it began, and its size if it was large. False if it is not, or somebody is at work there. */
bool page_heap_former(const void *address, span_former *found);
/* Grows a large span to size bytes where the granules behind it are free. False if they are not. */
bool page_heap_extend(span *, size_t size);
/* Gives a large span's granules beyond size bytes back. */
void page_heap_shrink(span *, size_t size);
/* Purges until at most keep bytes of free pages are dirty. Returns the bytes purged. */
size_t page_heap_purge(size_t keep);
page_heap_figures page_heap_read(void);
/* Bytes that are committed and in no heap: dirty pages that are free or the tail of a large span, tables, and the kernel's page
 * tables. */
size_t span_overhead_bytes(void);
/* Those of them that are tables. A sum by itself, since limits read it at each charge. */
extern size_t span_table_total;
static inline size_t span_table_bytes(void) {
    return __atomic_load_n(&span_table_total, __ATOMIC_RELAXED);
}
/* Bytes more, or, negative, fewer. */
static inline void count_span_tables(size_t bytes) {
    __atomic_fetch_add(&span_table_total, bytes, __ATOMIC_RELAXED);
}
/* Those of them that are the kernel's page tables: a page of them for each 512 pages of which any was handed out. */
size_t page_table_bytes(void);
/* Zeroed memory that is never given back, for tables. NULL if refused. */
void *page_heap_map_table(size_t size);
/* Around fork: no other thread is inside the page heap or the tables. */
void page_heap_lock(void);
void page_heap_unlock(void);

/* --- blocks in a small span ------------------------------------------------------------------------------------
 * The caller holds the lock of the span's class. */

/* Takes up to want free blocks on committed pages, lowest address first, and writes them downwards from end. Returns how
 * many. */
unsigned span_take_blocks(span *, void **end, unsigned want);
/* Makes the next page or so of never-used blocks free to take, or all those whose pages are dirty anyway. False when all
 * are carved. */
bool span_carve(span *);
/* Bytes that span_carve would commit; 0 when all is carved. */
size_t span_carve_cost(const span *);
/* Makes the blocks on a purged page free to take again; span_revive_cost is 0 where no page is purged. */
bool span_revive(span *);
size_t span_revive_cost(const span *);

/* What is wrong with giving a block back. */
typedef enum span_verdict {
    SPAN_BLOCK_FINE,
    SPAN_BLOCK_FREE_ALREADY,
    SPAN_BLOCK_INTERIOR, /* not where a block starts */
    SPAN_BLOCK_UNUSED,   /* never handed out */
    SPAN_BLOCK_FOREIGN,  /* not ours */
    SPAN_BLOCK_GONE,     /* its span's memory is free */
    SPAN_BLOCK_PIECE,    /* of a chunk */
} span_verdict;
span_verdict span_judge(const span *, const void *block);

enum { SPAN_NOT_A_BLOCK = UINT16_MAX };

/* The index of the block that starts at an offset into a span; SPAN_NOT_A_BLOCK where none does. */
static inline unsigned span_index(const size_class *class, uintptr_t offset) {
    uint64_t product = (uint32_t)offset * class->reciprocal;
    bool starts = product << (64 - RECIPROCAL_SHIFT) < class->reciprocal << (64 - RECIPROCAL_SHIFT);
    return LIKELY(starts) ? (unsigned)(product >> RECIPROCAL_SHIFT) : SPAN_NOT_A_BLOCK;
}

/* The index of a block in the carved part of a span; SPAN_NOT_A_BLOCK for any other address. */
static inline unsigned span_carved_index(const span *s, const size_class *class, const void *block) {
    uintptr_t offset = (uintptr_t)block - s->start;
    unsigned index = LIKELY(offset < SPAN_SMALL_BYTES_MAX) ? span_index(class, offset) : SPAN_NOT_A_BLOCK;
    return LIKELY(index < s->carved) ? index : SPAN_NOT_A_BLOCK;
}

/* Marks a block free, but for the count in free. False if it was. */
static inline bool span_mark_free(span *s, unsigned index) {
    uint64_t *word = &s->free_blocks[index / 64], bit = 1ull << index % 64, before = *word;
    *word = before | bit;
    return LIKELY((before & bit) == 0);
}

/* A short time in which memory is given back. What one call of the system takes can't be known beforehand, so none gives back more
 * than those before it together: the last takes about as long as they did. */
typedef struct purge_slice {
    uint64_t end; /* no call begins from here on, us */
    size_t bytes; /* given back so far */
} purge_slice;

static inline bool purge_slice_is_over(const purge_slice *slice) {
    return os_clock_us() >= slice->end;
}

/* Returns to the system the pages that hold only free blocks; or, where slice is not NULL, as many of them as it has time for.
 * Gives the bytes returned. */
size_t span_purge(span *, purge_slice *slice);
/* Committed bytes, and committed pages, of a span in use. */
size_t span_committed(const span *);
span_pages span_used_pages(const span *);

/* --- tables -----------------------------------------------------------------------------------------------------
 * Memory for the library's own structures: never mixed with blocks, zeroed, recycled by size. */

void *table_take(size_t size);
void table_give(void *, size_t size);
size_t table_bytes(void);
void tables_lock(void);
void tables_unlock(void);

#pragma GCC visibility pop

#endif
