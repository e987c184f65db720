/* check.h: what a test program is written with; C and C++.
 *
 * A test is a static void function whose name is a claim. TESTS(TEST(claim), ...) at the end of the file makes main(),
 * which runs them all, or those whose names are given as arguments, and ends with the line "N passed, N failed".
 * A CHECK that fails prints what was expected and what came, and the test goes on; a REQUIRE ends the program, for
 * where going on makes no sense. Both may be used by any thread. CHECK_ABORTS is for where the program shall be
 * stopped.
 *
 * Nothing here allocates, so that a test may count every block. */
#ifndef RATION_CHECK_H
#define RATION_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_UNUSED __attribute__((unused))

typedef struct check_test {
    const char *name;
    void (*run)(void);
} check_test;

/* The program's state. Failures are counted across threads. */
static struct {
    const char *program;
    const char *test;     /* the one that runs */
    const char *abort_at; /* "test:line" of the CHECK_ABORTS that this process was started for, or NULL */
    int failures;         /* of the test that runs */
    int passed, failed;   /* tests */
} check;

static void check_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline void check_fail(const char *file, int line, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    __atomic_fetch_add(&check.failures, 1, __ATOMIC_RELAXED);
    printf("%s:%d: %s: %s\n", file, line, check.test, text);
}

/* A process started for a CHECK_ABORTS that comes to its end has no tally of its own: its failure is its parent's. */
static inline void check_finish(void) {
    if (!check.abort_at)
        printf("%d passed, %d failed\n", check.passed, check.failed);
    fflush(stdout);
}

/* Ends the program from inside a test that can't go on. */
__attribute__((noreturn)) CHECK_UNUSED static void check_give_up(void) {
    check.failed++;
    printf("FAIL %s\n", check.test);
    check_finish();
    _exit(1);
}

#define CHECK(condition) ((condition) ? (void)0 : check_fail(__FILE__, __LINE__, "expected: %s", #condition))

#define REQUIRE(condition) \
    ((condition) ? (void)0 : (check_fail(__FILE__, __LINE__, "required: %s", #condition), check_give_up()))

/* A number of any kind, or an address, in a form that can be compared and printed. */
enum check_kind { CHECK_SIGNED, CHECK_UNSIGNED, CHECK_ADDRESS };

typedef struct check_value {
    enum check_kind kind;
    uint64_t bits;
} check_value;

CHECK_UNUSED static check_value check_signed(int64_t number) {
    check_value value = {CHECK_SIGNED, (uint64_t)number};
    return value;
}

CHECK_UNUSED static check_value check_unsigned(uint64_t number) {
    check_value value = {CHECK_UNSIGNED, number};
    return value;
}

CHECK_UNUSED static check_value check_address(const volatile void *address) {
    check_value value = {CHECK_ADDRESS, (uintptr_t)address};
    return value;
}

static inline bool check_negative(check_value value) {
    return value.kind == CHECK_SIGNED && (int64_t)value.bits < 0;
}

static inline void check_print_value(char *text, size_t size, check_value value) {
    if (value.kind == CHECK_ADDRESS)
        snprintf(text, size, "0x%llx", (unsigned long long)value.bits);
    else if (check_negative(value))
        snprintf(text, size, "%lld", (long long)value.bits);
    else
        snprintf(text, size, "%llu (0x%llx)", (unsigned long long)value.bits, (unsigned long long)value.bits);
}

/* Equal as numbers: -1 is not SIZE_MAX. */
CHECK_UNUSED static void check_equal(const char *file, int line, const char *what, check_value expected,
                                     check_value got) {
    if (expected.bits == got.bits && check_negative(expected) == check_negative(got))
        return;
    char expected_text[64], got_text[64];
    check_print_value(expected_text, sizeof expected_text, expected);
    check_print_value(got_text, sizeof got_text, got);
    check_fail(file, line, "%s: expected %s, got %s", what, expected_text, got_text);
}

#ifdef __cplusplus
template <typename T> static inline check_value check_value_of(T *address) {
    return check_address(reinterpret_cast<const volatile void *>(address));
}
template <typename T> static inline check_value check_value_of(T number) {
    return T(-1) < T(0) ? check_signed(static_cast<int64_t>(number)) : check_unsigned(static_cast<uint64_t>(number));
}
static inline check_value check_value_of(bool truth) {
    return check_unsigned(truth);
}
static inline check_value check_value_of(decltype(nullptr)) {
    return check_address(nullptr);
}
#define CHECK_VALUE(x) check_value_of(x)
#else
/* clang-format off */
#define CHECK_VALUE(x) \
    _Generic((x), \
        _Bool: check_unsigned, \
        char: check_signed, \
        signed char: check_signed, \
        short: check_signed, \
        int: check_signed, \
        long: check_signed, \
        long long: check_signed, \
        unsigned char: check_unsigned, \
        unsigned short: check_unsigned, \
        unsigned int: check_unsigned, \
        unsigned long: check_unsigned, \
        unsigned long long: check_unsigned, \
        default: check_address)(x)
/* clang-format on */
#endif

/* Numbers and addresses; a char * is compared as an address. */
#define CHECK_EQ(expected, got) check_equal(__FILE__, __LINE__, #got, CHECK_VALUE(expected), CHECK_VALUE(got))

/* Strings; either may be NULL. */
#define CHECK_TEXT(expected, got) check_same_text(__FILE__, __LINE__, #got, expected, got)

CHECK_UNUSED static void check_same_text(const char *file, int line, const char *what, const char *expected,
                                         const char *got) {
    if (expected == got || (expected && got && strcmp(expected, got) == 0))
        return;
    check_fail(file, line, "%s: expected \"%s\", got \"%s\"", what, expected ? expected : "(null)",
               got ? got : "(null)");
}

/* Whether text is pattern, in which %p stands for 0x and hexadecimal digits, and %d for decimal digits. */
CHECK_UNUSED static bool check_matches(const char *pattern, const char *text) {
    while (*pattern) {
        if (pattern[0] == '%' && (pattern[1] == 'p' || pattern[1] == 'd')) {
            const char *digits = pattern[1] == 'p' ? "0123456789abcdef" : "0123456789";
            if (pattern[1] == 'p') {
                if (strncmp(text, "0x", 2) != 0)
                    return false;
                text += 2;
            }
            size_t length = strspn(text, digits);
            if (length == 0)
                return false;
            text += length;
            pattern += 2;
        } else if (*pattern++ != *text++) {
            return false;
        }
    }
    return *text == '\0';
}

#ifdef RN_SANITIZE
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Whether an emulator runs this program, which makes everything some ten times slower. */
CHECK_UNUSED static bool emulated(void) {
    const char *emulator = getenv("CHECK_EMULATOR");
    return emulator && *emulator;
}

/* The process that runs the statement starts this program anew, so that descriptor 2 is what it will be from the
 * program's first moment, and no other test's blocks are about. Under an emulator the program can't start itself:
 * CHECK_EMULATOR then names who can. Only async-signal-safe calls: other threads may be running. */
__attribute__((noreturn)) static inline void check_start_again(int error_pipe) {
    const char *emulator = getenv("CHECK_EMULATOR");
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(error_pipe, STDERR_FILENO);
    close(error_pipe);
    char program[4096];
    snprintf(program, sizeof program, "%s", check.program);
    char emulator_name[4096];
    snprintf(emulator_name, sizeof emulator_name, "%s", emulator ? emulator : "");
    char *plain[] = {program, NULL};
    char *with_emulator[] = {emulator_name, program, NULL};
    if (emulator && *emulator)
        execvp(emulator_name, with_emulator);
    else
        execv(program, plain);
    _exit(127);
}

/* Runs the CHECK_ABORTS at line in a process of its own; gives its wait status, and what it wrote to descriptor 2. */
static inline int check_run_aborting(int line, char *message, size_t size) {
    char abort_at[256];
    snprintf(abort_at, sizeof abort_at, "%s:%d", check.test, line);
    setenv("CHECK_ABORT_AT", abort_at, 1);
    int pipe_ends[2];
    REQUIRE(pipe2(pipe_ends, O_CLOEXEC) == 0);
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        check_start_again(pipe_ends[1]);
    close(pipe_ends[1]);
    size_t length = 0;
    ssize_t got;
    while (length < size - 1 && (got = read(pipe_ends[0], message + length, size - 1 - length)) != 0) {
        if (got > 0)
            length += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    message[length] = '\0';
    char *emulator_says = strstr(message, "qemu: uncaught target signal");
    if (emulator_says)
        *emulator_says = '\0';
    close(pipe_ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    unsetenv("CHECK_ABORT_AT");
    return status;
}

CHECK_UNUSED static void check_aborts(const char *file, int line, const char *pattern) {
    char message[2048];
    int status = check_run_aborting(line, message, sizeof message);
    size_t length = strlen(message);
    if (WIFEXITED(status))
        check_fail(file, line, "expected an abort saying \"%s\", got exit %d, saying \"%s\"", pattern,
                   WEXITSTATUS(status), message);
    else if (WTERMSIG(status) != SIGABRT)
        check_fail(file, line, "expected an abort saying \"%s\", got signal %d, saying \"%s\"", pattern,
                   WTERMSIG(status), message);
    else if (length == 0 || message[length - 1] != '\n')
        check_fail(file, line, "expected the line \"%s\", got \"%s\" with no end of line", pattern, message);
    else {
        message[length - 1] = '\0';
        if (!check_matches(pattern, message))
            check_fail(file, line, "expected \"%s\", got \"%s\"", pattern, message);
    }
}

/* Whether this process was started for the CHECK_ABORTS at line. */
CHECK_UNUSED static bool check_is_the_one(int line) {
    char here[256];
    snprintf(here, sizeof here, "%s:%d", check.test, line);
    return check.abort_at && strcmp(here, check.abort_at) == 0;
}

/* The statement aborts, and all that the process wrote to stderr is one line that matches the pattern (check_matches).
 * What stands before it in the test runs in the aborting process too; so a test holds one of these, or several that
 * share their preparation. */
#define CHECK_ABORTS(pattern, statement)               \
    do {                                               \
        if (check_is_the_one(__LINE__)) {              \
            statement;                                 \
            _exit(0);                                  \
        } else if (!check.abort_at) {                  \
            check_aborts(__FILE__, __LINE__, pattern); \
        }                                              \
    } while (0)

static inline void check_run_test(const check_test *test) {
    check.test = test->name;
    __atomic_store_n(&check.failures, 0, __ATOMIC_RELAXED);
    test->run();
    if (__atomic_load_n(&check.failures, __ATOMIC_RELAXED) == 0) {
        check.passed++;
    } else {
        check.failed++;
        printf("FAIL %s\n", test->name);
    }
}

/* Whether the arguments, or the CHECK_ABORTS that this process is for, ask for the test. */
static inline bool check_wants(const check_test *test, int argc, char **argv) {
    size_t length = strlen(test->name);
    if (check.abort_at)
        return strncmp(check.abort_at, test->name, length) == 0 && check.abort_at[length] == ':';
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], test->name) == 0)
            return true;
    return argc < 2;
}

static inline int check_main(int argc, char **argv, const check_test *tests, size_t count) {
    static char output[4096];
    setvbuf(stdout, output, _IOLBF, sizeof output);
    check.program = argv[0];
    check.abort_at = getenv("CHECK_ABORT_AT");
    int wanted = 0;
    for (size_t i = 0; i < count; i++) {
        if (check_wants(&tests[i], argc, argv)) {
            wanted++;
            check_run_test(&tests[i]);
        }
    }
    if (wanted == 0) {
        printf("no such test\n");
        check.failed++;
    }
    check_finish();
    return check.failed > 0;
}

#define TEST(claim) \
    { #claim, claim }

#define TESTS(...)                                                          \
    int main(int argc, char **argv) {                                       \
        static const check_test tests[] = {__VA_ARGS__};                    \
        return check_main(argc, argv, tests, sizeof tests / sizeof *tests); \
    }

#endif
