/* valgrind.c: one mistake with memory, for valgrind.sh to have memcheck look at: valgrind MISTAKE SIZE.
 *
 * ON_NAMES makes it one with the rn_ names. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef ON_NAMES
#include <ration/ration.h>
#define malloc rn_malloc
#define calloc rn_calloc
#define realloc rn_realloc
#define free rn_free
#endif

enum { BLOCKS = 100 };

static char *blocks[BLOCKS];
static volatile char seen;

static void read_past(size_t size) {
    seen = ((volatile char *)blocks[1])[size];
}

static void read_freed(size_t size) {
    free(blocks[1]);
    seen = ((volatile char *)blocks[1])[size / 2];
    blocks[1] = NULL;
}

static void use_unwritten(size_t size) {
    if (((volatile char *)blocks[1])[size / 2] == 1)
        puts("one");
}

/* Not the first block that was made: what lies where a span begins, the span's own record points to. */
static void lose(size_t size) {
    (void)size;
    blocks[BLOCKS / 2] = NULL;
}

static void *come_and_go(void *unused) {
    for (size_t size = 1; size < 300000; size += 1 + size / 5) {
        char *block = malloc(size);
        memset(block, 1, size);
        block = realloc(block, size + size / 2);
        if (block[size - 1] == 1)
            memset(block, 2, size + size / 2);
        block = realloc(block, size / 2 + 1);
        seen = block[size / 2];
        free(block);
        block = calloc(size, 1);
        if (block[size - 1] == 1)
            puts("one");
        free(block);
    }
    return unused;
}

/* No mistake. */
static void work(size_t size) {
    pthread_t thread;
    (void)size;
    come_and_go(NULL);
    if (pthread_create(&thread, NULL, come_and_go, NULL) == 0)
        pthread_join(thread, NULL);
}

static const struct {
    const char *name;
    void (*make)(size_t size);
} mistakes[] = {{"read-past", read_past},
                {"read-freed", read_freed},
                {"use-unwritten", use_unwritten},
                {"lose", lose},
                {"none", work}};

int main(int count, char **arguments) {
    size_t size = count == 3 ? strtoul(arguments[2], NULL, 10) : 0;
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(size);
    for (size_t i = 0; size != 0 && i < sizeof mistakes / sizeof *mistakes; i++)
        if (strcmp(arguments[1], mistakes[i].name) == 0)
            mistakes[i].make(size);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return 0;
}
