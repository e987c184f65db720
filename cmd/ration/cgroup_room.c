/* cgroup_room.c: how much memory the cgroups above a process leave to it: limits, and what the neighbours hold of them.
 *
 * Start at cgroup_room_below(), which climbs from the process's group to the topmost that can be seen. The files are
 * those of the kernel's admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst. A group that has no limit, or whose files
 * are missing or garbled, says nothing. */
#include "cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Version 1 says "no limit" by the largest number of whole pages. No machine has 2^60 bytes. */
#define LIMIT_NONE ((uint64_t)1 << 60)

/* memory.stat has some sixty lines of some thirty bytes. */
#define STAT_SIZE 8192

/* Of the room, in hundredths, what `--limit auto` uses. The rest is for what grows beside the tree between two looks:
 * the kernel's memory for it (page tables, stacks, sockets), the neighbours', and the programs' own code, which is read
 * again and again where no page is left for it. The kernel's figures, too, lag by some hundred KiB per processor. */
#define AUTO_PERCENT 95

/* What of one group matters here. */
typedef struct group_figures {
    uint64_t limit;
    const char *setting;
    uint64_t used; /* what can't be taken back without a kill */
} group_figures;

/* A small file, whole; one that does not fit is as if it were missing. */
static bool read_file(const char *directory, const char *name, char *text, size_t size) {
    char path[PATH_MAX + 32];
    size_t length = 0;
    ssize_t got;
    int file;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    while (length < size && (got = read(file, text + length, size - length)) > 0)
        length += (size_t)got;
    (void)close(file);
    text[length == size ? 0 : length] = 0;
    return length > 0 && length < size;
}

/* A number of bytes, or "max", up to the end of the line. */
static bool parse_bytes(const char *text, uint64_t *bytes) {
    size_t digits = strspn(text, "0123456789");
    bool none = digits == 0 && strncmp(text, "max", 3) == 0;
    char end = text[none ? 3 : digits];

    if ((digits == 0 && !none) || (end != '\n' && end != 0))
        return false;
    *bytes = none ? LIMIT_NONE : strtoull(text, NULL, 10);
    if (*bytes > LIMIT_NONE)
        *bytes = LIMIT_NONE;
    return true;
}

static bool read_bytes(const char *directory, const char *name, uint64_t *bytes) {
    char text[32];

    return read_file(directory, name, text, sizeof(text)) && parse_bytes(text, bytes);
}

/* A line of memory.stat, "NAME NUMBER"; otherwise where there is none. */
static uint64_t stat_bytes(const char *stat, const char *name, uint64_t otherwise) {
    size_t length = strlen(name);
    const char *line = stat;
    uint64_t bytes = otherwise;

    while (line != NULL && (strncmp(line, name, length) != 0 || line[length] != ' ')) {
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return line != NULL && parse_bytes(line + length + 1, &bytes) ? bytes : otherwise;
}

static void tighten(group_figures *found, uint64_t limit, const char *setting) {
    if (limit >= found->limit)
        return;
    found->limit = limit;
    found->setting = setting;
}

static void tighten_by_file(group_figures *found, const char *directory, const char *setting) {
    uint64_t limit;

    if (read_bytes(directory, setting, &limit))
        tighten(found, limit, setting);
}

/* memory.stat, or nothing. */
static void read_stat(const char *directory, char stat[STAT_SIZE]) {
    if (!read_file(directory, "memory.stat", stat, STAT_SIZE))
        stat[0] = 0;
}

/* In version 1, a group knows the tightest limit of all those above it, also of those that can't be seen. */
static void tighten_by_hidden(group_figures *found, const char *directory) {
    char stat[STAT_SIZE] = "";

    read_stat(directory, stat);
    tighten(found, stat_bytes(stat, "hierarchical_memory_limit", LIMIT_NONE), "hierarchical_memory_limit");
}

/* The limit of one group; false where it has none. memory.high is one, too: beyond it the kernel makes the group wait
 * for every page. */
static bool read_limit(const cgroup *group, const char *directory, bool topmost, group_figures *found) {
    found->limit = LIMIT_NONE;
    if (group->version == 2) {
        tighten_by_file(found, directory, "memory.max");
        tighten_by_file(found, directory, "memory.high");
    } else {
        tighten_by_file(found, directory, "memory.limit_in_bytes");
        if (topmost)
            tighten_by_hidden(found, directory);
    }
    return found->limit != LIMIT_NONE;
}

/* What the group uses, but for pages of files, all of which the kernel drops before it kills: active and mapped ones,
 * and once they are written dirty ones, too. The "working set" that Docker and the kubelet show takes off the inactive
 * ones only; by that figure a program that reads a file twice would have no room in a group that has much. Files in
 * memory (tmpfs) count among the anonymous ones, and so stay in. False where it can't be read. */
static bool read_use(const cgroup *group, const char *directory, group_figures *found) {
    bool first = group->version == 1;
    char stat[STAT_SIZE] = "";
    uint64_t usage, files;

    if (!read_bytes(directory, first ? "memory.usage_in_bytes" : "memory.current", &usage))
        return false;
    read_stat(directory, stat);
    files = stat_bytes(stat, first ? "total_inactive_file" : "inactive_file", 0) +
            stat_bytes(stat, first ? "total_active_file" : "active_file", 0);
    found->used = usage > files ? usage - files : 0;
    return true;
}

/* Whether the group has one above it that can be seen and bounds it. In version 1, before Linux 5.11, those without
 * use_hierarchy bound only their own processes. */
static bool has_parent(const cgroup *group, const char *directory) {
    char parent[PATH_MAX];
    const char *end = strrchr(directory, '/');
    uint64_t hierarchical;

    if (strlen(directory) <= group->top || end == NULL)
        return false;
    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(end - directory), directory);
    return group->version == 2 || !read_bytes(parent, "memory.use_hierarchy", &hierarchical) || hierarchical != 0;
}

/* From the group to the topmost, one at each call; false after that. It begins with the group itself. */
static bool climb(const cgroup *group, char directory[PATH_MAX], bool *topmost) {
    if (*topmost)
        return false;
    if (directory[0] == 0)
        memcpy(directory, group->path, sizeof(group->path));
    else
        *strrchr(directory, '/') = 0;
    *topmost = !has_parent(group, directory);
    return true;
}

uint64_t cgroup_limit(const cgroup *group) {
    char directory[PATH_MAX] = "";
    bool topmost = false;
    uint64_t tightest = LIMIT_NONE;
    group_figures figures;

    while (climb(group, directory, &topmost))
        if (read_limit(group, directory, topmost, &figures) && figures.limit < tightest)
            tightest = figures.limit;
    return tightest == LIMIT_NONE ? 0 : tightest;
}

/* What was charged to another group, before a move or by who touched it first, is held without being used here: then
 * the whole limit is room, and not more. */
static void leave_room(const group_figures *figures, uint64_t held, cgroup_room_facts *found) {
    found->limit = figures->limit;
    found->setting = figures->setting;
    found->others = figures->used > held ? figures->used - held : 0;
    found->room = found->limit > found->others ? found->limit - found->others : 0;
}

bool cgroup_room_below(const char *root, uint64_t held, cgroup_room_facts *found) {
    char directory[PATH_MAX] = "";
    bool topmost = false, limited = false;
    group_figures figures;
    cgroup group;
    cgroup_room_facts candidate;

    if (cgroup_find_below(root, &group) != 0)
        return false;
    while (climb(&group, directory, &topmost)) {
        if (!read_limit(&group, directory, topmost, &figures) || !read_use(&group, directory, &figures))
            continue;
        leave_room(&figures, held, &candidate);
        if (limited && candidate.room >= found->room)
            continue;
        memcpy(candidate.path, directory, sizeof(directory));
        *found = candidate;
        limited = true;
    }
    return limited;
}

bool cgroup_room(uint64_t held, cgroup_room_facts *found) {
    return cgroup_room_below("", held, found);
}

uint64_t cgroup_auto_limit(const cgroup_room_facts *facts) {
    return facts->room / 100 * AUTO_PERCENT;
}
