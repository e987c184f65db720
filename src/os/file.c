/* file.c: files, a little of them: what the library tells, and what it reads of /proc.
 *
 * Answers are the kernel's own: a negative errno on failure. Start with os_create. */
#include "os.h"
#include "syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

enum { PRIVATE = 0600, NO_REPLACING = 1 /* RENAME_NOREPLACE, which needs _GNU_SOURCE */ };

/* The program's umask may have taken from the mode what its owner needs to read it. */
int os_create(const char *path) {
    long file = os_syscall(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           PRIVATE, 0, 0);
    if (file >= 0)
        os_syscall(SYS_fchmod, file, PRIVATE, 0, 0, 0, 0);
    return (int)file;
}

int os_open(const char *path) {
    return (int)os_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
}

void os_close(int file) {
    os_syscall(SYS_close, file, 0, 0, 0, 0, 0);
}

long os_read(int file, char *text, size_t room) {
    long got;
    do
        got = os_syscall(SYS_read, file, (long)text, (long)room, 0, 0, 0);
    while (got == -EINTR);
    return got;
}

bool os_write(int file, const char *text, size_t length) {
    while (length > 0) {
        long written = os_syscall(SYS_write, file, (long)text, (long)length, 0, 0, 0);
        if (written == -EINTR)
            continue;
        if (written <= 0)
            return false;
        text += written;
        length -= (size_t)written;
    }
    return true;
}

size_t os_file_size_limit(void) {
    struct rlimit limit = {0};
    if (os_syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return limit.rlim_cur;
}

bool os_is_zero_device(int file) {
    struct stat status = {0};
    return os_syscall(SYS_fstat, file, (long)&status, 0, 0, 0, 0) == 0 && S_ISCHR(status.st_mode) &&
           status.st_rdev == makedev(1, 5);
}

int os_remove(const char *path) {
    return (int)os_syscall(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
}

int os_rename_new(const char *from, const char *to) {
    long result = os_syscall(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, NO_REPLACING, 0);
    if (result != -EINVAL && result != -ENOSYS)
        return (int)result;
    result = os_syscall(SYS_linkat, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0, 0); /* not every file system can */
    return result == 0 ? os_remove(from) : (int)result;
}

size_t os_working_directory(char *path, size_t room) {
    long length = os_syscall(SYS_getcwd, (long)path, (long)room, 0, 0, 0, 0);
    return length > 0 && path[0] == '/' ? (size_t)length - 1 : 0;
}

size_t os_link_target(const char *path, char *target, size_t room) {
    long length = os_syscall(SYS_readlinkat, AT_FDCWD, (long)path, (long)target, (long)room, 0, 0);
    return length > 0 && (size_t)length < room ? (size_t)length : 0;
}

bool os_peek(uintptr_t address, void *out, size_t size) {
    struct iovec here = {.iov_base = out, .iov_len = size}, there = {.iov_base = (void *)address, .iov_len = size};
    return os_syscall(SYS_process_vm_readv, os_process_id(), (long)&here, 1, (long)&there, 1, 0) == (long)size;
}
