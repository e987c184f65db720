/* pushes.c: pushes that a longjmp left behind are found by the frame that had pushed before; helpers may push and pop for their
 * callers. The contract stands beside rn_heap_push. Start with current. */
#include "accounts.h"

#include <pthread.h>
#include <setjmp.h>

static rn_heap *outer, *inner;
static jmp_buf back;

static rn_heap *current(void) {
    void *block = rn_malloc(10);
    rn_heap *heap = rn_heap_of(block);
    rn_free(block);
    return heap;
}

static void begin(void) {
    outer = made(NULL, "outer", 0);
    inner = made(NULL, "inner", 0);
}

static void end(void) {
    CHECK_EQ(0, rn_heap_mark());
    CHECK_EQ(rn_heap_root(), current());
    rn_heap_destroy(inner);
    rn_heap_destroy(outer);
}

static void jump_back(void) {
    longjmp(back, 1);
}

static void (*volatile jump)(void) = jump_back;

/* Never inlined, so that the pushes are made from frames below. */
__attribute__((noinline)) static void push_and_jump(volatile int depth) {
    rn_heap_push(inner);
    if (depth == 0)
        jump();
    else
        push_and_jump(depth - 1);
    rn_heap_pop();
}

static void a_pop_finds_what_a_longjmp_left(void) {
    begin();
    rn_heap_push(outer);
    if (setjmp(back) == 0)
        push_and_jump(20);
    CHECK_EQ(22, rn_heap_mark());
    rn_heap_pop();
    end();
}

static void a_push_of_the_same_frame_finds_what_a_longjmp_left(void) {
    begin();
    rn_heap_push(outer);
    if (setjmp(back) == 0)
        push_and_jump(20);
    rn_heap_push(inner);
    CHECK_EQ(2, rn_heap_mark());
    CHECK_EQ(inner, current());
    rn_heap_pop();
    CHECK_EQ(outer, current());
    rn_heap_pop();
    end();
}

static void a_mark_finds_it_at_once(void) {
    begin();
    int mark = rn_heap_mark();
    if (setjmp(back) == 0)
        push_and_jump(20);
    rn_heap_pop_to(mark);
    end();
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

__attribute__((noinline)) static void enter(rn_heap *heap) {
    rn_heap_push(heap);
    __asm__ volatile("" ::: "memory"); /* no tail call */
}

__attribute__((noinline)) static void leave(void) {
    rn_heap_pop();
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void enter_and_leave_below(volatile int depth) {
    enter(inner);
    CHECK_EQ(inner, current());
    if (depth != 0)
        enter_and_leave_below(depth - 1);
    CHECK_EQ(inner, current());
    leave();
}

static void helpers_may_push_and_pop_for_their_callers(void) {
    begin();
    enter(outer);
    enter(inner);
    CHECK_EQ(inner, current());
    leave();
    CHECK_EQ(outer, current());
    enter_and_leave_below(20);
    CHECK_EQ(outer, current());
    leave();
    end();
}

__attribute__((noinline)) static void push_below(volatile int depth) {
    rn_heap_push(inner);
    CHECK_EQ(inner, current());
    if (depth != 0)
        push_below(depth - 1);
    rn_heap_pop();
}

static void functions_below_may_push_beside_helpers(void) {
    begin();
    enter(outer);
    push_below(20);
    CHECK_EQ(outer, current());
    leave();
    end();
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void destroy_current(void) {
    rn_heap_push(outer);
    rn_heap_destroy(outer);
}

static void destroy_pushed(void) {
    rn_heap_push(outer);
    rn_heap_push(rn_heap_root());
    rn_heap_destroy(outer);
}

static void destroy_what_a_subtree_is_pushed_of(void) {
    rn_heap *below = made(outer, "below", 0);
    rn_heap_push(below);
    rn_heap_destroy(outer);
}

static void *destroy_outer(void *unused) {
    rn_heap_destroy(outer);
    return unused;
}

static void destroy_what_another_pushed(void) {
    pthread_t other;
    rn_heap_push(outer);
    REQUIRE(pthread_create(&other, NULL, destroy_outer, NULL) == 0);
    pthread_join(other, NULL);
}

static void *retire_outer(void *unused) {
    rn_heap_retire(outer);
    return unused;
}

static void pop_what_another_retired(void) {
    pthread_t other;
    rn_heap_push(outer);
    rn_heap_push(inner);
    REQUIRE(pthread_create(&other, NULL, retire_outer, NULL) == 0);
    pthread_join(other, NULL);
    rn_heap_pop();
}

static void destroying_what_is_pushed_is_seen(void) {
    begin();
    CHECK_ABORTS("ration: %p: rn_heap_destroy of a heap that a thread has pushed", destroy_current());
    CHECK_ABORTS("ration: %p: rn_heap_destroy of a heap that a thread has pushed", destroy_pushed());
    CHECK_ABORTS("ration: %p: rn_heap_destroy of a heap that a thread has pushed",
                 destroy_what_a_subtree_is_pushed_of());
    CHECK_ABORTS("ration: %p: rn_heap_destroy of a heap that a thread has pushed", destroy_what_another_pushed());
    end();
}

static void a_heap_that_was_retired_while_it_was_pushed_is_named_at_the_pop(void) {
    begin();
    CHECK_ABORTS("ration: %p: use of heap \"outer\" after it was retired", pop_what_another_retired());
    end();
}

TESTS(TEST(a_pop_finds_what_a_longjmp_left), TEST(a_push_of_the_same_frame_finds_what_a_longjmp_left),
      TEST(a_mark_finds_it_at_once), TEST(helpers_may_push_and_pop_for_their_callers),
      TEST(functions_below_may_push_beside_helpers), TEST(destroying_what_is_pushed_is_seen),
      TEST(a_heap_that_was_retired_while_it_was_pushed_is_named_at_the_pop))
