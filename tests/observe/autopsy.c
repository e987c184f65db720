/* autopsy.c: what the file says that the first denied request of a process leaves, and when it is left.
 *
 * Each situation is a child of this process with a directory of its own: start with leave. */
#include "heap/accounts.h"

#include "heap/heap.h"
#include "observe/observe.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { MIB = 1 << 20, PATH_BYTES = 128, TEXT_BYTES = 4 << 20, HEAPS = 3000, DEEP = 500, RACERS = 8, SKIP = 77 };

static char directory[64];
static char text[TEXT_BYTES];

/* --- a child and what it leaves ------------------------------------------------------------------------------- */

static void make_directory(void) {
    snprintf(directory, sizeof directory, "/tmp/ration-autopsy-XXXXXX");
    REQUIRE(mkdtemp(directory) != NULL);
}

static void path_of(char path[PATH_BYTES * 2], pid_t process, const char *number) {
    snprintf(path, PATH_BYTES * 2, "%s/ration-%d%s.autopsy", directory, (int)process, number);
}

/* How many files the directory holds; they are removed where so asked. */
static int files(bool remove_them) {
    int count = 0;
    DIR *open = opendir(directory);
    REQUIRE(open != NULL);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        if (entry->d_name[0] != '.') {
            count++;
            if (remove_them)
                unlinkat(dirfd(open), entry->d_name, 0);
        }
    closedir(open);
    return count;
}

static void remove_directory(void) {
    files(true);
    CHECK_EQ(0, rmdir(directory));
}

static void listen_in(const char *where) {
    char variable[PATH_BYTES * 3];
    snprintf(variable, sizeof variable, "RATION_AUTOPSY=%s", where);
    observe_start((char *[]){variable, NULL});
}

/* Runs the situation in a child that is to leave its autopsies in the directory. */
static pid_t start(void (*situation)(void)) {
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child != 0)
        return child;
    alarm(300);
    listen_in(directory);
    situation();
    fflush(stdout);
    _exit(check.failures != 0);
}

static int end_of(pid_t child) {
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

static void read_autopsy(pid_t process, const char *number) {
    char path[PATH_BYTES * 2];
    path_of(path, process, number);
    text[0] = 0;
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    if (file == NULL)
        return;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
}

/* The situation, what it leaves in text, and its wait status. */
static int leave(void (*situation)(void)) {
    make_directory();
    pid_t child = start(situation);
    int status = end_of(child);
    read_autopsy(child, "");
    CHECK_EQ(1, files(false));
    remove_directory();
    return status;
}

/* --- what is in it -------------------------------------------------------------------------------------------- */

/* The line at a place, each run of spaces as one. */
static void squeeze(char *line, size_t room, const char *at) {
    size_t length = 0;
    for (; *at != 0 && *at != '\n' && length < room - 1; at++)
        if (*at != ' ' || length == 0 || line[length - 1] != ' ')
            line[length++] = *at;
    line[length] = 0;
}

/* The first line from a place on that begins like the pattern (check_matches), in which a space stands for several. */
static const char *line_from(const char *from, const char *pattern) {
    char line[512];
    for (const char *at = from; *at != 0; at += strcspn(at, "\n"), at += *at == '\n') {
        squeeze(line, sizeof line, at);
        for (size_t length = strlen(line); length > 0; line[--length] = 0)
            if (check_matches(pattern, line))
                return at;
    }
    return NULL;
}

static void says(const char *pattern) {
    if (line_from(text, pattern) == NULL)
        check_fail(__FILE__, __LINE__, "expected a line \"%s\" in:\n%.900s", pattern, text);
}

static void says_not(const char *pattern) {
    if (line_from(text, pattern) != NULL)
        check_fail(__FILE__, __LINE__, "expected no line \"%s\"", pattern);
}

/* The last part is there. */
static void is_whole(void) {
    CHECK(strstr(text, "\nWhat to try next\n") != NULL);
    size_t length = strlen(text);
    CHECK(length > 0 && text[length - 1] == '\n');
}

static bool is_80_columns_wide(void) {
    for (const char *at = text; *at != 0; at += strcspn(at, "\n"), at += *at == '\n')
        if (strcspn(at, "\n") > 80 && strncmp(at, "program", 7) != 0) /* which ends with a path */
            return false;
    return true;
}

static void take(rn_heap *heap, size_t size, size_t count) {
    for (size_t i = 0; i < count; i++)
        REQUIRE(rn_heap_malloc(heap, size) != NULL);
}

static void is_denied(rn_heap *heap, size_t size) {
    errno = 0;
    CHECK(rn_heap_malloc(heap, size) == NULL);
    CHECK_EQ(ENOMEM, errno);
}

static void ask_too_much(void) {
    is_denied(made(NULL, "narrow", MIB), 2 * MIB);
}

/* --- what it says --------------------------------------------------------------------------------------------- */

static void fill_known_heaps(void) {
    rn_heap *xml = made(NULL, "xml", 4 * MIB);
    rn_heap *parser = made(xml, "parser", 0);
    rn_heap *kept = made(NULL, "cache", 0);
    rn_heap_set_soft_limit(kept, 3 * MIB);
    take(kept, 100, 1000);
    take(parser, 2 * MIB, 1);
    take(xml, MIB, 1);
    is_denied(parser, 3 * MIB);
}

static void it_tells_who_asked_and_what_had_no_room(void) {
    CHECK_EQ(0, leave(fill_known_heaps));
    says("asked 3145728 bytes, of heap \"parser\"");
    says("no room heap \"xml\": limit 4194304, used 3145728");
    says("when 20%d-%d-%d %d:%d:%d UTC");
    says("program autopsy, process %d, /");
    says("thread autopsy, %d");
    says_not("before ");
    says("together %d.%dM %d");
    is_whole();
    CHECK(is_80_columns_wide());
}

static void it_shows_the_tree_of_heaps_largest_first(void) {
    leave(fill_known_heaps);
    const char *root = line_from(text, "root ");
    REQUIRE(root != NULL);
    const char *xml = line_from(root, " xml 3.0M 3.0M 4.0M - 1.0M 1 1");
    CHECK(xml != NULL);
    const char *parser = line_from(root, " parser 2.0M 2.0M - - 2.0M 1 1");
    CHECK(parser != NULL);
    const char *kept = line_from(root, " cache 112K %dK - 3.0M 109K 1000 0");
    if (os.page_size == 4096)
        CHECK(kept != NULL && xml < parser && parser < kept);
}

static void fill_arenas(void) {
    static const char *const names[] = {"orders", "lines", NULL, "", "late"};
    rn_heap *heap = made(NULL, "service", 4 * MIB);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rn_arena *arena = rn_arena_new(heap, 64 << 10);
        REQUIRE(arena != NULL && rn_arena_alloc(arena, ((size_t)(5 - i) << 18) - 1000, 1) != NULL);
        if (names[i] != NULL)
            rn_arena_set_name(arena, names[i]);
    }
    is_denied(heap, 3 * MIB);
}

static void it_shows_the_arenas_of_a_heap_largest_first(void) {
    leave(fill_arenas);
    const char *heap = line_from(text, " service 3.%dM 3.%dM 4.0M - 3.%dM 5 1");
    REQUIRE(heap != NULL);
    const char *first = line_from(heap, " arena orders 1.%dM 1");
    const char *second = line_from(heap, " arena lines 1.0M 1");
    const char *third = line_from(heap, " arena 768K 1");
    const char *rest = line_from(heap, " more of these: 2 768K 2");
    CHECK(first != NULL && first < second && second < third && third < rest);
    CHECK(is_80_columns_wide());
}

static void it_shows_what_is_live_in_each_size_class(void) {
    leave(fill_known_heaps);
    says(" 112 1000 109K 0 ");
    says_not(" 128 ");
}

static void it_shows_the_largest_blocks(void) {
    leave(fill_known_heaps);
    const char *title = line_from(text, "The largest blocks");
    REQUIRE(title != NULL);
    const char *first = line_from(title, "%p 2097152 parser");
    const char *second = line_from(title, "%p 1048576 xml");
    const char *third = line_from(title, "%p 112 cache");
    CHECK(first != NULL && second > first && third > second);
}

static void free_some_and_ask_too_much(void) {
    rn_heap *heap = made(NULL, "cached", MIB);
    void *blocks[10];
    for (int i = 0; i < 10; i++)
        blocks[i] = rn_heap_malloc(heap, 2000);
    for (int i = 0; i < 4; i++)
        rn_free(blocks[i]);
    is_denied(heap, 2 * MIB);
}

static void it_tells_what_threads_have_cached_apart(void) {
    leave(free_some_and_ask_too_much);
    says(" 2048 6 12.0K %d.%dK");
    says(" The request is larger than the limit itself.");
}

static void ask_absurdly_then_be_denied(void) {
    rn_heap *heap = made(NULL, "narrow", MIB);
    volatile size_t many = SIZE_MAX / 2; /* compilers know better */
    errno = 0;
    CHECK(rn_heap_calloc(heap, many, 3) == NULL);
    CHECK_EQ(ENOMEM, errno);
    CHECK_EQ(0, files(false));
    ask_too_much();
}

static void a_request_that_no_memory_could_meet_is_not_denied_by_a_limit(void) {
    CHECK_EQ(0, leave(ask_absurdly_then_be_denied));
    says("asked 2097152 bytes, of heap \"narrow\"");
    says("before the system, not a limit, refused 1 request");
}

static void be_refused_then_denied(void) {
    is_denied(rn_heap_root(), (size_t)1 << 60);
    CHECK_EQ(0, files(false));
    ask_too_much();
}

static void what_the_system_refuses_is_counted_and_no_denial(void) {
    CHECK_EQ(0, leave(be_refused_then_denied));
    says("before the system, not a limit, refused 1 request");
}

static void the_stack_names_the_program(void) {
    leave(ask_too_much);
    if (emulated())
        return;
    const char *title = line_from(text, "The stack of the thread");
    REQUIRE(title != NULL);
    CHECK(line_from(title, "%p autopsy+%p") != NULL);
}

static void map_much(void) {
    char *pages = mmap(NULL, 40 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(pages != MAP_FAILED);
    madvise(pages, 40 * MIB, MADV_NOHUGEPAGE);
    memset(pages, 1, 40 * MIB);
    ask_too_much();
}

static void the_largest_mappings_are_shown(void) {
    leave(map_much);
    if (!emulated() && strstr(text, "resident    size") != NULL)
        CHECK(line_from(text, " 40.0M %d") != NULL || line_from(text, " 40.%dM %d") != NULL);
}

static void name_badly(void) {
    is_denied(made(NULL, "two\nlines\033[2J", MIB), 2 * MIB);
}

static void names_are_made_fit_to_print(void) {
    leave(name_badly);
    says(" two?lines?[2J ");
}

/* --- many heaps ----------------------------------------------------------------------------------------------- */

static void make_many(void) {
    char name[16];
    rn_heap *deep = NULL;
    for (int i = 0; i < HEAPS; i++) {
        snprintf(name, sizeof name, "h%04d", i);
        rn_heap *heap = made(NULL, name, 0);
        if (i % 100 == 50)
            take(heap, (size_t)(i + 1) * 100, 1);
    }
    for (int i = 0; i < DEEP; i++)
        deep = made(deep, "deep", 0);
    ask_too_much();
}

static void thousands_of_heaps_are_all_shown_in_order(void) {
    CHECK_EQ(0, leave(make_many));
    int heaps = 0, deep = 0;
    for (const char *at = text; (at = strstr(at, "\n  h")) != NULL; at++)
        heaps++;
    for (const char *at = text; (at = strstr(at, " deep  ")) != NULL; at++)
        deep++;
    CHECK_EQ(HEAPS, heaps);
    CHECK_EQ(DEEP, deep);
    const char *largest = line_from(text, " h2950 "), *next = line_from(text, " h2850 "),
               *empty = line_from(text, " h0001 ");
    CHECK(largest != NULL && largest < next && next < empty);
    is_whole();
}

static void sort_and_destroy(void) {
    static rn_heap *heaps[HEAPS];
    size_t before = stats_of(rn_heap_root()).used;
    for (int i = 0; i < HEAPS; i++)
        take(heaps[i] = made(i % 7 == 0 ? NULL : heaps[i - i % 7], "any", 0), (size_t)(i * 37 % 101 + 1) * 10, 1);
    ask_too_much();
    for (int i = 0; i < HEAPS; i++)
        if (i % 7 != 0)
            rn_heap_destroy(heaps[i]);
    for (int i = 0; i < HEAPS; i += 7)
        rn_heap_destroy(heaps[i]);
    CHECK_EQ(before, stats_of(rn_heap_root()).used);
}

static void heaps_are_as_they_were_after_it(void) {
    CHECK_EQ(0, leave(sort_and_destroy));
}

/* --- when it is written --------------------------------------------------------------------------------------- */

static void be_denied_thrice(void) {
    ask_too_much();
    ask_too_much();
    ask_too_much();
}

static void only_the_first_denial_leaves_one(void) {
    CHECK_EQ(0, leave(be_denied_thrice));
    says(" narrow 0 0 1.0M - 0 0 1");
}

static void be_denied_of_both_kinds(void) {
    ask_too_much();
    fill_known_heaps();
    fill_known_heaps();
    ask_too_much();
}

static void one_for_a_request_larger_than_the_limit_leaves_room_for_another(void) {
    make_directory();
    pid_t child = start(be_denied_of_both_kinds);
    CHECK_EQ(0, end_of(child));
    CHECK_EQ(2, files(false));
    read_autopsy(child, "");
    says(" The request is larger than the limit itself.");
    read_autopsy(child, ".1");
    says("asked 3145728 bytes, of heap \"parser\"");
    is_whole();
    remove_directory();
}

static void be_denied_and_killed(void) {
    rn_heap *heap = made(NULL, "narrow", MIB);
    void *block = rn_heap_malloc(heap, 2 * MIB);
    kill(getpid(), block == NULL ? SIGKILL : SIGTERM);
}

static void it_is_whole_if_the_program_is_killed_right_after(void) {
    int status = leave(be_denied_and_killed);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    is_whole();
}

static void *race(void *barrier) {
    char path[PATH_BYTES * 2];
    path_of(path, getpid(), "");
    pthread_barrier_wait(barrier);
    ask_too_much();
    CHECK_EQ(0, access(path, R_OK));
    return NULL;
}

static void race_to_the_first(void) {
    pthread_t threads[RACERS];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, RACERS);
    for (int i = 0; i < RACERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, race, &barrier) == 0);
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
}

static void of_threads_that_race_one_writes_and_all_go_on_when_it_is_there(void) {
    CHECK_EQ(0, leave(race_to_the_first));
    is_whole();
}

static void deny_and_fork(void) {
    ask_too_much();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ask_too_much();
        _exit(check.failures != 0);
    }
    CHECK_EQ(0, end_of(child));
    read_autopsy(child, "");
    is_whole();
}

static void a_child_leaves_its_own(void) {
    make_directory();
    pid_t child = start(deny_and_fork);
    CHECK_EQ(0, end_of(child));
    CHECK_EQ(2, files(false));
    read_autopsy(child, "");
    is_whole();
    remove_directory();
}

static size_t release_nothing(void *arg, size_t want) {
    (void)want;
    is_denied(arg, 3 * MIB);
    return 0;
}

static void be_denied_in_a_callback(void) {
    rn_heap *heap = made(NULL, "called", 4 * MIB);
    CHECK_EQ(0, rn_heap_on_pressure(heap, 1, release_nothing, heap));
    take(heap, 2 * MIB, 1);
    is_denied(heap, 3 * MIB - 1);
}

static void a_denial_inside_a_callback_leaves_one(void) {
    CHECK_EQ(0, leave(be_denied_in_a_callback));
    says("asked 3145728 bytes, of heap \"called\"");
    is_whole();
}

static void *run_in_stack(void *unused) {
    (void)unused;
    ask_too_much();
    return NULL;
}

enum { SMALL_STACK = 16 << 10 };

static void be_denied_on_a_small_stack(void) {
    if (SANITIZED) /* whose frames are larger */
        _exit(SKIP);
    size_t guard = os.page_size, size = SMALL_STACK > 2 * guard ? SMALL_STACK : 2 * guard;
    char *stack = mmap(NULL, guard + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(stack != MAP_FAILED && mprotect(stack + guard, size, PROT_READ | PROT_WRITE) == 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_t other;
    if (pthread_attr_setstack(&attributes, stack + guard, size) != 0 ||
        pthread_create(&other, &attributes, run_in_stack, NULL) != 0)
        _exit(SKIP);
    pthread_join(other, NULL);
}

static void a_stack_of_16_kib_will_do(void) {
    make_directory();
    pid_t child = start(be_denied_on_a_small_stack);
    int status = end_of(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIP) {
        printf("skipped: the system has no threads with so small a stack\n");
    } else {
        CHECK_EQ(0, status);
        read_autopsy(child, "");
        is_whole();
    }
    remove_directory();
}

static int may_go_on[2];

static void *hold_the_tree(void *ready) {
    heap_lock_tree();
    pthread_barrier_wait(ready);
    char c;
    CHECK_EQ(1, read(may_go_on[0], &c, 1));
    heap_unlock_tree();
    return NULL;
}

static void be_denied_beside_a_stopped_thread(void) {
    rn_heap *heap = made(NULL, "narrow", MIB);
    pthread_t other;
    pthread_barrier_t ready;
    pthread_barrier_init(&ready, NULL, 2);
    REQUIRE(pipe(may_go_on) == 0 && pthread_create(&other, NULL, hold_the_tree, &ready) == 0);
    pthread_barrier_wait(&ready);
    is_denied(heap, 2 * MIB);
    CHECK_EQ(1, write(may_go_on[1], "x", 1));
    pthread_join(other, NULL);
}

static void a_lock_that_another_thread_keeps_costs_a_part_and_no_more(void) {
    CHECK_EQ(0, leave(be_denied_beside_a_stopped_thread));
    says("Missing: another thread holds the tree of heaps, and did not let go of it.");
    is_whole();
}

/* --- where it is written -------------------------------------------------------------------------------------- */

static void deny_and_look_at_the_mode(mode_t mask) {
    umask(mask);
    ask_too_much();
    char path[PATH_BYTES * 2];
    path_of(path, getpid(), "");
    struct stat found = {0};
    CHECK_EQ(0, lstat(path, &found));
    CHECK_EQ(S_IFREG | 0600, found.st_mode);
}

static void deny_where_files_are_for_all(void) {
    deny_and_look_at_the_mode(0);
}

static void deny_where_files_are_for_nobody(void) {
    deny_and_look_at_the_mode(0777);
}

static void the_file_is_for_its_owner_alone(void) {
    CHECK_EQ(0, leave(deny_where_files_are_for_all));
    CHECK_EQ(0, leave(deny_where_files_are_for_nobody));
}

static void write_victim(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    REQUIRE(file >= 0 && write(file, "victim", 6) == 6);
    close(file);
}

static void check_victim(const char *path) {
    char found[16] = "";
    int file = open(path, O_RDONLY);
    CHECK(file >= 0 && read(file, found, sizeof found - 1) == 6);
    close(file);
    CHECK_TEXT("victim", found);
}

static void be_denied_among_links(void) {
    char victim[PATH_BYTES * 2], path[PATH_BYTES * 2], part[PATH_BYTES * 2 + 8];
    snprintf(victim, sizeof victim, "%s/victim", directory);
    write_victim(victim);
    path_of(path, getpid(), "");
    snprintf(part, sizeof part, "%s.part", path);
    REQUIRE(symlink(victim, path) == 0 && symlink(victim, part) == 0);
    ask_too_much();
    check_victim(victim);
    CHECK_EQ(4, files(false));
}

static void links_are_not_followed(void) {
    make_directory();
    pid_t child = start(be_denied_among_links);
    CHECK_EQ(0, end_of(child));
    read_autopsy(child, ".1");
    is_whole();
    remove_directory();
}

static void take_all_names(char path[PATH_BYTES * 2]) {
    char number[8] = "";
    for (int i = 0; i < 10; i++) {
        if (i != 0)
            snprintf(number, sizeof number, ".%d", i);
        path_of(path, getpid(), number);
        write_victim(path);
    }
}

static void be_silent(void) {
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
}

static void be_denied_where_all_is_taken(void) {
    char path[PATH_BYTES * 2];
    take_all_names(path);
    be_silent();
    ask_too_much();
    check_victim(path);
    CHECK_EQ(10, files(false));
}

static void no_file_is_written_over(void) {
    make_directory();
    CHECK_EQ(0, end_of(start(be_denied_where_all_is_taken)));
    remove_directory();
}

static void be_denied_where_nothing_is(void) {
    char nowhere[PATH_BYTES * 2];
    snprintf(nowhere, sizeof nowhere, "%s/nowhere", directory);
    listen_in(nowhere);
    be_silent();
    ask_too_much();
}

static void where_no_file_can_be_a_denial_is_as_ever(void) {
    make_directory();
    CHECK_EQ(0, end_of(start(be_denied_where_nothing_is)));
    CHECK_EQ(0, files(false));
    remove_directory();
}

static void go_elsewhere(void) {
    REQUIRE(chdir(directory) == 0);
    listen_in(".");
    REQUIRE(chdir("/") == 0);
    ask_too_much();
}

static void a_relative_place_is_where_it_was_at_the_start(void) {
    CHECK_EQ(0, leave(go_elsewhere));
    is_whole();
}

static void be_denied_without_a_place(void) {
    ask_too_much();
    CHECK_EQ(0, files(false));
}

static void without_the_variable_no_file_is_written(void) {
    make_directory();
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        observe_start((char *[]){NULL});
        be_denied_without_a_place();
        _exit(check.failures != 0);
    }
    CHECK_EQ(0, end_of(child));
    remove_directory();
}

static void be_denied_under_a_size_limit(void) {
    struct rlimit small = {1000, 1000};
    be_silent();
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    ask_too_much();
    CHECK_EQ(0, files(false));
}

static void a_limit_on_files_sizes_kills_nobody(void) {
    make_directory();
    CHECK_EQ(0, end_of(start(be_denied_under_a_size_limit)));
    remove_directory();
}

/* In a mount namespace of its own, where that can be had. */
static void mount_apart(const char *on, const char *options) {
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", on, "tmpfs", 0, options) != 0)
        _exit(SKIP);
}

static void be_denied_on_a_full_disk(void) {
    mount_apart(directory, "size=4k");
    be_silent();
    char path[PATH_BYTES * 2];
    path_of(path, getpid(), ".9");
    write_victim(path);
    ask_too_much();
    CHECK_EQ(1, files(false));
}

static void be_denied_without_proc(void) {
    mount_apart("/proc", "size=4k");
    ask_too_much();
}

static bool was_skipped(int status) {
    bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == SKIP;
    if (skipped)
        printf("skipped: %s: nothing can be mounted here\n", check.test);
    else
        CHECK_EQ(0, status);
    return skipped;
}

static void a_full_disk_keeps_no_half_of_it(void) {
    make_directory();
    was_skipped(end_of(start(be_denied_on_a_full_disk)));
    remove_directory();
}

static void without_proc_parts_are_missing_and_the_rest_is_there(void) {
    make_directory();
    pid_t child = start(be_denied_without_proc);
    if (!was_skipped(end_of(child))) {
        read_autopsy(child, "");
        says("Missing: /proc/self/maps can't be read.");
        says("Missing: /proc/self/smaps can't be read.");
        says("program (no /proc), process %d");
        is_whole();
    }
    remove_directory();
}

TESTS(TEST(it_tells_who_asked_and_what_had_no_room), TEST(it_shows_the_tree_of_heaps_largest_first),
      TEST(it_shows_the_arenas_of_a_heap_largest_first), TEST(it_shows_what_is_live_in_each_size_class),
      TEST(it_shows_the_largest_blocks), TEST(it_tells_what_threads_have_cached_apart),
      TEST(a_request_that_no_memory_could_meet_is_not_denied_by_a_limit),
      TEST(what_the_system_refuses_is_counted_and_no_denial), TEST(the_stack_names_the_program),
      TEST(the_largest_mappings_are_shown), TEST(names_are_made_fit_to_print),
      TEST(thousands_of_heaps_are_all_shown_in_order), TEST(heaps_are_as_they_were_after_it),
      TEST(only_the_first_denial_leaves_one), TEST(one_for_a_request_larger_than_the_limit_leaves_room_for_another),
      TEST(it_is_whole_if_the_program_is_killed_right_after),
      TEST(of_threads_that_race_one_writes_and_all_go_on_when_it_is_there), TEST(a_child_leaves_its_own),
      TEST(a_denial_inside_a_callback_leaves_one), TEST(a_stack_of_16_kib_will_do),
      TEST(a_lock_that_another_thread_keeps_costs_a_part_and_no_more), TEST(the_file_is_for_its_owner_alone),
      TEST(links_are_not_followed), TEST(no_file_is_written_over), TEST(where_no_file_can_be_a_denial_is_as_ever),
      TEST(a_relative_place_is_where_it_was_at_the_start), TEST(without_the_variable_no_file_is_written),
      TEST(a_limit_on_files_sizes_kills_nobody), TEST(a_full_disk_keeps_no_half_of_it),
      TEST(without_proc_parts_are_missing_and_the_rest_is_there))
