/* offer.c: how much of what processes have taken of a limit the kernel charges to their cgroup. */
#include "offer.h"

#include "check.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define MIB ((uint64_t)1 << 20)
#define RESERVED (4096 * MIB)
#define WRITTEN (64 * MIB)
#define ELSEWHERE (1024 * MIB) /* what this program holds beside that, in any build: shadows of a sanitizer, too */

static offer offered;

/* As if this process had joined as this number, and taken so much. */
static shared_slot *join(pid_t pid, uint64_t taken) {
    shared_slot *slot = shared_claim(offered.page);

    REQUIRE(slot != NULL);
    slot->pid = pid;
    slot->taken = taken;
    __atomic_store_n(&slot->state, SHARED_USED, __ATOMIC_RELEASE);
    return slot;
}

static void leave(shared_slot *slot) {
    __atomic_store_n(&slot->state, SHARED_FREE, __ATOMIC_RELEASE);
}

static void what_was_taken_and_not_written_to_is_not_charged(void) {
    shared_slot *slot;
    char *memory = mmap(NULL, RESERVED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    REQUIRE(memory != MAP_FAILED);
    REQUIRE(offer_open(&offered, RESERVED, SHARED_CHILDREN_SHARE) == 0);
    CHECK_EQ(0, offer_charged(&offered));
    slot = join(getpid(), RESERVED);
    CHECK(offer_charged(&offered) < ELSEWHERE);
    memset(memory, 1, WRITTEN);
    CHECK(offer_charged(&offered) >= WRITTEN);
    CHECK(offer_charged(&offered) < WRITTEN + ELSEWHERE);
    leave(slot);
    CHECK_EQ(0, offer_charged(&offered));
}

/* Where pages are shared, their parts are counted, and each process has them all resident. */
static void no_more_is_charged_than_was_taken(void) {
    shared_slot *first = join(getpid(), MIB), *second = join(getpid(), 2 * MIB);

    CHECK_EQ(3 * MIB, offer_charged(&offered));
    leave(first);
    leave(second);
}

static void all_that_a_process_took_is_charged_where_its_number_is_not_known(void) {
    shared_slot *slot = join(0, RESERVED);

    CHECK_EQ(RESERVED, offer_charged(&offered));
    leave(slot);
}

/* --- who is served ------------------------------------------------------------------------------------------------- */

/* Whether this process is welcomed. */
static bool asks_to_join(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strcspn(offered.names, ":");
    char text[64];
    int file = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path + 1, offered.names, length);
    return connect(file, (struct sockaddr *)&address,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) == 0 &&
           recv(file, text, sizeof(text), 0) > 0;
}

static pid_t serve(void) {
    struct pollfd asked = {.fd = offered.socket, .events = POLLIN};

    REQUIRE(poll(&asked, 1, 60000) == 1);
    return offer_serve(&offered);
}

static void who_comes_from_this_process_is_served(void) {
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(asks_to_join() ? 0 : 1);
    CHECK_EQ(child, serve());
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_EQ(0, status);
}

/* Whose parent ended is init's child, since this process does not ask for such. */
static void nobody_else_is_who_has_found_out_the_name(void) {
    int answer[2], welcomed = -1;
    pid_t child;

    REQUIRE(pipe(answer) == 0);
    child = fork();
    if (child == 0) {
        pid_t parent = getpid();
        if (fork() == 0) {
            while (getppid() == parent)
                (void)usleep(1000);
            welcomed = asks_to_join();
            _exit(write(answer[1], &welcomed, sizeof(welcomed)) == sizeof(welcomed) ? 0 : 1);
        }
        _exit(0);
    }
    REQUIRE(waitpid(child, NULL, 0) == child);
    CHECK_EQ(0, serve());
    REQUIRE(read(answer[0], &welcomed, sizeof(welcomed)) == sizeof(welcomed));
    CHECK_EQ(0, welcomed);
}

TESTS(TEST(what_was_taken_and_not_written_to_is_not_charged), TEST(no_more_is_charged_than_was_taken),
      TEST(all_that_a_process_took_is_charged_where_its_number_is_not_known),
      TEST(who_comes_from_this_process_is_served), TEST(nobody_else_is_who_has_found_out_the_name))
