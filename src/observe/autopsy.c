/* autopsy.c: the file that a denied request leaves: when it is written, once, and where.
 *
 * It is written under a name of its own and gets its last name when it is whole. One for a request that is larger than the limit, a
 * probe perhaps, leaves room for another. All that it needs is here from the start, since
 * there is no memory to be had. Start with autopsy. */
#include "observe.h"

#include "../heap/events.h"
#include "../heap/shared.h"
#include "paper.h"
#include "parts.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { PLACE_MAX = 512, NAME_MAX_BYTES = 64, NAMES = 10, WAIT_US = 1000, WAIT_TRIES = 5000 };

static char place[PLACE_MAX]; /* the directory; empty: nothing is to be written */

static size_t refused_by_system;

/* --- where ---------------------------------------------------------------------------------------------------- */

static char *append(char *to, const char *words) {
    size_t length = strlen(words);
    memcpy(to, words, length + 1);
    return to + length;
}

static void say(const char *directory, const char *what) {
    char line[PLACE_MAX + 128];
    char *end = append(line, "ration: RATION_AUTOPSY=");
    size_t length = strnlen(directory, PLACE_MAX - 1);
    memcpy(end, directory, length);
    end = append(append(append(end + length, ": "), what), "\n");
    os_say(line, (size_t)(end - line));
}

/* Relative to where the program is now: it may go elsewhere. */
static bool set_place(const char *directory) {
    size_t length = strlen(directory), before = 0;
    if (length == 0)
        return false;
    if (directory[0] != '/') {
        before = os_working_directory(place, sizeof place);
        if (before == 0)
            return false;
        place[before++] = '/';
    }
    bool fits = length < sizeof place - before;
    memcpy(place + before, directory, fits ? length : 0);
    place[fits ? before + length : 0] = 0;
    return fits;
}

/* DIRECTORY/ration-PID.N.autopsy, without N for the first. */
static void name_file(char path[PLACE_MAX + NAME_MAX_BYTES], unsigned number, const char *behind) {
    char digits[DIGITS];
    char *end = append(append(append(path, place), "/ration-"), decimal((uint64_t)os_process_id(), digits));
    if (number != 0)
        end = append(append(end, "."), decimal(number, digits));
    append(append(end, ".autopsy"), behind);
}

/* --- the file ------------------------------------------------------------------------------------------------- */

static char unfinished[PLACE_MAX + NAME_MAX_BYTES], finished[PLACE_MAX + NAME_MAX_BYTES];

static int create(void) {
    int file = -EEXIST;
    for (unsigned number = 0; file == -EEXIST && number < NAMES; number++) {
        name_file(unfinished, number, ".part");
        file = os_create(unfinished);
    }
    return file;
}

static bool publish(void) {
    int result = -EEXIST;
    for (unsigned number = 0; result == -EEXIST && number < NAMES; number++) {
        name_file(finished, number, "");
        result = os_rename_new(unfinished, finished);
        if (result == 0)
            shared_tell_autopsy(number);
    }
    return result == 0;
}

static void tell_all(const denial *d) {
    tell_denial(d);
    tell_process();
    tell_heaps();
    survey_blocks();
    tell_classes();
    tell_largest_blocks();
    tell_stack();
    tell_mappings();
    tell_next_steps(d);
}

static void write_file(const denial *d) {
    int file = create();
    if (file < 0) {
        say(place, "no file can be made there; the autopsy is lost");
        return;
    }
    paper_begin(file);
    tell_all(d);
    bool whole = paper_end();
    os_close(file);
    if (whole && publish())
        return;
    os_remove(unfinished);
    say(place, "the file could not be written whole; the autopsy is lost");
}

/* --- when ----------------------------------------------------------------------------------------------------- */

static bool may_write(void) {
    return place[0] != 0 && os_may_look();
}

/* The number of the process that wrote last, and above that how far it came: a child is to have its own. */
static uint64_t progress;
static const local *writer;

enum { WRITES, WROTE_OF_LARGER, WROTE, STAGE_SHIFT = 32 };

static uint64_t progress_to(uint64_t stage) {
    return stage << STAGE_SHIFT | (uint32_t)os_process_id();
}

static bool may_begin(bool larger, uint64_t before) {
    return (uint32_t)before != (uint32_t)os_process_id() || (before == progress_to(WROTE_OF_LARGER) && !larger);
}

/* False where there is nothing to write, or no longer. A program may end itself after its denial: not before the file is there. A
 * signal handler may have interrupted the writer. */
static bool begin_writing(bool larger) {
    for (int i = 0; i < WAIT_TRIES; i++) {
        uint64_t before = __atomic_load_n(&progress, __ATOMIC_ACQUIRE);
        if (!may_begin(larger, before)) {
            if (before != progress_to(WRITES) || __atomic_load_n(&writer, __ATOMIC_RELAXED) == &this_thread)
                return false;
        } else if (__atomic_compare_exchange_n(&progress, &before, progress_to(WRITES), false, __ATOMIC_ACQUIRE,
                                               __ATOMIC_RELAXED)) {
            return true;
        }
        os_pause(WAIT_US);
    }
    return false;
}

void autopsy(struct heap *asked, struct heap *without_room, size_t bytes) {
    if (without_room == NULL) {
        __atomic_fetch_add(&refused_by_system, 1, __ATOMIC_RELAXED);
        return;
    }
    const denial d = {asked, without_room, bytes, __atomic_load_n(&refused_by_system, __ATOMIC_RELAXED)};
    bool larger = is_larger_than_limit(&d);
    if (!may_write() || !begin_writing(larger))
        return;
    __atomic_store_n(&writer, &this_thread, __ATOMIC_RELAXED);
    write_file(&d);
    __atomic_store_n(&writer, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&progress, progress_to(larger ? WROTE_OF_LARGER : WROTE), __ATOMIC_RELEASE);
}

static const struct heap_events events = {.denied = autopsy};

static void refuse(const char *directory) {
    start_once();
    say(directory, "RATION_AUTOPSY takes a directory, of at most 511 bytes; ignored");
}

/* The library is not started for it: a libration.so behind the preload library is never called, and would join a run beside it. */
void observe_start(char **environment) {
    const char *directory = environment == NULL ? NULL : library_variable(environment, "RATION_AUTOPSY");
    if (directory == NULL || os_is_secure())
        return;
    if (set_place(directory))
        __atomic_store_n(&heap_events, &events, __ATOMIC_RELEASE);
    else
        refuse(directory);
}

/* glibc hands constructors the environment, and may not have set environ yet (-z initfirst); musl does the opposite. */
__attribute__((constructor)) static void begin(int count, char **arguments, char **environment) {
    (void)count;
    (void)arguments;
#if defined(__GLIBC__)
    observe_start(environment);
#else
    (void)environment;
    observe_start(environ);
#endif
}
