/* memory.c: what os.h promises of pages: they come zeroed, trap when they should, move, and go. */
#include "apart.h"
#include "os/os.h"

#include <sys/syscall.h>

static size_t page;

static bool is_zero(const char *start, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (start[i] != 0)
            return false;
    return true;
}

static char *committed(size_t size) {
    os_start();
    page = os.page_size;
    char *start = os_reserve(size, page);
    REQUIRE(start != NULL);
    REQUIRE(os_commit(start, size));
    return start;
}

static void reserved_pages_can_not_be_touched(void) {
    os_start();
    char *start = os_reserve(16 * os.page_size, os.page_size);
    REQUIRE(start != NULL);
    CHECK(!can_read(start));
    CHECK(!can_write(start + 15 * os.page_size));
    CHECK(os_release(start, 16 * os.page_size));
}

static void a_reservation_is_aligned(void) {
    os_start();
    for (size_t align = os.page_size; align <= (size_t)1 << 30; align *= 2) {
        char *start = os_reserve(3 * os.page_size, align);
        REQUIRE(start != NULL);
        CHECK_EQ(0u, (uintptr_t)start & (align - 1));
        CHECK(os_commit(start, 3 * os.page_size));
        CHECK(can_write(start + 3 * os.page_size - 1));
        CHECK(os_release(start, 3 * os.page_size));
    }
}

static void what_can_not_be_had_is_refused(void) {
    os_start();
    errno = 0;
    CHECK_EQ(NULL, os_reserve((size_t)1 << 62, os.page_size));
    CHECK_EQ(NULL, os_reserve(os.page_size, (size_t)1 << 62));
    CHECK_EQ(NULL, os_reserve(SIZE_MAX - os.page_size + 1, (size_t)1 << 30));
    CHECK_EQ(NULL, os_map((size_t)1 << 62));
    CHECK_EQ(0, errno);
}

static void committed_pages_are_zero(void) {
    char *start = committed(64 * 1024);
    CHECK(is_zero(start, 64 * 1024));
    CHECK(can_write(start));
    os_release(start, 64 * 1024);
}

static void mapped_tables_are_zero_and_writable(void) {
    os_start();
    char *start = os_map(64 * 1024);
    REQUIRE(start != NULL);
    CHECK(is_zero(start, 64 * 1024));
    CHECK(can_write(start + 64 * 1024 - 1));
    os_release(start, 64 * 1024);
}

static void purged_pages_read_as_zero_again(void) {
    char *start = committed(8 * 65536);
    memset(start, 7, 8 * 65536);
    CHECK(os_purge(start + 65536, 65536));
    if (os.strict_overcommit)
        REQUIRE(os_commit(start + 65536, 65536));
    CHECK(is_zero(start + 65536, 65536));
    CHECK_EQ(7, start[65535]);
    CHECK_EQ(7, start[2 * 65536]);
    os_release(start, 8 * 65536);
}

static void a_strict_purge_must_be_committed_again(void) {
    char *start = committed(65536);
    bool was = os.strict_overcommit;
    memset(start, 7, 65536);
    os.strict_overcommit = true;
    CHECK(os_purge(start, 65536));
    CHECK(!can_read(start));
    CHECK(os_commit(start, 65536));
    CHECK(is_zero(start, 65536));
    os.strict_overcommit = was;
    os_release(start, 65536);
}

static void locked_pages_that_can_not_be_purged_keep_their_contents(void) {
    char *start = committed(65536);
    memset(start, 7, 65536);
    /* The call itself: a sanitizer makes mlock do nothing. */
    if (syscall(SYS_mlock, start, 65536) == 0 && !os.strict_overcommit) {
        CHECK(!os_purge(start, 65536));
        CHECK_EQ(7, start[0]);
    }
    os_release(start, 65536);
}

static void moved_pages_take_their_contents_along(void) {
    char *start = committed(4 * 65536);
    memset(start, 7, 65536);
    if (os_move(start, start + 2 * 65536, 65536)) {
        CHECK(start[2 * 65536] == 7 && start[3 * 65536 - 1] == 7);
        CHECK(is_zero(start, 65536));
        CHECK(can_write(start));
        CHECK(is_zero(start + 3 * 65536, 65536));
    } else {
        CHECK(start[0] == 7 && start[65535] == 7);
        CHECK(is_zero(start + 2 * 65536, 65536));
    }
    os_release(start, 4 * 65536);
}

static void renewed_pages_are_zero_and_can_be_touched(void) {
    char *start = committed(3 * 65536);
    memset(start, 7, 3 * 65536);
    CHECK(os_renew(start + 65536, 65536));
    CHECK(is_zero(start + 65536, 65536));
    CHECK(can_write(start + 65536));
    CHECK(start[65535] == 7 && start[2 * 65536] == 7);
    os_release(start, 3 * 65536);
}

static void a_strict_move_changes_nothing(void) {
    char *start = committed(2 * 65536);
    bool was = os.strict_overcommit;
    memset(start, 7, 65536);
    os.strict_overcommit = true;
    CHECK(!os_move(start, start + 65536, 65536));
    os.strict_overcommit = was;
    CHECK_EQ(7, start[0]);
    CHECK_EQ(0, start[65536]);
    os_release(start, 2 * 65536);
}

static void a_guard_traps_until_it_is_taken_away(void) {
    char *start = committed(3 * 65536);
    memset(start, 7, 3 * 65536);
    CHECK(os_guard(start + 65536, 65536));
    if (guards_can_be_seen()) {
        CHECK(!can_read(start + 65536));
        CHECK(!can_write(start + 2 * 65536 - 1));
    }
    CHECK_EQ(7, start[65535]);
    CHECK_EQ(7, start[2 * 65536]);
    CHECK(os_unguard(start + 65536, 65536));
    CHECK(can_read(start + 65536));
    CHECK(can_write(start + 2 * 65536 - 1));
    os_release(start, 3 * 65536);
}

static void released_pages_are_gone(void) {
    char *start = committed(65536);
    CHECK(os_release(start, 65536));
    CHECK(!can_read(start));
}

static void naming_leaves_contents_and_errno_alone(void) {
    char *start = committed(65536);
    memset(start, 7, 65536);
    errno = 0;
    os_name(start, 65536, "ration test");
    CHECK_EQ(0, errno);
    CHECK(start[0] == 7 && start[65535] == 7);
    os_release(start, 65536);
}

TESTS(TEST(reserved_pages_can_not_be_touched), TEST(a_reservation_is_aligned), TEST(what_can_not_be_had_is_refused),
      TEST(committed_pages_are_zero), TEST(mapped_tables_are_zero_and_writable), TEST(purged_pages_read_as_zero_again),
      TEST(a_strict_purge_must_be_committed_again), TEST(locked_pages_that_can_not_be_purged_keep_their_contents),
      TEST(moved_pages_take_their_contents_along), TEST(renewed_pages_are_zero_and_can_be_touched),
      TEST(a_strict_move_changes_nothing), TEST(a_guard_traps_until_it_is_taken_away), TEST(released_pages_are_gone),
      TEST(naming_leaves_contents_and_errno_alone))
