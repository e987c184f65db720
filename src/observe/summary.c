/* summary.c: how an autopsy begins and ends: what was denied, what the process holds, what to try next. */
#include "parts.h"

#include "../heap/footprint.h"
#include "../heap/hardened.h"
#include "../heap/mapped.h"
#include "../heap/sample.h"
#include "../heap/shared.h"
#include "lines.h"
#include "paper.h"

#include <string.h>

enum { FACT_COLUMN = 10, FIGURE_COLUMN = 32, SIZE_CELL = 8, BYTES_CELL = 16, PATH_MAX_BYTES = 1024 };

static size_t read_size(const size_t *value) {
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void begin_fact(const char *name) {
    paper_text(name);
    paper_column(FACT_COLUMN);
}

static void quote(const struct heap *heap) {
    paper_text("heap \"");
    paper_name(heap->name, HEAP_NAME_MAX);
    paper_text("\"");
}

/* --- the date, by the proleptic Gregorian calendar: years begin in March, eras have 400 of them ------------------ */

enum { DAY = 24 * 60 * 60, ERA_DAYS = 146097, DAYS_TO_1970 = 719468 };

static void two_digits(uint64_t number, const char *behind) {
    paper_number(number / 10, 1);
    paper_number(number % 10, 1);
    paper_text(behind);
}

static void tell_date(uint64_t seconds) {
    uint64_t days = seconds / DAY + DAYS_TO_1970, era = days / ERA_DAYS, day = days % ERA_DAYS;
    uint64_t year = (day - day / 1460 + day / 36524 - day / (ERA_DAYS - 1)) / 365;
    day -= 365 * year + year / 4 - year / 100;
    uint64_t month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;
    bool next_year = month >= 10;
    paper_number(era * 400 + year + next_year, 4);
    paper_text("-");
    two_digits(next_year ? month - 9 : month + 3, "-");
    two_digits(day + 1, " ");
    two_digits(seconds % DAY / 3600, ":");
    two_digits(seconds % 3600 / 60, ":");
    two_digits(seconds % 60, " UTC");
    paper_line();
}

/* --- the denial ----------------------------------------------------------------------------------------------- */

static void tell_program(void) {
    static char path[PATH_MAX_BYTES];
    const char *name = lines_open("/proc/self/comm") ? lines_next() : NULL;
    if (name != NULL)
        lines_close();
    begin_fact("program");
    paper_name(name == NULL ? "(no /proc)" : name, OS_NAME_MAX);
    paper_text(", process ");
    paper_number((uint64_t)os_process_id(), 1);
    size_t length = os_link_target("/proc/self/exe", path, sizeof path);
    if (length != 0) {
        paper_text(", ");
        paper_name(path, length);
    }
    paper_line();
}

static void tell_thread(void) {
    char name[OS_NAME_MAX] = "";
    os_thread_name(name);
    begin_fact("thread");
    paper_name(name, sizeof name);
    paper_text(", ");
    paper_number((uint64_t)os_thread_id(), 1);
    paper_line();
}

static void tell_request(const denial *d) {
    begin_fact("asked");
    paper_number(d->bytes, 1);
    paper_text(" bytes, of ");
    quote(d->asked);
    paper_line();
}

static bool is_shared_limit(const struct heap *heap) {
    return heap == &root_heap && read_size(&heap->limit) == 0 && shared_limited();
}

static size_t limit_of(const struct heap *heap) {
    return is_shared_limit(heap) ? shared_limit() : read_size(&heap->limit);
}

/* Of the process's limit, more than its heaps. */
static size_t held_of(const struct heap *heap) {
    if (is_shared_limit(heap))
        return shared_used();
    return heap == &root_heap ? footprint_bytes() : read_size(&heap->used);
}

bool is_larger_than_limit(const denial *d) {
    return d->bytes > limit_of(d->without_room);
}

static void tell_limit(const denial *d) {
    begin_fact("no room");
    if (is_shared_limit(d->without_room))
        paper_text("shared with other processes");
    else
        quote(d->without_room);
    paper_text(": limit ");
    paper_number(limit_of(d->without_room), 1);
    paper_text(", used ");
    paper_number(held_of(d->without_room), 1);
    paper_line();
    if (is_larger_than_limit(d)) {
        paper_column(FACT_COLUMN);
        paper_text("The request is larger than the limit itself.\n");
    }
}

static void tell_refused(size_t count) {
    if (count == 0)
        return;
    begin_fact("before");
    paper_text("the system, not a limit, refused ");
    paper_number(count, 1);
    paper_text(count == 1 ? " request\n" : " requests\n");
}

void tell_denial(const denial *d) {
    paper_text("A request for memory was denied\n===============================\n");
    begin_fact("when");
    tell_date(os_date());
    tell_program();
    tell_thread();
    tell_request(d);
    tell_limit(d);
    tell_refused(d->refused_by_system);
}

/* --- the process ---------------------------------------------------------------------------------------------- */

static void tell_figure(const char *name, size_t bytes) {
    paper_text(name);
    paper_column(FIGURE_COLUMN);
    paper_size(bytes, SIZE_CELL);
    paper_number(bytes, BYTES_CELL);
    paper_line();
}

void tell_process(void) {
    paper_title("The whole process, in bytes");
    size_t limit = read_size(&root_heap.limit), tables = span_table_bytes(), free = span_overhead_bytes() - tables;
    if (limit != 0)
        tell_figure("limit", limit);
    else
        paper_text("limit                               none\n");
    if (shared_limited())
        tell_figure("limit shared with others", shared_limit());
    tell_figure("used by heaps", read_size(&root_heap.used));
    tell_figure("mapped by the program", mapped_bytes());
    tell_figure("the rest of the process", rest_bytes());
    tell_figure("Ration's tables", tables);
    tell_figure("free, waiting for use", free + hardened_parked_bytes());
    tell_figure("together", footprint_bytes());
}

/* --- what next ------------------------------------------------------------------------------------------------ */

/* The child that uses most; the tree is sorted. The checked sample is the library's own. */
static void name_largest(const struct heap *above, char name[HEAP_NAME_MAX]) {
    name[0] = 0;
    if (!heap_lock_tree_within(PART_WAIT_MS))
        return;
    const struct heap *child = above->first_child;
    if (child == &sampled_heap)
        child = child->next_sibling;
    if (child != NULL)
        memcpy(name, child->name, HEAP_NAME_MAX);
    heap_unlock_tree();
}

static void begin_step(void) {
    paper_text("- ");
}

static void suggest_heaps(const struct heap *above) {
    char largest[HEAP_NAME_MAX];
    name_largest(above, largest);
    begin_step();
    if (largest[0] == 0) {
        paper_text("Heaps tell parts of a program apart: rn_heap_new and rn_heap_push around\n"
                   "  the part that grew give it an account and a limit of its own.\n");
        return;
    }
    paper_text("Of the heaps in it, \"");
    paper_name(largest, sizeof largest);
    paper_text("\" uses most: a limit of its own\n  (rn_heap_set_limit) has it denied before the others are.\n");
}

/* As `ration run` suggests at its end (cmd/ration/summary.c), which does not know what was asked for. In MiB. */
static size_t next_limit(const denial *d) {
    size_t limit = limit_of(d->without_room);
    return (limit + (is_larger_than_limit(d) ? d->bytes : limit)) / (1 << 20) + 2;
}

static void suggest_larger(const denial *d) {
    begin_step();
    paper_text("If it needs so much: ");
    if (d->without_room != &root_heap) {
        paper_text("a larger limit, by rn_heap_set_limit.\n");
        return;
    }
    paper_text("a larger limit, `ration run --limit ");
    paper_number(next_limit(d), 1);
    paper_text("M -- ...`.\n");
}

void tell_next_steps(const denial *d) {
    paper_title("What to try next");
    begin_step();
    paper_text("Look who holds most: the heaps, the size classes, the largest blocks above.\n");
    suggest_heaps(d->without_room);
    begin_step();
    paper_text("What can be done without can be given back in time: rn_heap_on_pressure.\n");
    suggest_larger(d);
}
