/* summary.c: one paragraph at the end: how much the program held, what was denied, where the memory was, what to do next.
 *
 * Start at run_summary(). It is told from the shared page, so that it can be told of a program that was killed, too. */
#include "run.h"

#include "sizes.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARAGRAPH = 3 * PATH_MAX, COLUMNS = 80, MIB = 1 << 20 };

static const char prefix[] = "ration: ";

static void append(char *paragraph, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char *paragraph, const char *format, ...) {
    size_t length = strlen(paragraph);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(paragraph + length, PARAGRAPH - length, format, // NOLINT(clang-analyzer-valist.Uninitialized)
                    arguments);
    va_end(arguments);
}

/* The format has one %s, for the bytes. */
static void append_size(char *paragraph, const char *format, uint64_t bytes) __attribute__((format(printf, 2, 0)));

static void append_size(char *paragraph, const char *format, uint64_t bytes) {
    char text[SIZE_TEXT];

    append(paragraph, format, size_text(bytes, text));
}

static const char *plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

/* Only then it is counted what they hold together. */
static bool is_limit_shared(const run_state *state) {
    return state->offer.page->limit != 0 && state->options->children != SHARED_CHILDREN_EACH;
}

/* Of all together, or of any one process. */
static uint64_t peak_of(const run_state *state) {
    uint64_t together = state->offer.page->peak, highest = state->offer.totals.highest_peak;

    return is_limit_shared(state) && together > highest ? together : highest;
}

static const char *holder(const run_state *state) {
    if (state->offer.totals.processes == 1)
        return state->name;
    return is_limit_shared(state) ? "the processes" : "the largest process";
}

/* Processes tell as they grow, at each MiB, and at their end, unless that is by _exit or a signal. */
static void append_peak(const run_state *state, char *paragraph) {
    uint64_t held = peak_of(state);

    append(paragraph, "%s held ", holder(state));
    if (held == 0)
        append(paragraph, "less than 1 MiB");
    else
        append_size(paragraph, "%s at most", held);
    if (is_limit_shared(state))
        append_size(paragraph, state->options->limit_auto ? ", of a limit of %s in the end" : " of %s",
                    state->offer.page->limit);
    if (state->options->limit != 0 && state->options->children == SHARED_CHILDREN_EACH)
        append_size(paragraph, ", each may hold %s", state->options->limit);
}

static void append_denied(const run_state *state, char *paragraph) {
    const offer_totals *totals = &state->offer.totals;

    if (totals->denied == 0)
        append(paragraph, "; nothing was denied.");
    else
        append(paragraph, "; %llu request%s of %u process%s %s denied.", (unsigned long long)totals->denied,
               plural(totals->denied), totals->denied_processes, totals->denied_processes == 1 ? "" : "es",
               totals->denied == 1 ? "was" : "were");
}

/* What was resident in the end, if the program could tell then; or at most: as much as ever was, of what it holds. */
static void append_footprint(const run_state *state, char *paragraph) {
    const shared_slot *slot = &state->offer.last;
    uint64_t most = state->most_resident < slot->footprint ? state->most_resident : slot->footprint;

    if (slot->resident != 0) {
        append_size(paragraph, " Of %s in the end", slot->footprint);
        append_size(paragraph, " (%s resident)", slot->resident);
        return;
    }
    append_size(paragraph, " Of %s when it last told", slot->footprint);
    if (most != 0)
        append_size(paragraph, " (at most %s resident)", most);
}

/* Where the program's memory was when it last told. */
static void append_place(const run_state *state, char *paragraph) {
    const shared_slot *slot = &state->offer.last;
    uint64_t cached = slot->cached < slot->live ? slot->cached : slot->live;

    if (slot->footprint == 0)
        return;
    append_footprint(state, paragraph);
    append_size(paragraph, " %s was live,", slot->live - cached);
    if (cached != 0)
        append_size(paragraph, " %s cached,", cached);
    append_size(paragraph, " %s free between live blocks,", slot->used > slot->live ? slot->used - slot->live : 0);
    append_size(paragraph, " %s free,", slot->free);
    append_size(paragraph, " %s mapped,", slot->mapped);
    append_size(paragraph, " %s the rest.", slot->rest);
    if (slot->returned != 0)
        append_size(paragraph, " %s had been returned.", slot->returned);
}

static void append_events(const run_state *state, char *paragraph) {
    uint64_t ms = state->offer.totals.pressure_us / 1000;

    if (ms >= 10)
        append(paragraph, " %llu.%02llu s went into pressure.", (unsigned long long)ms / 1000,
               (unsigned long long)ms % 1000 / 10);
    if (state->stray_count != 0)
        append(paragraph, " %u program%s did not run on Ration (%s).", state->stray_count, plural(state->stray_count),
               state->strays[state->stray_count - 1].name);
    if (state->left != 0)
        append(paragraph, " %u process%s on.", state->left, state->left == 1 ? " goes" : "es go");
}

/* The file that the program's figures are asked for in, its number put for each %p. False where none is, or it is too long. */
static bool name_figures(const run_state *state, char path[PATH_MAX]) {
    size_t length = 0;

    for (const char *c = state->options->statistics; *c != 0; c++) {
        bool is_number = c[0] == '%' && c[1] == 'p';
        int written = is_number ? snprintf(path + length, PATH_MAX - length, "%d", (int)state->program)
                                : snprintf(path + length, PATH_MAX - length, "%c", *c);

        length += (size_t)written;
        if (length >= PATH_MAX)
            return false;
        c += is_number;
    }
    return length != 0;
}

static bool is_written(const run_state *state, const char *path) {
    struct stat status;

    return stat(path, &status) == 0 && status.st_mtime >= state->begun;
}

static void append_figures(const run_state *state, char *paragraph) {
    char path[PATH_MAX];

    if (name_figures(state, path) && !is_written(state, path))
        append(paragraph, " %s was not written: only a program that ends by exit writes its figures.", path);
}

/* The autopsy that a process which was denied something has left, if it is where the option said. */
static bool find_autopsy(const run_state *state, char *path, size_t size) {
    const offer_totals *totals = &state->offer.totals;
    char number[16] = "";

    if (state->options->autopsy == NULL || totals->autopsy_pid == 0)
        return false;
    if (totals->autopsy_number != 0)
        (void)snprintf(number, sizeof(number), ".%u", totals->autopsy_number);
    (void)snprintf(path, size, "%s/ration-%u%s.autopsy", state->options->autopsy, totals->autopsy_pid, number);
    return access(path, F_OK) == 0;
}

/* Enough for the peak, or, for who was denied, twice what was too little. In MiB. */
static uint64_t next_limit(const run_state *state) {
    uint64_t peak = peak_of(state), limit = state->options->limit;

    return (state->offer.totals.denied != 0 && limit != 0 ? 2 * limit : peak + peak / 4) / MIB + 2;
}

/* Much less would do, as far as is known. */
static bool is_limit_large(const run_state *state) {
    return peak_of(state) != 0 && next_limit(state) * MIB <= state->options->limit / 4 * 3;
}

/* Ended by what it did itself, a bad free perhaps: by abort, or at an address that is none. */
static bool has_crashed(int status) {
    return WIFSIGNALED(status) &&
           (WTERMSIG(status) == SIGABRT || WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGSEGV);
}

static bool is_hardened(void) {
    const char *value = getenv("RATION_HARDEN");

    return value != NULL && strcmp(value, "1") == 0;
}

/* Arguments might have to be quoted. */
static void print_after_crash(const run_state *state) {
    char **program = state->options->program;

    if (is_hardened())
        (void)fprintf(stderr, "  Next: gdb --args env RATION_HARDEN=1 LD_PRELOAD=%s %s%s\n", getenv("LD_PRELOAD"),
                      program[0], program[1] == NULL ? "" : " ...");
    else
        (void)fputs("  Next: ration run --harden\n", stderr);
}

static void print_after_denial(const run_state *state) {
    char path[PATH_MAX];

    if (find_autopsy(state, path, sizeof(path)))
        (void)fprintf(stderr, "  Who held it: less %s\n", path);
    else if (state->options->limit == 0 && state->options->autopsy == NULL)
        (void)fputs("  Next: RATION_AUTOPSY=. ration run\n", stderr);
    else if (state->options->limit_auto)
        (void)fputs("  Next: a larger limit of the container\n", stderr);
    else
        (void)fprintf(stderr, "  Next: ration run --limit %lluM\n", (unsigned long long)next_limit(state));
}

/* On a line of its own, unwrapped: it is to be copied. None where figures were asked for and all else is well. */
static void print_next(const run_state *state, int status) {
    const run_options *options = state->options;
    char path[PATH_MAX];

    if (state->offer.totals.denied != 0)
        print_after_denial(state);
    else if (has_crashed(status))
        print_after_crash(state);
    else if (options->limit == 0 || is_limit_large(state))
        (void)fprintf(stderr, "  Next: ration run --limit %lluM\n", (unsigned long long)next_limit(state));
    else if (name_figures(state, path) && is_written(state, path))
        (void)fprintf(stderr, "  Next: less %s\n", path);
    else if (options->statistics[0] == 0)
        (void)fputs("  Next: ration run --stats FILE\n", stderr);
}

/* Words go to the next line where one would pass the last column. */
static void print_wrapped(const char *paragraph) {
    size_t column = strlen(prefix);

    (void)fputs(prefix, stderr);
    for (const char *word = paragraph; *word != 0;) {
        size_t length = strcspn(word, " ");

        if (column + 1 + length > COLUMNS) {
            (void)fputs("\n  ", stderr);
            column = 2;
        } else if (word != paragraph) {
            (void)fputc(' ', stderr);
            column++;
        }
        column += (size_t)fprintf(stderr, "%.*s", (int)length, word);
        word += length + (word[length] == ' ');
    }
    (void)fputc('\n', stderr);
}

void run_summary(const run_state *state, int status) {
    char paragraph[PARAGRAPH] = "";

    if (state->offer.totals.processes == 0) {
        append(paragraph, "%s did not run on Ration: it never joined the run.", state->name);
    } else {
        if (WIFSIGNALED(status))
            append(paragraph, "%s was ended by signal %d (%s). ", state->name, WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
        append_peak(state, paragraph);
        append_denied(state, paragraph);
        append_place(state, paragraph);
        append_events(state, paragraph);
        append_figures(state, paragraph);
    }
    print_wrapped(paragraph);
    if (state->offer.totals.processes != 0)
        print_next(state, status);
}
