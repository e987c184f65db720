/* launch: runs one command under an allocator and reports what its whole process tree used.
 *
 * Usage: launch FD PRELOAD ADDRESS_SPACE_KIB COMMAND [ARGUMENT ...]; "" and 0 stand for none. One line goes to FD:
 * wait status, user and system CPU in microseconds, peak resident KiB, minor faults.
 * This is a program of its own, and linked statically, because the kernel counts the memory of the process that called
 * exec into the peak of what it became: started from an interpreter, no command could seem smaller than that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void become(const char *preload, unsigned long long limit_kib, char **command) {
    if (*preload && setenv("LD_PRELOAD", preload, 1))
        _exit(126);
    struct rlimit limit = {limit_kib * 1024, limit_kib * 1024};
    if (limit_kib && setrlimit(RLIMIT_AS, &limit))
        _exit(126);
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

static long long microseconds(struct timeval time) {
    return (long long)time.tv_sec * 1000000 + time.tv_usec;
}

int main(int count, char **arguments) {
    if (count < 5) {
        fputs("usage: launch FD PRELOAD ADDRESS_SPACE_KIB COMMAND [ARGUMENT ...]\n", stderr);
        return 2;
    }
    pid_t child = fork();
    if (child == 0)
        become(arguments[2], strtoull(arguments[3], NULL, 10), arguments + 4);
    int status;
    struct rusage used;
    if (child < 0 || wait4(child, &status, 0, &used) != child) {
        perror("launch");
        return 2;
    }
    dprintf((int)strtol(arguments[1], NULL, 10), "%d %lld %lld %ld %ld\n", status, microseconds(used.ru_utime),
            microseconds(used.ru_stime), used.ru_maxrss, used.ru_minflt);
    return 0;
}
