/* arena_in_cpp.cc: the header's inline functions and macros, from C++. */
#include "check.h"

#include <ration/arena.h>

namespace {

struct point {
    double x, y;
};

void a_program_in_cpp_uses_it() {
    rn_arena *arena = rn_arena_new(nullptr, 0);
    REQUIRE(arena != nullptr);
    rn_mark before = rn_arena_mark(arena);
    point *one = RN_ARENA_NEW(arena, point);
    point *many = RN_ARENA_ARRAY(arena, point, 100);
    REQUIRE(one != nullptr && many != nullptr);
    *one = point{1, 2};
    many[99] = *one;
    CHECK(many[99].y == 2);
    CHECK(RN_ARENA_ARRAY(arena, point, static_cast<std::size_t>(-1) / 8) == nullptr);
    rn_arena_rewind(arena, before);
    CHECK(RN_ARENA_NEW(arena, point) == one);
    rn_arena_destroy(arena);
}

} // namespace

TESTS(TEST(a_program_in_cpp_uses_it))
