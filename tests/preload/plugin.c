/* plugin.c: operator new that fails in a library which brought its C++ library with it, or where there is none. */
#include "again.h"
#include "loadable.h"

#include <dlfcn.h>

static const char source[] = "#include <new>\n"
                             "static int calls;\n"
                             "static void count() { if (++calls == 3) std::set_new_handler(nullptr); }\n"
                             "template <typename Ask> static int fails(Ask ask) {\n"
                             "    try { ask(); } catch (const std::bad_alloc &) { return 1; }\n"
                             "    return 0;\n"
                             "}\n"
                             "extern \"C\" int fails_plainly(unsigned long size) {\n"
                             "    return fails([=] { return ::operator new(size); });\n"
                             "}\n"
                             "extern \"C\" int fails_as_array(unsigned long size) {\n"
                             "    return fails([=] { return ::operator new[](size); });\n"
                             "}\n"
                             "extern \"C\" int fails_aligned(unsigned long size) {\n"
                             "    return fails([=] { return ::operator new(size, std::align_val_t{64}); });\n"
                             "}\n"
                             "extern \"C\" int handler_calls(unsigned long size) {\n"
                             "    std::set_new_handler(count);\n"
                             "    return fails_plainly(size) ? calls : -1;\n"
                             "}\n";

static void *plugin;

static const char compile[] = "c++ -x c++ -std=c++17 -static-libstdc++ -static-libgcc";

static void load(void) {
    char directory[] = "/tmp/plugin-XXXXXX", library[256];
    REQUIRE(mkdtemp(directory) != NULL);
    if (!emulated() && make_loadable(directory, compile, source, library, sizeof library))
        plugin = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    unlink(library);
    rmdir(directory);
}

/* A size that no system has. */
static size_t impossible(void) {
    return hide_size((size_t)PTRDIFF_MAX - 100000);
}

static int ask(const char *name) {
    int (*function)(unsigned long) = (int (*)(unsigned long))dlsym(plugin, name);
    REQUIRE(function != NULL);
    return function(impossible());
}

static void a_plugin_with_a_static_library_catches_its_own_bad_alloc(void) {
    load();
    if (plugin == NULL) {
        skip("nothing can be loaded here, or there is no compiler to make it");
        return;
    }
    CHECK_EQ(1, ask("fails_plainly"));
    CHECK_EQ(1, ask("fails_as_array"));
    CHECK_EQ(1, ask("fails_aligned"));
    CHECK_EQ(3, ask("handler_calls"));
    CHECK_EQ(1, ask("fails_plainly"));
    CHECK_EQ(0, dlclose(plugin));
}

extern void *operator_new(size_t size) __asm__("_Znwm") __attribute__((weak));

static void where_nothing_can_throw_the_process_says_so_before_it_ends(void) {
    if (operator_new == NULL)
        skip("the program has no operator new");
    else
        CHECK_ABORTS("ration: operator new has no memory, and no C++ library is found that throws bad_alloc",
                     hide(operator_new(impossible())));
}

TESTS(TEST(a_plugin_with_a_static_library_catches_its_own_bad_alloc),
      TEST(where_nothing_can_throw_the_process_says_so_before_it_ends))
