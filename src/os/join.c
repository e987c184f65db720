/* join.c: memory that another process offers on a Unix socket, and waiting on words in it.
 *
 * Start with os_join_memory. An abstract name (unix(7)) is known all over its network namespace, and neither another root
 * directory nor another user is in the way. A path leads to a socket from any network namespace. */
#include "memory.h"
#include "os.h"
#include "syscall.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

static void close_file(long file) {
    os_syscall(SYS_close, file, 0, 0, 0, 0, 0);
}

/* A process that is stopped and goes on, or frozen, comes back from a call with a time limit (signal(7)). */
static long call_again(long number, long file, const void *argument, long more) {
    long result;
    do
        result = os_syscall(number, file, (long)argument, more, 0, 0, 0);
    while (result == -EINTR);
    return result;
}

/* A path, or an abstract name, which begins with a zero. */
static long connect_by(long file, bool abstract, const char *name, size_t length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (length == 0 || length >= sizeof address.sun_path)
        return -EINVAL;
    memcpy(address.sun_path + abstract, name, length);
    long connected =
        call_again(SYS_connect, file, &address, (long)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
    return connected == -EISCONN ? 0 : connected;
}

/* Where the one who offers is only late, the path leads to no other. */
static long connect_either(long file, const char *names, size_t length) {
    const char *colon = memchr(names, ':', length);
    size_t name_length = colon == NULL ? length : (size_t)(colon - names);
    long connected = connect_by(file, true, names, name_length);
    if (connected == 0 || connected == -EAGAIN || colon == NULL)
        return connected;
    return connect_by(file, false, colon + 1, length - name_length - 1);
}

static long connect_to(const char *names, size_t length, unsigned wait_ms) {
    long file = os_syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (file < 0)
        return file;
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = (long)(wait_ms % 1000) * 1000};
    os_syscall(SYS_setsockopt, file, SOL_SOCKET, SO_RCVTIMEO, (long)&wait, sizeof wait, 0);
    os_syscall(SYS_setsockopt, file, SOL_SOCKET, SO_SNDTIMEO, (long)&wait, sizeof wait, 0);
    long connected = connect_either(file, names, length);
    if (connected == 0)
        return file;
    close_file(file);
    return connected;
}

/* The descriptor that comes with a message of exactly so many bytes; or -1. */
static int receive(long socket, void *text, size_t length) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = text, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    long got = call_again(SYS_recvmsg, socket, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *first = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
    int file = -1;
    if (first == NULL || first->cmsg_type != SCM_RIGHTS)
        return -1;
    memcpy(&file, CMSG_DATA(first), sizeof file);
    if ((size_t)got == length)
        return file;
    close_file(file);
    return -1;
}

void *os_join_memory(const char *names, size_t names_length, size_t size, void *welcome, size_t welcome_size,
                     unsigned wait_ms) {
    long socket = connect_to(names, names_length, wait_ms);
    if (socket < 0)
        return NULL;
    int file = receive(socket, welcome, welcome_size);
    close_file(socket);
    if (file < 0)
        return NULL;
    void *start = os_map_shared(file, size);
    close_file(file);
    return start;
}

void os_wake_shared(uint32_t *word) {
    os_syscall(SYS_futex, (long)word, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}

void os_wait_shared(const uint32_t *word, uint32_t seen, unsigned microseconds) {
    struct timespec wait = {.tv_sec = microseconds / 1000000, .tv_nsec = (long)(microseconds % 1000000) * 1000};
    os_syscall(SYS_futex, (long)word, FUTEX_WAIT, seen, (long)&wait, 0, 0);
}
