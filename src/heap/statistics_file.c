/* statistics_file.c: the file that RATION_STATS names. A %p in it stands for the process's number, so that each process has its
 * own; a number and a colon before an absolute name say which process alone is to write it (`ration run` says so of the
 * program).
 *
 * Start with statistics_file_write. */
#include "statistics_file.h"

#include "heap.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 512 };

static char name[STATISTICS_NAME_MAX + 1]; /* empty: nothing is to be written */
static int writer;                         /* 0: every process */

/* Behind the number of who is to write it, if that is there. */
static const char *read_writer(const char *value, int *number) {
    const char *c = value;
    int read = 0;
    while (*c >= '0' && *c <= '9' && read < 100000000)
        read = read * 10 + (*c++ - '0');
    if (c == value || c[0] != ':' || c[1] != '/')
        return value;
    *number = read;
    return c + 1;
}

/* The directory of now and a slash; how long that is, 0 where it can't be had. */
static size_t begin_with_directory(void) {
    size_t length = os_working_directory(name, sizeof name - 1);
    if (length != 0)
        name[length++] = '/';
    return length;
}

bool statistics_file_set(const char *value) {
    const char *file = read_writer(value, &writer);
    bool is_absolute = file[0] == '/';
    size_t length = strlen(file), before = is_absolute ? 0 : begin_with_directory();
    bool fits = length != 0 && (is_absolute || before != 0) && length < sizeof name - before;
    memcpy(name + before, file, fits ? length : 0);
    name[fits ? before + length : 0] = 0;
    return fits;
}

const char *statistics_file_name(void) {
    return name;
}

/* The name with the process's number for each %p. False where it is too long then. */
static bool name_file(char path[STATISTICS_NAME_MAX + 1]) {
    char number[16];
    size_t digits = (size_t)snprintf(number, sizeof number, "%d", os_process_id()), length = 0;
    for (const char *c = name; *c != 0; c++) {
        bool is_number = c[0] == '%' && c[1] == 'p';
        const char *part = is_number ? number : c;
        size_t size = is_number ? digits : 1;
        if (size > STATISTICS_NAME_MAX - length)
            return false;
        memcpy(path + length, part, size);
        length += size;
        c += is_number;
    }
    path[length] = 0;
    return true;
}

bool statistics_file_write(void) {
    char path[sizeof name], text[TEXT_BYTES];
    if (name[0] == 0 || (writer != 0 && writer != os_process_id()))
        return true;
    rn_stats stats;
    heap_read(&root_heap, &stats);
    page_heap_figures pages = page_heap_read();
    int length =
        snprintf(text, sizeof text, "used %zu\npeak %zu\nlive %zu\nobjects %zu\ndenied %zu\nfree %zu\nreturned %zu\n",
                 stats.used, stats.peak, stats.live, stats.objects, stats.denied, pages.dirty,
                 pages.purged + store_purged_bytes());
    return length > 0 && name_file(path) && os_write_file(path, text, (size_t)length);
}
