/* cgroup.c: which cgroup bounds this process, and how much memory the groups leave, in trees of files made up here.
 *
 * Start at the claims at the end. put() writes a file of the tree; group1() and group2() a group's files of version 1
 * and 2. Sizes are in MiB there. The trees stand for what hosts, containers and namespaces show. */
#include "cgroup.h"

#include "check.h"

#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>

#define MIB ((uint64_t)1 << 20)
#define NONE 0 /* no limit */

static char root[PATH_MAX];
static cgroup_room_facts facts;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void drop_tree(void) {
    if (root[0] != 0)
        (void)nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    root[0] = 0;
}

/* An empty tree; the one before is gone. */
static void new_tree(void) {
    const char *directory = getenv("TMPDIR");

    drop_tree();
    (void)snprintf(root, sizeof root, "%s/ration-cgroup-XXXXXX", directory != NULL ? directory : "/tmp");
    REQUIRE(mkdtemp(root) != NULL);
    memset(&facts, 0, sizeof facts);
}

/* The directories above a path. */
static void make_above(char *path) {
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        REQUIRE(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void put_bytes(const char *name, const char *text, size_t length) {
    char path[2 * PATH_MAX];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s%s", root, name);
    make_above(path);
    file = fopen(path, "w");
    REQUIRE(file != NULL);
    REQUIRE(fwrite(text, 1, length, file) == length);
    REQUIRE(fclose(file) == 0);
}

static void put(const char *name, const char *text) {
    put_bytes(name, text, strlen(text));
}

__attribute__((format(printf, 3, 4))) static void put_in(const char *group, const char *name, const char *format, ...) {
    char path[PATH_MAX], text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)snprintf(path, sizeof path, "%s/%s", group, name);
    put(path, text);
}

static void take(const char *group, const char *name) {
    char path[3 * PATH_MAX];

    (void)snprintf(path, sizeof path, "%s%s/%s", root, group, name);
    REQUIRE(remove(path) == 0);
}

/* A group of version 1, of which so much is used, a part of that for pages of files. */
static void group1(const char *group, uint64_t limit, uint64_t used, uint64_t inactive, uint64_t active) {
    put_in(group, "memory.limit_in_bytes", "%llu\n",
           limit == NONE ? 9223372036854771712ULL : (unsigned long long)(limit * MIB));
    put_in(group, "memory.usage_in_bytes", "%llu\n", (unsigned long long)(used * MIB));
    put_in(group, "memory.use_hierarchy", "1\n");
    /* The lines of the group's own processes come first, and are not those that count. */
    put_in(group, "memory.stat",
           "cache 1\ninactive_file 1\nactive_file 1\nhierarchical_memory_limit 9223372036854771712\n"
           "total_cache 5\ntotal_inactive_file %llu\ntotal_active_file %llu\ntotal_unevictable 0\n",
           (unsigned long long)(inactive * MIB), (unsigned long long)(active * MIB));
}

static void group2(const char *group, uint64_t limit, uint64_t used, uint64_t inactive, uint64_t active) {
    put_in(group, "memory.max", "max\n");
    if (limit != NONE)
        put_in(group, "memory.max", "%llu\n", (unsigned long long)(limit * MIB));
    put_in(group, "memory.high", "max\n");
    put_in(group, "memory.current", "%llu\n", (unsigned long long)(used * MIB));
    put_in(group, "memory.stat", "anon 4096\nworkingset_refault_file 7\ninactive_file %llu\nactive_file %llu\nslab 9\n",
           (unsigned long long)(inactive * MIB), (unsigned long long)(active * MIB));
}

#define MOUNTS_BEFORE \
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n23 22 0:5 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
#define MOUNT1(mount_root, point) "31 30 0:31 " mount_root " " point " rw,relatime shared:9 - cgroup cgroup rw,memory\n"
#define MOUNT2(mount_root, point) "40 30 0:37 " mount_root " " point " rw,relatime - cgroup2 cgroup2 rw\n"

static void host1(const char *group) {
    put_in("/proc/self", "cgroup", "9:name=systemd:/elsewhere\n4:cpu,memory:%s\n1:cpuset:/\n0::/unified\n", group);
    put("/proc/self/mountinfo", MOUNTS_BEFORE
        "30 22 0:30 / /cg/cpu rw - cgroup cgroup rw,cpu\n" MOUNT2("/", "/cg/unified") MOUNT1("/", "/cg/memory"));
}

static void host2(const char *group) {
    put_in("/proc/self", "cgroup", "1:name=systemd:/elsewhere\n0::%s\n", group);
    put("/proc/self/mountinfo", MOUNTS_BEFORE MOUNT2("/", "/cg"));
}

static bool room(uint64_t held) {
    return cgroup_room_below(root, held * MIB, &facts);
}

/* What the last answer names as the tightest group, and by which of its settings. */
static void check_tightest(const char *group, const char *setting) {
    size_t length = strlen(root);

    CHECK(strncmp(facts.path, root, length) == 0);
    CHECK_TEXT(group, facts.path + (strlen(facts.path) < length ? 0 : length));
    CHECK_TEXT(setting, facts.setting);
}

static void check_room(uint64_t expected, uint64_t held, const char *group, const char *setting) {
    CHECK(room(held));
    CHECK_EQ(expected * MIB, facts.room);
    check_tightest(group, setting);
}

static void a_limit_in_version_1_less_what_neighbours_hold_is_room(void) {
    new_tree();
    host1("/a");
    group1("/cg/memory/a", 256, 100, 0, 0);
    check_room(186, 30, "/cg/memory/a", "memory.limit_in_bytes");
    CHECK_EQ(256 * MIB, facts.limit);
    CHECK_EQ(70 * MIB, facts.others);
}

static void a_limit_in_version_2_less_what_neighbours_hold_is_room(void) {
    new_tree();
    host2("/a");
    group2("/cg/a", 256, 100, 0, 0);
    check_room(186, 30, "/cg/a", "memory.max");
    CHECK_EQ(256 * MIB, facts.limit);
    CHECK_EQ(70 * MIB, facts.others);
}

static void what_the_tree_holds_itself_takes_nothing_from_its_room(void) {
    new_tree();
    host2("/a");
    group2("/cg/a", 256, 200, 0, 0);
    check_room(256, 200, "/cg/a", "memory.max");
    check_room(56, 0, "/cg/a", "memory.max");
}

static void what_was_charged_elsewhere_makes_no_more_room_than_the_limit(void) {
    new_tree();
    host2("/a");
    group2("/cg/a", 256, 100, 0, 0);
    check_room(256, 180, "/cg/a", "memory.max");
    CHECK_EQ(0, facts.others);
}

static void pages_of_files_count_for_nothing_active_or_not(void) {
    new_tree();
    host1("/a");
    group1("/cg/memory/a", 256, 200, 90, 50);
    check_room(226, 30, "/cg/memory/a", "memory.limit_in_bytes");
    new_tree();
    host2("/a");
    group2("/cg/a", 256, 200, 90, 50);
    check_room(226, 30, "/cg/a", "memory.max");
}

static void more_pages_of_files_than_use_are_no_use(void) {
    new_tree();
    host2("/a");
    group2("/cg/a", 256, 100, 90, 50);
    check_room(256, 0, "/cg/a", "memory.max");
}

static void memory_high_is_a_limit_where_it_is_lower(void) {
    new_tree();
    host2("/a");
    group2("/cg/a", 256, 0, 0, 0);
    put("/cg/a/memory.high", "104857600\n");
    check_room(100, 0, "/cg/a", "memory.high");
    put("/cg/a/memory.max", "52428800\n");
    check_room(50, 0, "/cg/a", "memory.max");
    put("/cg/a/memory.max", "max\n");
    check_room(100, 0, "/cg/a", "memory.high");
}

static void where_others_have_it_all_there_is_no_room(void) {
    new_tree();
    host2("/a");
    group2("/cg/a", 100, 150, 0, 0);
    check_room(0, 20, "/cg/a", "memory.max");
    CHECK_EQ(130 * MIB, facts.others);
}

static void of_nested_groups_the_one_that_leaves_least_counts(void) {
    new_tree();
    host1("/a/b/c");
    group1("/cg/memory/a/b/c", 200, 20, 0, 0);
    group1("/cg/memory/a/b", 300, 250, 0, 0);
    group1("/cg/memory/a", 1000, 700, 0, 0);
    group1("/cg/memory", NONE, 5000, 0, 0);
    check_room(70, 20, "/cg/memory/a/b", "memory.limit_in_bytes");
    group1("/cg/memory/a", 1000, 980, 0, 0);
    check_room(40, 20, "/cg/memory/a", "memory.limit_in_bytes");
    group1("/cg/memory/a/b/c", 30, 20, 0, 0);
    check_room(30, 20, "/cg/memory/a/b/c", "memory.limit_in_bytes");
}

static void groups_without_the_controller_are_passed(void) {
    new_tree();
    host2("/slice/service/leaf");
    put("/cg/slice/service/leaf/cgroup.procs", "1\n");
    group2("/cg/slice/service", 64, 10, 0, 0);
    group2("/cg/slice", NONE, 10, 0, 0);
    check_room(64, 10, "/cg/slice/service", "memory.max");
}

static void where_no_group_has_a_limit_there_is_no_answer(void) {
    new_tree();
    host1("/a");
    group1("/cg/memory/a", NONE, 10, 0, 0);
    group1("/cg/memory", NONE, 20, 0, 0);
    facts.room = 7;
    CHECK(!room(0));
    CHECK_EQ(7, facts.room);
    new_tree();
    host2("/a");
    group2("/cg/a", NONE, 10, 0, 0);
    CHECK(!room(0));
    new_tree();
    CHECK(!room(0));
}

static void no_limit_is_known_whatever_the_size_of_pages(void) {
    new_tree();
    host1("/a");
    group1("/cg/memory/a", NONE, 10, 0, 0);
    put("/cg/memory/a/memory.limit_in_bytes", "9223372036854710272\n");
    CHECK(!room(0));
    put("/cg/memory/a/memory.limit_in_bytes", "99999999999999999999999999\n");
    CHECK(!room(0));
}

static void a_container_of_version_1_whose_mount_is_its_group_is_seen(void) {
    new_tree();
    put("/proc/self/cgroup", "4:memory:/docker/abc\n");
    put("/proc/self/mountinfo", MOUNTS_BEFORE MOUNT1("/docker/abc", "/cg/memory"));
    group1("/cg/memory", 128, 28, 0, 0);
    check_room(100, 0, "/cg/memory", "memory.limit_in_bytes");
    put("/proc/self/cgroup", "4:memory:/docker/abc/inner\n");
    group1("/cg/memory/inner", 50, 8, 0, 0);
    check_room(42, 0, "/cg/memory/inner", "memory.limit_in_bytes");
}

static void a_mount_of_another_group_with_a_like_name_is_another(void) {
    new_tree();
    put("/proc/self/cgroup", "4:memory:/docker/abcdef\n");
    put("/proc/self/mountinfo", MOUNT1("/docker/abc", "/first") MOUNT1("/docker", "/second"));
    group1("/first", 10, 0, 0, 0);
    group1("/firstdef", 20, 0, 0, 0);
    group1("/second/abcdef", 30, 0, 0, 0);
    group1("/second", NONE, 0, 0, 0);
    check_room(30, 0, "/second/abcdef", "memory.limit_in_bytes");
}

static void a_container_in_a_cgroup_namespace_is_seen(void) {
    new_tree();
    host2("/");
    group2("/cg", 128, 28, 0, 0);
    check_room(100, 0, "/cg", "memory.max");
}

static void a_mount_from_outside_the_namespace_stands_for_the_group(void) {
    new_tree();
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", MOUNT2("/../..", "/cg"));
    group2("/cg", 128, 28, 0, 0);
    check_room(100, 0, "/cg", "memory.max");
    put("/proc/self/cgroup", "0::/../other\n");
    put("/proc/self/mountinfo", MOUNT2("/..", "/cg"));
    group2("/cg/other", 64, 4, 0, 0);
    check_room(60, 0, "/cg/other", "memory.max");
}

static void limits_above_what_version_1_shows_count(void) {
    new_tree();
    put("/proc/self/cgroup", "4:memory:/pod/abc\n");
    put("/proc/self/mountinfo", MOUNT1("/pod/abc", "/cg/memory"));
    group1("/cg/memory", 128, 28, 0, 0);
    put("/cg/memory/memory.stat", "hierarchical_memory_limit 67108864\ntotal_inactive_file 0\ntotal_active_file 0\n");
    check_room(36, 0, "/cg/memory", "hierarchical_memory_limit");
}

static void groups_of_version_1_without_hierarchy_do_not_bound_those_below(void) {
    new_tree();
    host1("/a/b");
    group1("/cg/memory/a/b", 128, 28, 0, 0);
    group1("/cg/memory/a", 10, 10, 0, 0);
    put("/cg/memory/a/memory.use_hierarchy", "0\n");
    check_room(100, 0, "/cg/memory/a/b", "memory.limit_in_bytes");
}

static void names_with_spaces_and_backslashes_are_found(void) {
    new_tree();
    put("/proc/self/cgroup", "4:memory:/my group/a\\x2db/in\n");
    put("/proc/self/mountinfo", MOUNT1("/my\\040group/a\\134x2db", "/c\\040g"));
    group1("/c g/in", 64, 4, 0, 0);
    group1("/c g", NONE, 4, 0, 0);
    check_room(60, 0, "/c g/in", "memory.limit_in_bytes");
}

static void every_question_reads_anew(void) {
    new_tree();
    host2("/a");
    group2("/cg/a", 256, 100, 0, 0);
    check_room(156, 0, "/cg/a", "memory.max");
    group2("/cg/a", 512, 50, 0, 0);
    check_room(462, 0, "/cg/a", "memory.max");
    group2("/cg/b", 64, 1, 0, 0);
    host2("/b");
    check_room(63, 0, "/cg/b", "memory.max");
    group2("/cg/b", NONE, 1, 0, 0);
    CHECK(!room(0));
}

static void a_group_whose_files_are_garbled_or_missing_says_nothing(void) {
    static const char *const garbled[] = {"",         "\n",        "x\n",  "-5\n",       "12x\n",
                                          "0x1000\n", "maximum\n", "5 \n", "mäx 104857", " 1048576\n"};

    for (size_t i = 0; i < sizeof garbled / sizeof *garbled; i++) {
        new_tree();
        host2("/a/b");
        group2("/cg/a/b", 64, 0, 0, 0);
        group2("/cg/a", 128, 0, 0, 0);
        put("/cg/a/b/memory.max", garbled[i]);
        check_room(128, 0, "/cg/a", "memory.max");
        group2("/cg/a/b", 64, 0, 0, 0);
        put("/cg/a/b/memory.current", garbled[i]);
        check_room(128, 0, "/cg/a", "memory.max");
    }
    take("/cg/a/b", "memory.current");
    check_room(128, 0, "/cg/a", "memory.max");
    take("/cg/a", "memory.max");
    CHECK(!room(0));
}

static void without_statistics_all_use_counts(void) {
    new_tree();
    host2("/a");
    group2("/cg/a", 128, 100, 50, 0);
    take("/cg/a", "memory.stat");
    check_room(28, 0, "/cg/a", "memory.max");
    put("/cg/a/memory.stat", "inactive_file lots\nactive_file");
    check_room(28, 0, "/cg/a", "memory.max");
    put("/cg/a/memory.stat", "active_file 52428800");
    check_room(78, 0, "/cg/a", "memory.max");
}

static void a_file_that_is_too_long_is_as_if_missing(void) {
    static char text[64 * 1024];

    memset(text, '1', sizeof text);
    new_tree();
    host2("/a");
    group2("/cg/a", 128, 100, 50, 0);
    put_bytes("/cg/a/memory.stat", text, sizeof text);
    check_room(28, 0, "/cg/a", "memory.max");
    put_bytes("/cg/a/memory.max", text, sizeof text);
    CHECK(!room(0));
}

/* Lines beside those that are looked for, of any length, with the ends of the buffer at any place in them. */
static void lines_that_are_long_or_torn_hide_none_that_are_whole(void) {
    static char text[64 * 1024];
    const char *mount = "\n" MOUNT2("/", "/cg");

    new_tree();
    host2("/a");
    group2("/cg/a", 128, 28, 0, 0);
    for (size_t length = 0; length < 3 * 8192; length += 61) {
        memset(text, 'x', length);
        (void)strcpy(text + length, mount);
        put("/proc/self/mountinfo", text);
        CHECK(room(0));
        text[length + strlen(mount) - 1] = 0; /* no end of line */
        put("/proc/self/mountinfo", text);
        CHECK(room(0));
    }
    check_room(100, 0, "/cg/a", "memory.max");
}

static void every_cut_of_the_files_of_proc_is_survived(void) {
    static const char groups[] = "9:name=systemd:/x\n4:memory:/a\n0::/\n";
    static const char mounts[] = MOUNTS_BEFORE MOUNT1("/", "/cg");

    new_tree();
    group1("/cg/a", 128, 28, 0, 0);
    put("/proc/self/mountinfo", mounts);
    for (size_t length = 0; length < sizeof groups; length++) {
        put_bytes("/proc/self/cgroup", groups, length);
        CHECK_EQ(length >= strlen("9:name=systemd:/x\n4:memory:/a"), room(0));
    }
    for (size_t length = 0; length < sizeof mounts; length++) {
        put_bytes("/proc/self/mountinfo", mounts, length);
        CHECK_EQ(length >= sizeof mounts - strlen("\n") - 1, room(0));
    }
}

static void noise_in_the_files_of_proc_is_survived(void) {
    uint64_t state = 88172645463325252u;
    char noise[512];

    new_tree();
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            noise[i] = " /:\n-\\0049memorycgroup2."[state % 24];
        }
        put_bytes("/proc/self/cgroup", noise, sizeof noise / 2);
        put_bytes("/proc/self/mountinfo", noise, sizeof noise);
        (void)room(0);
    }
    CHECK(!room(0));
}

static void find_gives_the_group_and_limit_the_tightest_above_it(void) {
    cgroup group;

    new_tree();
    host1("/a/b");
    CHECK_EQ(-1, cgroup_find_below(root, &group));
    group1("/cg/memory/a/b", 200, 20, 0, 0);
    group1("/cg/memory/a", 100, 20, 0, 0);
    REQUIRE(cgroup_find_below(root, &group) == 0);
    CHECK_EQ(1, group.version);
    CHECK_TEXT("/cg/memory/a/b", group.path + strlen(root));
    CHECK_EQ(strlen(root) + strlen("/cg/memory"), group.top);
    CHECK_EQ(100 * MIB, cgroup_limit(&group));
    group1("/cg/memory/a", NONE, 20, 0, 0);
    group1("/cg/memory/a/b", NONE, 20, 0, 0);
    CHECK_EQ(0, cgroup_limit(&group));
}

static void auto_is_95_hundredths_of_the_room(void) {
    facts.room = 200 * MIB;
    CHECK(cgroup_auto_limit(&facts) <= 190 * MIB);
    CHECK(cgroup_auto_limit(&facts) > 190 * MIB - 100);
    facts.room = 0;
    CHECK_EQ(0, cgroup_auto_limit(&facts));
    facts.room = UINT64_MAX;
    CHECK(cgroup_auto_limit(&facts) < UINT64_MAX / 100 * 96);
}

/* Not of descriptors either: the supervisor asks for as long as the program runs. */
static void a_thousand_questions_leave_nothing_open(void) {
    int before, after;

    new_tree();
    host1("/a/b");
    group1("/cg/memory/a/b", 200, 20, 0, 0);
    before = dup(STDOUT_FILENO);
    for (int i = 0; i < 1000; i++)
        CHECK(room(0));
    after = dup(STDOUT_FILENO);
    CHECK_EQ(before + 1, after);
    (void)close(before);
    (void)close(after);
    drop_tree();
}

TESTS(TEST(a_limit_in_version_1_less_what_neighbours_hold_is_room),
      TEST(a_limit_in_version_2_less_what_neighbours_hold_is_room),
      TEST(what_the_tree_holds_itself_takes_nothing_from_its_room),
      TEST(what_was_charged_elsewhere_makes_no_more_room_than_the_limit),
      TEST(pages_of_files_count_for_nothing_active_or_not), TEST(more_pages_of_files_than_use_are_no_use),
      TEST(memory_high_is_a_limit_where_it_is_lower), TEST(where_others_have_it_all_there_is_no_room),
      TEST(of_nested_groups_the_one_that_leaves_least_counts), TEST(groups_without_the_controller_are_passed),
      TEST(where_no_group_has_a_limit_there_is_no_answer), TEST(no_limit_is_known_whatever_the_size_of_pages),
      TEST(a_container_of_version_1_whose_mount_is_its_group_is_seen),
      TEST(a_mount_of_another_group_with_a_like_name_is_another), TEST(a_container_in_a_cgroup_namespace_is_seen),
      TEST(a_mount_from_outside_the_namespace_stands_for_the_group), TEST(limits_above_what_version_1_shows_count),
      TEST(groups_of_version_1_without_hierarchy_do_not_bound_those_below),
      TEST(names_with_spaces_and_backslashes_are_found), TEST(every_question_reads_anew),
      TEST(a_group_whose_files_are_garbled_or_missing_says_nothing), TEST(without_statistics_all_use_counts),
      TEST(a_file_that_is_too_long_is_as_if_missing), TEST(lines_that_are_long_or_torn_hide_none_that_are_whole),
      TEST(every_cut_of_the_files_of_proc_is_survived), TEST(noise_in_the_files_of_proc_is_survived),
      TEST(find_gives_the_group_and_limit_the_tightest_above_it), TEST(auto_is_95_hundredths_of_the_room),
      TEST(a_thousand_questions_leave_nothing_open))
