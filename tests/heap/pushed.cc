/* pushed.cc: ration::pushed, the current heap for as long as an object lives. Start with current. */
#include "accounts.h"

#include <stdexcept>
#include <type_traits>

static rn_heap *current() {
    void *block = rn_malloc(100);
    rn_heap *heap = rn_heap_of(block);
    rn_free(block);
    return heap;
}

static void a_heap_is_current_while_the_guard_lives() {
    rn_heap *heap = made(nullptr, "guarded", 0);
    {
        ration::pushed guard(heap);
        CHECK_EQ(heap, current());
    }
    CHECK_EQ(rn_heap_root(), current());
    rn_heap_destroy(heap);
}

static void guards_nest() {
    rn_heap *outer = made(nullptr, "outer", 0), *inner = made(outer, "inner", 0);
    {
        ration::pushed first(outer);
        {
            ration::pushed second(inner);
            CHECK_EQ(inner, current());
        }
        CHECK_EQ(outer, current());
    }
    CHECK_EQ(rn_heap_root(), current());
    rn_heap_destroy(outer);
}

static void throw_below(rn_heap *heap, int depth) {
    ration::pushed guard(heap);
    if (depth == 0)
        throw std::runtime_error("from below");
    throw_below(heap, depth - 1);
}

static void an_exception_unwinds_guards() {
    rn_heap *outer = made(nullptr, "outer", 0), *inner = made(outer, "inner", 0);
    ration::pushed guard(outer);
    bool caught = false;
    for (int i = 0; i < 100; i++) {
        int mark = rn_heap_mark();
        try {
            throw_below(inner, 50);
        } catch (const std::runtime_error &) {
            caught = true;
        }
        CHECK_EQ(mark, rn_heap_mark());
        CHECK_EQ(outer, current());
    }
    CHECK(caught);
}

static void a_guard_pops_what_was_pushed_after_it() {
    rn_heap *outer = made(nullptr, "outer", 0), *inner = made(outer, "inner", 0);
    {
        ration::pushed guard(outer);
        rn_heap_push(inner);
    }
    CHECK_EQ(0, rn_heap_mark());
    CHECK_EQ(rn_heap_root(), current());
    rn_heap_destroy(outer);
}

static void a_guard_is_not_copied_and_does_not_throw() {
    using ration::pushed;
    CHECK(!std::is_copy_constructible<pushed>::value && !std::is_copy_assignable<pushed>::value);
    CHECK(!std::is_move_constructible<pushed>::value && !std::is_move_assignable<pushed>::value);
    CHECK((std::is_nothrow_constructible<pushed, rn_heap *>::value));
    CHECK(std::is_nothrow_destructible<pushed>::value);
    CHECK((!std::is_convertible<rn_heap *, pushed>::value));
}

TESTS(TEST(a_heap_is_current_while_the_guard_lives), TEST(guards_nest), TEST(an_exception_unwinds_guards),
      TEST(a_guard_pops_what_was_pushed_after_it), TEST(a_guard_is_not_copied_and_does_not_throw))
