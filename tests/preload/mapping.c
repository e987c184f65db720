/* mapping.c: what a program maps through libc counts in the root's limit, call by call, and is denied there. */
#define _GNU_SOURCE
#include "again.h"
#include "apart.h"

#include <fcntl.h>
#include <pthread.h>
#include <ration/heap.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

/* The preload library's, where it is there. */
#define WEAK __attribute__((weak))
extern rn_heap *root_of_ration(void) __asm__("rn_heap_root") WEAK;
extern void stats_of_ration(const rn_heap *, rn_stats *) __asm__("rn_heap_stats") WEAK;
extern rn_heap *heap_of_ration(rn_heap *, const char *, size_t) __asm__("rn_heap_new") WEAK;
extern void push_of_ration(rn_heap *) __asm__("rn_heap_push") WEAK;
extern void pop_of_ration(void) __asm__("rn_heap_pop") WEAK;
extern int limit_of_ration(rn_heap *, size_t) __asm__("rn_heap_set_limit") WEAK;
extern void destroy_of_ration(rn_heap *) __asm__("rn_heap_destroy") WEAK;
extern void retire_of_ration(rn_heap *) __asm__("rn_heap_retire") WEAK;
extern size_t trim_of_ration(rn_heap *) __asm__("rn_heap_trim") WEAK;
extern int on_pressure_of_ration(rn_heap *, int, size_t (*)(void *, size_t),
                                 void *) __asm__("rn_heap_on_pressure") WEAK;

/* Not in every libc. */
extern int protect_by_key(void *, size_t, int, int) __asm__("pkey_mprotect") WEAK;

enum { PAGE = 4096, MIB = 1 << 20, RW = PROT_READ | PROT_WRITE, OWN = MAP_PRIVATE | MAP_ANONYMOUS };

/* Where the function's library lies in memory. */
static const void *library_of(const void *function) {
    Dl_info info = {0};
    return function != NULL && dladdr(function, &info) != 0 ? info.dli_fbase : NULL;
}

/* Not in a static program, nor on another manager. */
static bool counted_here(void) {
    const void *ration = library_of((const void *)root_of_ration);
    bool counted = ration != NULL && ration != library_of((const void *)counted_here) &&
                   ration == library_of(dlsym(RTLD_DEFAULT, "mmap")) && sysconf(_SC_PAGESIZE) == PAGE;
    if (!counted)
        skip("nothing counts here what is mapped");
    return counted;
}

static rn_stats figures(void) {
    rn_stats stats;
    stats_of_ration(root_of_ration(), &stats);
    return stats;
}

static size_t counted(void) {
    return figures().mapped;
}

static char *map(size_t size, int protection, int flags) {
    return mmap(NULL, size, protection, flags, -1, 0);
}

/* The table takes its own memory once. */
static void warm_up(void) {
    munmap(map(PAGE, RW, OWN), PAGE);
}

static void only_writable_memory_counts(void) {
    if (!counted_here())
        return;
    warm_up();
    size_t before = counted();
    char *own = map(MIB, RW, OWN), *shared = map(MIB, RW, MAP_SHARED | MAP_ANONYMOUS);
    CHECK_EQ(before + 2 * MIB, counted());
    char *none = map(MIB, PROT_NONE, OWN), *read = map(MIB, PROT_READ, OWN), *late = map(MIB, RW, OWN | MAP_NORESERVE);
    CHECK_EQ(before + 2 * MIB, counted());
    munmap(none, MIB);
    munmap(read, MIB);
    munmap(late, MIB);
    munmap(own, MIB);
    munmap(shared, MIB);
    CHECK_EQ(before, counted());
}

static void zeros_of_a_device_count_as_memory_of_no_file(void) {
    if (!counted_here())
        return;
    warm_up();
    int zeros = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR);
    size_t before = counted();
    char *shared = mmap(NULL, MIB, RW, MAP_SHARED, zeros, 0), *own = mmap(NULL, MIB, RW, MAP_PRIVATE, zeros, 0);
    CHECK_EQ(before + 2 * MIB, counted());
    char *read = mmap(NULL, MIB, PROT_READ, MAP_SHARED, zeros, 0);
    CHECK(mmap(NULL, MIB, RW, MAP_SHARED, null, 0) == MAP_FAILED);
    CHECK_EQ(before + 2 * MIB, counted());
    munmap(shared, MIB);
    munmap(own, MIB);
    munmap(read, MIB);
    CHECK_EQ(before, counted());
    close(zeros);
    close(null);
}

static void parts_are_unmapped_and_mapped_over(void) {
    if (!counted_here())
        return;
    size_t before = counted();
    char *range = map(16 * PAGE, RW, OWN);
    munmap(range + 4 * PAGE, 4 * PAGE);
    CHECK_EQ(before + 12 * PAGE, counted());
    REQUIRE(mmap(range + 2 * PAGE, 4 * PAGE, RW, OWN | MAP_FIXED, -1, 0) == range + 2 * PAGE);
    CHECK_EQ(before + 14 * PAGE, counted());
    REQUIRE(mmap(range, 2 * PAGE, PROT_NONE, OWN | MAP_FIXED, -1, 0) == range);
    CHECK_EQ(before + 12 * PAGE, counted());
    munmap(range, 16 * PAGE);
    CHECK_EQ(before, counted());
}

static void a_reservation_counts_where_it_is_made_writable(void) {
    if (!counted_here())
        return;
    size_t before = counted();
    char *range = map(MIB, PROT_NONE, OWN);
    for (int i = 0; i < 3; i++)
        REQUIRE(mprotect(range + PAGE, 4 * PAGE, RW) == 0);
    CHECK_EQ(before + 4 * PAGE, counted());
    REQUIRE(mprotect(range, 3 * PAGE, RW) == 0);
    CHECK_EQ(before + 5 * PAGE, counted());
    munmap(range, MIB);
    CHECK_EQ(before, counted());
}

static void a_blocks_protection_changes_nothing(void) {
    if (!counted_here())
        return;
    char *block = aligned_alloc(PAGE, 4 * PAGE);
    size_t before = counted();
    REQUIRE(mprotect(block, PAGE, PROT_NONE) == 0 && mprotect(block, PAGE, RW) == 0);
    CHECK_EQ(before, counted());
    free(block);
}

static void what_is_resized_counts_at_its_new_size(void) {
    if (!counted_here())
        return;
    size_t before = counted();
    char *range = map(4 * PAGE, RW, OWN);
    range = mremap(range, 4 * PAGE, 400 * PAGE, MREMAP_MAYMOVE);
    REQUIRE(range != MAP_FAILED);
    CHECK_EQ(before + 400 * PAGE, counted());
    range = mremap(range, 400 * PAGE, 3 * PAGE, 0);
    REQUIRE(range != MAP_FAILED);
    CHECK_EQ(before + 3 * PAGE, counted());
    munmap(range, 3 * PAGE);
    CHECK_EQ(before, counted());
}

static void the_break_counts(void) {
    if (!counted_here())
        return;
    char *start = sbrk(0);
    size_t before = counted();
    if (sbrk(64 * PAGE) == (void *)-1) {
        skip("the break can't be moved");
        return;
    }
    CHECK(counted() >= before + 63 * PAGE);
    CHECK_EQ(0, brk(start));
    CHECK_EQ(before, counted());
    CHECK_EQ((void *)start, sbrk(0));
}

static pthread_barrier_t barrier;

static void *wait_twice(void *argument) {
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    if (argument != NULL)
        pthread_exit(argument);
    return NULL;
}

static void threads_count_until_they_end(void) {
    if (!counted_here())
        return;
    pthread_t made[2];
    size_t before = counted();
    pthread_barrier_init(&barrier, NULL, 3);
    for (uintptr_t i = 0; i < 2; i++)
        REQUIRE(pthread_create(&made[i], NULL, wait_twice, (void *)i) == 0);
    pthread_barrier_wait(&barrier);
    CHECK_EQ(before + 2 * 65536, counted());
    pthread_barrier_wait(&barrier);
    void *result;
    pthread_join(made[0], &result);
    pthread_join(made[1], &result);
    CHECK_EQ((void *)1, result);
    CHECK_EQ(before, counted());
}

static void *end_at_once(void *argument) {
    return argument;
}

/* It outlives what the thread that makes it has pushed. */
static void what_a_thread_begins_with_is_in_no_pushed_heap(void) {
    if (!counted_here())
        return;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, end_at_once, NULL) == 0 && pthread_join(thread, NULL) == 0);
    rn_heap *heap = heap_of_ration(NULL, "pushed", 0);
    rn_stats stats;
    push_of_ration(heap);
    REQUIRE(pthread_create(&thread, NULL, end_at_once, NULL) == 0);
    pop_of_ration();
    stats_of_ration(heap, &stats);
    CHECK_EQ((size_t)0, stats.objects);
    pthread_join(thread, NULL);
}

static void what_is_mapped_past_libc_counts_as_measured(void) {
    if (!counted_here())
        return;
    if (emulated()) {
        skip("what is resident is the emulator's");
        return;
    }
    rn_stats before = figures();
    char *range = (char *)syscall(SYS_mmap, NULL, 32 * MIB, RW, OWN, -1, 0);
    REQUIRE(range != MAP_FAILED);
    memset(range, 1, 32 * MIB);
    rn_stats touched = figures();
    CHECK_EQ(before.mapped, touched.mapped);
    CHECK(touched.rest >= before.rest + 28 * MIB && touched.rest <= before.rest + 36 * MIB);
    syscall(SYS_munmap, range, 32 * MIB);
    CHECK(figures().rest <= before.rest + 4 * MIB);
}

/* --- denial: each in a process of its own, for its limit ------------------------------------------------------- */

static void must(bool condition, int line) {
    if (!condition) {
        fprintf(stderr, "line %d does not hold\n", line);
        _exit(1);
    }
}
#define MUST(condition) must(condition, __LINE__)

static void set_limit(size_t bytes) {
    MUST(limit_of_ration(root_of_ration(), bytes) == 0);
}

static void fill(char *range, size_t size) {
    for (size_t i = 0; i < size; i += PAGE)
        ((volatile char *)range)[i] = 1;
}

static void meet_the_limit(void) {
    char *none = map(64 * MIB, PROT_NONE, OWN);
    set_limit(32 * MIB);
    size_t denied = figures().denied;
    errno = 0;
    MUST(map(64 * MIB, RW, OWN) == MAP_FAILED && errno == ENOMEM);
    MUST(mprotect(none, 64 * MIB, RW) == -1 && errno == ENOMEM);
    MUST(sbrk(64 * MIB) == (void *)-1 && errno == ENOMEM);
    char *range = map(8 * MIB, RW, OWN);
    MUST(range != MAP_FAILED);
    MUST(mremap(range, 8 * MIB, 64 * MIB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
    MUST(protect_by_key(none, 64 * MIB, RW, -1) == -1 && errno == ENOMEM);
    MUST(figures().denied == denied + 5);
    fill(range, 8 * MIB);
    for (int i = 0; i < 100; i++) { /* never touched: so none is denied */
        char *more = map(8 * MIB, RW, OWN);
        MUST(more != MAP_FAILED);
    }
    char *untouched = map(MIB, RW, OWN);
    for (int i = 0; i < 4; i++) /* what was not touched has been found to be nothing by then */
        MUST(map(8 * MIB, RW, OWN) != MAP_FAILED);
    MUST(mremap(untouched, MIB, 64 * MIB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
    char *late = map((size_t)1 << 36, RW, OWN | MAP_NORESERVE);
    MUST(late != MAP_FAILED);
}

static void touched_memory_meets_the_limit(void) {
    set_limit(32 * MIB);
    size_t touched = 0;
    for (char *more; (more = map(MIB, RW, OWN)) != MAP_FAILED; touched += MIB)
        fill(more, MIB);
    MUST(errno == ENOMEM && touched >= 24 * MIB && touched <= 32 * MIB);
    pthread_t thread;
    void *last[4096];
    size_t count = 0;
    for (int denials = 0; denials < 2 && count < 4096; denials += last[count] == NULL, count += last[count] != NULL)
        last[count] = malloc(16000); /* the second is of what was withheld until the first */
    MUST(count < 4096);
    MUST(pthread_create(&thread, NULL, end_at_once, NULL) == EAGAIN);
    while (count > 0)
        free(last[--count]);
}

static char *map_file(size_t size, int flags) {
    FILE *file = tmpfile();
    MUST(file != NULL && ftruncate(fileno(file), (off_t)size) == 0);
    char *range = mmap(NULL, size, RW, flags, fileno(file), 0);
    MUST(range != MAP_FAILED && fclose(file) == 0);
    return range;
}

static size_t sum_of(const char *range, size_t size) {
    size_t sum = 0;
    for (size_t i = 0; i < size; i += PAGE)
        sum += (unsigned char)((const volatile char *)range)[i];
    return sum;
}

/* What is only read of a file that is mapped privately takes nobody's room; what is written to it does. */
static void map_files_at_the_limit(void) {
    set_limit(48 * MIB);
    char *range = map_file(32 * MIB, MAP_PRIVATE);
    MUST(sum_of(range, 32 * MIB) == 0);
    MUST(map(32 * MIB, RW, OWN) != MAP_FAILED);
    fill(range, 32 * MIB);
    MUST(sum_of(range, 32 * MIB) == 32 * MIB / PAGE);
    MUST(map(32 * MIB, RW, OWN) == MAP_FAILED && errno == ENOMEM);
}

/* The kernel says of its pages what it says of a file's. */
static void share_at_the_limit(void) {
    set_limit(48 * MIB);
    char *range = map(32 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS);
    fill(range, 32 * MIB);
    MUST(map(32 * MIB, RW, OWN) == MAP_FAILED && errno == ENOMEM);
    MUST(mprotect(range, 32 * MIB, PROT_READ) == 0 && mprotect(range, 32 * MIB, RW) == 0);
    MUST(map(32 * MIB, RW, OWN) == MAP_FAILED && errno == ENOMEM);
}

static void forked_children_count_anew(void) {
    char *range = map(MIB, RW, OWN);
    size_t before = counted();
    pid_t child = fork();
    if (child == 0) {
        MUST(counted() == before && munmap(range, MIB) == 0 && counted() == before - MIB);
        _exit(0);
    }
    MUST(ended_well(child) && counted() == before);
}

static volatile size_t handled, mapped_then; /* calls of libc's are not taken to change what is ours */

/* In the midst of the library it may be denied, since the handler can't have memory given back. */
static void map_in_handler(int signal) {
    (void)signal;
    handled++;
    char *range = map(2 * PAGE, RW, OWN);
    if (range != MAP_FAILED) {
        *range = 1;
        munmap(range, 2 * PAGE);
        mapped_then++;
    }
}

static void handlers_map_while_their_thread_does(void) {
    set_limit(64 * MIB);
    signal(SIGALRM, map_in_handler);
    struct itimerval often = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &often, NULL);
    for (size_t i = 0; handled < 500; i++) {
        char *range = map(4 * PAGE, RW, OWN);
        MUST(range != MAP_FAILED);
        free(malloc(100000 + i % 100000));
        munmap(range, 4 * PAGE);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    MUST(mapped_then != 0);
}

/* --- handlers at the limit: in whatever of the library's they interrupt, they map, or are denied, and do not wait --- */

enum { BLOCKS = 2000, HANDLED = 4000 };

static size_t map_in_callback(void *argument, size_t want) {
    (void)argument, (void)want;
    char *range = map(PAGE, RW, OWN);
    if (range != MAP_FAILED)
        munmap(range, PAGE);
    return 0;
}

/* Not by the timer that ends this process should it wait for ever. */
static void handle_often(void) {
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct sigaction action = {.sa_handler = map_in_handler, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    timer_settime(timer, 0, &(struct itimerspec){{0, 200000}, {0, 200000}}, NULL);
}

static void use_heaps(size_t turn) {
    rn_heap *heap = heap_of_ration(NULL, "short-lived", 0);
    if (heap == NULL)
        return;
    push_of_ration(heap);
    void *volatile block = malloc(100);
    pop_of_ration();
    if (turn % 2 == 0) {
        destroy_of_ration(heap);
        return;
    }
    retire_of_ration(heap);
    free(block);
}

static void make_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_at_once, NULL) == 0)
        pthread_join(thread, NULL);
}

static void make_child(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    MUST(child > 0 && ended_well(child));
}

static void use_the_rest(size_t turn) {
    if (turn % 8 == 0)
        use_heaps(turn / 8);
    if (turn % 8 == 1)
        figures();
    if (turn % 64 == 2)
        trim_of_ration(root_of_ration());
    if (turn % 64 == 3)
        make_thread();
    if (turn % 256 == 4)
        make_child();
    char *range = map(4 * PAGE, RW, OWN);
    if (range != MAP_FAILED)
        munmap(range, 4 * PAGE);
}

static void work_at_the_limit(void) {
    static char *volatile blocks[BLOCKS];
    size_t denied = 0;
    set_limit(16 * MIB);
    MUST(on_pressure_of_ration(root_of_ration(), 0, map_in_callback, NULL) == 0);
    handle_often();
    for (unsigned turn = 1, random = 1; handled < HANDLED || mapped_then == 0; turn++) {
        random = random * 1664525 + 1013904223;
        char *volatile *block = &blocks[random % (unsigned)BLOCKS];
        free(*block);
        *block = malloc((random >> 8) % 30000);
        if (*block == NULL)
            denied++;
        else
            **block = 1;
        use_the_rest(turn);
    }
    MUST(denied != 0);
}

static void each_call_meets_the_limit(void) {
    if (counted_here())
        CHECK(ends_well(meet_the_limit, 120));
}

static void what_was_touched_is_denied_at_the_limit(void) {
    if (counted_here())
        CHECK(ends_well(touched_memory_meets_the_limit, 120));
}

static void what_is_read_of_a_file_takes_no_room(void) {
    if (counted_here())
        CHECK(ends_well(map_files_at_the_limit, 120));
}

static void shared_memory_takes_room(void) {
    if (counted_here())
        CHECK(ends_well(share_at_the_limit, 120));
}

static void a_forked_child_has_counts_of_its_own(void) {
    if (counted_here())
        CHECK(ends_well(forked_children_count_anew, 120));
}

static void signal_handlers_may_map(void) {
    if (counted_here())
        CHECK(ends_well(handlers_map_while_their_thread_does, 0));
}

static void signal_handlers_may_map_at_the_limit(void) {
    if (counted_here())
        CHECK(ends_well(work_at_the_limit, 240));
}

TESTS(TEST(only_writable_memory_counts), TEST(zeros_of_a_device_count_as_memory_of_no_file),
      TEST(parts_are_unmapped_and_mapped_over), TEST(a_reservation_counts_where_it_is_made_writable),
      TEST(a_blocks_protection_changes_nothing), TEST(what_is_resized_counts_at_its_new_size), TEST(the_break_counts),
      TEST(threads_count_until_they_end), TEST(what_a_thread_begins_with_is_in_no_pushed_heap),
      TEST(what_is_mapped_past_libc_counts_as_measured), TEST(each_call_meets_the_limit),
      TEST(what_was_touched_is_denied_at_the_limit), TEST(what_is_read_of_a_file_takes_no_room),
      TEST(shared_memory_takes_room), TEST(a_forked_child_has_counts_of_its_own), TEST(signal_handlers_may_map),
      TEST(signal_handlers_may_map_at_the_limit))
