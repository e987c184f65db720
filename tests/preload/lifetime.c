/* lifetime.c: memory at the ends of a life: before main, after the exit handlers, in a thread's last destructors, in a
 * library that comes by dlopen and goes by dlclose, and what outlives the thread that made it. */
#define _GNU_SOURCE
#include "again.h"
#include "loadable.h"

#include <pthread.h>

#ifdef __GLIBC__
static char *early_block;
#endif
static char *constructor_block;

enum { EARLY_SIZE = 3000, EARLY_SEED = 1, CONSTRUCTOR_SEED = 2 };

#ifdef __GLIBC__
/* Runs before any constructor, those of libraries included. */
static void allocate_early(int argc, char **argv, char **environment) {
    (void)argc, (void)argv, (void)environment;
    early_block = malloc(EARLY_SIZE);
    if (early_block)
        pattern_write(early_block, EARLY_SIZE, EARLY_SEED);
    free(calloc(10, 10));
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(int, char **, char **) = allocate_early;
#endif

__attribute__((constructor(101))) static void allocate_in_constructor(void) {
    constructor_block = malloc(EARLY_SIZE);
    if (constructor_block)
        pattern_write(constructor_block, EARLY_SIZE, CONSTRUCTOR_SEED);
    for (size_t i = 0; i < 1000; i++)
        free(malloc(i * 10));
}

static void blocks_from_before_main_are_whole(void) {
#ifdef __GLIBC__
    REQUIRE(early_block != NULL);
    CHECK(pattern_holds(early_block, EARLY_SIZE, EARLY_SIZE, EARLY_SEED));
    early_block = realloc(early_block, 2 * EARLY_SIZE);
    CHECK(pattern_holds(early_block, EARLY_SIZE, EARLY_SIZE, EARLY_SEED));
    free(early_block);
#endif
    REQUIRE(constructor_block != NULL);
    CHECK(pattern_holds(constructor_block, EARLY_SIZE, EARLY_SIZE, CONSTRUCTOR_SEED));
    free(constructor_block);
}

static char *kept_until_the_end;

static int exit_code_of_last_destructor;

/* Runs after every exit handler and every other destructor of the program. */
__attribute__((destructor(101))) static void allocate_in_destructor(void) {
    if (!kept_until_the_end)
        return;
    for (size_t i = 0; i < 1000; i++)
        free(malloc(i * 100));
    if (!pattern_holds(kept_until_the_end, EARLY_SIZE, EARLY_SIZE, 3))
        exit_code_of_last_destructor = 5;
    free(kept_until_the_end);
    free(realloc(calloc(1, 1000), 100000));
    _exit(exit_code_of_last_destructor);
}

static void allocate_at_exit(void) {
    char *block = malloc(100000);
    if (block == NULL || !pattern_holds(kept_until_the_end, EARLY_SIZE, EARLY_SIZE, 3))
        _exit(6);
    memset(block, 1, 100000);
    free(block);
}

static void *exit_in_a_thread(void *unused) {
    free(malloc(100));
    exit(0);
    return unused;
}

/* Ends by exit() with handlers and destructors that allocate; a thread may be the one who ends it. */
static int end_with_handlers(bool in_thread) {
    kept_until_the_end = malloc(EARLY_SIZE);
    pattern_write(kept_until_the_end, EARLY_SIZE, 3);
    exit_code_of_last_destructor = 0;
    atexit(allocate_at_exit);
    pthread_t thread;
    if (in_thread && pthread_create(&thread, NULL, exit_in_a_thread, NULL) == 0)
        pthread_join(thread, NULL);
    return 9;
}

static void check_exit(int status) {
    if (WIFSIGNALED(status))
        check_fail(__FILE__, __LINE__, "ended by signal %d", WTERMSIG(status));
    else
        CHECK_EQ(0, WEXITSTATUS(status));
}

static void exit_handlers_and_destructors_may_allocate(void) {
    check_exit(run_again("--end", NULL));
    check_exit(run_again("--end-in-thread", NULL));
}

static void *allocate_for_ever(void *seed) {
    for (size_t i = (size_t)seed;; i++)
        free(malloc(1 + i * 7 % 3000));
    return NULL;
}

/* main returns while others are amid malloc and free. */
static int exit_amid_threads(void) {
    for (size_t i = 0; i < 4; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, allocate_for_ever, (void *)(i * 1000)) != 0)
            return 3;
    }
    usleep(20000);
    return 0;
}

static void programs_may_end_while_threads_allocate(void) {
    for (int i = 0; i < (emulated() ? 5 : 100); i++)
        check_exit(run_again("--exit-amid-threads", NULL));
}

static pthread_key_t keys[8];

/* Every round of the key's destructors allocates anew, to the last that the system runs. */
static void allocate_at_thread_end(void *value) {
    size_t round = (size_t)value;
    void *block = malloc(round * 1000);
    CHECK(block != NULL);
    memset(block, 1, round * 1000);
    free(block);
    free(calloc(round, 64));
    if (round < 6)
        pthread_setspecific(keys[round % 8], (void *)(round + 1));
}

static void *leave_with_keys(void *unused) {
    for (size_t i = 0; i < 8; i++)
        pthread_setspecific(keys[i], (void *)(i % 3 + 1));
    return unused;
}

/* The first thing this thread ever asks of malloc, it asks in its last moment. */
static void thread_exit_destructors_may_allocate(void) {
    for (int i = 0; i < 8; i++)
        REQUIRE(pthread_key_create(&keys[i], allocate_at_thread_end) == 0);
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, leave_with_keys, NULL) == 0);
        pthread_join(thread, NULL);
    }
    for (int i = 0; i < 8; i++)
        pthread_key_delete(keys[i]);
}

enum { LEFT = 2000 };

static void *leave_blocks(void *blocks) {
    for (size_t i = 0; i < LEFT; i++) {
        ((void **)blocks)[i] = malloc(10 + i);
        pattern_write(((void **)blocks)[i], 10 + i, i);
    }
    return NULL;
}

static void blocks_outlive_their_thread(void) {
    static void *blocks[10][LEFT];
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, leave_blocks, blocks[i]) == 0);
        pthread_join(thread, NULL);
    }
    for (int i = 0; i < 10; i++)
        for (size_t j = 0; j < LEFT; j++) {
            CHECK(pattern_holds(blocks[i][j], 10 + j, 10 + j, j));
            free(blocks[i][j]);
        }
}

static size_t resident_kib(void) {
    size_t total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu %zu", &total, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void *use_some(void *unused) {
    void *blocks[100];
    for (size_t i = 0; i < 100; i++)
        blocks[i] = malloc(1 + i * 100);
    for (size_t i = 0; i < 100; i++)
        free(blocks[i]);
    return unused;
}

/* Ten thousand threads, one after the other, leave nothing behind. */
static void ended_threads_leave_nothing_behind(void) {
    size_t before = 0;
    for (int i = 0; i < (emulated() ? 2000 : 10000); i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, use_some, NULL) == 0);
        pthread_join(thread, NULL);
        if (i == 500)
            before = resident_kib();
    }
    size_t after = resident_kib();
    if (!emulated() && after > before + 2048)
        check_fail(__FILE__, __LINE__, "resident went from %zu to %zu KiB", before, after);
}

static const char library_source[] =
    "#include <pthread.h>\n"
    "#include <stdlib.h>\n"
    "#include <string.h>\n"
    "static char *block; static __thread char *own; static pthread_key_t key;\n"
    "__attribute__((constructor)) static void come(void) {\n"
    "    block = malloc(5000); memset(block, 7, 5000); pthread_key_create(&key, free);\n"
    "}\n"
    "__attribute__((destructor)) static void go(void) {\n"
    "    free(block); free(own); pthread_key_delete(key); free(calloc(100, 100));\n"
    "}\n"
    "char *give(size_t size) {\n"
    "    own = realloc(own, size); pthread_setspecific(key, malloc(size)); return malloc(size);\n"
    "}\n";

static void *visit(void *library) {
    void *handle = dlopen(library, RTLD_NOW);
    if (handle == NULL)
        return hide(&check);
    char *(*give)(size_t) = (char *(*)(size_t))dlsym(handle, "give");
    char *kept = give ? give(3000) : NULL;
    if (kept)
        memset(kept, 1, 3000);
    dlclose(handle);
    free(kept);
    return NULL;
}

static void unloaded_libraries_may_have_allocated(void) {
    char directory[] = "/tmp/lifetime-XXXXXX", library[256];
    REQUIRE(mkdtemp(directory) != NULL);
    if (emulated() || dlopen(NULL, RTLD_NOW) == NULL ||
        !make_loadable(directory, "cc -x c", library_source, library, sizeof library)) {
        skip("nothing can be loaded here, or there is no compiler to make it");
    } else {
        for (int i = 0; i < 50; i++) {
            CHECK_EQ((void *)NULL, visit(library));
            pthread_t thread;
            void *result = NULL;
            REQUIRE(pthread_create(&thread, NULL, visit, library) == 0);
            pthread_join(thread, &result);
            CHECK_EQ((void *)NULL, result);
        }
        unlink(library);
    }
    rmdir(directory);
}

static const check_test tests[] = {
    TEST(blocks_from_before_main_are_whole),
    TEST(exit_handlers_and_destructors_may_allocate),
    TEST(programs_may_end_while_threads_allocate),
    TEST(thread_exit_destructors_may_allocate),
    TEST(blocks_outlive_their_thread),
    TEST(ended_threads_leave_nothing_behind),
    TEST(unloaded_libraries_may_have_allocated),
};

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--end") == 0) {
        end_with_handlers(false);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--end-in-thread") == 0)
        return end_with_handlers(true);
    if (argc == 2 && strcmp(argv[1], "--exit-amid-threads") == 0)
        return exit_amid_threads();
    return check_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
