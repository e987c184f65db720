/* calls.h: the calls that map memory as programs make them, with all that those may ask for, for who stands in libc's place.
 *
 * Ration's own memory is had through os.h. Each gives the kernel's own answer: a negative errno on failure. */
#ifndef RATION_OS_CALLS_H
#define RATION_OS_CALLS_H

#include "syscall.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

static inline long os_call_mmap(void *start, size_t length, int protection, int flags, int file, off_t offset) {
    return os_syscall(SYS_mmap, (long)start, (long)length, protection, flags, file, offset);
}

static inline long os_call_munmap(void *start, size_t length) {
    return os_syscall(SYS_munmap, (long)start, (long)length, 0, 0, 0, 0);
}

/* key -1: mprotect(2). */
static inline long os_call_mprotect(void *start, size_t length, int protection, int key) {
    long number = key == -1 ? SYS_mprotect : SYS_pkey_mprotect;
    return os_syscall(number, (long)start, (long)length, protection, key, 0, 0);
}

static inline long os_call_mremap(uintptr_t start, size_t old_length, size_t new_length, int flags, void *wanted) {
    return os_syscall(SYS_mremap, (long)start, (long)old_length, (long)new_length, flags, (long)wanted, 0);
}

#endif
