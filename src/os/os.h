/* os.h: everything Ration asks of the system. No other room makes a system call.
 *
 * Start with the memory calls; they are the only way any byte comes in. All of it keeps errno. */
#ifndef RATION_OS_H
#define RATION_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nothing here is seen outside the library, and the compiler may rely on it. */
#pragma GCC visibility push(hidden)

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define COLD __attribute__((cold, noinline))
/* For what threads write often: on a cache line of its own, away from what the fast paths read. */
#define OWN_LINE __attribute__((aligned(64)))

/* Makes an atomic at least so large. */
static inline void os_raise(size_t *value, /* NOLINT(readability-non-const-parameter): exchanged */
                            size_t least) {
    size_t now = __atomic_load_n(value, __ATOMIC_RELAXED);
    while (now < least && !__atomic_compare_exchange_n(value, &now, least, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* What the library found out once, at os_start, and acts on ever after. */
typedef struct os_facts {
    size_t page_size;
    bool strict_overcommit; /* vm.overcommit_memory=2: writable pages count when mapped, not when touched */
    bool address_limit;     /* RLIMIT_AS is set: reserve in small steps */
    bool membarrier;        /* one thread can make all pass a barrier: caches can be taken over */
    bool restart;           /* … and restart their rseq sections: caches can be used by the fast paths */
    bool moves;             /* os_move works: large blocks grow without copying */
    bool names;    /* asked for: ranges are named in /proc/PID/maps, which takes prctl(2) and splits mappings */
    bool valgrind; /* runs under it, and was built to tell it of blocks */
    bool secure;   /* set-uid or the like: the environment is not ours to trust */
} os_facts;

extern os_facts os;

/* Finds the facts. Called once, before any other function here, by one thread. */
void os_start(void);
/* What `secure` says; may come before os_start. */
bool os_is_secure(void);

/* --- memory --------------------------------------------------------------------------------------------------- */

/* Address space that can't be touched yet and is not dumped, aligned to align (a power of two, at least a page). NULL if refused. */
void *os_reserve(size_t size, size_t align);
/* Makes reserved pages readable and writable; they read as zero if never used or purged. False if refused. */
bool os_commit(void *start, size_t size);
/* Readable, writable, zero pages at an address of the system's choosing, between pages that trap: for tables. May come before
 * os_start. NULL if refused. */
void *os_map(size_t size);
/* Gives up what was mapped, and its guards. */
void os_unmap(void *start, size_t size);
/* Drops the pages' contents and gives the memory back; the address range stays ours. After it the pages read as zero,
 * but under strict overcommit they must be committed first. False if the system refused: contents are as before. */
bool os_purge(void *start, size_t size);
/* The same by a fresh mapping, at once readable and writable: undoes what os_move has done to the range's mapping, which
 * else would never merge with its neighbours'. False if refused. */
bool os_renew(void *start, size_t size);
/* Gives up the address range as well. False if refused: the range is as before. */
bool os_release(void *start, size_t size);
/* Moves the pages of [from, from + size) to [to, …), both committed ranges of ours. The old range is left as if
 * purged. False if it can't be done: nothing has changed. */
bool os_move(void *from, void *to, size_t size);
/* Shows name in /proc/PID/maps for the range, where the kernel can and os.names asks for it. */
void os_name(void *start, size_t size, const char *name);
/* Makes the pages trap on access, or ordinary again. False if refused. */
bool os_guard(void *start, size_t size);
bool os_unguard(void *start, size_t size);

/* What the process has to itself: its memory that is resident (RssAnon and RssShmem), and the kernel's page tables for it. */
typedef struct os_own_memory {
    size_t resident, page_tables;
} os_own_memory;
/* False where that can't be found out. Costs some 20 us. */
bool os_measure(os_own_memory *);
/* How much of whole pages is resident; at most, where the kernel won't say. False where it may not be asked. */
bool os_resident_bytes(void *start, size_t size, size_t *bytes);
/* The same without what is shared or still a file's; at most, where the kernel won't say, or where it is little. */
bool os_own_bytes(void *start, size_t size, size_t *bytes);
/* Whether the two may not be asked any more, for what they need is forbidden. Gives what held before. */
bool os_forbid_looking(bool forbid);
/* Whether files may be opened, and signals looked at: nobody has forbidden it. */
bool os_may_look(void);

/* --- threads -------------------------------------------------------------------------------------------------- */

/* A lock of one word that sleeps in the kernel when contended. All zero is unlocked. */
typedef struct os_mutex {
    uint32_t state;
} os_mutex;

void os_lock(os_mutex *mutex);
void os_unlock(os_mutex *mutex);
/* Waits for the lock no longer than about this. False if it could not be had. */
bool os_lock_within(os_mutex *mutex, unsigned milliseconds);
/* Whether this thread has locked any, or is about to: then a signal handler that interrupted it must not. */
bool os_holds_locks(void);
/* Around fork: the calling thread has locked every lock, and locking and unlocking mean nothing to it until it says that
 * it no longer has. */
void os_hold_all(bool held);

/* Every thread of the process passes a full memory barrier before this returns, and one inside a restartable sequence
 * starts it again. False if the kernel can't. */
bool os_barrier_everywhere(void);
/* Restartable sequences (rseq(2)): whether the calling thread's will be restarted; and, at its end, that they need not
 * be any more. os_rseq_offset is the way from a thread's pointer to the area where it announces one. */
bool os_restart_begin(void);
void os_restart_end(void);
extern ptrdiff_t os_rseq_offset;
/* Lets other threads run for about this long. */
void os_pause(unsigned microseconds);
/* Whether the process has, or may have, more than one thread. */
bool os_has_threads(void);
/* Once, at start: at_end is to be called on each thread that calls os_thread_watch, when the thread ends. False if
 * libc has no more thread-specific keys; os_thread_watch, if it has no memory for this one. */
bool os_threads_start(void (*at_end)(void));
bool os_thread_watch(void);

/* --- memory shared with another process ------------------------------------------------------------------------- */

/* Memory of so many bytes that a process offers on a Unix socket, with a message of just that size. The socket has an abstract name
 * or, behind a colon, a path, too. NULL if it can't be had in time. */
void *os_join_memory(const char *names, size_t names_length, size_t size, void *welcome, size_t welcome_size,
                     unsigned wait_ms);
/* Wakes all who wait for a word in such memory to change; waits, while it is as seen, for so long at most. */
void os_wake_shared(uint32_t *word);
void os_wait_shared(const uint32_t *word, uint32_t seen, unsigned microseconds);

/* As os_map; a forked child finds it zero. NULL where the kernel can't do that. */
void *os_map_emptied_by_fork(size_t size);

/* --- the rest ------------------------------------------------------------------------------------------------- */

enum { OS_NAME_MAX = 16 };

int os_process_id(void);
int os_thread_id(void);
/* Whether the process has a thread of that number; true where that may not be asked. */
bool os_thread_lives(int process, int thread);
/* What the system calls the thread; "" where it can't be known. */
void os_thread_name(char name[OS_NAME_MAX]);
/* Seconds since 1970. */
uint64_t os_date(void);
/* The first is read quickly, but some ms behind. */
uint64_t os_clock_ms(void);
uint64_t os_clock_us(void);
/* Ends the process at once: nothing that was registered for its end runs. */
_Noreturn void os_exit(int code);
/* Bytes from the kernel's generator, or the clock's where it has none to give. */
uint64_t os_random(void);
/* The value of a variable in an environment, or NULL. */
const char *os_variable(char **environment, const char *name);
/* Writes a file anew. False on any error. */
bool os_write_file(const char *path, const char *text, size_t length);
/* One line to descriptor 2, if that is still the file it was at start. Raises no SIGPIPE. */
void os_say(const char *line, size_t length);

/* --- files ---------------------------------------------------------------------------------------------------- */

/* A new file, for its owner alone, open to write; a negative errno where the name is taken, by a link or otherwise. */
int os_create(const char *path);
int os_open(const char *path);
void os_close(int file);
/* How much was read, 0 at the end, or a negative errno. */
long os_read(int file, char *text, size_t room);
bool os_write(int file, const char *text, size_t length);
/* Whether it is /dev/zero. */
bool os_is_zero_device(int file);
/* The size that no file may pass: who writes beyond is killed. */
size_t os_file_size_limit(void);
int os_remove(const char *path);
/* Gives the file another name, unless that is taken: then -EEXIST. */
int os_rename_new(const char *from, const char *to);
/* Their lengths; 0 where they can't be had, or there is no room. Only the directory ends with a NUL. */
size_t os_working_directory(char *path, size_t room);
size_t os_link_target(const char *path, char *target, size_t room);
/* Copies memory of this process, if all of it can be read. */
bool os_peek(uintptr_t address, void *out, size_t size);

#pragma GCC visibility pop

#endif
