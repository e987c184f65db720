/* configure.c: the RATION_ variables, read once at start, never in a set-uid program; and the figures at the end.
 *
 * A value that can't be understood is one line to stderr and otherwise as if it were not there. */
#include "sample.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 512 };

static char statistics_file[LINE_BYTES];
static bool sampled = true;

static void refuse(const char *name, const char *value, const char *takes) {
    char line[LINE_BYTES];
    int length = snprintf(line, sizeof line, "ration: %s=%s: %s takes %s; ignored\n", name, value, name, takes);
    if (length <= 0)
        return;
    size_t said = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    line[said - 1] = '\n'; /* a value too long was cut */
    os_say(line, said);
}

static void set_harden(const char *value) {
    if (strcmp(value, "1") == 0)
        hardened_start();
    else if (strcmp(value, "0") == 0)
        sampled = false;
    else
        refuse("RATION_HARDEN", value, "0 or 1");
}

static void set_names(const char *value) {
    if (strcmp(value, "1") == 0)
        os.names = true;
    else if (strcmp(value, "0") != 0)
        refuse("RATION_NAMES", value, "0 or 1");
}

static void set_statistics(const char *value) {
    size_t length = strlen(value);
    if (length == 0 || length >= sizeof statistics_file)
        refuse("RATION_STATS", value, "the name of a file, of at most 511 bytes");
    else
        memcpy(statistics_file, value, length + 1);
}

static const struct variable {
    const char *name;
    void (*set)(const char *value);
} variables[] = {
    {"RATION_HARDEN", set_harden},
    {"RATION_NAMES", set_names},
    {"RATION_STATS", set_statistics},
};

static void read_variables(char **environment) {
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = os_variable(environment, variables[i].name);
        if (value != NULL)
            variables[i].set(value);
    }
}

void configure(char **environment) {
    static bool done;
    if (done || environment == NULL)
        return;
    done = true;
    if (!os.secure)
        read_variables(environment);
    if (sampled)
        sample_start();
}

/* --- the end -------------------------------------------------------------------------------------------------- */

static void write_statistics(void) {
    char text[LINE_BYTES];
    rn_stats stats;
    heap_read(&root_heap, &stats);
    page_heap_figures pages = page_heap_read();
    int length =
        snprintf(text, sizeof text, "used %zu\npeak %zu\nlive %zu\nobjects %zu\ndenied %zu\nfree %zu\nreturned %zu\n",
                 stats.used, stats.peak, stats.live, stats.objects, stats.denied, pages.dirty,
                 pages.purged + store_purged_bytes());
    if (length <= 0 || !os_write_file(statistics_file, text, (size_t)length))
        refuse("RATION_STATS", statistics_file, "the name of a file that can be written");
}

void finish(void) {
    /* A signal handler may exit in the middle of anything; what it interrupted is then not fit to be judged. */
    if (this_thread.inside != 0)
        return;
    if ((hardened || sample_is_taken()) && threads_alone())
        (hardened ? hardened_check_all : sample_check_all)();
    threads_take_over();
    thread_drain_own();
    if (statistics_file[0] != 0)
        write_statistics();
}
