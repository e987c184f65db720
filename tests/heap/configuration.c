/* configuration.c: the RATION_ variables: a value that can't be understood is one line, and otherwise as if not there.
 *
 * The library reads them at its first use; so this program leaves that to processes of their own. */
#include "apart.h"

#include <ration/ration.h>

typedef struct setting {
    const char *variable, *value;
} setting;

static void allocate_with(const void *given) {
    const setting *one = given;
    setenv(one->variable, one->value, 1);
    rn_free(rn_malloc(100));
}

/* What a process with the variable set says on its descriptor 2 by its first allocation. */
static const char *said_with(const char *variable, const char *value) {
    setting one = {variable, value};
    return said_by(allocate_with, &one);
}

static void right_values_are_taken_in_silence(void) {
    CHECK_TEXT("", said_with("RATION_HARDEN", "0"));
    CHECK_TEXT("", said_with("RATION_HARDEN", "1"));
    CHECK_TEXT("", said_with("RATION_STATS", "some-file"));
    CHECK_TEXT("", said_with("RATION_HARDENED", "what"));
}

static void a_wrong_value_is_named_with_what_is_taken(void) {
    CHECK_TEXT("ration: RATION_HARDEN=yes: RATION_HARDEN takes 0 or 1; ignored\n", said_with("RATION_HARDEN", "yes"));
    CHECK_TEXT("ration: RATION_HARDEN=: RATION_HARDEN takes 0 or 1; ignored\n", said_with("RATION_HARDEN", ""));
    CHECK_TEXT("ration: RATION_HARDEN=11: RATION_HARDEN takes 0 or 1; ignored\n", said_with("RATION_HARDEN", "11"));
    CHECK_TEXT("ration: RATION_STATS=: RATION_STATS takes the name of a file, of at most 4095 bytes; ignored\n",
               said_with("RATION_STATS", ""));
}

static void a_soft_limit_beyond_the_limit_is_told_and_no_more_than_it_is_not(void) {
    setenv("RATION_LIMIT", "64M", 1);
    CHECK_TEXT("ration: RATION_SOFT=65M: RATION_SOFT takes no more than RATION_LIMIT; ignored\n",
               said_with("RATION_SOFT", "65M"));
    CHECK_TEXT("", said_with("RATION_SOFT", "64M"));
    unsetenv("RATION_LIMIT");
    CHECK_TEXT("", said_with("RATION_SOFT", "65M"));
}

static void say_the_limit(const void *unused) {
    (void)unused;
    rn_stats stats;
    rn_free(rn_malloc(100));
    rn_heap_stats(rn_heap_root(), &stats);
    dprintf(STDERR_FILENO, "%zu", stats.limit);
}

/* What the limit is, in bytes, of a process that can't join its run. */
static const char *limit_by(const char *own, const char *of_run) {
    setenv("RATION_LIMIT", own, 1);
    setenv("RATION_RUN", of_run, 1);
    return said_by(say_the_limit, NULL);
}

static void of_its_own_limit_and_that_of_a_run_that_is_gone_the_lower_one_holds(void) {
    CHECK_TEXT("25165824", limit_by("24M", "nosuch 64M"));
    CHECK_TEXT("25165824", limit_by("64m", "nosuch 24M"));
    CHECK_TEXT("25165824", limit_by("24M", "nosuch"));
    unsetenv("RATION_LIMIT");
    unsetenv("RATION_RUN");
}

static void a_value_too_long_to_print_is_still_one_line(void) {
    char value[2000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    const char *line = said_with("RATION_HARDEN", value);
    size_t length = strlen(line);
    CHECK(strncmp(line, "ration: RATION_HARDEN=xxx", 25) == 0);
    CHECK(length > 0 && strchr(line, '\n') == line + length - 1);
}

static void a_file_name_may_be_as_long_as_the_system_takes(void) {
    char name[4200] = "/";
    memset(name + 1, 'x', 4094);
    CHECK_TEXT("", said_with("RATION_STATS", name));
    name[4095] = 'x';
    const char *line = said_with("RATION_STATS", name);
    CHECK(strncmp(line, "ration: RATION_STATS=/xxx", 25) == 0);
}

TESTS(TEST(right_values_are_taken_in_silence), TEST(a_wrong_value_is_named_with_what_is_taken),
      TEST(a_soft_limit_beyond_the_limit_is_told_and_no_more_than_it_is_not),
      TEST(of_its_own_limit_and_that_of_a_run_that_is_gone_the_lower_one_holds),
      TEST(a_value_too_long_to_print_is_still_one_line), TEST(a_file_name_may_be_as_long_as_the_system_takes))
