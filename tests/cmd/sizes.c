/* sizes.c: sizes and times as people write them, and sizes as they are shown. Start at the claims at the end. */
#include "sizes.h"

#include "check.h"

static const uint64_t untouched = 12345;

static uint64_t size_of(const char *text) {
    uint64_t bytes = untouched;

    CHECK(size_parse(text, &bytes));
    return bytes;
}

static void check_no_size(const char *text) {
    uint64_t bytes = untouched;

    CHECK(!size_parse(text, &bytes));
    CHECK_EQ(untouched, bytes);
}

static void check_time(const char *text, uint64_t expected) {
    uint64_t ms = untouched;

    CHECK(time_parse(text, &ms));
    CHECK_EQ(expected, ms);
}

static void check_no_time(const char *text) {
    uint64_t ms = untouched;

    CHECK(!time_parse(text, &ms));
    CHECK_EQ(untouched, ms);
}

static void check_shown(uint64_t bytes, const char *expected) {
    char text[SIZE_TEXT];

    CHECK_TEXT(expected, size_text(bytes, text));
}

static void units_are_powers_of_1024(void) {
    CHECK_EQ(1, size_of("1B"));
    CHECK_EQ(3 << 10, size_of("3K"));
    CHECK_EQ(3 << 10, size_of("3KiB"));
    CHECK_EQ(500 << 20, size_of("500M"));
    CHECK_EQ(500 << 20, size_of("500MiB"));
    CHECK_EQ((uint64_t)2 << 30, size_of("2G"));
    CHECK_EQ((uint64_t)2 << 30, size_of("2GiB"));
    CHECK_EQ((uint64_t)7 << 40, size_of("7T"));
    CHECK_EQ((uint64_t)7 << 40, size_of("7TiB"));
}

static void capitals_or_not_is_no_matter(void) {
    CHECK_EQ(1, size_of("1b"));
    CHECK_EQ(3 << 10, size_of("3k"));
    CHECK_EQ(512 << 20, size_of("512m"));
    CHECK_EQ(512 << 20, size_of("512mib"));
    CHECK_EQ((uint64_t)3 << 29, size_of("1.5g"));
    CHECK_EQ((uint64_t)7 << 40, size_of("7t"));
}

static void fractions_are_cut_to_bytes(void) {
    CHECK_EQ((uint64_t)3 << 29, size_of("1.5G"));
    CHECK_EQ(512, size_of("0.5K"));
    CHECK_EQ(1, size_of("1.9B"));
}

static void the_largest_size_is_an_exbibyte(void) {
    CHECK_EQ((uint64_t)1 << 60, size_of("1048576T"));
    check_no_size("1048577T");
    check_no_size("99999999999999999999999999T");
}

static void what_is_no_size_is_refused_and_nothing_written(void) {
    static const char *const wrong[] = {"",    "M",      "5",   "0M",   "0.9B", "-1M",  "+1M",
                                        " 1M", "1 M",    "1M ", "1e3M", "0x1M", "1MB",  "1mb",
                                        "1Ki", "1.2.3M", ".5M", "5.M",  ".M",   "nanM", "infM"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        check_no_size(wrong[i]);
}

static void times_are_milliseconds(void) {
    check_time("500ms", 500);
    check_time("2s", 2000);
    check_time("1.5s", 1500);
    check_time("3m", 180000);
    check_time("0ms", 0);
}

static void what_is_no_time_is_refused_and_nothing_written(void) {
    static const char *const wrong[] = {"", "2", "s", "-1s", "2 s", "2h", "2S", "100000s", "1e3s", ".5s", "1.s"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        check_no_time(wrong[i]);
}

static void sizes_are_shown_in_three_digits_or_so(void) {
    check_shown(0, "0 B");
    check_shown(999, "999 B");
    check_shown(1000, "1.0 KiB");
    check_shown(64 << 10, "64.0 KiB");
    check_shown(100 << 10, "100 KiB");
    check_shown(64 << 20, "64.0 MiB");
    check_shown((uint64_t)3 << 29, "1.5 GiB");
    check_shown(UINT64_MAX, "16777216 TiB");
}

TESTS(TEST(units_are_powers_of_1024), TEST(capitals_or_not_is_no_matter), TEST(fractions_are_cut_to_bytes),
      TEST(the_largest_size_is_an_exbibyte), TEST(what_is_no_size_is_refused_and_nothing_written),
      TEST(times_are_milliseconds), TEST(what_is_no_time_is_refused_and_nothing_written),
      TEST(sizes_are_shown_in_three_digits_or_so))
