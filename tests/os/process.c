/* process.c: the environment, descriptor 2, the clock, files.
 *
 * What is said is looked at from outside: each case of os_say is a process of its own, whose descriptor 2 is a pipe. */
#include "apart.h"
#include "os/os.h"

static char *no_environment[] = {NULL};
static char *environment[] = {"A=1", "AB=2", "EMPTY=", "NOTHING", "TWICE=first", "TWICE=second", "EQUALS=a=b", NULL};

static void a_variable_is_found_by_its_whole_name(void) {
    CHECK_TEXT("1", os_variable(environment, "A"));
    CHECK_TEXT("2", os_variable(environment, "AB"));
    CHECK_TEXT("", os_variable(environment, "EMPTY"));
    CHECK_TEXT("a=b", os_variable(environment, "EQUALS"));
    CHECK_TEXT("first", os_variable(environment, "TWICE"));
    CHECK_TEXT(NULL, os_variable(environment, "ABC"));
    CHECK_TEXT(NULL, os_variable(environment, "NOTHING"));
    CHECK_TEXT(NULL, os_variable(no_environment, "A"));
}

static void the_facts_are_found(void) {
    os_start();
    CHECK_EQ(sysconf(_SC_PAGESIZE), os.page_size);
    CHECK(!os.secure);
    CHECK(os.membarrier || !os.restart);
}

static void notice_an_address_limit(void) {
    struct rlimit limit = {(rlim_t)1 << 46, (rlim_t)1 << 46};
    setrlimit(RLIMIT_AS, &limit);
    os_start();
    _exit(os.address_limit ? 0 : 1);
}

static void an_address_limit_is_noticed(void) {
    if (!emulated()) /* an emulator keeps the limit to itself */
        CHECK(ends_well(notice_an_address_limit, 20));
}

static void the_clock_does_not_run_backwards(void) {
    uint64_t before = os_clock_ms();
    usleep(20000);
    uint64_t after = os_clock_ms();
    CHECK(after >= before + 10);
    CHECK(after < before + 20000);
}

static void random_bytes_differ(void) {
    CHECK(os_random() != os_random());
}

static const char hello[] = "hello\n";

static void speak_at_once(const void *unused) {
    (void)unused;
    os_start();
    os_say(hello, sizeof hello - 1);
}

static void break_descriptor_2(void) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    close(ends[0]);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
    os_start();
}

static bool pipe_signal_waits(void) {
    sigset_t waiting;
    sigpending(&waiting);
    return sigismember(&waiting, SIGPIPE) == 1;
}

static bool pipe_signal_is_blocked(void) {
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    return sigismember(&blocked, SIGPIPE) == 1;
}

static void speak_to_nobody(void) {
    break_descriptor_2();
    os_say(hello, sizeof hello - 1);
    if (pipe_signal_waits() || pipe_signal_is_blocked())
        _exit(1);
}

static void speak_to_nobody_while_a_signal_waits(void) {
    break_descriptor_2();
    sigset_t pipes;
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    sigprocmask(SIG_BLOCK, &pipes, NULL);
    raise(SIGPIPE);
    os_say(hello, sizeof hello - 1);
    if (!pipe_signal_waits() || !pipe_signal_is_blocked())
        _exit(1);
}

static void what_nobody_reads_raises_no_signal(void) {
    CHECK(ends_well(speak_to_nobody, 60));
    CHECK(ends_well(speak_to_nobody_while_a_signal_waits, 60));
}

static void speak_to_another_file(const void *unused) {
    (void)unused;
    os_start();
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    dup2(ends[1], STDERR_FILENO);
    os_say(hello, sizeof hello - 1);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    char byte;
    _exit(read(ends[0], &byte, 1) == 1 ? 1 : 0);
}

static void speak_with_descriptor_2_closed_at_start(const void *unused) {
    (void)unused;
    int kept = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    os_start();
    dup2(kept, STDERR_FILENO);
    os_say(hello, sizeof hello - 1);
}

static void speak_with_descriptor_2_closed_later(const void *unused) {
    (void)unused;
    os_start();
    close(STDERR_FILENO);
    os_say(hello, sizeof hello - 1);
}

static void speak_after_the_same_file_came_back(const void *unused) {
    (void)unused;
    os_start();
    int kept = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    dup2(kept, STDERR_FILENO);
    os_say(hello, sizeof hello - 1);
}

static void a_line_goes_to_descriptor_2(void) {
    CHECK_TEXT(hello, said_by(speak_at_once, NULL));
    CHECK_TEXT(hello, said_by(speak_after_the_same_file_came_back, NULL));
}

static void nothing_is_said_into_a_file_that_is_not_the_one_of_the_start(void) {
    CHECK_TEXT("", said_by(speak_to_another_file, NULL));
    CHECK_TEXT("", said_by(speak_with_descriptor_2_closed_at_start, NULL));
    CHECK_TEXT("", said_by(speak_with_descriptor_2_closed_later, NULL));
}

static void a_file_is_written_anew(void) {
    char path[] = "ration-test-XXXXXX";
    int file = mkstemp(path);
    REQUIRE(file >= 0);
    CHECK(os_write_file(path, "a longer text", 13));
    CHECK(os_write_file(path, "short", 5));
    char text[32] = "";
    CHECK_EQ(5, read(file, text, sizeof text));
    CHECK_TEXT("short", text);
    close(file);
    unlink(path);
    CHECK(!os_write_file("/nowhere/at/all", "x", 1));
}

TESTS(TEST(what_nobody_reads_raises_no_signal), TEST(a_variable_is_found_by_its_whole_name), TEST(the_facts_are_found),
      TEST(an_address_limit_is_noticed), TEST(the_clock_does_not_run_backwards), TEST(random_bytes_differ),
      TEST(a_line_goes_to_descriptor_2), TEST(nothing_is_said_into_a_file_that_is_not_the_one_of_the_start),
      TEST(a_file_is_written_anew))
