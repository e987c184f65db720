/* again.h: what the preload tests share: who manages memory in this process, how to start this program anew with
 * something changed before, and patterns that tell whether a block still holds what was written to it.
 *
 * Use check.h first; this adds only what several tests of this directory need. */
#ifndef RATION_AGAIN_H
#define RATION_AGAIN_H

#include "check.h"
#include "random.h"

#include <dlfcn.h>

/* Whether malloc is Ration's. The tests hold for other managers, too, but for what is ours only. */
CHECK_UNUSED static bool on_ration(void) {
    return dlsym(RTLD_DEFAULT, "rn_version") != NULL;
}

/* Says why a test has nothing to show here. */
CHECK_UNUSED static void skip(const char *why) {
    printf("skipped: %s: %s\n", check.test, why);
}

/* The pointer, of which the compiler no longer knows where it came from. */
CHECK_UNUSED static void *hide(void *pointer) {
    __asm__ volatile("" : "+r"(pointer)::"memory");
    return pointer;
}

CHECK_UNUSED static size_t hide_size(size_t size) {
    __asm__ volatile("" : "+r"(size));
    return size;
}

/* The byte that belongs at an offset of a block with this seed. */
CHECK_UNUSED static unsigned char pattern_at(size_t seed, size_t offset) {
    return (unsigned char)((seed * 0x9e3779b97f4a7c15u + offset) % 251);
}

/* Big blocks are marked at both ends and every 512 bytes, which is enough to see a copy or a page go wrong. */
CHECK_UNUSED static size_t pattern_step(size_t size, size_t offset) {
    return size <= 8192 || offset < 128 || offset + 640 > size ? 1 : 512;
}

CHECK_UNUSED static void pattern_write(void *block, size_t size, size_t seed) {
    unsigned char *bytes = (unsigned char *)block;
    for (size_t i = 0; i < size; i += pattern_step(size, i))
        bytes[i] = pattern_at(seed, i);
}

/* Whether the first `count` bytes of a block to which a pattern of `size` bytes was written are as they were. */
CHECK_UNUSED static bool pattern_holds(const void *block, size_t size, size_t count, size_t seed) {
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t i = 0; i < count; i += pattern_step(size, i))
        if (bytes[i] != pattern_at(seed, i))
            return false;
    return true;
}

/* Starts this program anew with one argument, after prepare() ran in the new process; gives its wait status. */
CHECK_UNUSED static int run_again(const char *argument, void (*prepare)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char *emulator = getenv("CHECK_EMULATOR");
        char *plain[] = {(char *)check.program, (char *)argument, NULL};
        char *with_emulator[] = {emulator, (char *)check.program, (char *)argument, NULL};
        if (prepare)
            prepare();
        if (emulator && *emulator)
            execvp(emulator, with_emulator);
        else
            execv(check.program, plain);
        _exit(127);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

#endif
