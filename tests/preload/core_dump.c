/* core_dump.c: what a core file holds: what is live, and nothing that was freed and given back to the system. Only where the kernel
 * writes core files into the working directory (core(5)). */
#define _GNU_SOURCE
#include "again.h"

#include <dirent.h>

int malloc_trim(size_t); /* musl has none, and so declares none */

enum { BLOCK = 100000, FREED_BLOCKS = 300, LIVE_BLOCKS = 3, A_FEW = 100 };

typedef uint64_t mark;

static mark freed_mark, live_mark; /* drawn by lot, so that they are nowhere else */

static char *marked(mark m) {
    mark *block = malloc(BLOCK);
    REQUIRE(block != NULL);
    for (size_t i = 0; i < BLOCK / sizeof m; i++)
        block[i] = m;
    return (char *)block;
}

static void die_with_marks(void) {
    static char *freed[FREED_BLOCKS], *live[LIVE_BLOCKS];
    for (size_t i = 0; i < FREED_BLOCKS; i++)
        freed[i] = marked(freed_mark);
    for (size_t i = 0; i < LIVE_BLOCKS; i++)
        live[i] = marked(live_mark);
    for (size_t i = 0; i < FREED_BLOCKS; i++)
        free(freed[i]);
    malloc_trim(0);
    hide(live);
    abort();
}

static size_t count_in(FILE *core, mark m) {
    mark words[512];
    size_t count = 0, got;
    rewind(core);
    while ((got = fread(words, sizeof *words, 512, core)) != 0)
        for (size_t i = 0; i < got; i++)
            count += words[i] == m;
    return count;
}

/* The core file of a child, opened and removed; NULL where none is written. */
static FILE *core_of_child(void) {
    char directory[] = "/tmp/core-dump-XXXXXX", path[512];
    REQUIRE(mkdtemp(directory) != NULL);
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
        if (setrlimit(RLIMIT_CORE, &all) == 0 && chdir(directory) == 0)
            die_with_marks();
        _exit(0);
    }
    waitpid(child, NULL, 0);
    FILE *core = NULL;
    DIR *entries = opendir(directory);
    for (struct dirent *entry; core == NULL && (entry = readdir(entries)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (strncmp(entry->d_name, "core", 4) == 0 && (core = fopen(path, "r")) != NULL)
            unlink(path);
    }
    closedir(entries);
    rmdir(directory);
    return core;
}

static void a_core_file_has_what_is_live_and_not_what_was_freed(void) {
    random_source lot = {(uint64_t)getpid()};
    freed_mark = random_next(&lot);
    live_mark = random_next(&lot);
    FILE *core = core_of_child();
    if (core == NULL) {
        skip("no core file is written here");
        return;
    }
    CHECK(count_in(core, live_mark) >= LIVE_BLOCKS * BLOCK / sizeof(mark));
    CHECK(count_in(core, freed_mark) < A_FEW); /* the variable, and a register or two */
    fclose(core);
}

TESTS(TEST(a_core_file_has_what_is_live_and_not_what_was_freed))
