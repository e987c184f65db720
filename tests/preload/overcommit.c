/* overcommit.c: vm.overcommit_memory=2, where every private writable mapping counts whether it is used or not. The
 * setting is the whole machine's, so this runs only when asked (CHECK_HEAVY=1), as root, and puts it back. */
#define _GNU_SOURCE
#include "again.h"

#include <malloc.h>

static const char mode_file[] = "/proc/sys/vm/overcommit_memory";
static char saved_mode[16];

static bool write_mode(const char *mode) {
    FILE *file = fopen(mode_file, "w");
    if (file == NULL)
        return false;
    bool written = fputs(mode, file) >= 0;
    return (fclose(file) == 0) & written;
}

static void restore_mode(void) {
    write_mode(saved_mode);
}

static void restore_and_die(int number) {
    restore_mode();
    signal(number, SIG_DFL);
    raise(number);
}

static bool enter_strict_mode(void) {
    FILE *file = fopen(mode_file, "r");
    if (file == NULL || fgets(saved_mode, sizeof saved_mode, file) == NULL)
        saved_mode[0] = 0;
    if (file)
        fclose(file);
    static const int ends[] = {SIGABRT, SIGSEGV, SIGBUS, SIGINT, SIGTERM, SIGALRM};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        signal(ends[i], restore_and_die);
    return saved_mode[0] && geteuid() == 0 && getenv("CHECK_HEAVY") && write_mode("2");
}

/* Committed_AS of the machine, in KiB. */
static long committed_kib(void) {
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Committed_AS: %ld kB", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib;
}

/* Starts anew, works, and measures what the work added to the machine's commitment and what it gave back. */
static int strict_work(void) {
    enum { BLOCKS = 100000, SIZE = 1000 };
    static void *blocks[BLOCKS];
    long before = committed_kib();
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        if (blocks[i] == NULL)
            return 1;
        memset(blocks[i], 1, SIZE);
    }
    long full = committed_kib();
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    long after = committed_kib();
    long wanted = (long)BLOCKS * SIZE / 1024;
    printf("committed %ld KiB for %ld, %ld of them kept\n", full - before, wanted, after - before);
    if (full - before > wanted * 13 / 10 + 16384)
        return 2;
    return after - before > wanted / 2 ? 3 : 0;
}

/* Other programs commit and release at the same time; three tries see past them. */
static void strict_accounting_is_borne(void) {
    if (!enter_strict_mode()) {
        skip("needs root and CHECK_HEAVY=1");
        return;
    }
    alarm(60);
    int status = -1;
    for (int i = 0; i < 3 && status != 0; i++)
        status = run_again("--strict", NULL);
    restore_mode();
    CHECK_EQ(0, status);
}

static const check_test tests[] = {TEST(strict_accounting_is_borne)};

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--strict") == 0)
        return strict_work();
    return check_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
