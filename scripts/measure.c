/* measure.c: runs a program and writes what it cost: "CPU-MILLISECONDS PEAK-KIB STATUS", one line.
 *
 * Usage: measure INPUT OUTPUT RESULT PROGRAM [ARGUMENTS]. The program reads INPUT and writes OUTPUT; the line goes to
 * RESULT. CPU is user and system time, the peak is the most that was resident (getrusage(2)), STATUS is as in shells.
 * scripts/demo builds and uses it. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(char **arguments) {
    int input = open(arguments[1], O_RDONLY | O_CLOEXEC);
    int output = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (input < 0 || output < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
        perror("measure: input or output");
    else if (execvp(arguments[4], arguments + 4) != 0)
        perror(arguments[4]);
    _exit(127);
}

static long milliseconds(struct timeval time) {
    return (long)time.tv_sec * 1000 + (long)time.tv_usec / 1000;
}

int main(int count, char **arguments) {
    struct rusage cost;
    FILE *result;
    pid_t child;
    int status;

    if (count < 5) {
        (void)fputs("usage: measure INPUT OUTPUT RESULT PROGRAM [ARGUMENTS]\n", stderr);
        return 2;
    }
    child = fork();
    if (child == 0)
        become(arguments);
    if (child < 0 || wait4(child, &status, 0, &cost) != child) {
        perror("measure");
        return 1;
    }
    result = fopen(arguments[3], "we");
    if (result == NULL) {
        perror(arguments[3]);
        return 1;
    }
    (void)fprintf(result, "%ld %ld %d\n", milliseconds(cost.ru_utime) + milliseconds(cost.ru_stime), cost.ru_maxrss,
                  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return fclose(result) == 0 ? 0 : 1;
}
