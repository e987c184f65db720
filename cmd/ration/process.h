/* process.h: what /proc tells of a process (proc(5)): when it began, what it holds, whose child it is, which children it has. */
#ifndef RATION_CMD_PROCESS_H
#define RATION_CMD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* When it began, in ticks; 0 where it is gone, or only its parent's wait is missing. *stack, unless NULL, is where its stack begins:
 * elsewhere once it has become another program; 0 where that may not be known. */
uint64_t process_started(pid_t pid, uint64_t *stack);

/* What it has resident that is no page of a file; how much of that is its share, where others hold a page, too; and how much of the
 * rest is theirs. And the kernel's page tables for it, which are nobody else's. */
typedef struct process_memory {
    uint64_t resident, share, others, page_tables;
} process_memory;

/* False where that can't be read. */
bool process_measure(pid_t pid, process_memory *held);

/* What it has resident that is no page of a file, a page that others hold, too, as a whole. False where that can't be read. */
bool process_resident(pid_t pid, uint64_t *bytes);

bool process_is_stopped(pid_t pid);

/* Whether it has become no other program since its parent forked it; *parent is who has it for a child now. */
bool process_is_a_fork(pid_t pid, pid_t *parent);

/* Whether it is this process, or comes from it. */
bool process_is_ours(pid_t pid);

/* Appends the children to a list of so many already, which has room for most. Gives the new length. */
unsigned process_add_children(pid_t pid, pid_t *list, unsigned length, unsigned most);

/* The name that the kernel has for it; "" where it is gone. */
void process_name(pid_t pid, char *name, size_t size);

#endif
