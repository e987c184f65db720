/* misuse.h: what the misuse programs share: a case, a class of cases, and the few helpers that keep a compiler from
 * seeing (and removing) the mistake.
 *
 * Start with misuse.c; each class has a file of its own. */
#ifndef MISUSE_H
#define MISUSE_H

#include <stddef.h>

/* One mistake as a real program makes it. A case is either plain, or a mistake repeated at several sizes. */
typedef struct misuse_case {
    const char *name;
    void (*plain)(void);
    void (*sized)(size_t size, size_t by);
    size_t size;
    size_t by; /* how far out of bounds, or after how many other frees; its class says which */
} misuse_case;

typedef struct misuse_class {
    const char *name;
    const misuse_case *cases;
    size_t count;
} misuse_class;

extern const misuse_class double_free_class, invalid_free_class, overflow_class, underflow_class,
    write_after_free_class, zero_size_class;

/* The same pointer, of which the compiler no longer knows where it came from. */
static inline void *hide(void *pointer) {
    __asm__ volatile("" : "+r"(pointer)::"memory");
    return pointer;
}

/* malloc, realloc and free out of the compiler's sight, so that it can't see (and remove, or warn of) the mistake. get
 * ends the program when there is no memory; resize doesn't. */
void *get(size_t size);
void *resize(void *block, size_t size);
void drop(void *block);

/* What the program does next: some thousand blocks of this size and of others come and go, with a few kept a while.
 * A mistake that damaged free memory or the manager's own state has its chance to show here. */
void carry_on(size_t size);

/* Runs the function in a thread of its own and waits for its end. */
void in_thread(void *(*function)(void *), void *argument);

#endif
