/* cgroup_controller.c: the same on this machine's memory controller, where there is one of version 1 that can be
 * written.
 *
 * Start at the claim at the end. A keeper, a process of its own, removes the groups when the pipe to it closes: after
 * the test, and also where the test gives up or is killed. */
#include "cgroup.h"

#include "check.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define MIB ((uint64_t)1 << 20)

/* The kernel's own memory for the processes, and what a sanitizer or fork has them write. */
#define SLACK (32 * MIB)

static char top[PATH_MAX]; /* the group that holds the others */
static int keeper_pipe[2];

static const char *const below[] = {"/neighbour", "/own", "/other"};

static void group_path(char path[2 * PATH_MAX], const char *name, const char *file) {
    (void)snprintf(path, 2 * PATH_MAX, "%s%s%s", top, name, file);
}

static bool write_number(const char *name, const char *file, uint64_t number) {
    char path[2 * PATH_MAX];
    FILE *to;

    group_path(path, name, file);
    to = fopen(path, "we");
    if (to == NULL)
        return false;
    (void)fprintf(to, "%llu", (unsigned long long)number);
    return fclose(to) == 0;
}

/* A group whose last process has just ended can take a moment to become empty. */
static void remove_group(const char *name) {
    char path[2 * PATH_MAX];

    group_path(path, name, "");
    for (int i = 0; rmdir(path) != 0 && errno == EBUSY && i < 3000; i++)
        (void)usleep(10000);
}

__attribute__((noreturn)) static void keep(void) {
    char byte;

    (void)setsid();
    (void)close(keeper_pipe[1]);
    while (read(keeper_pipe[0], &byte, 1) < 0 && errno == EINTR)
        continue;
    for (size_t i = 0; i < sizeof below / sizeof *below; i++)
        remove_group(below[i]);
    remove_group("");
    _exit(0);
}

static bool is_version_1(char path[PATH_MAX]) {
    cgroup group;

    if (cgroup_find(&group) != 0 || group.version != 1)
        return false;
    (void)snprintf(path, PATH_MAX, "%s", group.path);
    return true;
}

/* The groups and their keeper; false where they can't be made. */
static bool make_groups(pid_t *keeper) {
    char own[PATH_MAX], path[2 * PATH_MAX];

    if (!is_version_1(own))
        return false;
    if (snprintf(top, sizeof top, "%s/ration-test-%d", own, (int)getpid()) >= (int)sizeof top || mkdir(top, 0755) != 0)
        return false;
    REQUIRE(pipe2(keeper_pipe, O_CLOEXEC) == 0);
    *keeper = fork();
    REQUIRE(*keeper >= 0);
    if (*keeper == 0)
        keep();
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        group_path(path, below[i], "");
        REQUIRE(mkdir(path, 0755) == 0);
    }
    return write_number("", "/memory.limit_in_bytes", 1024 * MIB);
}

/* A process in a group, which holds memory, and asks for room each time that it is told to. */
typedef struct member {
    pid_t process;
    int questions, answers;
} member;

typedef struct answer {
    bool limited;
    cgroup_room_facts facts;
} answer;

__attribute__((noreturn)) static void be_member(const char *group, uint64_t held, int questions, int answers) {
    static answer reply;
    char *memory;
    char byte;

    (void)close(keeper_pipe[1]);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    memory = write_number(group, "/cgroup.procs", (uint64_t)getpid())
                 ? mmap(NULL, held, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                 : MAP_FAILED;
    if (memory == MAP_FAILED)
        _exit(1);
    memset(memory, 1, held);
    while (read(questions, &byte, 1) == 1) {
        reply.limited = cgroup_room(held, &reply.facts);
        if (write(answers, &reply, sizeof reply) != (ssize_t)sizeof reply)
            _exit(1);
    }
    _exit(0);
}

static answer ask(const member *who) {
    answer got;
    size_t length = 0;
    ssize_t part;

    REQUIRE(write(who->questions, "?", 1) == 1);
    while (length < sizeof got && (part = read(who->answers, (char *)&got + length, sizeof got - length)) > 0)
        length += (size_t)part;
    REQUIRE(length == sizeof got);
    return got;
}

/* Returns when the memory is held: the first answer comes after that. */
static member new_member(const char *group, uint64_t held) {
    int questions[2], answers[2];
    member made;

    REQUIRE(pipe2(questions, O_CLOEXEC) == 0 && pipe2(answers, O_CLOEXEC) == 0);
    made.process = fork();
    REQUIRE(made.process >= 0);
    if (made.process == 0) {
        (void)close(questions[1]);
        (void)close(answers[0]);
        be_member(group, held, questions[0], answers[1]);
    }
    (void)close(questions[0]);
    (void)close(answers[1]);
    made.questions = questions[1];
    made.answers = answers[0];
    (void)ask(&made);
    return made;
}

static void end_member(const member *who) {
    (void)kill(who->process, SIGKILL);
    (void)close(who->questions);
    (void)close(who->answers);
    while (waitpid(who->process, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* The room is at most this, and less by no more than the slack; the group is the one that counts. */
static void check_room(const member *who, uint64_t at_most, const char *group) {
    answer got = ask(who);
    char path[2 * PATH_MAX];

    group_path(path, group, "");
    CHECK(got.limited);
    CHECK_TEXT(path, got.facts.path);
    if (got.facts.room > at_most + MIB || got.facts.room + SLACK < at_most)
        CHECK_EQ(at_most, got.facts.room);
}

static void check_groups(void) {
    member neighbour = new_member("/neighbour", 96 * MIB);
    member own = new_member("/own", 48 * MIB);

    check_room(&own, (1024 - 96) * MIB, "");
    CHECK(write_number("", "/memory.limit_in_bytes", 512 * MIB));
    check_room(&own, (512 - 96) * MIB, "");
    CHECK(write_number("/own", "/memory.limit_in_bytes", 256 * MIB));
    check_room(&own, 256 * MIB, "/own");
    CHECK(write_number("/other", "/memory.limit_in_bytes", 128 * MIB));
    CHECK(write_number("/other", "/cgroup.procs", (uint64_t)own.process));
    check_room(&own, 128 * MIB, "/other");
    end_member(&neighbour);
    end_member(&own);
}

static void the_controller_of_this_machine_is_read_right(void) {
    pid_t keeper = -1;
    struct stat status;

    if (make_groups(&keeper))
        check_groups();
    else
        printf("skipped: %s: no memory controller of version 1 that can be written\n", check.test);
    if (keeper < 0)
        return;
    (void)close(keeper_pipe[1]);
    while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR)
        continue;
    CHECK(stat(top, &status) != 0 && errno == ENOENT);
}

TESTS(TEST(the_controller_of_this_machine_is_read_right))
