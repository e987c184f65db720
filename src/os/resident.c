/* resident.c: what of the process's memory is there.
 *
 * Both questions take system calls that a program may forbid itself (seccomp(2)), and be ended for: from then on nothing is
 * asked. Start with os_private_bytes. */
#include "os.h"
#include "syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { STATUS_MAX = 4096, VECTOR = 4096 };

static bool forbidden;

bool os_forbid_looking(bool forbid) {
    return __atomic_exchange_n(&forbidden, forbid, __ATOMIC_SEQ_CST);
}

bool os_may_look(void) {
    return !__atomic_load_n(&forbidden, __ATOMIC_SEQ_CST);
}

static size_t read_status(char *text, size_t size) {
    long file = os_syscall(SYS_openat, AT_FDCWD, (long)"/proc/self/status", O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (file < 0)
        return 0;
    long length = os_syscall(SYS_read, file, (long)text, (long)size, 0, 0, 0);
    os_syscall(SYS_close, file, 0, 0, 0, 0, 0);
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

size_t os_private_bytes(void) {
    char text[STATUS_MAX + 1];
    if (!os_may_look())
        return 0;
    text[read_status(text, STATUS_MAX)] = '\0';
    return field(text, "\nRssAnon:") + field(text, "\nRssShmem:");
}

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
    size_t sum = 0, pages = size / os.page_size;
    char *at = start;
    while (pages > 0) {
        size_t step = pages < VECTOR ? pages : VECTOR;
        if (!os_may_look())
            return false;
        sum += resident_in(at, step, vector);
        at += step * os.page_size;
        pages -= step;
    }
    *bytes = sum;
    return true;
}
