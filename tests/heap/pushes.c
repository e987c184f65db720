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

static void *retire_outer(void *unused) {
    rn_heap_retire(outer);
    return unused;
}

static void push_and_have_another(void *(*end_it)(void *)) {
    pthread_t other;
    rn_heap_push(outer);
    REQUIRE(pthread_create(&other, NULL, end_it, NULL) == 0);
    pthread_join(other, NULL);
}

static void push_twice_and_have_another(void *(*end_it)(void *)) {
    rn_heap_push(outer);
    rn_heap_push(rn_heap_root());
    pthread_t other;
    REQUIRE(pthread_create(&other, NULL, end_it, NULL) == 0);
    pthread_join(other, NULL);
}

static void destroying_what_is_pushed_is_seen(void) {
    begin();
    CHECK_ABORTS("ration: %p: rn_heap_destroy of heap \"outer\", which this thread has pushed", destroy_current());
    CHECK_ABORTS("ration: %p: rn_heap_destroy of heap \"outer\", which this thread has pushed", destroy_pushed());
    CHECK_ABORTS("ration: %p: rn_heap_destroy of heap \"below\", which this thread has pushed",
                 destroy_what_a_subtree_is_pushed_of());
    end();
}

static void ending_what_another_thread_has_pushed_is_seen_at_once(void) {
    begin();
    CHECK_ABORTS("ration: %p: rn_heap_destroy of heap \"outer\", which thread %d has pushed",
                 push_and_have_another(destroy_outer));
    CHECK_ABORTS("ration: %p: rn_heap_destroy of heap \"outer\", which thread %d has pushed",
                 push_twice_and_have_another(destroy_outer));
    CHECK_ABORTS("ration: %p: rn_heap_retire of heap \"outer\", which thread %d has pushed",
                 push_and_have_another(retire_outer));
    CHECK_ABORTS("ration: %p: rn_heap_retire of heap \"outer\", which thread %d has pushed",
                 push_twice_and_have_another(retire_outer));
    end();
}

/* Threads that push and pop others', and did so with this one until it was theirs no longer. */
enum { THREADS = 3, ROUNDS = 300 };

static struct {
    rn_heap *heap;
    pthread_barrier_t barrier;
} turns;

static void *push_and_pop(void *unused) {
    rn_heap_push(outer);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&turns.barrier);
        rn_heap_push(turns.heap);
        rn_heap_push(inner);
        rn_heap_pop();
        rn_heap_pop();
        pthread_barrier_wait(&turns.barrier);
        for (int i = 0; i < 300; i++) {
            rn_heap_push(inner);
            rn_heap_push(outer);
            rn_heap_pop();
            rn_heap_pop();
        }
    }
    rn_heap_pop();
    return unused;
}

static void heaps_may_end_while_threads_push_others(void) {
    pthread_t threads[THREADS];
    begin();
    pthread_barrier_init(&turns.barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, push_and_pop, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        turns.heap = made(NULL, "brief", 0);
        pthread_barrier_wait(&turns.barrier);
        pthread_barrier_wait(&turns.barrier);
        (round % 2 == 0 ? rn_heap_retire : rn_heap_destroy)(turns.heap);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    end();
}

TESTS(TEST(a_pop_finds_what_a_longjmp_left), TEST(a_push_of_the_same_frame_finds_what_a_longjmp_left),
      TEST(a_mark_finds_it_at_once), TEST(helpers_may_push_and_pop_for_their_callers),
      TEST(functions_below_may_push_beside_helpers), TEST(destroying_what_is_pushed_is_seen),
      TEST(ending_what_another_thread_has_pushed_is_seen_at_once), TEST(heaps_may_end_while_threads_push_others))
