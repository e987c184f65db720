/* loading.c: loads the library named by its argument, and looks at what that changed in the process.
 *
 * Built and run by loading.sh. Addresses of functions are looked up in the way that a library loaded later would. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void expect(bool held, const char *claim) {
    if (held)
        return;
    printf("not so: %s\n", claim);
    failures++;
}

/* Mappings that are no file's. */
static int count_anonymous_mappings(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int count = 0;
    while (fgets(line, sizeof line, maps))
        count += !strchr(line, '/') && !strchr(line, '[');
    fclose(maps);
    return count;
}

/* A number from /proc/self/status. */
static long read_status(const char *field) {
    FILE *status = fopen("/proc/self/status", "r");
    char line[512];
    long number = -1;
    while (number < 0 && fgets(line, sizeof line, status))
        if (strncmp(line, field, strlen(field)) == 0)
            number = atol(line + strlen(field));
    fclose(status);
    return number;
}

static int count_handlers(void) {
    int count = 0;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            count++;
    }
    return count;
}

/* Whether the name is still answered by libc. */
static bool is_libc(const char *name) {
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, name);
    return address && dladdr(address, &info) && strstr(info.dli_fname, "/libc.so") != NULL;
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    dlopen("libm.so.6", RTLD_NOW); /* so that what the loader maps and unmaps at its first use is over */
    int mappings = count_anonymous_mappings();
    int handlers = count_handlers();
    long resident = read_status("RssAnon:");
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        printf("%s\n", dlerror());
        return 2;
    }
    static const char *const names[] = {"malloc",        "calloc",         "realloc",  "free",
                                        "aligned_alloc", "posix_memalign", "memalign", "malloc_usable_size",
                                        "reallocarray",  "fork",           "mmap",     "pthread_create"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect(is_libc(names[i]), names[i]);
    /* The library's own zero-initialised data is a mapping; what of it was touched is the loader's work. */
    expect(count_anonymous_mappings() <= mappings + 1, "no memory was mapped");
    expect(read_status("RssAnon:") <= resident + 64, "no memory became resident");
    expect(read_status("Threads:") == 1, "no thread was started");
    expect(count_handlers() == handlers, "no signal handler was set");

    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "rn_malloc");
    void (*release)(void *) = (void (*)(void *))dlsym(library, "rn_free");
    void *block = allocate ? allocate(100) : NULL;
    expect(block != NULL, "the library works when it is called");
    if (block)
        release(block);
    return failures > 0;
}
