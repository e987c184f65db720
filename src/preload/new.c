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
extern int dladdr(const void *address, Dl_info *found) __attribute__((weak));
/* NOLINTEND(readability-redundant-declaration) */

/* std::get_new_handler and std::__throw_bad_alloc, if the program has a C++ library. */
extern new_handler get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern _Noreturn void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

EXPORT void *new_object(size_t size) __asm__("_Znwm");
EXPORT void *new_aligned(size_t size, size_t align) __asm__("_ZnwmSt11align_val_t");

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

/* A symbol of the library in which the caller lies. */
static void *symbol_of_caller(const void *caller, const char *name) {
    Dl_info found;
    if (dladdr == NULL || dlopen == NULL || dladdr(caller, &found) == 0)
        return NULL;
    void *library = dlopen(found.dli_fname, RTLD_LAZY | RTLD_NOLOAD), *symbol;
    if (library == NULL)
        return NULL;
    symbol = dlsym(library, name);
    dlclose(library);
    return symbol;
}

static _Noreturn void abort_for_want_of_exceptions(void) {
    static const char line[] =
        "ration: operator new has no memory, and no C++ library is found that throws bad_alloc\n";
    os_say(line, sizeof line - 1);
    abort();
}

/* A plug-in that was linked with a static C++ library has an operator new of its own, in whose place the loader put ours. It asks
 * malloc again, then its own handler, and throws what the plug-in catches. */
static void *take_by_callers_own(size_t size, size_t align, const void *caller) {
    void *own = symbol_of_caller(caller, align == 0 ? "_Znwm" : "_ZnwmSt11align_val_t");
    if (own == NULL || own == (align == 0 ? (void *)new_object : (void *)new_aligned))
        abort_for_want_of_exceptions();
    return align == 0 ? ((void *(*)(size_t))own)(size) : ((void *(*)(size_t, size_t))own)(size, align);
}

static void *refuse(size_t size, size_t align, const void *caller) {
    if (throw_bad_alloc != NULL)
        throw_bad_alloc();
    void (*late)(void) = (void (*)(void))late_symbol("_ZSt17__throw_bad_allocv");
    if (late != NULL)
        late();
    return take_by_callers_own(size, align, caller);
}

/* Calls the handler until it has made room, or throws, or there is none. */
static COLD void *take_or_throw(size_t size, size_t align, const void *caller) {
    for (;;) {
        new_handler handler = current_handler();
        if (handler == NULL)
            return refuse(size, align, caller);
        handler();
        void *block = take(size, align);
        if (block != NULL)
            return block;
    }
}

/* Inlined, so that it returns to the operator's caller. */
static inline __attribute__((always_inline)) void *new_or_throw(size_t size, size_t align) {
    void *block = take(size, align);
    return LIKELY(block != NULL) ? block : take_or_throw(size, align, __builtin_return_address(0));
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
