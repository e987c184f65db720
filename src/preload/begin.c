/* begin.c: the preload library's start and end within a program.
 *
 * The constructor runs before all others (-z initfirst), in glibc even before libc has set environ, which is why it
 * takes what it is handed; musl hands constructors nothing, but has environ by then. */
#include "../heap/mapped.h"
#include "../heap/shared.h"
#include "../heap/tell_valgrind.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ration/base.h>

/* Not there in a static program, which can't have a second malloc either.
 * NOLINTNEXTLINE(readability-redundant-declaration) */
extern void *dlsym(void *handle, const char *name) __attribute__((weak));

/* Names by which a malloc that a program links is known; ours has taken its place by then. */
extern int jemalloc_name(void) __asm__("mallctl") __attribute__((weak));
extern int tcmalloc_name(void) __asm__("tc_version") __attribute__((weak));
extern int mimalloc_name(void) __asm__("mi_version") __attribute__((weak));

static void say(const char *what) {
    char line[160];
    int length = snprintf(line, sizeof line, "ration: %s\n", what);
    os_say(line, (size_t)length);
}

/* Whether malloc, as the program's libraries see it, is somebody else's: what strdup gives is then not ours. Another
 * Ration linked into the program is not worth a word. */
static void tell_who_serves(void) {
    if (os.valgrind)
        return; /* which puts its own malloc in every library's place, and says so itself */
    char *probe = strdup("");
    bool ours = probe == NULL || rn_heap_of(probe) != NULL;
    if (ours)
        rn_free(probe);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): only whose it is knows how to free it */
    if (ours && (jemalloc_name != NULL || tcmalloc_name != NULL || mimalloc_name != NULL))
        say("this program links a malloc of its own; Ration serves in its place, but for what it asks of that by name");
    if (ours || dlsym == NULL || dlsym(RTLD_DEFAULT, "rn_version") != (void *)rn_version)
        return;
    if (dlsym(RTLD_DEFAULT, "__asan_init") != NULL)
        say("this program was built with AddressSanitizer, which brings its own malloc; Ration serves nothing");
    else
        say("this program brings its own malloc; Ration serves nothing");
}

/* --- programs that are to run without ------------------------------------------------------------------------------ */

static bool begins_with(const char *text, const char *beginning) {
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* Takes the library, which `ration run` put first, out of what is preloaded. False where nothing else is. */
static bool keep_others_preloaded(char *entry) {
    char *list = strchr(entry, '=') + 1, *others = list + strcspn(list, ": ");
    others += strspn(others, ": ");
    memmove(list, others, strlen(others) + 1);
    return *list != 0;
}

/* What only the command reads is left to a command that the program starts. */
static bool is_for_children(char *entry) {
    if (begins_with(entry, "LD_PRELOAD="))
        return keep_others_preloaded(entry);
    return !begins_with(entry, "RATION_") || begins_with(entry, "RATION_PRELOAD_PATH=");
}

/* In place: libc takes the same array for its own. */
static void release_children(char **environment) {
    char **kept = environment;
    for (char **entry = environment; *entry != NULL; entry++)
        if (is_for_children(*entry))
            *kept++ = *entry;
    *kept = NULL;
}

/* What the program is told by its environment, and its children after it. */
static void read_environment(char **environment) {
    configure(environment);
    if (shared_excludes_children())
        release_children(environment);
}

__attribute__((constructor)) static void begin(int count, char **arguments, char **environment) {
    (void)count;
    (void)arguments;
    start_once();
#if defined(__GLIBC__)
    read_environment(environment);
#else
    (void)environment;
    read_environment(environ);
#endif
    mapped_watch();
    tell_who_serves();
}

__attribute__((destructor)) static void end(void) {
    finish();
}
