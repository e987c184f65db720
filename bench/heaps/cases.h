/* cases.h: the rows about heaps that all contenders can run, written once; each contender includes this file last.
 *
 * What a contender calls its heap is a group here. Before the inclusion it defines group and the static functions
 *     void group_begin(void)                once
 *     group *group_new(group *parent)       NULL: below nothing
 *     void group_enter(group *), group_leave(void)   around a number of takes
 *     void group_limit(group *, size_t)
 *     void *group_take(group *, size_t), group_give(group *, void *)
 *     void group_end(group *, void **blocks, size_t count)   with what it holds, which the table names
 * The table of blocks is filled for everybody, since who frees one by one must have it. Start at the table of cases. */
#include "../footprint/resident.h"
#include "../suite/figure.h"

enum {
    LARGE = 128 << 10,
    DEEPEST = 16,
    CHARGES = 300000,
    CYCLES = 10000,
    MILLION = 1000000,
    GROUPS = 10000,
    BLOCKS_A_GROUP = 10,
};

static void *million[MILLION];

/* --- taking and giving a large block, at a depth ----------------------------------------------------------------- */

static double take_and_give(group *from, size_t times) {
    double start = cpu_nanoseconds();
    for (size_t i = 0; i < times; i++) {
        void *block = group_take(from, LARGE);
        if (!block)
            fail("no memory");
        group_give(from, block);
    }
    return (cpu_nanoseconds() - start) / (double)times;
}

static double charge_ns(size_t depth) {
    group *chain[DEEPEST], *deepest = NULL;
    for (size_t i = 0; i < depth; i++) {
        chain[i] = deepest = group_new(deepest);
        group_limit(deepest, (size_t)1 << 30);
    }
    group_enter(deepest);
    take_and_give(deepest, CHARGES / 10);
    double figure = take_and_give(deepest, CHARGES);
    group_leave();
    for (size_t i = depth; i-- > 0;)
        group_end(chain[i], NULL, 0);
    return figure;
}

/* --- one heap after another -------------------------------------------------------------------------------------- */

static void fill(group *into, void **blocks, size_t count, size_t size) {
    group_enter(into);
    for (size_t i = 0; i < count; i++)
        blocks[i] = touch(group_take(into, size));
    group_leave();
}

static double create_and_destroy(size_t blocks, size_t times) {
    double start = cpu_nanoseconds();
    for (size_t i = 0; i < times; i++) {
        group *one = group_new(NULL);
        fill(one, million, blocks, 100);
        group_end(one, million, blocks);
    }
    return (cpu_nanoseconds() - start) / (double)times;
}

static double create_destroy_ns(size_t blocks) {
    create_and_destroy(blocks, CYCLES / 10);
    return create_and_destroy(blocks, CYCLES);
}

static double destroy_million(void) {
    group *one = group_new(NULL);
    fill(one, million, MILLION, 48);
    double start = cpu_nanoseconds();
    group_end(one, million, MILLION);
    return (cpu_nanoseconds() - start) / 1e6;
}

/* A manager may return the memory the first time, and keep it once it has been wanted back. */
static double destroy_million_ms(size_t before) {
    for (size_t i = 0; i < before; i++)
        destroy_million();
    return destroy_million();
}

/* --- many at once ------------------------------------------------------------------------------------------------ */

static group *groups[GROUPS];

static void make_groups(size_t step) {
    for (size_t i = 0; i < GROUPS; i++) {
        groups[i] = group_new(NULL);
        group_enter(groups[i]);
        for (size_t j = 0; j < BLOCKS_A_GROUP; j++)
            million[i * BLOCKS_A_GROUP + j] = touch(group_take(groups[i], 48 + j * step));
        group_leave();
    }
}

static void end_groups(void) {
    for (size_t i = 0; i < GROUPS; i++)
        group_end(groups[i], million + i * BLOCKS_A_GROUP, BLOCKS_A_GROUP);
}

static double thousands_ns(size_t step) {
    double start = cpu_nanoseconds();
    make_groups(step);
    end_groups();
    return (cpu_nanoseconds() - start) / GROUPS;
}

/* The tables of this program are in memory before. */
static double thousands_bytes(size_t step) {
    memset(million, 1, sizeof million);
    memset(groups, 1, sizeof groups);
    long before = resident_kib();
    make_groups(step);
    return (double)(resident_kib() - before) * 1024 / GROUPS;
}

static const figure_case cases[] = {
    {"charge-1", charge_ns, 1},
    {"charge-4", charge_ns, 4},
    {"charge-16", charge_ns, DEEPEST},
    {"create-destroy", create_destroy_ns, 0},
    {"create-destroy-100", create_destroy_ns, 100},
    {"destroy-million", destroy_million_ms, 0},
    {"destroy-million-again", destroy_million_ms, 1},
    {"thousands", thousands_ns, 0},
    {"thousands-mixed", thousands_ns, 16},
    {"thousands-bytes", thousands_bytes, 0},
    {"thousands-mixed-bytes", thousands_bytes, 16},
};

int main(int count, char **arguments) {
    group_begin();
    return print_figure(count, arguments, cases, sizeof cases / sizeof *cases);
}
