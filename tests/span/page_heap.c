/* page_heap.c: the page heap against a plain model, in which every page is in use, dirty or neither.
 *
 * Spans are taken, given, grown and cut at random; what a span claims to read as zero is read, what was written is read
 * back, and the page map is looked at as a whole now and then. Start with one_operation. */
#include "check.h"
#include "random.h"
#include "whole.h"

#include <sys/mman.h>
#include <sys/syscall.h>

enum { SPANS = 96, OPERATIONS = 30000, LOOK_EVERY = 200, PARTS = 32, PAGES_OF_PART = 1 << 20 };

/* Large spans only: in whole pages. */
typedef struct taken {
    span *span;
    size_t most_pages; /* that may hold contents */
    uint64_t seed;
} taken;

static taken spans[SPANS];
static random_source source;

/* --- the model of dirty pages ----------------------------------------------------------------------------------- */

/* For each 4 GiB where a span ever was, a byte a page: whether it is free and holds contents. */
typedef struct part {
    uintptr_t number;
    unsigned char *dirty;
    size_t first, end; /* the pages that were ever looked at */
} part;

static struct {
    part parts[PARTS];
    size_t count;
    size_t pages;         /* that are dirty */
    size_t purged_before; /* the page heap's figure when the model was last in step */
} model;

static part *new_part(uintptr_t number) {
    REQUIRE(model.count < PARTS);
    part *p = &model.parts[model.count++];
    p->number = number;
    p->first = PAGES_OF_PART;
    p->dirty = mmap(NULL, PAGES_OF_PART, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p->dirty != MAP_FAILED);
    return p;
}

static unsigned char *model_page(uintptr_t address) {
    part *p = model.parts;
    while (p < model.parts + model.count && p->number != address >> 32)
        p++;
    if (p == model.parts + model.count)
        p = new_part(address >> 32);
    size_t page = (uint32_t)address >> PAGE_SHIFT;
    p->first = page < p->first ? page : p->first;
    p->end = page >= p->end ? page + 1 : p->end;
    return &p->dirty[page];
}

static void model_set(uintptr_t address, bool dirty) {
    unsigned char *page = model_page(address);
    model.pages += dirty;
    model.pages -= *page;
    *page = dirty;
}

/* Pages [from, to) of a span's granules come into use, or become free with contents in those below end. */
static void model_use(uintptr_t start, size_t from, size_t to) {
    for (size_t page = from; page < to; page++)
        model_set(start + page * PAGE, false);
}

static void model_free(uintptr_t start, size_t from, size_t to, size_t end) {
    for (size_t page = from; page < to; page++)
        model_set(start + page * PAGE, page < end);
}

static bool map_says_dirty(uintptr_t address) {
    uint32_t tag = whole_entry(address).tag;
    return (tag & 0xff) == TAG_FREE && (tag >> TAG_HEAP_SHIFT >> (address >> PAGE_SHIFT & 3) & 1) != 0;
}

/* Forgets the pages that were purged. */
static void follow_purge(const part *p) {
    for (size_t page = p->first; page < p->end; page++) {
        uintptr_t address = (p->number << 32) + page * PAGE;
        if (p->dirty[page] != 0 && !map_says_dirty(address))
            model_set(address, false);
    }
}

/* Every page that is dirty in the model is so in the map, or was purged since the last look. */
static void compare_with_model(void) {
    page_heap_figures figures = page_heap_read();
    CHECK_EQ(model.pages * PAGE, figures.dirty + (figures.purged - model.purged_before));
    if (figures.purged == model.purged_before)
        return;
    for (size_t i = 0; i < model.count; i++)
        follow_purge(&model.parts[i]);
    CHECK_EQ(model.pages * PAGE, figures.dirty);
    model.purged_before = figures.purged;
}

/* --- contents --------------------------------------------------------------------------------------------------- */

static uint64_t *first_word(const taken *t, size_t offset) {
    return (uint64_t *)(t->span->start + offset);
}

static void write_contents(taken *t, size_t from) {
    t->seed = random_next(&source);
    for (size_t offset = from; offset < t->span->size; offset += PAGE)
        *first_word(t, offset) = t->seed + offset;
    /* What was there before this has another seed: write it all. */
    for (size_t offset = 0; offset < from; offset += PAGE)
        *first_word(t, offset) = t->seed + offset;
}

static void check_contents(const taken *t) {
    for (size_t offset = 0; offset < t->span->size; offset += PAGE)
        if (*first_word(t, offset) != t->seed + offset) {
            check_fail(__FILE__, __LINE__, "seed %llu: contents lost at %#zx of %#zx",
                       (unsigned long long)random_seed(), offset, t->span->size);
            return;
        }
}

/* Bytes [from, to) of a clean span, to the end of its last granule. */
static void check_zero(const span *s, size_t from) {
    const uint64_t *words = (const uint64_t *)s->start;
    for (size_t i = from / 8; i < (size_t)s->granules * GRANULE / 8; i++)
        if (words[i] != 0) {
            check_fail(__FILE__, __LINE__, "seed %llu: a clean span of %#zx holds %#llx at %#zx",
                       (unsigned long long)random_seed(), s->size, (unsigned long long)words[i], i * 8);
            return;
        }
}

/* --- operations ------------------------------------------------------------------------------------------------- */

static size_t pages_of(const span *s) {
    return (size_t)s->granules * PAGES_IN_GRANULE;
}

static size_t some_size(void) {
    size_t size = 1 + random_size(&source, random_below(&source, 50) == 0 ? 23 : 19);
    return (size + os.page_size - 1) & ~(os.page_size - 1);
}

static size_t some_align(void) {
    return random_below(&source, 8) != 0 ? 0
                                         : (size_t)1 << random_below(&source, random_below(&source, 40) == 0 ? 25 : 21);
}

static void take(taken *t) {
    static int owner;
    size_t size = some_size(), align = some_align();
    uint32_t tag = 7 << TAG_HEAP_SHIFT | TAG_LARGE;
    span *s = page_heap_take(size, align, SPAN_LARGE, tag, (struct heap *)(void *)&owner);
    REQUIRE(s != NULL);
    CHECK_EQ(0u, s->start & (align == 0 ? GRANULE - 1 : align - 1));
    CHECK_EQ(size, s->size);
    CHECK((size_t)s->granules * GRANULE >= size && (size_t)s->granules * GRANULE < size + GRANULE + os.page_size);
    CHECK(s->heap == (struct heap *)(void *)&owner);
    CHECK_EQ(tag, page_map_entry((void *)(s->start + size - 1))->tag);
    CHECK_EQ(s, span_of_id(page_map_entry((void *)(s->start + size - 1))->span));
    model_use(s->start, 0, pages_of(s));
    if (s->clean)
        check_zero(s, 0);
    t->span = s;
    t->most_pages = s->clean ? size / PAGE : pages_of(s);
    write_contents(t, 0);
}

static void give(taken *t) {
    span *s = t->span;
    check_contents(t);
    /* Of a span that is not clean, every page may hold contents. */
    model_free(s->start, 0, pages_of(s), s->clean ? t->most_pages : pages_of(s));
    page_heap_give(s, span_used_pages(s));
    t->span = NULL;
}

static void extend(taken *t) {
    span *s = t->span;
    size_t size = s->size + some_size(), old_pages = pages_of(s), old_size = s->size;
    if (!page_heap_extend(s, size)) {
        CHECK_EQ(old_size, s->size);
        CHECK_EQ(old_pages, pages_of(s));
        return;
    }
    CHECK_EQ(size, s->size);
    model_use(s->start, old_pages, pages_of(s));
    check_contents(&(taken){.span = s, .seed = t->seed, .most_pages = (s->size = old_size)});
    s->size = size;
    if (!s->clean)
        t->most_pages = pages_of(s);
    else if (t->most_pages < size / PAGE)
        t->most_pages = size / PAGE;
    write_contents(t, old_size);
}

static void shrink(taken *t) {
    span *s = t->span;
    size_t pages = s->size / os.page_size;
    size_t size = (1 + random_below(&source, pages)) * os.page_size, old_pages = pages_of(s);
    bool was_clean = s->clean;
    page_heap_shrink(s, size);
    CHECK_EQ(size, s->size);
    if (pages_of(s) < old_pages) {
        model_free(s->start, pages_of(s), old_pages, was_clean ? t->most_pages : old_pages);
        if (t->most_pages > pages_of(s))
            t->most_pages = pages_of(s);
    }
    check_contents(t);
}

static void purge(void) {
    size_t keep = random_size(&source, 24), before = page_heap_read().dirty;
    size_t bytes = page_heap_purge(keep);
    CHECK(page_heap_read().dirty <= keep);
    CHECK_EQ(before, page_heap_read().dirty + bytes);
}

static void one_operation(void) {
    taken *t = &spans[random_below(&source, SPANS)];
    size_t kind = random_below(&source, 400);
    if (kind == 0)
        purge();
    else if (t->span == NULL)
        take(t);
    else if (kind < 80)
        extend(t);
    else if (kind < 160)
        shrink(t);
    else
        give(t);
}

static void give_all(void) {
    for (size_t i = 0; i < SPANS; i++)
        if (spans[i].span != NULL)
            give(&spans[i]);
}

static void the_page_heap_follows_the_model(void) {
    os_start();
    source = random_start(1);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        one_operation();
        compare_with_model();
        if (i % LOOK_EVERY == 0)
            whole_look();
    }
    give_all();
    compare_with_model();
}

static void what_is_given_back_merges_into_as_few_spans_as_there_are_regions(void) {
    os_start();
    source = random_start(2);
    for (unsigned i = 0; i < 500; i++)
        one_operation();
    give_all();
    whole sum = whole_look();
    CHECK_EQ(0u, sum.used_spans);
    /* Regions are of 16 MiB at least; those that happen to be neighbours merge, too. */
    CHECK(sum.free_spans <= 1 + page_heap_read().reserved / ((size_t)16 << 20));
}

static void all_that_is_dirty_can_be_purged(void) {
    os_start();
    span *s = page_heap_take(4 << 20, 0, SPAN_LARGE, TAG_LARGE, NULL);
    REQUIRE(s != NULL);
    memset((void *)s->start, 1, s->size);
    page_heap_give(s, (span_pages){.end = s->size / PAGE});
    page_heap_purge(0);
    CHECK_EQ(0u, page_heap_read().dirty);
    CHECK_EQ(0u, whole_look().dirty_pages);
}

static void free_memory_stays_within_its_allowance(void) {
    os_start();
    span *held[64];
    for (unsigned i = 0; i < 64; i++) {
        held[i] = page_heap_take(512 << 10, 0, SPAN_LARGE, TAG_LARGE, NULL);
        REQUIRE(held[i] != NULL);
        memset((void *)held[i]->start, 1, held[i]->size);
    }
    for (unsigned i = 0; i < 64; i++) {
        page_heap_give(held[i], span_used_pages(held[i]));
        page_heap_figures figures = page_heap_read();
        CHECK(figures.dirty <= figures.allowance);
    }
}

/* A program may lock a block into memory and free it so; it must not keep everything else from going. */
static void a_locked_span_does_not_keep_others_from_being_purged(void) {
    os_start();
    if (os.strict_overcommit)
        return;
    page_heap_purge(0);
    span *locked = page_heap_take(64 << 10, 0, SPAN_LARGE, TAG_LARGE, NULL);
    span *between = page_heap_take(64 << 10, 0, SPAN_LARGE, TAG_LARGE, NULL);
    span *other = page_heap_take(1 << 20, 0, SPAN_LARGE, TAG_LARGE, NULL);
    REQUIRE(locked != NULL && between != NULL && other != NULL);
    memset((void *)locked->start, 1, locked->size);
    memset((void *)other->start, 1, other->size);
    if (syscall(SYS_mlock, locked->start, os.page_size) != 0) /* a sanitizer makes mlock do nothing */
        return;
    uintptr_t start = locked->start;
    page_heap_give(locked, span_used_pages(locked));
    page_heap_give(other, span_used_pages(other));
    page_heap_purge(0);
    CHECK(page_heap_read().dirty <= 64 << 10);
    syscall(SYS_munlock, start, os.page_size);
    page_heap_purge(0);
    CHECK_EQ(0u, page_heap_read().dirty);
    page_heap_give(between, span_used_pages(between));
}

/* The page heap's purges end here (tests/CMakeLists.txt). */
static bool all_locked;
static size_t purges;

bool __real_os_purge(void *start, size_t size);
bool __wrap_os_purge(void *start, size_t size);
bool __wrap_os_purge(void *start, size_t size) {
    purges++;
    return !all_locked && __real_os_purge(start, size);
}

/* As under mlockall: with many free spans, each free would ask for them all. */
static void pages_that_are_all_locked_are_seldom_asked_for(void) {
    enum { MANY = 4000 }; /* more bytes than are ever allowed to wait */
    static span *held[MANY];
    os_start();
    page_heap_purge(0);
    for (unsigned i = 0; i < MANY; i++)
        REQUIRE((held[i] = page_heap_take(256 << 10, 0, SPAN_LARGE, TAG_LARGE, NULL)) != NULL);
    all_locked = true;
    purges = 0;
    for (unsigned i = 0; i < MANY; i += 2) /* apart, so that they don't merge */
        page_heap_give(held[i], (span_pages){.end = (256 << 10) / PAGE});
    CHECK(purges >= 1);
    CHECK(purges <= 12 * MANY);
    all_locked = false;
    for (unsigned i = 1; i < MANY; i += 2)
        page_heap_give(held[i], (span_pages){.end = (256 << 10) / PAGE});
    CHECK(page_heap_read().dirty <= page_heap_read().allowance);
}

static void what_can_not_be_had_is_refused(void) {
    os_start();
    CHECK_EQ(NULL, page_heap_take(PTRDIFF_MAX, 0, SPAN_LARGE, TAG_LARGE, NULL));
    CHECK_EQ(NULL, page_heap_take(SIZE_MAX, 0, SPAN_LARGE, TAG_LARGE, NULL));
    CHECK_EQ(NULL, page_heap_take(1, (size_t)1 << 62, SPAN_LARGE, TAG_LARGE, NULL));
    whole_look();
}

TESTS(TEST(the_page_heap_follows_the_model), TEST(what_is_given_back_merges_into_as_few_spans_as_there_are_regions),
      TEST(all_that_is_dirty_can_be_purged), TEST(free_memory_stays_within_its_allowance),
      TEST(a_locked_span_does_not_keep_others_from_being_purged), TEST(pages_that_are_all_locked_are_seldom_asked_for),
      TEST(what_can_not_be_had_is_refused))
