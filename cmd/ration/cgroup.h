/* cgroup.h: the control groups that bound this process's memory, version 1 or 2, and how much of it they leave.
 *
 * cgroup.c finds the group, cgroup_room.c reads the figures of it and of those above. Nothing is kept between two calls,
 * since groups change and processes are moved, and nothing is allocated. What ends in _below takes /proc and the
 * mounts from below another directory than "", for tests. */
#ifndef RATION_CMD_CGROUP_H
#define RATION_CMD_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cgroup {
    int version;         /* of the hierarchy that accounts for memory */
    char path[PATH_MAX]; /* the group's directory */
    size_t top;          /* the length of the part of path that is the topmost group to be seen from here */
} cgroup;

/* 0, or -1 where the process is in no group that accounts for memory, or it can't be seen. */
int cgroup_find(cgroup *found);
int cgroup_find_below(const char *root, cgroup *found);

/* The tightest limit on the way up from the group, in bytes; 0 where none of them sets one. */
uint64_t cgroup_limit(const cgroup *group);

/* What the tightest group leaves to a tree of processes, and why. */
typedef struct cgroup_room_facts {
    uint64_t room;       /* what the tree may hold, in bytes: limit less others, 0 where they have it all */
    uint64_t limit;      /* the group's */
    uint64_t others;     /* what the group's other members hold of it, and the kernel for all of them */
    const char *setting; /* the name of the setting that is the limit, such as "memory.max" */
    char path[PATH_MAX]; /* the group's directory */
} cgroup_room_facts;

/* What the groups from this process's own to the top leave to a tree of processes in them that itself holds `held` bytes
 * (anonymous and shared, as charged): for each group its limit less what its other members hold, the tightest of them.
 * False, and nothing written, where no group limits memory. To be asked again and again while the tree runs. */
bool cgroup_room(uint64_t held, cgroup_room_facts *found);
bool cgroup_room_below(const char *root, uint64_t held, cgroup_room_facts *found);

/* What `--limit auto` makes of it. */
uint64_t cgroup_auto_limit(const cgroup_room_facts *facts);

#endif
