/* on_limit.c: what happens at the process's limit: RATION_ON_LIMIT, and the reserve that is withheld for who was denied.
 *
 * The library reads its variables at its first use; so this program leaves that to processes of their own. Start with
 * status_with. */
#include "apart.h"

#include <pthread.h>
#include <ration/ration.h>
#include <unistd.h>

enum { MIB = 1 << 20, SECONDS = 120 };

typedef struct setting {
    const char *on_limit, *limit;
    void (*function)(void);
} setting;

static void run_limited(const void *wanted) {
    const setting *as = wanted;
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(SECONDS);
    setenv("RATION_ON_LIMIT", as->on_limit, 1);
    setenv("RATION_LIMIT", as->limit, 1);
    as->function();
}

/* The wait status of a process that runs the function under a limit; said is its first line: an emulator has something to say of
 * an abort, too. */
static char said[1024];

static int status_with(const char *on_limit, const char *limit, void (*function)(void)) {
    const setting as = {on_limit, limit, function};
    const char *text;
    int status = ending(run_limited, &as, &text);
    snprintf(said, sizeof said, "%.*s", (int)(strcspn(text, "\n") + (text[0] != '\0')), text);
    return status;
}

static void ask_for_blocks_of(size_t size) {
    void *volatile block;
    while ((block = rn_malloc(size)) != NULL)
        memset(block, 1, size < 16 ? size : 16);
}

static void ask_for_large_ones(void) {
    ask_for_blocks_of(1 * MIB);
}

static void ask_for_small_ones(void) {
    ask_for_blocks_of(100);
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

static void a_denial_may_end_the_process_with_a_code(void) {
    CHECK_EQ(7 << 8, status_with("exit:7", "16M", ask_for_large_ones));
    CHECK(
        check_matches("ration: 1048576 bytes asked for at the limit of 16777216, of which %d are held: exit\n", said));
    CHECK_EQ(0, status_with("exit:0", "16M", ask_for_large_ones));
}

/* A small block needs a page: the limit is met before it is reached. */
static void a_small_request_ends_the_process_too(void) {
    static const char *const limits[] = {"16M", "16777215B", "16777217B", "16775000B", "16779000B"};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        CHECK_EQ(7 << 8, status_with("exit:7", limits[i], ask_for_small_ones));
}

static void make_heaps(void) {
    while (rn_heap_new(NULL, "one of many", 0) != NULL)
        continue;
}

static void so_does_a_request_for_a_heap(void) {
    CHECK_EQ(7 << 8, status_with("exit:7", "4M", make_heaps));
}

static void a_denial_may_abort_the_process(void) {
    CHECK_EQ(SIGABRT, status_with("abort", "16M", ask_for_large_ones) & 0x7f);
    CHECK(
        check_matches("ration: 1048576 bytes asked for at the limit of 16777216, of which %d are held: abort\n", said));
}

static void fill_a_heap(void) {
    rn_heap *heap = rn_heap_new(NULL, "limited", MIB);
    REQUIRE(heap != NULL);
    while (rn_heap_malloc(heap, 10000) != NULL)
        ;
}

static void a_heaps_own_limit_ends_nothing(void) {
    CHECK_EQ(0, status_with("abort", "64M", fill_a_heap));
    CHECK_TEXT("", said);
}

/* No limit has said no to it. */
static void ask_for_what_no_process_has(void) {
    volatile size_t absurd = SIZE_MAX - 4096;
    CHECK(rn_malloc(absurd) == NULL);
    CHECK(rn_calloc(absurd, 2) == NULL);
    CHECK(rn_calloc((size_t)1 << 40, 1 << 20) == NULL);
}

static void ask_for_more_than_the_limit(void) {
    CHECK(rn_malloc(17 * MIB) == NULL);
}

static void what_no_process_could_have_ends_nothing(void) {
    CHECK_EQ(0, status_with("exit:7", "16M", ask_for_what_no_process_has));
    CHECK_TEXT("", said);
    CHECK_EQ(7 << 8, status_with("exit:7", "16M", ask_for_more_than_the_limit));
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static void *held;
static bool waits;

static void *free_while_the_other_waits(void *unused) {
    while (!__atomic_load_n(&waits, __ATOMIC_ACQUIRE))
        usleep(1000);
    usleep(20000);
    rn_free(held);
    return unused;
}

static void wait_for_another(void) {
    pthread_t other;
    held = rn_malloc(20 * MIB);
    REQUIRE(held != NULL && pthread_create(&other, NULL, free_while_the_other_waits, NULL) == 0);
    __atomic_store_n(&waits, true, __ATOMIC_RELEASE);
    CHECK(rn_malloc(20 * MIB) != NULL);
    pthread_join(other, NULL);
}

static void a_thread_that_waits_goes_on_once_another_frees(void) {
    CHECK_EQ(0, status_with("wait:100000ms", "32M", wait_for_another));
}

static void wait_in_vain(void) {
    CHECK(rn_malloc(20 * MIB) != NULL);
    errno = 0;
    CHECK(rn_malloc(20 * MIB) == NULL);
    CHECK_EQ(ENOMEM, errno);
}

static void a_thread_that_waited_long_enough_is_denied(void) {
    CHECK_EQ(0, status_with("wait:50ms", "32M", wait_in_vain));
}

/* Were it waited for, the process would be killed by its alarm. */
static void ask_for_absurd_sizes(void) {
    void *block = rn_malloc(20 * MIB);
    volatile size_t absurd = SIZE_MAX;
    CHECK(block != NULL);
    CHECK(rn_malloc(33 * MIB) == NULL);
    CHECK(rn_malloc(PTRDIFF_MAX) == NULL);
    CHECK(rn_realloc(block, absurd) == NULL);
    CHECK(rn_calloc(absurd, 2) == NULL);
}

static void what_can_never_be_had_is_not_waited_for(void) {
    CHECK_EQ(0, status_with("wait:99999999ms", "32M", ask_for_absurd_sizes));
}

/* --- the reserve --------------------------------------------------------------------------------------------------- */

/* One page more for itself, of a class that has none: whether it was to be had. */
static bool can_take(size_t size) {
    void *block = rn_malloc(size);
    rn_free(block);
    return block != NULL;
}

static void *take_as_one_who_was_not_denied(void *got) {
    *(bool *)got = can_take(32 << 10);
    return NULL;
}

static bool another_can_take(void) {
    pthread_t other;
    bool got = true;
    REQUIRE(pthread_create(&other, NULL, take_as_one_who_was_not_denied, &got) == 0);
    pthread_join(other, NULL);
    return got;
}

static void use_the_reserve(void) {
    void *large = rn_malloc(4 * MIB);
    CHECK(large != NULL);
    CHECK(another_can_take());
    ask_for_blocks_of(4096); /* until there is no page left but those that are withheld */
    CHECK(!another_can_take());
    CHECK(can_take(32 << 10));
    ask_for_blocks_of(4096);
    CHECK(!can_take(32 << 10));
    rn_free(large);
    CHECK(another_can_take() && can_take(MIB));
    ask_for_blocks_of(4096);
    CHECK(!another_can_take());
}

/* Larger pages leave more below what is withheld than is asked for here. */
static void a_thread_that_was_denied_has_a_little_more(void) {
    if (sysconf(_SC_PAGESIZE) == 4096)
        CHECK_EQ(0, status_with("deny", "16M", use_the_reserve));
}

static size_t asked;

/* As an error's text and an exception are made: small blocks of several sizes, each on a page of its own. */
static void be_denied_and_tell(void) {
    static const size_t sizes[] = {150, 40, 700, 24, 2000, 60, 300, 100, 1200, 90};
    ask_for_blocks_of(asked);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(rn_malloc(sizes[i]) != NULL);
}

static void what_tells_of_a_denial_can_be_had_whatever_was_asked_for(void) {
    static const size_t sizes[] = {1500, 2500, 4000, 6000, 9000, 16000, 24000, 40000, 66000, 90000, 130000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && sysconf(_SC_PAGESIZE) == 4096; i++) {
        asked = sizes[i];
        CHECK_EQ(0, status_with("deny", "16M", be_denied_and_tell));
    }
}

TESTS(TEST(a_denial_may_end_the_process_with_a_code), TEST(a_small_request_ends_the_process_too),
      TEST(so_does_a_request_for_a_heap), TEST(a_denial_may_abort_the_process), TEST(a_heaps_own_limit_ends_nothing),
      TEST(a_thread_that_waits_goes_on_once_another_frees), TEST(a_thread_that_waited_long_enough_is_denied),
      TEST(what_can_never_be_had_is_not_waited_for), TEST(what_no_process_could_have_ends_nothing),
      TEST(a_thread_that_was_denied_has_a_little_more), TEST(what_tells_of_a_denial_can_be_had_whatever_was_asked_for))
