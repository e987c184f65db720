/* statistics.c: the calls that tell about memory or tune it: malloc_trim, mallinfo, mallinfo2, malloc_info,
 * malloc_stats, mallopt. They exist in glibc only; programs call them, and parse what malloc_info writes. */
#define _GNU_SOURCE
#include "again.h"

#ifdef __GLIBC__
#include <malloc.h>
#include <pthread.h>
#include <ration/ration.h>

extern rn_heap *heap_of_ration(rn_heap *, const char *, size_t) __asm__("rn_heap_new") __attribute__((weak));
extern void *malloc_of_ration(rn_heap *, size_t) __asm__("rn_heap_malloc") __attribute__((weak));

enum { LIVE = 2000, LIVE_SIZE = 5000 };

static void *live[LIVE];

static void make_live(void) {
    for (size_t i = 0; i < LIVE; i++) {
        live[i] = malloc(LIVE_SIZE);
        REQUIRE(live[i] != NULL);
        memset(live[i], 1, LIVE_SIZE);
    }
}

static void drop_live(void) {
    for (size_t i = 0; i < LIVE; i++)
        free(live[i]);
}

static void mallinfo2_sees_what_is_live(void) {
    struct mallinfo2 before = mallinfo2();
    make_live();
    struct mallinfo2 full = mallinfo2();
    size_t total = full.uordblks + full.hblkhd;
    CHECK(total >= before.uordblks + before.hblkhd + (size_t)LIVE * LIVE_SIZE);
    CHECK(full.arena + full.hblkhd >= (size_t)LIVE * LIVE_SIZE);
    drop_live();
    struct mallinfo2 after = mallinfo2();
    CHECK(after.uordblks + after.hblkhd < total - (size_t)LIVE * LIVE_SIZE / 2);
}

static void mallinfo2_sees_a_large_block(void) {
    struct mallinfo2 before = mallinfo2();
    char *large = malloc(100 << 20);
    REQUIRE(large != NULL);
    large[0] = 1;
    struct mallinfo2 full = mallinfo2();
    CHECK(full.uordblks + full.hblkhd >= before.uordblks + before.hblkhd + (100 << 20));
    free(large);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void mallinfo_still_answers(void) {
    make_live();
    struct mallinfo info = mallinfo();
    CHECK(info.arena != 0 || info.hblkhd != 0);
    drop_live();
}
#pragma GCC diagnostic pop

static size_t resident_pages(void) {
    size_t total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu %zu", &total, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident;
}

static void malloc_trim_gives_memory_back(void) {
    enum { BLOCKS = 100000, SIZE = 600 };
    static void *blocks[BLOCKS];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), empty = resident_pages();
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    size_t full = resident_pages();
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    int trimmed = malloc_trim(0);
    CHECK(trimmed == 0 || trimmed == 1);
    size_t after = resident_pages();
    if (empty == 0 || emulated())
        skip("can't see how much is resident");
    else
        CHECK(full > empty && after * page < empty * page + (size_t)BLOCKS * SIZE / 10);
    CHECK(malloc_trim((size_t)1 << 40) >= 0);
    CHECK(malloc_trim(SIZE_MAX) >= 0);
}

/* A reader for the XML that malloc_info may write: nested elements with attributes, no text but white space. Gives the
 * byte where the document is wrong, or -1. */
static long xml_error(const char *text) {
    const char *names[64];
    size_t lengths[64], depth = 0, elements = 0;
    const char *at = text;
    while (*at) {
        if (*at == ' ' || *at == '\n' || *at == '\t') {
            at++;
            continue;
        }
        if (*at != '<' || (depth == 0 && elements > 0))
            return at - text;
        bool closing = at[1] == '/';
        const char *name = at + 1 + closing;
        size_t length = strcspn(name, " \t\n/>");
        const char *end = name + length;
        while (*end && *end != '>') {
            end += *end == '"' ? strcspn(end + 1, "\"") + 1 : 0;
            end += *end != 0;
        }
        if (*end != '>' || length == 0)
            return at - text;
        if (closing) {
            if (depth == 0 || lengths[depth - 1] != length || memcmp(names[depth - 1], name, length) != 0)
                return at - text;
            depth--;
        } else if (end[-1] != '/') {
            if (depth == 64)
                return at - text;
            names[depth] = name;
            lengths[depth++] = length;
        }
        elements++;
        at = end + 1;
    }
    return depth == 0 && elements > 0 ? -1 : at - text;
}

static void malloc_info_writes_valid_xml(void) {
    make_live();
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    REQUIRE(stream != NULL);
    CHECK_EQ(0, malloc_info(0, stream));
    REQUIRE(fclose(stream) == 0);
    REQUIRE(text != NULL);
    CHECK(strncmp(text, "<malloc version=\"1\">", 20) == 0);
    CHECK_EQ(-1, xml_error(text));
    if (xml_error(text) >= 0)
        printf("%s\n", text);
    free(text);
    drop_live();
}

/* The number behind name; text goes on behind it. NULL if there is none. */
static const char *number(const char *text, const char *name, size_t *value) {
    text = strstr(text, name);
    return text != NULL && sscanf(text + strlen(name), "%zu", value) == 1 ? text + strlen(name) : NULL;
}

static size_t bytes_in_parts(const char *text) {
    size_t size, blocks, bytes = 0;
    REQUIRE(number(text, "bytes=\"", &bytes) != NULL);
    while ((text = number(text, "<class size=\"", &size)) != NULL) {
        text = number(text, "blocks=\"", &blocks);
        REQUIRE(text != NULL);
        bytes += size * blocks;
    }
    return bytes;
}

/* Blocks that are checked, as the first of a process are, and those of other heaps included. */
static void malloc_infos_parts_add_up(void) {
    static char text[1 << 16];
    enum { SMALL = 100 };
    void *blocks[SMALL], *large = malloc(1 << 20);
    for (size_t i = 0; i < SMALL; i++)
        blocks[i] = malloc(40);
    if (heap_of_ration != NULL) {
        rn_heap *heap = heap_of_ration(NULL, "other", 0);
        REQUIRE(malloc_of_ration(heap, 40) != NULL && malloc_of_ration(heap, 1 << 20) != NULL);
    }
    FILE *stream = fmemopen(text, sizeof text, "w");
    REQUIRE(stream != NULL && malloc_info(0, stream) == 0 && fclose(stream) == 0);
    size_t total;
    if (number(text, "<total live=\"", &total) != NULL)
        CHECK_EQ(total, bytes_in_parts(text));
    else
        skip("not Ration's XML");
    for (size_t i = 0; i < SMALL; i++)
        free(blocks[i]);
    free(large);
}

static void malloc_info_takes_no_options(void) {
    FILE *stream = fopen("/dev/null", "w");
    REQUIRE(stream != NULL);
    CHECK(malloc_info(1, stream) != 0);
    fclose(stream);
}

static void malloc_stats_writes_to_stderr_only(void) {
    int ends[2], saved = dup(STDERR_FILENO);
    REQUIRE(pipe(ends) == 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    malloc_stats();
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    char said[8192];
    ssize_t length = read(ends[0], said, sizeof said);
    CHECK(length > 0);
    close(ends[0]);
}

static void mallopt_is_accepted(void) {
    CHECK_EQ(1, mallopt(M_TRIM_THRESHOLD, 1 << 20));
    CHECK_EQ(1, mallopt(M_TOP_PAD, 1 << 16));
    CHECK_EQ(1, mallopt(M_MMAP_THRESHOLD, 1 << 20));
    CHECK_EQ(1, mallopt(M_MMAP_MAX, 1000));
    CHECK_EQ(1, mallopt(M_ARENA_MAX, 2));
    CHECK_EQ(1, mallopt(M_PERTURB, 0));
    void *block = malloc(100);
    CHECK(block != NULL);
    free(block);
}

static bool stop_working;

static void *work(void *unused) {
    for (size_t i = 0; !__atomic_load_n(&stop_working, __ATOMIC_RELAXED); i++)
        free(malloc(16 + i % 5000));
    return unused;
}

static void all_of_them_may_be_called_while_threads_allocate(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        REQUIRE(pthread_create(&threads[i], NULL, work, NULL) == 0);
    FILE *stream = fopen("/dev/null", "w");
    REQUIRE(stream != NULL);
    for (int i = 0; i < 200; i++) {
        malloc_trim(0);
        CHECK(mallinfo2().arena < SIZE_MAX / 2);
        malloc_info(0, stream);
    }
    fclose(stream);
    __atomic_store_n(&stop_working, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* That first which is about the first blocks of the process. */
TESTS(TEST(malloc_infos_parts_add_up), TEST(mallinfo2_sees_what_is_live), TEST(mallinfo2_sees_a_large_block),
      TEST(mallinfo_still_answers), TEST(malloc_trim_gives_memory_back), TEST(malloc_info_writes_valid_xml),
      TEST(malloc_info_takes_no_options), TEST(malloc_stats_writes_to_stderr_only), TEST(mallopt_is_accepted),
      TEST(all_of_them_may_be_called_while_threads_allocate))
#else
static void these_calls_are_glibcs(void) {
    skip("not glibc");
}

TESTS(TEST(these_calls_are_glibcs))
#endif
