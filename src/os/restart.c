/* restart.c: restartable sequences (rseq(2)) and the barrier that restarts those of every thread (membarrier(2)).
 *
 * A thread has one rseq area. glibc from 2.35 on registers its own, and says where it is; elsewhere each thread
 * registers ours. Start with os_restart_start. */
#include "restart.h"

#include "os.h"
#include "syscall.h"

#include <linux/membarrier.h>

#ifndef SYS_rseq
#error "kernel headers from 4.18 on are needed"
#endif

enum {
    BARRIER_REGISTER_RSEQ = 1 << 8, /* MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, Linux 5.10 */
    BARRIER_RSEQ = 1 << 7,
    RSEQ_UNREGISTER = 1,
#if defined(__x86_64__)
    RSEQ_SIGNATURE = 0x53053053,
#else
    RSEQ_SIGNATURE = (int)0xd428bc00,
#endif
};

/* The kernel's layout (linux/rseq.h), in its first, 32-byte form. */
typedef struct rseq_area {
    uint32_t cpu_id_start;
    int32_t cpu_id; /* negative until the kernel has taken the area */
    uint64_t section;
    uint32_t flags;
    uint32_t padding[3];
} __attribute__((aligned(32))) rseq_area;

static __thread rseq_area own_area __attribute__((tls_model("initial-exec"))) = {.cpu_id = -1};

/* glibc's word about its own area. */
extern const ptrdiff_t libc_offset __asm__("__rseq_offset") __attribute__((weak));
extern const unsigned libc_size __asm__("__rseq_size") __attribute__((weak));

ptrdiff_t os_rseq_offset;

static char *thread_pointer(void) {
    return __builtin_thread_pointer();
}

static bool libc_has_area(void) {
    return &libc_size != NULL && libc_size != 0;
}

static long barrier(int command) {
    return os_syscall(SYS_membarrier, command, 0, 0, 0, 0, 0);
}

static long register_own(int flags) {
    return os_syscall(SYS_rseq, (long)&own_area, sizeof own_area, flags, RSEQ_SIGNATURE, 0, 0);
}

void os_restart_start(void) {
    os_rseq_offset = libc_has_area() ? libc_offset : (char *)&own_area - thread_pointer();
    os.restart = barrier(BARRIER_REGISTER_RSEQ) == 0;
    os.membarrier = os.restart || barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

bool os_restart_begin(void) {
    if (!os.restart)
        return false;
    if (libc_has_area())
        return ((rseq_area *)(thread_pointer() + libc_offset))->cpu_id >= 0;
    return own_area.cpu_id >= 0 || register_own(0) == 0;
}

void os_restart_end(void) {
    if (!libc_has_area())
        register_own(RSEQ_UNREGISTER);
}

bool os_barrier_everywhere(void) {
    if (!os.membarrier)
        return false;
    return barrier(os.restart ? BARRIER_RSEQ : MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}
