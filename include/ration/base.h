/* base.h: what every Ration header leans on: export and attribute macros, errors, version.
 *
 * Start with heap.h; nothing here allocates or has state. */
#ifndef RATION_BASE_H
#define RATION_BASE_H

#include <stddef.h>

#define RN_VERSION_MAJOR 0
#define RN_VERSION_MINOR 1
#define RN_VERSION_PATCH 0

#define RN_API __attribute__((visibility("default")))

/* A function that gives memory no other live pointer reaches. Checking the result is part of the call. */
#define RN_MALLOC __attribute__((malloc, warn_unused_result))
#define RN_SIZE(...) __attribute__((alloc_size(__VA_ARGS__)))
#define RN_ALIGN(n) __attribute__((alloc_align(n)))

#ifdef __cplusplus
#define RN_NOEXCEPT noexcept
extern "C" {
#else
#define RN_NOEXCEPT
#endif

/* What a function that gives no memory can return besides 0. */
enum {
    RN_EINVAL = -1, /* an argument outside its documented range */
    RN_ENOMEM = -2, /* denied by the system or by a limit */
    RN_EBUSY = -3,  /* what would have to be given up is still in use */
};

/* A string that need not end in NUL. */
typedef struct rn_str {
    const char *ptr;
    size_t len;
} rn_str;

/* The words for an RN_E… value or 0; a static string, never NULL. Any thread, any signal handler. */
RN_API const char *rn_strerror(int error) RN_NOEXCEPT;

/* "0.1.0": the version of the library that is running, which may be newer than RN_VERSION_* of the headers. */
RN_API const char *rn_version(void) RN_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
