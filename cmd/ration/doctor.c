/* doctor.c: `ration doctor`: which features of the kernel were found, and what Ration does with each.
 *
 * Start with the table. A feature is tried here in the way in which the library decides by it (src/os/); the test of
 * this verb compares the two, so that this goes on saying what the library does. */
#include "command.h"

#include "cgroup.h"
#include "library.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/membarrier.h>
#include <ration/base.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* What was found, in a few words: with the widths of print_table(), a line stays within 80 columns. */
#define FOUND_SIZE 25

static const char verb[] = "doctor";

static const char help[] = "Usage: ration doctor [--json]\n"
                           "Shows what this system offers to a memory manager, and what Ration does with it.\n"
                           "\n"
                           "Options:\n"
                           "  --json      the same for programs\n"
                           "  -h, --help  show this\n"
                           "\n"
                           "Exit status: 0; 1 where " LIBRARY_NAME " is missing.\n";

static void write_size(char *text, size_t size, uint64_t bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        value /= 1024;
    (void)snprintf(text, size, "%.*f %s", value < 10 && (double)(int)value != value ? 1 : 0, value, units[unit]);
}

/* The first line of a file, or "". */
static void read_line(const char *path, char *line, int size) {
    FILE *file = fopen(path, "re");

    if (file == NULL || fgets(line, size, file) == NULL)
        line[0] = 0;
    line[strcspn(line, "\n")] = 0;
    if (file != NULL)
        (void)fclose(file);
}

/* Each of these says whether the feature is there, and writes what was found into found. */

static size_t page_size(void) {
    return getauxval(AT_PAGESZ);
}

static bool look_page_size(char found[FOUND_SIZE]) {
    write_size(found, FOUND_SIZE, page_size());
    return true;
}

static bool look_address_space(char found[FOUND_SIZE]) {
    struct rlimit limit;
    bool unlimited = getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY;

    (void)snprintf(found, FOUND_SIZE, "no limit");
    if (!unlimited)
        write_size(found, FOUND_SIZE, limit.rlim_cur);
    return unlimited;
}

/* proc_sys_vm(5); 3 where it can't be read. */
static unsigned overcommit_mode(void) {
    char line[16];

    read_line("/proc/sys/vm/overcommit_memory", line, sizeof(line));
    return line[0] >= '0' && line[0] <= '2' ? (unsigned)(line[0] - '0') : 3;
}

static bool look_overcommit(char found[FOUND_SIZE]) {
    static const char *const modes[] = {"0, by heuristic", "1, always", "2, never", "can't be read"};

    (void)snprintf(found, FOUND_SIZE, "%s", modes[overcommit_mode()]);
    return overcommit_mode() != 2;
}

/* "always [madvise] never": the mode in brackets. */
static bool look_huge_pages(char found[FOUND_SIZE]) {
    char line[64];
    char *mode;

    read_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof(line));
    mode = strchr(line, '[');
    if (mode == NULL) {
        (void)snprintf(found, FOUND_SIZE, "absent");
        return false;
    }
    mode++;
    mode[strcspn(mode, "]")] = 0;
    (void)snprintf(found, FOUND_SIZE, "%s", mode);
    return strcmp(mode, "never") != 0;
}

static bool has_barrier(int command) {
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* Whether one thread can restart another's sequences; the library uses none that it could not restart. */
static bool has_restarts(void) {
    return has_barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ);
}

static bool look_membarrier(char found[FOUND_SIZE]) {
    bool restarts = has_restarts();
    bool works = restarts || has_barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);

    (void)snprintf(found, FOUND_SIZE, "%s", restarts ? "rseq expedited" : works ? "private expedited" : "absent");
    return works;
}

/* glibc's from 2.35 on (sys/rseq.h): the size is 0 where it was told not to register. Other libraries have neither. */
extern const unsigned int __rseq_size __attribute__((weak));
extern const ptrdiff_t __rseq_offset __attribute__((weak));

static bool libc_has_area(void) {
    return &__rseq_size != NULL && __rseq_size != 0;
}

/* Whether the kernel has taken libc's area for this thread: its second word is no processor's number otherwise. */
static bool libc_area_works(void) {
    int32_t processor;

    memcpy(&processor, (const char *)__builtin_thread_pointer() + __rseq_offset + sizeof(processor), sizeof(processor));
    return processor >= 0;
}

/* Whether the kernel takes an area from us: where this command's own malloc has given it one, that is EINVAL. */
static bool own_area_works(void) {
    static char area[32] __attribute__((aligned(32)));
    enum { UNREGISTER = 1, SIGNATURE = 1 /* any, since no sequence is run */ };

    if (syscall(SYS_rseq, area, sizeof(area), 0, SIGNATURE) != 0)
        return errno == EINVAL;
    return syscall(SYS_rseq, area, sizeof(area), UNREGISTER, SIGNATURE) == 0;
}

static bool look_rseq(char found[FOUND_SIZE]) {
    bool works = libc_has_area() ? libc_area_works() : own_area_works();

    (void)snprintf(found, FOUND_SIZE, "%s",
                   !works            ? "absent"
                   : !has_restarts() ? "without membarrier"
                   : libc_has_area() ? "registered by libc"
                                     : "registered by Ration");
    return works && has_restarts();
}

/* A page to try things on, or NULL. */
static void *new_page(void) {
    void *page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

static bool look_guard_advice(char found[FOUND_SIZE]) {
    void *page = new_page();
    bool works = page != NULL && madvise(page, page_size(), MADV_GUARD_INSTALL) == 0;

    if (page != NULL)
        (void)munmap(page, page_size());
    (void)snprintf(found, FOUND_SIZE, "%s", works ? "MADV_GUARD_INSTALL" : "absent");
    return works;
}

static bool look_mremap(char found[FOUND_SIZE]) {
    void *page = new_page();
    void *moved =
        page == NULL ? MAP_FAILED : mremap(page, page_size(), page_size(), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

    if (page != NULL)
        (void)munmap(page, page_size());
    if (moved != MAP_FAILED)
        (void)munmap(moved, page_size());
    (void)snprintf(found, FOUND_SIZE, "%s", moved == MAP_FAILED ? "absent" : "MREMAP_DONTUNMAP");
    /* The old place would count twice there. */
    return moved != MAP_FAILED && overcommit_mode() != 2;
}

static bool look_names(char found[FOUND_SIZE]) {
    void *page = new_page();
    bool works = page != NULL && prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, page_size(), "ration:doctor") == 0;

    if (page != NULL)
        (void)munmap(page, page_size());
    (void)snprintf(found, FOUND_SIZE, "%s", works ? "PR_SET_VMA_ANON_NAME" : "absent");
    return works;
}

static bool look_cgroup(char found[FOUND_SIZE]) {
    cgroup group;
    char limit[FOUND_SIZE - 8];

    if (cgroup_find(&group) != 0) {
        (void)snprintf(found, FOUND_SIZE, "none");
        return false;
    }
    write_size(limit, sizeof(limit), cgroup_limit(&group));
    (void)snprintf(found, FOUND_SIZE, "v%d, %s", group.version, cgroup_limit(&group) == 0 ? "no limit" : limit);
    return cgroup_limit(&group) != 0;
}

/* What `run --limit auto` would begin with now, for a program that holds nothing yet; false where no group limits it. */
static bool auto_limit(uint64_t *limit) {
    cgroup_room_facts facts;

    if (!cgroup_room(0, &facts))
        return false;
    *limit = cgroup_auto_limit(&facts);
    return true;
}

static bool look_auto_limit(char found[FOUND_SIZE]) {
    uint64_t limit;

    (void)snprintf(found, FOUND_SIZE, "none");
    if (!auto_limit(&limit))
        return false;
    write_size(found, FOUND_SIZE, limit);
    return true;
}

/* The one place that says what Ration does. A line of src/os/ that decides otherwise must change its line here. */
static const struct feature {
    const char *name;
    bool (*look)(char found[FOUND_SIZE]);
    const char *with, *without;
} features[] = {
    {"page size", look_page_size, "the unit in which memory is given back", ""},
    {"address space", look_address_space, "reserved in large steps", "reserved in small steps, to fit"},
    {"overcommit", look_overcommit, "pages go back by MADV_DONTNEED", "pages go back by PROT_NONE"},
    {"huge pages", look_huge_pages, "not asked for", "not asked for"},
    {"membarrier", look_membarrier, "idle threads' caches can be taken over", "caches stay with their threads"},
    {"rseq", look_rseq, "threads use restartable fast paths", "every allocation takes the slow path"},
    {"guard advice", look_guard_advice, "--harden guards large blocks by it",
     "--harden guards large blocks by mprotect"},
    {"mremap", look_mremap, "large blocks grow without a copy", "large blocks are copied to grow"},
    {"mapping names", look_names, "given with RATION_NAMES=1", "not used"},
    {"cgroup", look_cgroup, "applied by run --limit auto", "not applied"},
    {"limit auto", look_auto_limit, "run --limit auto begins with it", "run --limit auto has no bound"},
};

#define FEATURE_COUNT (sizeof(features) / sizeof(features[0]))

/* What can be long, and so has no place in the table. */
typedef struct places {
    struct utsname system;
    char library[PATH_MAX];
    bool has_library;
    cgroup group;
    bool has_group;
} places;

static void print_table(const places *found) {
    (void)printf("Ration %s, %s %s, %s\n", rn_version(), found->system.sysname, found->system.release,
                 found->system.machine);
    (void)printf("library  %s%s\n", found->library, found->has_library ? "" : " (missing)");
    (void)printf("cgroup   %s\n\n", found->has_group ? found->group.path : "none that accounts for memory");
    (void)printf("%-14s %-23s %s\n", "FEATURE", "FOUND", "WHAT RATION DOES");
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        char text[FOUND_SIZE];
        bool there = features[i].look(text);

        (void)printf("%-14s %-23s %s\n", features[i].name, text, there ? features[i].with : features[i].without);
    }
}

/* A JSON string (RFC 8259). Bytes that are no UTF-8 can come only from paths, and go out as they are. */
static void print_string(const char *text) {
    (void)putchar('"');
    for (; *text != 0; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte < 0x20)
            (void)printf("\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            (void)printf("\\%c", byte);
        else
            (void)putchar(byte);
    }
    (void)putchar('"');
}

/* A member of an object, with what stands before it. */
static void print_member(const char *before, const char *name, const char *value) {
    (void)printf("%s\"%s\": ", before, name);
    if (value == NULL)
        (void)fputs("null", stdout);
    else
        print_string(value);
}

static void print_json(const places *found) {
    uint64_t limit;

    print_member("{\n  ", "version", rn_version());
    print_member(",\n  ", "kernel", found->system.release);
    print_member(",\n  ", "machine", found->system.machine);
    print_member(",\n  ", "library", found->has_library ? found->library : NULL);
    print_member(",\n  ", "cgroup", found->has_group ? found->group.path : NULL);
    (void)printf(",\n  \"cgroup_limit\": %" PRIu64, found->has_group ? cgroup_limit(&found->group) : 0);
    (void)printf(",\n  \"auto_limit\": ");
    (void)(auto_limit(&limit) ? printf("%" PRIu64, limit) : printf("null"));
    (void)printf(",\n  \"features\": [\n");
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        char text[FOUND_SIZE];
        bool there = features[i].look(text);

        print_member("    {", "name", features[i].name);
        print_member(", ", "found", text);
        print_member(", ", "use", there ? features[i].with : features[i].without);
        (void)printf("}%s\n", i + 1 == FEATURE_COUNT ? "" : ",");
    }
    (void)puts("  ]\n}");
}

int doctor_main(int argc, char **argv) {
    places found = {0};
    bool json = false;
    int status;

    for (int i = 1; i < argc; i++) {
        if (command_is_help(argv[i]))
            return command_print(verb, help);
        if (strcmp(argv[i], "--json") != 0)
            return command_unknown(verb, argv[i]);
        json = true;
    }
    (void)uname(&found.system);
    found.has_library = library_find(found.library) == 0;
    found.has_group = cgroup_find(&found.group) == 0;
    if (json)
        print_json(&found);
    else
        print_table(&found);
    status = command_finish(verb);
    return status == 0 && !found.has_library ? 1 : status;
}
