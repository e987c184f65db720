/* new.c: C++'s operator new and delete, by their mangled names (Itanium C++ ABI, 5.1.5), so that no C++ library is
 * needed: what C++ brings itself, the new_handler and the throwing of bad_alloc, is reached through weak references.
 *
 * The nothrow forms of new are left to the C++ library: its own call these and turn whatever a new_handler throws into
 * NULL (LWG issue 206), which C can't do. */
#include "../heap/malloc.h"

#include <dlfcn.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

typedef void (*new_handler)(void);

/* Not there in a static program. NOLINTBEGIN(readability-redundant-declaration) */
extern void *dlopen(const char *file, int mode) __attribute__((weak));
extern void *dlsym(void *handle, const char *name) __attribute__((weak));
/* NOLINTEND(readability-redundant-declaration) */

/* std::get_new_handler and std::__throw_bad_alloc, if the program has a C++ library. */
extern new_handler get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern _Noreturn void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

static void *take(size_t size, size_t align) {
    return align == 0 ? rn_malloc(size) : rn_aligned_alloc(align, size);
}

/* A plug-in may have brought the C++ library with it, after our references were bound. */
static void *late_symbol(const char *name) {
    void *library = dlopen == NULL ? NULL : dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
    return library == NULL ? NULL : dlsym(library, name);
}

static new_handler current_handler(void) {
    if (get_new_handler != NULL)
        return get_new_handler();
    new_handler (*late)(void) = (new_handler(*)(void))late_symbol("_ZSt15get_new_handlerv");
    return late == NULL ? NULL : late();
}

static _Noreturn void refuse(void) {
    if (throw_bad_alloc != NULL)
        throw_bad_alloc();
    void (*late)(void) = (void (*)(void))late_symbol("_ZSt17__throw_bad_allocv");
    if (late != NULL)
        late();
    abort();
}

/* Calls the handler until it has made room, or throws, or there is none. */
static COLD void *take_or_throw(size_t size, size_t align) {
    for (;;) {
        new_handler handler = current_handler();
        if (handler == NULL)
            refuse();
        handler();
        void *block = take(size, align);
        if (block != NULL)
            return block;
    }
}

static inline void *new_or_throw(size_t size, size_t align) {
    void *block = take(size, align);
    return LIKELY(block != NULL) ? block : take_or_throw(size, align);
}

#define OPERATOR(result, name, mangled, ...)          \
    EXPORT result name(__VA_ARGS__) __asm__(mangled); \
    result name(__VA_ARGS__)

/* clang-format off */
OPERATOR(void *, new_object, "_Znwm", size_t size) { return new_or_throw(size, 0); }
OPERATOR(void *, new_array, "_Znam", size_t size) { return new_or_throw(size, 0); }
OPERATOR(void *, new_aligned, "_ZnwmSt11align_val_t", size_t size, size_t align) { return new_or_throw(size, align); }
OPERATOR(void *, new_array_aligned, "_ZnamSt11align_val_t", size_t size, size_t align)
{
    return new_or_throw(size, align);
}
/* clang-format on */

/* Every form of delete is free: the page map knows size and alignment better than the caller. */
#define DELETE(name, mangled, ...)                                          \
    OPERATOR(void, name, mangled, void *block __VA_OPT__(, ) __VA_ARGS__) { \
        rn_free(block);                                                     \
    }

#pragma GCC diagnostic ignored "-Wunused-parameter"
DELETE(delete_object, "_ZdlPv")
DELETE(delete_array, "_ZdaPv")
DELETE(delete_sized, "_ZdlPvm", size_t size)
DELETE(delete_array_sized, "_ZdaPvm", size_t size)
DELETE(delete_aligned, "_ZdlPvSt11align_val_t", size_t align)
DELETE(delete_array_aligned, "_ZdaPvSt11align_val_t", size_t align)
DELETE(delete_sized_aligned, "_ZdlPvmSt11align_val_t", size_t size, size_t align)
DELETE(delete_array_sized_aligned, "_ZdaPvmSt11align_val_t", size_t size, size_t align)
DELETE(delete_nothrow, "_ZdlPvRKSt9nothrow_t", const void *tag)
DELETE(delete_array_nothrow, "_ZdaPvRKSt9nothrow_t", const void *tag)
DELETE(delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t", size_t align, const void *tag)
DELETE(delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t", size_t align, const void *tag)
