/* process.c: reads what /proc tells of a process. Start at process_started(). */
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All of a file of the process's, as far as there is room; how much, 0 where it can't be read. */
static size_t read_file(pid_t pid, const char *name, char *text, size_t size) {
    char path[64];
    size_t length;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    text[0] = 0;
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    length = fread(text, 1, size - 1, file);
    (void)fclose(file);
    text[length] = 0;
    return length;
}

/* Where the fields of stat behind the name begin, which may hold anything itself: the second field's end. NULL if it is gone. */
static const char *read_stat(pid_t pid, char *text, size_t size) {
    const char *name_end = read_file(pid, "stat", text, size) == 0 ? NULL : strrchr(text, ')');

    return name_end == NULL || strlen(name_end) < 3 ? NULL : name_end;
}

/* A field by its number. */
static uint64_t stat_field(const char *name_end, unsigned number) {
    const char *at = name_end;

    for (unsigned i = 2; at != NULL && i < number; i++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}

/* A first thread that has ended leaves its process to the others, though it looks like a zombie. */
uint64_t process_started(pid_t pid, uint64_t *stack) {
    char text[1024];
    const char *name_end = read_stat(pid, text, sizeof(text));

    if (stack != NULL)
        *stack = name_end == NULL ? 0 : stat_field(name_end, 28);
    if (name_end == NULL || (name_end[2] == 'Z' && stat_field(name_end, 20) <= 1) || name_end[2] == 'X')
        return 0;
    return stat_field(name_end, 22);
}

/* 0 where it is gone. */
static pid_t parent_of(pid_t pid) {
    char text[1024];
    const char *name_end = read_stat(pid, text, sizeof(text));

    return name_end == NULL ? 0 : (pid_t)stat_field(name_end, 4);
}

enum { FORKED_NO_EXEC = 0x40 }; /* PF_FORKNOEXEC, linux/sched.h */

bool process_is_a_fork(pid_t pid, pid_t *parent) {
    char text[1024];
    const char *name_end = read_stat(pid, text, sizeof(text));

    *parent = name_end == NULL ? 0 : (pid_t)stat_field(name_end, 4);
    return name_end != NULL && (stat_field(name_end, 9) & FORKED_NO_EXEC) != 0;
}

/* A parent that is gone meanwhile has left its children to another: the way up then begins anew. */
bool process_is_ours(pid_t pid) {
    pid_t at = pid;

    for (int tries = 0; tries < 100 && at != getpid(); tries += at == 0) {
        if (at == 1)
            return false;
        at = at == 0 ? pid : parent_of(at);
        if (at == 0 && parent_of(pid) == 0)
            return false; /* it is gone itself, or comes from elsewhere */
    }
    return at == getpid();
}

bool process_is_stopped(pid_t pid) {
    char text[1024];
    const char *name_end = read_stat(pid, text, sizeof(text));

    return name_end != NULL && name_end[2] == 'T';
}

static uint64_t bytes_in(const char *text, const char *name) {
    const char *line = strstr(text, name);

    return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10) * 1024;
}

/* Before these lines stand all groups that its user is in. The name can't hold the end of a line. */
static bool read_status(pid_t pid, uint64_t *resident, uint64_t *page_tables) {
    char text[16384];

    if (read_file(pid, "status", text, sizeof(text)) == 0)
        return false;
    *resident = bytes_in(text, "\nRssAnon:") + bytes_in(text, "\nRssShmem:");
    *page_tables = bytes_in(text, "\nVmPTE:");
    return true;
}

bool process_resident(pid_t pid, uint64_t *bytes) {
    uint64_t page_tables;

    return read_status(pid, bytes, &page_tables);
}

bool process_measure(pid_t pid, process_memory *held) {
    char text[2048];

    if (!read_status(pid, &held->resident, &held->page_tables) ||
        read_file(pid, "smaps_rollup", text, sizeof(text)) == 0)
        return false;
    held->share = bytes_in(text, "Pss_Anon:");
    held->others = bytes_in(text, "Anonymous:") - held->share;
    held->share += bytes_in(text, "Pss_Shmem:");
    return true;
}

unsigned process_add_children(pid_t pid, pid_t *list, unsigned length, unsigned most) {
    char name[64], text[4096], *at = text;

    (void)snprintf(name, sizeof(name), "task/%d/children", (int)pid);
    (void)read_file(pid, name, text, sizeof(text));
    for (char *end; length < most; at = end) {
        long child = strtol(at, &end, 10);

        if (end == at)
            break;
        list[length++] = (pid_t)child;
    }
    return length;
}

void process_name(pid_t pid, char *name, size_t size) {
    (void)read_file(pid, "comm", name, size);
    name[strcspn(name, "\n")] = 0;
}
