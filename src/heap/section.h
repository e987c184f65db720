/* section.h: taking a block from the thread's cache, and putting one in, as restartable sequences (rseq(2)).
 *
 * A sequence announces itself in the thread's rseq area, reads the thread's cache pointer, and ends with the one store
 * that commits it: the new top. If the thread is preempted, interrupted by a signal or told to restart by membarrier
 * in between, the kernel sends it to the abort label, which starts over; so a takeover (thread.c) never meets a thread
 * that still works with a cache it has lost. What is announced is not taken back: the kernel forgets it by itself.
 *
 * The area's place is kept as its distance from this_thread. Until it is known that is 0, and no_section takes the
 * announcement. A debugger that steps through a section instruction by instruction restarts it at every step. */
#ifndef RATION_HEAP_SECTION_H
#define RATION_HEAP_SECTION_H

#include "heap.h"

/* Nothing here is seen outside the library, and the compiler may rely on it. */
#pragma GCC visibility push(hidden)

/* From this_thread to the thread's rseq area. */
extern ptrdiff_t section_area;

/* Sanitizers must see every access: there, and where no sequence is written, everything takes the slow path. */
#if defined(RN_SANITIZE)
#define RN_SECTIONS 0
#else
#define RN_SECTIONS 1
#endif

_Static_assert(offsetof(local, cache) == 0 && offsetof(local, no_section) == 8, "the sections' code says so");
_Static_assert(offsetof(cache, top) == 0, "the sections' code says so");

/* The descriptor (struct rseq_cs), and the abort label behind the signature that the kernel asks for. */
/* clang-format off */
#define SECTION_DESCRIPTOR                                                                                             \
    ".pushsection __rseq_cs, \"aw\"\n"                                                                                 \
    ".balign 32\n"                                                                                                     \
    "3: .long 0, 0\n"                                                                                                  \
    ".quad 1f, 2f - 1f, 4f\n"                                                                                          \
    ".popsection\n"                                                                                                    \
    ".pushsection .text.unlikely, \"ax\"\n"                                                                            \
    SECTION_SIGNATURE                                                                                                  \
    "4: " SECTION_JUMP " 5f\n"                                                                                         \
    ".popsection\n"
/* clang-format on */

#if !RN_SECTIONS

static inline void *section_pop(size_t class_index) {
    (void)class_index;
    return NULL;
}

static inline bool section_push(const page_entry *entry, void *block) {
    (void)entry;
    (void)block;
    return false;
}

#elif defined(__x86_64__)

/* The signature stands inside an undefined instruction, so that nobody jumps to what follows by mistake. */
#define SECTION_SIGNATURE ".byte 0x0f, 0xb9, 0x3d\n.long 0x53053053\n"
#define SECTION_JUMP "jmp"
#define SECTION_BEGIN                         \
    SECTION_DESCRIPTOR                        \
    "5: lea 3b(%%rip), %[top]\n"              \
    "mov %[top], %%fs:8(%[area], %[local])\n" \
    "1: mov %%fs:(%[local]), %[cache]\n"

static inline uintptr_t this_thread_offset(void) {
    uintptr_t offset;
    __asm__("movq this_thread@gottpoff(%%rip), %0" : "=r"(offset));
    return offset;
}

/* The hottest block of the class, or NULL. */
static inline __attribute__((always_inline)) void *section_pop(size_t class_index) {
    uintptr_t top, cache_pointer;
    void *block;
    __asm__ volatile goto(SECTION_BEGIN "mov (%[cache], %[class], 8), %[top]\n"
                                        "mov -8(%[top]), %[block]\n"
                                        "test %[block], %[block]\n"
                                        "jz %l[miss]\n"
                                        "sub $8, %[top]\n"
                                        "mov %[top], (%[cache], %[class], 8)\n"
                                        "2:\n"
                          : [top] "=&r"(top), [cache] "=&r"(cache_pointer), [block] "=&a"(block)
                          : [class] "r"(class_index), [area] "r"(section_area), [local] "r"(this_thread_offset())
                          : "memory", "cc"
                          : miss);
    if (block == NULL)
        __builtin_unreachable();
    return block;
miss:
    return NULL;
}

/* Puts block, whose page entry is given, on top of its class. False where the slow path must look: another heap's, a
 * large or foreign address, an array that is full, the block that was freed last. */
static inline __attribute__((always_inline)) bool section_push(const page_entry *entry, void *block) {
    uintptr_t top, cache_pointer, class_index;
    __asm__ volatile goto(SECTION_BEGIN "mov %[tag], %k[class]\n"
                                        "xor %c[cache_tag](%[cache]), %k[class]\n"
                                        "cmp %[classes], %k[class]\n"
                                        "jae %l[slow]\n"
                                        "mov (%[cache], %[class], 8), %[top]\n"
                                        "cmp %[top], %c[cache_end](%[cache], %[class], 8)\n"
                                        "je %l[slow]\n"
                                        "cmp %[block], -8(%[top])\n"
                                        "je %l[slow]\n"
                                        "mov %[block], (%[top])\n"
                                        "add $8, %[top]\n"
                                        "mov %[top], (%[cache], %[class], 8)\n"
                                        "2:\n"
                          : [top] "=&r"(top), [cache] "=&r"(cache_pointer), [class] "=&r"(class_index)
                          : [block] "r"(block), [tag] "m"(entry->tag), [area] "r"(section_area),
                            [local] "r"(this_thread_offset()), [classes] "i"(SIZE_CLASSES_COUNT),
                            [cache_tag] "i"(offsetof(cache, tag)), [cache_end] "i"(offsetof(cache, end))
                          : "memory", "cc"
                          : slow);
    return true;
slow:
    return false;
}

#elif defined(__aarch64__)

#define SECTION_SIGNATURE ".inst 0xd428bc00\n"
#define SECTION_JUMP "b"
#define SECTION_BEGIN                \
    SECTION_DESCRIPTOR               \
    "5: adrp %[top], 3b\n"           \
    "add %[top], %[top], :lo12:3b\n" \
    "str %[top], [%[area], 8]\n"     \
    "1: ldr %[cache], [%[local]]\n"

static inline __attribute__((always_inline)) void *section_pop(size_t class_index) {
    uintptr_t top, cache_pointer;
    void *block;
    local *own = &this_thread;
    __asm__ volatile goto(SECTION_BEGIN "ldr %[top], [%[cache], %[class], lsl 3]\n"
                                        "ldur %[block], [%[top], -8]\n"
                                        "cbz %[block], %l[miss]\n"
                                        "sub %[top], %[top], 8\n"
                                        "str %[top], [%[cache], %[class], lsl 3]\n"
                                        "2:\n"
                          : [top] "=&r"(top), [cache] "=&r"(cache_pointer), [block] "=&r"(block)
                          : [class] "r"(class_index), [area] "r"((char *)own + section_area), [local] "r"(own)
                          : "memory", "cc"
                          : miss);
    return block;
miss:
    return NULL;
}

static inline __attribute__((always_inline)) bool section_push(const page_entry *entry, void *block) {
    uintptr_t top, cache_pointer, class_index, other;
    local *own = &this_thread;
    __asm__ volatile goto(
        SECTION_BEGIN "ldr %w[class], %[tag]\n"
                      "ldr %w[other], [%[cache], %[cache_tag]]\n"
                      "eor %w[class], %w[class], %w[other]\n"
                      "cmp %w[class], %[classes]\n"
                      "b.hs %l[slow]\n"
                      "ldr %[top], [%[cache], %[class], lsl 3]\n"
                      "add %[cache], %[cache], %[class], lsl 3\n"
                      "ldr %[other], [%[cache], %[cache_end]]\n"
                      "cmp %[top], %[other]\n"
                      "b.eq %l[slow]\n"
                      "ldur %[other], [%[top], -8]\n"
                      "cmp %[block], %[other]\n"
                      "b.eq %l[slow]\n"
                      "str %[block], [%[top]], 8\n"
                      "str %[top], [%[cache]]\n"
                      "2:\n"
        : [top] "=&r"(top), [cache] "=&r"(cache_pointer), [class] "=&r"(class_index), [other] "=&r"(other)
        : [block] "r"(block), [tag] "m"(entry->tag), [area] "r"((char *)own + section_area), [local] "r"(own),
          [classes] "i"(SIZE_CLASSES_COUNT), [cache_tag] "i"(offsetof(cache, tag)),
          [cache_end] "i"(offsetof(cache, end))
        : "memory", "cc"
        : slow);
    return true;
slow:
    return false;
}

#endif

#pragma GCC visibility pop

#endif
