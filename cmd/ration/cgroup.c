/* cgroup.c: reads /proc/self/cgroup and /proc/self/mountinfo (cgroups(7), proc(5)), then the limit files.
 *
 * Start at cgroup_find(). Where a machine has both versions mounted, the memory controller is in exactly one of them:
 * version 1's line then names it, and only a machine without such a line keeps memory in version 2. */
#include "cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Version 1 says "no limit" by the largest number of whole pages. No machine has 2^60 bytes. */
#define LIMIT_NONE ((uint64_t)1 << 60)

static bool has_word(const char *list, const char *word) {
    size_t length = strlen(word);

    for (; *list != 0; list += strcspn(list, ","), list += *list == ',')
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == 0))
            return true;
    return false;
}

/* This process's group, as its hierarchy names it: "9:memory:/a/b" of version 1, else "0::/a/b" of version 2. */
static int read_group(char group[PATH_MAX]) {
    char line[PATH_MAX + 64];
    int version = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");

    while (file != NULL && version != 1 && fgets(line, sizeof(line), file) != NULL) {
        char *controllers = strchr(line, ':');
        char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');

        if (path == NULL)
            continue;
        line[strcspn(line, "\n")] = 0;
        *controllers++ = 0;
        *path++ = 0;
        if (has_word(controllers, "memory"))
            version = 1;
        else if (strcmp(line, "0") == 0)
            version = 2;
        else
            continue;
        (void)snprintf(group, PATH_MAX, "%s", path);
    }
    if (file != NULL)
        (void)fclose(file);
    return version;
}

/* One line of mountinfo: "ID PARENT DEVICE ROOT POINT … - TYPE SOURCE OPTIONS". */
static bool parse_mount(char *line, int version, char **root, char **point) {
    char *save = NULL, *type, *options, *tail = strstr(line, " - ");

    if (tail == NULL)
        return false;
    *tail = 0;
    type = strtok_r(tail + strlen(" - "), " ", &save);
    (void)strtok_r(NULL, " ", &save);
    options = strtok_r(NULL, " \n", &save);
    if (type == NULL || options == NULL || strcmp(type, version == 1 ? "cgroup" : "cgroup2") != 0 ||
        (version == 1 && !has_word(options, "memory")))
        return false;
    for (int field = 0; field < 5; field++) {
        char *word = strtok_r(field == 0 ? line : NULL, " ", &save);

        if (field == 3)
            *root = word;
        if (field == 4)
            *point = word;
        if (word == NULL)
            return false;
    }
    return true;
}

/* Where the group's directory is, and how much of that path is the mount point. A container may see only part of the
 * hierarchy: the mount's root is then cut from the group's name, or the mount point itself is the group. */
static size_t locate(int version, const char *group, char path[PATH_MAX]) {
    char line[2 * PATH_MAX], *root = NULL, *point = NULL;
    size_t top = 0;
    FILE *file = fopen("/proc/self/mountinfo", "re");

    while (file != NULL && top == 0 && fgets(line, sizeof(line), file) != NULL) {
        size_t length;

        if (!parse_mount(line, version, &root, &point))
            continue;
        length = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(group, root, length) != 0 || strncmp(group, "/..", 3) == 0)
            group = "";
        else
            group += length;
        top = strlen(point);
        (void)snprintf(path, PATH_MAX, "%s%s", point, strcmp(group, "/") == 0 ? "" : group);
    }
    if (file != NULL)
        (void)fclose(file);
    return top;
}

/* The limit that one directory sets; "max" and what can't be read are none. */
static uint64_t read_limit(const char *directory, int version) {
    char path[PATH_MAX + 32], line[32];
    char *end = line;
    uint64_t limit = LIMIT_NONE;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, version == 1 ? "memory.limit_in_bytes" : "memory.max");
    file = fopen(path, "re");
    if (file == NULL)
        return LIMIT_NONE;
    if (fgets(line, sizeof(line), file) != NULL)
        limit = strtoull(line, &end, 10);
    (void)fclose(file);
    return end == line ? LIMIT_NONE : limit;
}

int cgroup_find(cgroup *found) {
    char group[PATH_MAX], directory[PATH_MAX];
    int version = read_group(group);
    size_t top = version == 0 ? 0 : locate(version, group, directory);
    uint64_t tightest = LIMIT_NONE;

    if (top == 0 || access(directory, F_OK) != 0)
        return -1;
    found->version = version;
    (void)snprintf(found->path, sizeof(found->path), "%s", directory);
    for (size_t length = strlen(directory); length >= top; length = (size_t)(strrchr(directory, '/') - directory)) {
        uint64_t limit;

        directory[length] = 0;
        limit = read_limit(directory, version);
        if (limit < tightest)
            tightest = limit;
        if (length == top)
            break;
    }
    found->limit = tightest == LIMIT_NONE ? 0 : tightest;
    return 0;
}
