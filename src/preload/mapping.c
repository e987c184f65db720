/* mapping.c: libc's calls that map memory, so that what they map counts in the root's limit.
 *
 * The system calls are made as libc's functions make them. brk and sbrk are libc's own: it remembers where the break is. All
 * of it works before the library has started, and in signal handlers. Start with mmap; heap/mapped.h has the bookkeeping. */
#include "../heap/malloc.h"
#include "../heap/mapped.h"
#include "../os/calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static size_t page_mask(void) {
    return (os.page_size != 0 ? os.page_size : getauxval(AT_PAGESZ)) - 1;
}

/* 0 where the length is none, or none that the kernel would take. */
static size_t whole_pages(size_t length) {
    return (length + page_mask()) & ~page_mask();
}

static bool failed(long result) {
    return (unsigned long)result > -4096UL;
}

static long with_errno(long result) {
    if (!failed(result))
        return result;
    errno = (int)-result;
    return -1;
}

/* Blocks of Ration's are charged to their heaps, whatever a program does to their protection. */
static bool is_ours(void *start) {
    return page_map_entry(untagged(start))->tag != 0;
}

/* --- mmap, munmap --------------------------------------------------------------------------------------------- */

static bool is_of_file(int flags) {
    return (flags & MAP_ANONYMOUS) == 0;
}

static bool is_shared(int flags) {
    return (flags & MAP_TYPE) != MAP_PRIVATE;
}

/* What of /dev/zero is mapped to be shared is memory like any other to the kernel (zero(4)). */
static int flags_that_count(int protection, int flags, int file) {
    bool may_be_zeros = is_of_file(flags) && is_shared(flags) && (protection & PROT_WRITE) != 0;
    return may_be_zeros && os_may_look() && os_is_zero_device(file) ? flags | MAP_ANONYMOUS : flags;
}

static bool is_charged(int protection, int flags) {
    return (protection & PROT_WRITE) != 0 && (flags & MAP_HUGETLB) == 0 && !(is_shared(flags) && is_of_file(flags));
}

/* What a program says that it will not use in full counts as it is used. */
static bool is_charged_late(int flags) {
    return (flags & MAP_NORESERVE) != 0;
}

static void note(uintptr_t start, size_t size, int protection, int flags) {
    if (is_shared(flags) && is_of_file(flags))
        mapped_note(start, size, INTERVAL_SHARED_FILE, 0);
    else if (is_charged(protection, flags) && is_charged_late(flags))
        mapped_note(start, size, INTERVAL_LATE, 0);
    else if (is_charged(protection, flags))
        mapped_note(start, size, is_shared(flags) ? INTERVAL_SHARED : INTERVAL_WRITABLE, size);
    else
        mapped_forget(start, size);
}

static size_t bytes_to_reserve(uintptr_t start, size_t size, int protection, int flags) {
    if (!is_charged(protection, flags) || is_charged_late(flags))
        return 0;
    return (flags & MAP_FIXED) == 0 ? size : size - mapped_charge_of(start, size);
}

static long map(void *start, size_t length, int protection, int flags, int file, off_t offset) {
    size_t size = whole_pages(length);
    int counted = flags_that_count(protection, flags, file);
    size_t reserved = bytes_to_reserve((uintptr_t)start, size, protection, counted);
    if (!mapped_reserve(reserved))
        return -ENOMEM;
    bool begun = mapped_begin();
    long result = os_call_mmap(start, length, protection, flags, file, offset);
    if (begun && !failed(result))
        note((uintptr_t)result, size, protection, counted);
    mapped_end(begun, reserved);
    return result;
}

EXPORT void *mmap(void *start, size_t length, int protection, int flags, int file, off_t offset) {
    return (void *)with_errno(map(start, length, protection, flags, file, offset));
}

/* By its assembler name, since a header may make a macro of the other. */
EXPORT void *mmap_large(void *start, size_t length, int protection, int flags, int file,
                        off_t offset) __asm__("mmap64");
void *mmap_large(void *start, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap(start, length, protection, flags, file, offset);
}

EXPORT int munmap(void *start, size_t length) {
    bool begun = mapped_begin();
    long result = os_call_munmap(start, length);
    if (begun && !failed(result))
        mapped_forget((uintptr_t)start, whole_pages(length));
    mapped_end(begun, 0);
    return (int)with_errno(result);
}

/* --- mprotect ------------------------------------------------------------------------------------------------- */

static long protect(void *start, size_t length, int protection, int key) {
    size_t size = is_ours(start) ? 0 : whole_pages(length);
    bool writable = (protection & PROT_WRITE) != 0;
    size_t reserved = writable ? mapped_uncharged((uintptr_t)start, size) : 0;
    if (!mapped_reserve(reserved))
        return -ENOMEM;
    bool begun = mapped_begin();
    long result = os_call_mprotect(start, length, protection, key);
    if (begun && !failed(result) && writable)
        mapped_note_writable((uintptr_t)start, size);
    else if (begun && !failed(result))
        mapped_note_protected((uintptr_t)start, size);
    mapped_end(begun, reserved);
    return result;
}

EXPORT int mprotect(void *start, size_t length, int protection) {
    return (int)with_errno(protect(start, length, protection, -1));
}

EXPORT int pkey_mprotect(void *start, size_t length, int protection, int key) {
    return (int)with_errno(protect(start, length, protection, key));
}

/* --- mremap --------------------------------------------------------------------------------------------------- */

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

typedef struct moving {
    uintptr_t from, to;
    size_t old_size, new_size;
    int flags;
} moving;

/* What the mapping at its new place is charged more than at its old one. What is not noted is not charged either; what is, also
 * where none of it was resident when that was last looked at. */
static size_t bytes_to_grow(const moving *m) {
    if (m->old_size == 0 || !mapped_counts(m->from, m->old_size))
        return 0;
    if ((m->flags & MREMAP_DONTUNMAP) != 0)
        return m->new_size;
    return m->new_size > m->old_size ? m->new_size - m->old_size : 0;
}

/* The old range takes its charge along; shrunk, no more than it is long. */
static void note_moved(const moving *m, size_t grown) {
    interval_state state = m->old_size == 0 ? INTERVAL_SHARED_FILE : mapped_state_of(m->from);
    size_t charge = grown;
    if ((m->flags & MREMAP_DONTUNMAP) == 0 && m->old_size != 0) {
        size_t kept = m->old_size < m->new_size ? m->old_size : m->new_size;
        mapped_forget(m->from + kept, m->old_size - kept);
        charge += mapped_forget(m->from, kept);
    }
    if (charge != 0 || state != INTERVAL_PROTECTED)
        mapped_note(m->to, m->new_size, state, charge);
    else
        mapped_forget(m->to, m->new_size);
}

static long remap(moving *m, void *wanted) {
    size_t reserved = bytes_to_grow(m);
    if (!mapped_reserve(reserved))
        return -ENOMEM;
    bool begun = mapped_begin();
    long result = os_call_mremap(m->from, m->old_size, m->new_size, m->flags, wanted);
    m->to = (uintptr_t)result;
    if (begun && !failed(result))
        note_moved(m, reserved);
    mapped_end(begun, reserved);
    return result;
}

EXPORT void *mremap(void *start, size_t old_length, size_t new_length, int flags, ...) {
    void *wanted = NULL;
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
        va_list more;
        va_start(more, flags);
        wanted = va_arg(more, void *);
        va_end(more);
    }
    moving m = {(uintptr_t)start, 0, whole_pages(old_length), whole_pages(new_length), flags};
    return (void *)with_errno(remap(&m, wanted));
}

/* --- the break ------------------------------------------------------------------------------------------------ */

static void *libc_sbrk(intptr_t increment) {
    static void *(*real)(intptr_t);
    if (real == NULL)
        real = (void *(*)(intptr_t))dlsym(RTLD_NEXT, "sbrk");
    return real(increment);
}

static uintptr_t round_up(uintptr_t address) {
    return (address + page_mask()) & ~page_mask();
}

/* The break has gone from one address to the other. */
static void note_break(uintptr_t before, uintptr_t after) {
    uintptr_t from = round_up(before), to = round_up(after);
    if (to > from)
        mapped_note(from, to - from, INTERVAL_WRITABLE, to - from);
    else if (to < from)
        mapped_forget(to, from - to);
}

static void *move_break(intptr_t increment) {
    uintptr_t before = (uintptr_t)libc_sbrk(0);
    size_t reserved = increment > 0 ? round_up(before + (size_t)increment) - round_up(before) : 0;
    if (!mapped_reserve(reserved)) {
        errno = ENOMEM;
        return (void *)-1;
    }
    bool begun = mapped_begin();
    void *result = libc_sbrk(increment);
    if (begun && result != (void *)-1)
        note_break((uintptr_t)result, (uintptr_t)result + (uintptr_t)increment);
    mapped_end(begun, reserved);
    return result;
}

EXPORT void *sbrk(intptr_t increment) {
    return increment == 0 ? libc_sbrk(0) : move_break(increment);
}

EXPORT int brk(void *address) {
    intptr_t increment = (char *)address - (char *)libc_sbrk(0);
    return increment == 0 || move_break(increment) != (void *)-1 ? 0 : -1;
}
