/* offer.c: how much of what processes have taken of a limit the kernel charges to their cgroup. */
#include "offer.h"

#include "check.h"

#include <sys/mman.h>

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

TESTS(TEST(what_was_taken_and_not_written_to_is_not_charged), TEST(no_more_is_charged_than_was_taken),
      TEST(all_that_a_process_took_is_charged_where_its_number_is_not_known))
