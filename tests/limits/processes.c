/* processes.c: adversaries of several processes: trees of them, children that die with their memory in hand, children
 * that start another program, forks when there is nothing left. Start at the table at the end. */
#include "adversary.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const double slice = 0.3; /* seconds that a child has */

static void *zeroed(size_t size) {
    return calloc(1, size);
}

static void drop_block(void *memory, size_t size) {
    (void)size;
    free(memory);
}

/* 0 in the child, -1 where there was no room for one. */
static pid_t split(void) {
    pid_t child = fork();
    if (child < 0 && errno != EAGAIN && errno != ENOMEM)
        broken("fork failed for no lack of memory");
    if (child < 0)
        note_denied();
    if (child == 0)
        random_begin();
    return child;
}

/* Waits for a child; one that we did not kill must have ended by itself, and well. */
static void wait_for(pid_t child, bool killed) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            broken("waitpid failed");
    if (WIFEXITED(status) ? WEXITSTATUS(status) != 0 : !killed)
        broken("a child did not end well");
}

static void end_child(pid_t child) {
    bool kills = random_below(3) == 0;
    if (kills)
        kill(child, SIGKILL);
    wait_for(child, kills);
}

/* Each process takes what it can get beside its children, which do the same; half of them die with it in hand. */
static void branch(unsigned generations) {
    pid_t children[2] = {-1, -1};
    for (size_t i = 0; i < 2 && generations > 0; i++) {
        children[i] = split();
        if (children[i] == 0) {
            branch(generations - 1);
            _exit(0);
        }
    }
    hoard held = {.from = &every_size};
    hoard_press(&held, now() + slice);
    if (random_below(2) == 0)
        hoard_give_all(&held);
    for (size_t i = 0; i < 2; i++)
        if (children[i] > 0)
            end_child(children[i]);
    hoard_give_all(&held);
}

static void tree(void) {
    while (time_left())
        branch(2);
}

/* All that there is, and then a fork: the child gives all of it up and takes it again. */
static void fork_full(void) {
    hoard held = {.from = &every_size};
    while (time_left()) {
        hoard_press(&held, now() + slice);
        pid_t child = split();
        if (child == 0) {
            hoard_give_all(&held);
            press(&every_size, now() + slice / 2);
            _exit(0);
        }
        hoard_press(&held, now() + slice / 2);
        if (child > 0)
            wait_for(child, false);
        else
            hoard_give_all(&held);
    }
    hoard_give_all(&held);
}

/* What parent and child share at first is written by the child, and so is there twice. */
static void fork_write(void) {
    hoard held = {.from = &every_size};
    while (time_left()) {
        hoard_press(&held, now() + slice / 2);
        pid_t child = split();
        if (child == 0) {
            hoard_write(&held);
            pause_briefly();
            _exit(0);
        }
        if (child > 0)
            wait_for(child, false);
        hoard_give(&held, held.bytes / 2);
    }
    hoard_give_all(&held);
}

/* Children that write to what they were given only when there is no more, beside a parent whose memory they share. */
static void fork_late(void) {
    enum { CHILDREN = 3 };
    static const source late = {zeroed, drop_block, 1000, 1 << 20, 1, true};
    hoard held = {.from = &every_size};
    while (!hoard_take(&held, 4 << 20) && time_left())
        pause_briefly();
    while (time_left()) {
        pid_t children[CHILDREN];
        for (size_t i = 0; i < CHILDREN; i++) {
            children[i] = split();
            if (children[i] == 0) {
                press(&late, now() + slice);
                _exit(0);
            }
        }
        for (size_t i = 0; i < CHILDREN; i++)
            if (children[i] > 0)
                end_child(children[i]);
    }
    hoard_give_all(&held);
}

/* This program's other cases, as programs of their own. */
static char *command[] = {"adversary", "classes", "0.3", NULL};

static void run_program(void) {
    execv("/proc/self/exe", command);
    if (errno != ENOMEM && errno != EAGAIN)
        broken("exec failed for no lack of memory");
    _exit(0);
}

static void fork_exec(void) {
    hoard held = {.from = &every_size};
    while (time_left()) {
        pid_t child = split();
        if (child == 0)
            run_program();
        hoard_press(&held, now() + slice);
        if (child > 0)
            end_child(child);
        hoard_give_all(&held);
    }
}

static pid_t spawn(void) {
    pid_t child = -1;
    int problem = posix_spawn(&child, "/proc/self/exe", NULL, NULL, command, environ);
    if (problem != 0 && problem != EAGAIN && problem != ENOMEM)
        broken("posix_spawn failed for no lack of memory");
    if (problem != 0)
        note_denied();
    return problem == 0 ? child : -1;
}

static void by_spawn(void) {
    enum { CHILDREN = 4 };
    while (time_left()) {
        pid_t children[CHILDREN];
        for (size_t i = 0; i < CHILDREN; i++)
            children[i] = spawn();
        press(&every_size, now() + slice);
        for (size_t i = 0; i < CHILDREN; i++)
            if (children[i] > 0)
                end_child(children[i]);
    }
}

static const adversary cases[] = {
    {"fork-tree", tree, 24},     {"fork-full", fork_full, 2}, {"fork-write", fork_write, 2},
    {"fork-late", fork_late, 4}, {"fork-exec", fork_exec, 2}, {"spawn", by_spawn, 5},
};

const adversaries processes = {cases, sizeof cases / sizeof *cases};
