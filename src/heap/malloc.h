/* malloc.h: what the fast paths and the preload library's names share. */
#ifndef RATION_HEAP_MALLOC_H
#define RATION_HEAP_MALLOC_H

#include "hardened.h"

/* An address without the tag that arm64 ignores in its top byte. */
static inline void *untagged(void *address) {
#if defined(__aarch64__)
    return (void *)((uintptr_t)address & 0x00ffffffffffffffu);
#else
    return address;
#endif
}

#endif
