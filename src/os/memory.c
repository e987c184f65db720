/* memory.c: address space and pages: reserve, commit, purge, move, guard.
 *
 * Start with os_reserve. A range goes reserved -> committed -> purged -> committed …; under strict overcommit
 * (vm.overcommit_memory=2) a purge also takes the write permission, because that is what the kernel counts there
 * (Documentation/mm/overcommit-accounting). */
#include "os.h"
#include "syscall.h"

#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

enum { RESERVE_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

static void *map_pages(void *where, size_t size, int protection, int flags)
{
    long result = os_syscall(SYS_mmap, (long)where, (long)size, protection, flags, -1, 0);
    return result < 0 && result > -4096 ? NULL : (void *)result;
}

static long call_range(long number, const void *start, size_t size, long argument)
{
    return os_syscall(number, (long)start, (long)size, argument, 0, 0, 0);
}

void *os_reserve(size_t size, size_t align)
{
    char *start = map_pages(NULL, size, PROT_NONE, RESERVE_FLAGS);
    if (start == NULL || ((uintptr_t)start & (align - 1)) == 0)
        return start;
    os_release(start, size);
    size_t padded = size + align - os.page_size;
    if (padded < size || (start = map_pages(NULL, padded, PROT_NONE, RESERVE_FLAGS)) == NULL)
        return NULL;
    size_t head = -(uintptr_t)start & (align - 1);
    size_t tail = padded - head - size;
    if (head != 0)
        os_release(start, head);
    if (tail != 0)
        os_release(start + head + size, tail);
    return start + head;
}

bool os_commit(void *start, size_t size)
{
    return call_range(SYS_mprotect, start, size, PROT_READ | PROT_WRITE) == 0;
}

void *os_map(size_t size)
{
    return map_pages(NULL, size, PROT_READ | PROT_WRITE, RESERVE_FLAGS);
}

bool os_purge(void *start, size_t size)
{
    if (os.strict_overcommit)
        return map_pages(start, size, PROT_NONE, RESERVE_FLAGS | MAP_FIXED) != NULL;
    /* MADV_DONTNEED fails on locked pages (mlock(2)); the pages then stay ours, with their contents. */
    return call_range(SYS_madvise, start, size, MADV_DONTNEED) == 0;
}

bool os_release(void *start, size_t size)
{
    return call_range(SYS_munmap, start, size, 0) == 0;
}

bool os_move(void *from, void *to, size_t size)
{
    if (os.strict_overcommit)
        return false;
    long result = os_syscall(SYS_mremap, (long)from, (long)size, (long)size,
                             MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, (long)to, 0);
    return result == (long)to;
}

void os_name(void *start, size_t size, const char *name)
{
    os_syscall(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, (long)start, (long)size, (long)name, 0);
}

void os_dump(void *start, size_t size, bool wanted)
{
    call_range(SYS_madvise, start, size, wanted ? MADV_DODUMP : MADV_DONTDUMP);
}

/* Light guards (madvise(2), Linux 6.13) need no mapping of their own, and drop the pages' contents. */
bool os_guard(void *start, size_t size)
{
    return call_range(SYS_madvise, start, size, MADV_GUARD_INSTALL) == 0 ||
           call_range(SYS_mprotect, start, size, PROT_NONE) == 0;
}

bool os_unguard(void *start, size_t size)
{
    call_range(SYS_madvise, start, size, MADV_GUARD_REMOVE);
    return call_range(SYS_mprotect, start, size, PROT_READ | PROT_WRITE) == 0;
}
