/* configure.c: the RATION_ variables, read once at start, never in a set-uid program; and the figures at the end.
 *
 * A value that can't be understood is one line to stderr and otherwise as if it were not there. */
#include "footprint.h"
#include "hardened.h"
#include "sample.h"
#include "shared.h"
#include "statistics_file.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LINE_BYTES = 512 };

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
    if (!statistics_file_set(value))
        refuse("RATION_STATS", value, "the name of a file, of at most 4095 bytes");
}

/* A number and its unit, in capitals or not: powers of 1024. False if it is something else, or 0, or too large. */
static bool read_bytes(const char *value, size_t *bytes) {
    static const struct unit {
        const char *name;
        unsigned shift;
    } units[] = {{"B", 0},  {"K", 10},   {"KiB", 10}, {"M", 20},  {"MiB", 20},
                 {"G", 30}, {"GiB", 30}, {"T", 40},   {"TiB", 40}};
    size_t number = 0;
    const char *c = value;
    for (; *c >= '0' && *c <= '9'; c++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *c - '0', &number))
            return false;
    for (size_t i = 0; i < sizeof units / sizeof *units && number != 0; i++)
        if (strcasecmp(c, units[i].name) == 0 && number <= (size_t)PTRDIFF_MAX >> units[i].shift) {
            *bytes = number << units[i].shift;
            return true;
        }
    return false;
}

static size_t read_size(const char *name, const char *value) {
    size_t bytes = 0;
    if (!read_bytes(value, &bytes))
        refuse(name, value, "a size with its unit, as 500M or 64KiB");
    return bytes;
}

/* Of several limits the one that is met first holds, in whichever order they are read. */
static void limit_root(size_t bytes) {
    if (bytes != 0 && (root_heap.limit == 0 || bytes < root_heap.limit))
        root_heap.limit = bytes;
}

static void set_limit(const char *value) {
    limit_root(read_size("RATION_LIMIT", value));
}

static void set_soft_limit(const char *value) {
    root_heap.soft = read_size("RATION_SOFT", value);
}

static void set_reserve(const char *value) {
    size_t bytes = strcmp(value, "0") == 0 ? 0 : read_size("RATION_RESERVE", value);
    if (bytes != 0 || strcmp(value, "0") == 0)
        heap_set_reserve(bytes);
}

/* A number below a bound, then what must stand behind it. */
static bool read_number(const char *text, unsigned bound, const char *behind, unsigned *number) {
    *number = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9' && *number < bound; c++)
        *number = *number * 10 + (unsigned)(*c - '0');
    return c != text && *number < bound && strcmp(c, behind) == 0;
}

enum { WAIT_MAX_MS = 100000000, EXIT_CODES = 256 };

static void set_on_limit(const char *value) {
    unsigned argument = 0;
    if (strcmp(value, "deny") == 0)
        on_limit_set(ON_LIMIT_DENY, 0);
    else if (strcmp(value, "abort") == 0)
        on_limit_set(ON_LIMIT_ABORT, 0);
    else if (strncmp(value, "wait:", 5) == 0 && read_number(value + 5, WAIT_MAX_MS, "ms", &argument))
        on_limit_set(ON_LIMIT_WAIT, argument);
    else if (strncmp(value, "exit:", 5) == 0 && read_number(value + 5, EXIT_CODES, "", &argument))
        on_limit_set(ON_LIMIT_EXIT, argument);
    else
        refuse("RATION_ON_LIMIT", value, "deny, wait:500ms, abort or exit:3");
}

/* Where it can't join, the process has the limit for itself. */
static void set_run(const char *value) {
    const char *limit = strchr(value, ' ');
    if (!shared_join(value) && limit != NULL)
        limit_root(read_size("RATION_RUN", limit + 1));
}

static const struct variable {
    const char *name;
    void (*set)(const char *value);
} variables[] = {
    {"RATION_HARDEN", set_harden},     {"RATION_LIMIT", set_limit},      {"RATION_NAMES", set_names},
    {"RATION_ON_LIMIT", set_on_limit}, {"RATION_RESERVE", set_reserve},  {"RATION_RUN", set_run},
    {"RATION_SOFT", set_soft_limit},   {"RATION_STATS", set_statistics},
};

const char *library_variable(char **environment, const char *name) {
    bool is_anothers = &rn_starts_another != NULL && strcmp(name, "RATION_RUN") != 0;
    return is_anothers ? NULL : os_variable(environment, name);
}

/* Whichever of the two was read first. */
static void check_soft_limit(char **environment) {
    if (root_heap.limit == 0 || root_heap.soft <= root_heap.limit)
        return;
    refuse("RATION_SOFT", library_variable(environment, "RATION_SOFT"), "no more than RATION_LIMIT");
    root_heap.soft = 0;
}

static void read_variables(char **environment) {
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = library_variable(environment, variables[i].name);
        if (value != NULL)
            variables[i].set(value);
    }
    check_soft_limit(environment);
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
    if (!statistics_file_write())
        refuse("RATION_STATS", statistics_file_name(), "the name of a file that can be written");
}

void finish(void) {
    /* A signal handler may exit in the middle of anything; what it interrupted is then not fit to be judged. */
    if (library_is_at_work())
        return;
    if ((hardened || sample_is_taken()) && threads_alone())
        (hardened ? hardened_check_all : sample_check_all)();
    threads_take_over();
    thread_drain_own();
    write_statistics();
    shared_tell_last();
}
