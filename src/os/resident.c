/* resident.c: what of the process's memory is there.
 *
 * The questions take system calls that a program may forbid itself (seccomp(2)), and be ended for: from then on nothing is
 * asked. Start with os_measure. */
#include "os.h"
#include "syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { STATUS_MAX = 4096, VECTOR = 4096, ENTRIES = 512, WORTH_A_SECOND_LOOK = 64 << 10 };

static bool forbidden;

bool os_forbid_looking(bool forbid) {
    return __atomic_exchange_n(&forbidden, forbid, __ATOMIC_SEQ_CST);
}

bool os_may_look(void) {
    return !__atomic_load_n(&forbidden, __ATOMIC_SEQ_CST);
}

static long open_file(const char *name) {
    return os_syscall(SYS_openat, AT_FDCWD, (long)name, O_RDONLY | O_CLOEXEC, 0, 0, 0);
}

static void close_file(long file) {
    os_syscall(SYS_close, file, 0, 0, 0, 0, 0);
}

static size_t read_status(char *text, size_t size) {
    long file = open_file("/proc/self/status");
    if (file < 0)
        return 0;
    long length = os_syscall(SYS_read, file, (long)text, (long)size, 0, 0, 0);
    close_file(file);
    return length < 0 ? 0 : (size_t)length;
}

/* The value of a field in KiB, in bytes. */
static size_t field(const char *text, const char *name) {
    const char *at = strstr(text, name);
    size_t value = 0;
    if (at == NULL)
        return 0;
    for (at += strlen(name); *at == ' ' || *at == '\t'; at++)
        ;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (size_t)(*at - '0');
    return value << 10;
}

bool os_measure(os_own_memory *own) {
    char text[STATUS_MAX + 1];
    size_t length = os_may_look() ? read_status(text, STATUS_MAX) : 0;
    text[length] = '\0';
    size_t resident = field(text, "\nRssAnon:") + field(text, "\nRssShmem:");
    if (resident == 0)
        return false;
    *own = (os_own_memory){resident, field(text, "\nVmPTE:")};
    return true;
}

/* --- by what is there ------------------------------------------------------------------------------------------------- */

static size_t count_resident(const unsigned char *vector, size_t pages) {
    size_t count = 0;
    for (size_t i = 0; i < pages; i++)
        count += vector[i] & 1;
    return count;
}

/* Of at most VECTOR pages. Where some of them are not mapped, of each half. */
static size_t resident_in(char *start, size_t pages, unsigned char *vector) {
    long result = os_syscall(SYS_mincore, (long)start, (long)(pages * os.page_size), (long)vector, 0, 0, 0);
    if (result == 0)
        return count_resident(vector, pages) * os.page_size;
    if (result != -ENOMEM)
        return pages * os.page_size;
    if (pages == 1)
        return 0;
    size_t half = pages / 2;
    return resident_in(start, half, vector) + resident_in(start + half * os.page_size, pages - half, vector);
}

bool os_resident_bytes(void *start, size_t size, size_t *bytes) {
    unsigned char vector[VECTOR] = {0};
    size_t pages = size / os.page_size;
    char *at = start;
    *bytes = 0;
    while (pages > 0) {
        size_t step = pages < VECTOR ? pages : VECTOR;
        if (!os_may_look())
            return false;
        *bytes += resident_in(at, step, vector);
        at += step * os.page_size;
        pages -= step;
    }
    return true;
}

/* --- by whose it is --------------------------------------------------------------------------------------------------- */

/* An entry for each page: Documentation/admin-guide/mm/pagemap.rst of the kernel. */
#define PAGE_PRESENT ((uint64_t)1 << 63)
#define PAGE_OF_FILE ((uint64_t)1 << 61) /* or shared */

static bool is_own(uint64_t entry) {
    return (entry & (PAGE_PRESENT | PAGE_OF_FILE)) == PAGE_PRESENT;
}

static bool read_entries(long file, uintptr_t start, uint64_t *entries, size_t count) {
    long size = (long)(count * sizeof *entries);
    long offset = (long)(start / os.page_size * sizeof *entries);
    return os_syscall(SYS_pread64, file, (long)entries, size, offset, 0, 0) == size;
}

/* An emulator may show us another process's, or one of other pages. */
static bool tells_of_this_stack(long file) {
    uint64_t entry = 0;
    return read_entries(file, (uintptr_t)&entry, &entry, 1) && is_own(entry);
}

static bool count_own(long file, uintptr_t at, size_t pages, size_t *bytes) {
    uint64_t entries[ENTRIES] = {0};
    size_t own = 0;
    while (pages > 0) {
        size_t step = pages < ENTRIES ? pages : ENTRIES;
        if (!os_may_look() || !read_entries(file, at, entries, step))
            return false;
        for (size_t i = 0; i < step; i++)
            own += is_own(entries[i]);
        at += step * os.page_size;
        pages -= step;
    }
    *bytes = own * os.page_size;
    return true;
}

/* Leaves *bytes as it was where the kernel does not say. */
static void leave_out_files(uintptr_t at, size_t pages, size_t *bytes) {
    long file = os_may_look() ? open_file("/proc/self/pagemap") : -1;
    if (file < 0)
        return;
    if (tells_of_this_stack(file))
        count_own(file, at, pages, bytes);
    close_file(file);
}

bool os_own_bytes(void *start, size_t size, size_t *bytes) {
    if (!os_resident_bytes(start, size, bytes))
        return false;
    if (*bytes >= WORTH_A_SECOND_LOOK)
        leave_out_files((uintptr_t)start, size / os.page_size, bytes);
    return true;
}
