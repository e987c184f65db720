/* cgroup.h: the control group that bounds this process's memory, version 1 or 2. */
#ifndef RATION_CMD_CGROUP_H
#define RATION_CMD_CGROUP_H

#include <limits.h>
#include <stdint.h>

typedef struct cgroup {
    int version;         /* of the hierarchy that accounts for memory */
    char path[PATH_MAX]; /* the group's directory */
    uint64_t limit;      /* the tightest on the way up from it, in bytes; 0 where none of them sets one */
} cgroup;

/* 0, or -1 where the process is in no group that accounts for memory, or it can't be seen. */
int cgroup_find(cgroup *found);

#endif
