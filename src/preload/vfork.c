/* vfork.c: vfork, for children that allocate before they start a program.
 *
 * The child runs in its parent's memory and with its thread's own data, but the kernel knows no rseq area of the child:
 * no sequence of its would be restarted when another thread takes the caches over. So for as long as there is a child
 * its parent's thread takes the slow paths (thread.c). What libc starts programs with itself (posix_spawn, system, popen)
 * does not come here, and allocates nothing in between. */
#include "../heap/heap.h"

#include <errno.h>

/* NOLINTNEXTLINE(misc-unused-parameters): from the code below */
__attribute__((used, visibility("hidden"))) int vfork_failed(int error) {
    errno = error;
    return -1;
}

/* The child returns first, and its caller's next calls write where our return address was: that stays in a register,
 * which the kernel keeps for the parent. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, @function\n"
        "vfork:\n"
        "endbr64\n"
        "sub $8, %rsp\n"
        "call thread_before_vfork\n"
        "add $8, %rsp\n"
        "pop %rdi\n"
        "mov $58, %eax\n" /* SYS_vfork */
        "syscall\n"
        "push %rdi\n"
        "test %rax, %rax\n"
        "jz 1f\n"
        "push %rax\n"
        "call thread_after_vfork\n"
        "pop %rax\n"
        "cmp $-4095, %rax\n"
        "jae 2f\n"
        "1: ret\n"
        "2: neg %eax\n"
        "mov %eax, %edi\n"
        "jmp vfork_failed\n"
        ".size vfork, . - vfork\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, %function\n"
        "vfork:\n"
        "hint 34\n" /* bti c */
        "str x30, [sp, -16]!\n"
        "bl thread_before_vfork\n"
        "ldr x30, [sp], 16\n"
        "mov x0, 0x4111\n" /* CLONE_VFORK | CLONE_VM | SIGCHLD */
        "mov x1, xzr\n"
        "mov x2, xzr\n"
        "mov x3, xzr\n"
        "mov x4, xzr\n"
        "mov x8, 220\n" /* SYS_clone */
        "svc 0\n"
        "cbz x0, 1f\n"
        "stp x0, x30, [sp, -16]!\n"
        "bl thread_after_vfork\n"
        "ldp x0, x30, [sp], 16\n"
        "cmn x0, 4095\n"
        "b.cs 2f\n"
        "1: ret\n"
        "2: neg w0, w0\n"
        "b vfork_failed\n"
        ".size vfork, . - vfork\n");
#endif
