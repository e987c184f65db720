/* mapped.h: memory that the program maps itself, by calls of libc's (class b) and otherwise (class c), as the root's limit sees
 * it. docs/design/mapped.md has the rules. */
#ifndef RATION_HEAP_MAPPED_H
#define RATION_HEAP_MAPPED_H

#include "heap.h"
#include "intervals.h"

#pragma GCC visibility push(hidden)

/* Writable memory that the program has mapped through libc, 64 KiB for each thread it made, and the table of it all. */
size_t mapped_bytes(void);
/* What else is the process's own, as last measured. */
size_t rest_bytes(void);
/* What of the process's own was resident then; 0 if it was not measured. */
size_t mapped_resident_bytes(void);
/* From now on the rest is measured: Ration is this process's malloc, and is told of filters of system calls. */
void mapped_watch(void);
/* Measures the rest anew. Costs some 20 us; any lock may be held. */
void mapped_measure(void);
/* The same if the process holds more than at the last measures, or the last is some time ago; whether it was. */
bool mapped_measure_if_due(void);
/* Trues both up by what is resident, where that has not just been done. Gives the bytes that count no longer. */
size_t mapped_examine(void);

/* Around a call that maps or unmaps: bytes are reserved for what it will add; false where the limit has no room for them, after
 * all was tried. Then the call is made between mapped_begin and mapped_end, which orders the table's changes as the kernel's.
 * Where mapped_begin says false (a signal handler interrupted another such call of its thread), nothing may be noted: the call
 * counts as rest. mapped_end, in either case, lets the notes take the reserved bytes' place. */
bool mapped_reserve(size_t bytes);
bool mapped_begin(void);
void mapped_end(bool begun, size_t reserved);

/* Between them: the range is mapped anew, with so much charged for it. */
void mapped_note(uintptr_t start, size_t size, interval_state, size_t charge);
size_t mapped_forget(uintptr_t start, size_t size);
/* … is now writable, or no longer. */
void mapped_note_writable(uintptr_t start, size_t size);
void mapped_note_protected(uintptr_t start, size_t size);
/* What would be charged more were the range writable; what is charged for it; and what it is. */
size_t mapped_uncharged(uintptr_t start, size_t size);
size_t mapped_charge_of(uintptr_t start, size_t size);
/* Whether what begins there is charged for, or would be for what is resident of it. */
bool mapped_counts(uintptr_t start, size_t size);
interval_state mapped_state_of(uintptr_t start);

/* A thread is about to be made: false if the limit has no room for it. It was not made after all. This thread is the one; it
 * ends. */
bool mapped_thread_begins(void);
void mapped_thread_not_made(void);
void mapped_thread_is_counted(void);
void mapped_thread_ends(void);

void mapped_lock(void);
void mapped_unlock(void);
void mapped_after_fork_in_child(void);

#pragma GCC visibility pop

#endif
