/* memory.c: address space and pages: reserve, commit, purge, move, guard.
 *
 * Start with os_reserve. A range goes reserved -> committed -> purged -> committed …; under strict overcommit
 * (vm.overcommit_memory=2) a purge also takes the write permission, because that is what the kernel counts there
 * (Documentation/mm/overcommit-accounting). */
#include "memory.h"

#include "os.h"
#include "syscall.h"

#include <errno.h>
#include <sys/auxv.h>
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

/* Without MAP_NORESERVE, so that the kernel refuses at once what it could never give (proc(5), overcommit_memory). */
enum { PAGES = MAP_PRIVATE | MAP_ANONYMOUS };

static void *map_pages(void *where, size_t size, int protection, int flags) {
    long result = os_syscall(SYS_mmap, (long)where, (long)size, protection, flags, -1, 0);
    return result < 0 && result > -4096 ? NULL : (void *)result;
}

static long call_range(long number, const void *start, size_t size, long argument) {
    return os_syscall(number, (long)start, (long)size, argument, 0, 0, 0);
}

static void *reserve(size_t size, size_t align) {
    char *start = map_pages(NULL, size, PROT_NONE, PAGES);
    if (start == NULL || ((uintptr_t)start & (align - 1)) == 0)
        return start;
    os_release(start, size);
    size_t padded = size + align - os.page_size;
    if (padded < size || (start = map_pages(NULL, padded, PROT_NONE, PAGES)) == NULL)
        return NULL;
    size_t head = -(uintptr_t)start & (align - 1);
    size_t tail = padded - head - size;
    if (head != 0)
        os_release(start, head);
    if (tail != 0)
        os_release(start + head + size, tail);
    return start + head;
}

void *os_reserve(size_t size, size_t align) {
    void *start = reserve(size, align);
    if (start == NULL)
        return NULL;
    /* Huge pages would make 2 MiB resident at a touch, and purging would split them again. */
    call_range(SYS_madvise, start, size, MADV_NOHUGEPAGE);
    call_range(SYS_madvise, start, size, MADV_DONTDUMP);
    return start;
}

bool os_commit(void *start, size_t size) {
    call_range(SYS_madvise, start, size, MADV_DODUMP);
    return call_range(SYS_mprotect, start, size, PROT_READ | PROT_WRITE) == 0;
}

/* A program may map memory, which is noted in a table, before os_start. */
static size_t page_size(void) {
    return os.page_size != 0 ? os.page_size : getauxval(AT_PAGESZ);
}

static size_t whole_pages(size_t size) {
    return (size + page_size() - 1) & ~(page_size() - 1);
}

/* The kernel puts mappings side by side, so tables bring their guards with them: what overflows beside one traps. */
static void *reserve_guarded(size_t size) {
    char *start = map_pages(NULL, size + 2 * page_size(), PROT_NONE, PAGES);
    return start == NULL ? NULL : start + page_size();
}

void *os_map(size_t size) {
    size = whole_pages(size);
    void *start = reserve_guarded(size);
    if (start == NULL || call_range(SYS_mprotect, start, size, PROT_READ | PROT_WRITE) == 0)
        return start;
    os_unmap(start, size);
    return NULL;
}

void *os_map_shared(int file, size_t size) {
    size = whole_pages(size);
    void *start = reserve_guarded(size);
    if (start == NULL ||
        os_syscall(SYS_mmap, (long)start, (long)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) > 0)
        return start;
    os_unmap(start, size);
    return NULL;
}

void os_unmap(void *start, size_t size) {
    os_release((char *)start - page_size(), whole_pages(size) + 2 * page_size());
}

bool os_purge(void *start, size_t size) {
    if (os.strict_overcommit)
        return map_pages(start, size, PROT_NONE, PAGES | MAP_FIXED) != NULL;
    /* MADV_DONTNEED fails on locked pages (mlock(2)); the pages then stay ours, with their contents. */
    return call_range(SYS_madvise, start, size, MADV_DONTNEED) == 0;
}

bool os_renew(void *start, size_t size) {
    return map_pages(start, size, PROT_READ | PROT_WRITE, PAGES | MAP_FIXED) != NULL;
}

bool os_release(void *start, size_t size) {
    return call_range(SYS_munmap, start, size, 0) == 0;
}

static bool move_pages(void *from, void *to, size_t size) {
    return os_syscall(SYS_mremap, (long)from, (long)size, (long)size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
                      (long)to, 0) == (long)to;
}

static bool can_purge(char *page) {
    *(volatile char *)page = 1;
    return os_purge(page, os.page_size) && *(volatile char *)page == 0;
}

/* Whether pages can be moved, and purged where they have come to and where they were: some emulators then purge nothing,
 * and fail the system calls that write there. */
static bool try_moving(void) {
    volatile char *pages = map_pages(NULL, 2 * os.page_size, PROT_READ | PROT_WRITE, PAGES);
    if (pages == NULL)
        return false;
    char *to = (char *)pages + os.page_size;
    *pages = 1;
    bool moves = move_pages((char *)pages, to, os.page_size) && *(volatile char *)to == 1 && *pages == 0 &&
                 can_purge(to) && can_purge((char *)pages);
    os_release((char *)pages, 2 * os.page_size);
    return moves;
}

void os_memory_start(void) {
    os.moves = !os.strict_overcommit && try_moving();
}

bool os_move(void *from, void *to, size_t size) {
    return os.moves && !os.strict_overcommit && move_pages(from, to, size);
}

void os_name(void *start, size_t size, const char *name) {
    if (!os.names)
        return;
    os_syscall(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, (long)start, (long)size, (long)name, 0);
}

/* Light guards (madvise(2), Linux 6.13) need no mapping of their own, and drop the pages' contents. */
bool os_guard(void *start, size_t size) {
    return call_range(SYS_madvise, start, size, MADV_GUARD_INSTALL) == 0 ||
           call_range(SYS_mprotect, start, size, PROT_NONE) == 0;
}

bool os_unguard(void *start, size_t size) {
    long removed = call_range(SYS_madvise, start, size, MADV_GUARD_REMOVE);
    bool none_to_remove = removed == -EINVAL; /* before Linux 6.13 */
    return (removed == 0 || none_to_remove) && call_range(SYS_mprotect, start, size, PROT_READ | PROT_WRITE) == 0;
}

void *os_map_emptied_by_fork(size_t size) {
    void *start = os_map(size);
    if (start == NULL || call_range(SYS_madvise, start, whole_pages(size), MADV_WIPEONFORK) == 0)
        return start;
    os_unmap(start, size);
    return NULL;
}
