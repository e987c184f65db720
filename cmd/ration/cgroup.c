/* cgroup.c: finds this process's memory cgroup in /proc/self/cgroup and /proc/self/mountinfo (cgroups(7), proc(5)).
 *
 * Start at cgroup_find_below(). Where a machine has both versions mounted, the memory controller is in exactly one of
 * them: version 1's line then names it, and only a machine without such a line keeps memory in version 2. */
#include "cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Some thirty thousand mounts: what follows is not looked at. */
#define FILE_MAX ((size_t)4 << 20)

/* A file, read line by line. A line that does not fit is passed over: none that is looked for is as long. */
typedef struct lines {
    int file;
    size_t begin, end; /* of what was read and not yet given */
    size_t left;       /* how much more may be read */
    bool passing;      /* amid a line that does not fit */
    char text[2 * PATH_MAX];
} lines;

static bool open_lines(lines *from, const char *root, const char *name) {
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s%s", root, name) >= (int)sizeof(path))
        return false;
    from->file = open(path, O_RDONLY | O_CLOEXEC);
    from->begin = from->end = 0;
    from->left = FILE_MAX;
    from->passing = false;
    return from->file >= 0;
}

/* Reads on behind what is left of the text; false at the end. One byte stays free for a last line's end. */
static bool read_more(lines *from) {
    size_t room;
    ssize_t got;

    memmove(from->text, from->text + from->begin, from->end - from->begin);
    from->end -= from->begin;
    from->begin = 0;
    if (from->end == sizeof(from->text) - 1) {
        from->passing = true;
        from->end = 0;
    }
    room = sizeof(from->text) - 1 - from->end;
    got = read(from->file, from->text + from->end, room < from->left ? room : from->left);
    if (got <= 0)
        return false;
    from->end += (size_t)got;
    from->left -= (size_t)got;
    return true;
}

/* The next line without its end, or NULL. It stands until the next call. */
static char *next_line(lines *from) {
    for (;;) {
        char *line = from->text + from->begin;
        char *end = memchr(line, '\n', from->end - from->begin);
        bool whole = !from->passing;

        if (end == NULL && read_more(from))
            continue;
        if (end == NULL && (from->begin == from->end || from->passing))
            return NULL;
        if (end == NULL)
            end = from->text + from->end++;
        line = from->text + from->begin;
        *end = 0;
        from->begin = (size_t)(end + 1 - from->text);
        from->passing = false;
        if (whole)
            return line;
    }
}

static bool has_word(const char *list, const char *word) {
    size_t length = strlen(word);

    for (; *list != 0; list += strcspn(list, ","), list += *list == ',')
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == 0))
            return true;
    return false;
}

/* One line of /proc/self/cgroup, "9:memory:/a/b" of version 1 or "0::/a/b" of version 2: which, or 0; and the path. */
static int parse_group(char *line, const char **path) {
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');

    if (group == NULL || group[1] != '/')
        return 0;
    *controllers++ = 0;
    *group++ = 0;
    *path = group;
    return has_word(controllers, "memory") ? 1 : strcmp(line, "0") == 0 ? 2 : 0;
}

/* This process's group, as its hierarchy names it; the version, or 0. */
static int read_group(const char *root, char group[PATH_MAX]) {
    int version = 0;
    const char *path;
    char *line;
    lines file;

    if (!open_lines(&file, root, "/proc/self/cgroup"))
        return 0;
    while (version != 1 && (line = next_line(&file)) != NULL) {
        int found = parse_group(line, &path);

        if (found == 0 || snprintf(group, PATH_MAX, "%s", path) >= PATH_MAX)
            continue;
        version = found;
    }
    (void)close(file.file);
    return version;
}

/* In mountinfo, a space, a tab, a line's end and a backslash are written as three octal digits after a backslash. */
static void unescape(char *text) {
    char *to = text;

    for (; *text != 0; text++, to++) {
        *to = *text;
        if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
            *to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 3;
        }
    }
    *to = 0;
}

/* One line of mountinfo: "ID PARENT DEVICE ROOT POINT … - TYPE SOURCE OPTIONS". */
static bool parse_mount(char *line, int version, char **root, char **point) {
    char *save = NULL, *type, *options, *tail = strstr(line, " - ");

    if (tail == NULL)
        return false;
    *tail = 0;
    type = strtok_r(tail + strlen(" - "), " ", &save);
    (void)strtok_r(NULL, " ", &save);
    options = strtok_r(NULL, " ", &save);
    if (type == NULL || options == NULL || strcmp(type, version == 1 ? "cgroup" : "cgroup2") != 0 ||
        (version == 1 && !has_word(options, "memory")))
        return false;
    for (int field = 0; field < 5; field++) {
        char *word = strtok_r(field == 0 ? line : NULL, " ", &save);

        if (word == NULL)
            return false;
        if (field == 3)
            *root = word;
        if (field == 4)
            *point = word;
    }
    unescape(*root);
    unescape(*point);
    return true;
}

/* What follows the mount's root in the group's path, or NULL where the group is not below it. Both are given as seen
 * from the top of this process's cgroup namespace, and begin with ".." for what is not below that. */
static const char *path_below(const char *root, const char *group) {
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    const char *rest = group + length;

    if (strncmp(group, root, length) != 0 || (*rest != '/' && *rest != 0))
        return NULL;
    if (strncmp(rest, "/..", 3) == 0 && (rest[3] == '/' || rest[3] == 0))
        return NULL;
    return strcmp(rest, "/") == 0 ? "" : rest;
}

static bool set_path(cgroup *found, const char *root, const char *point, const char *rest) {
    char path[PATH_MAX];
    size_t top = strlen(root) + strlen(point);

    if (snprintf(path, sizeof(path), "%s%s%s", root, point, rest) >= (int)sizeof(path))
        return false;
    memcpy(found->path, path, sizeof(path));
    found->top = top;
    return true;
}

/* Where the group's directory is. A container may see only a part of the hierarchy: the mount's root is then cut from
 * the group's path. Where no mount shows the group, the first of them stands for it: that is the container's own. */
static bool locate(const char *root, const char *group, cgroup *found) {
    bool located = false, exact = false;
    char *line, *mount_root = NULL, *point = NULL;
    lines file;

    if (!open_lines(&file, root, "/proc/self/mountinfo"))
        return false;
    while (!exact && (line = next_line(&file)) != NULL) {
        const char *rest;

        if (!parse_mount(line, found->version, &mount_root, &point))
            continue;
        rest = path_below(mount_root, group);
        if (located && rest == NULL)
            continue;
        if (set_path(found, root, point, rest == NULL ? "" : rest)) {
            located = true;
            exact = rest != NULL;
        }
    }
    (void)close(file.file);
    return located;
}

int cgroup_find_below(const char *root, cgroup *found) {
    char group[PATH_MAX];
    cgroup candidate;

    candidate.version = read_group(root, group);
    if (candidate.version == 0 || !locate(root, group, &candidate) || access(candidate.path, F_OK) != 0)
        return -1;
    *found = candidate;
    return 0;
}

int cgroup_find(cgroup *found) {
    return cgroup_find_below("", found);
}
