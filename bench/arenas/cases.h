/* cases.h: the rows about arenas, written once; each contender includes this file last.
 *
 * What a contender calls its arena is a pool here. Before the inclusion it defines pool and the static functions
 *     void pools_begin(void)                        once
 *     pool *pool_new(void), void pool_end(pool *)
 *     void *pool_take(pool *, size_t)               at a multiple of 8 at least
 *     void pool_clear(pool *, void **pieces, size_t count)   all that was taken, which the table names for who frees each
 *     void pool_free(pool *, void *)                nothing, but for who frees each
 *     constants pool_frees_each; pool_is_shared: one serves all threads, else each has its own
 * Start at the table of cases. */
#include "../suite/figure.h"
#include <stdbool.h>

enum {
    PIECES = 8192,
    ROUNDS = 2000,
    NODES = 4000,
    TREES = 800,
    REQUESTS = 200000,
    PIECES_A_REQUEST = 24,
    THREADS = 2,
};

static double best_of_three(double (*run)(size_t), size_t argument) {
    double best = run(argument);
    for (int i = 0; i < 2; i++) {
        double again = run(argument);
        best = again < best ? again : best;
    }
    return best;
}

/* --- pieces ------------------------------------------------------------------------------------------------------- */

/* Sizes of 16 to 64 bytes in no order; a size of 0 stands for those. */
static size_t mixed_size(size_t i) {
    return 16 + (i * 29 ^ i >> 3) % 49;
}

static void take_pieces(pool *from, void **pieces, size_t size) {
    if (size != 0)
        for (size_t i = 0; i < PIECES; i++)
            pieces[i] = touch(pool_take(from, size));
    else
        for (size_t i = 0; i < PIECES; i++)
            pieces[i] = touch(pool_take(from, mixed_size(i)));
}

static void take_and_clear(pool *from, void **pieces, size_t size, size_t rounds) {
    for (size_t round = 0; round < rounds; round++) {
        take_pieces(from, pieces, size);
        pool_clear(from, pieces, PIECES);
    }
}

static double pieces_once(size_t size) {
    static void *pieces[PIECES];
    pool *one = pool_new();
    take_and_clear(one, pieces, size, ROUNDS / 10);
    double start = cpu_nanoseconds();
    take_and_clear(one, pieces, size, ROUNDS);
    double figure = (cpu_nanoseconds() - start) / ROUNDS / PIECES;
    pool_end(one);
    return figure;
}

static double pieces_ns(size_t size) {
    return best_of_three(pieces_once, size);
}

/* --- a syntax tree: built, looked at once, discarded --------------------------------------------------------------- */

typedef struct node {
    struct node *left, *right;
    char *name;
    uint64_t value;
} node;

static node *grow_tree(pool *from, size_t nodes, uint64_t seed) {
    node *fresh = pool_take(from, sizeof *fresh);
    size_t length = 4 + seed % 20, below = nodes - 1;
    if (!fresh || !(fresh->name = pool_take(from, length)))
        fail("no memory");
    memset(fresh->name, (int)('a' + seed % 26), length);
    fresh->value = seed;
    fresh->left = below == 0 ? NULL : grow_tree(from, (below + 1) / 2, seed * 5 + 1);
    fresh->right = below < 2 ? NULL : grow_tree(from, below / 2, seed * 3 + 7);
    return fresh;
}

static uint64_t sum_of(const node *tree) {
    return tree ? tree->value + (uint64_t)tree->name[0] + sum_of(tree->left) + sum_of(tree->right) : 0;
}

static void discard(pool *from, node *tree) {
    if (!tree)
        return;
    discard(from, tree->left);
    discard(from, tree->right);
    pool_free(from, tree->name);
    pool_free(from, tree);
}

static uint64_t parse_and_discard(pool *from, size_t trees) {
    uint64_t sum = 0;
    for (size_t i = 0; i < trees; i++) {
        node *tree = grow_tree(from, NODES, i);
        sum += sum_of(tree);
        if (pool_frees_each)
            discard(from, tree);
        else
            pool_clear(from, NULL, 0);
    }
    return sum;
}

static double tree_once(size_t unused) {
    (void)unused;
    pool *one = pool_new();
    uint64_t sum = parse_and_discard(one, TREES / 10);
    double start = cpu_nanoseconds();
    sum += parse_and_discard(one, TREES);
    double figure = (cpu_nanoseconds() - start) / TREES / NODES;
    pool_end(one);
    return sum == 0 ? 0 : figure;
}

static double tree_ns(size_t argument) {
    return best_of_three(tree_once, argument);
}

/* --- an arena for each request ------------------------------------------------------------------------------------- */

static void serve(size_t requests) {
    void *pieces[PIECES_A_REQUEST];
    for (size_t i = 0; i < requests; i++) {
        pool *one = pool_new();
        for (size_t j = 0; j < PIECES_A_REQUEST; j++)
            pieces[j] = touch(pool_take(one, 16 + (i + j * 37) % 200));
        pool_clear(one, pieces, PIECES_A_REQUEST);
        pool_end(one);
    }
}

static double request_us(size_t unused) {
    (void)unused;
    serve(REQUESTS / 10);
    double start = cpu_nanoseconds();
    serve(REQUESTS);
    return (cpu_nanoseconds() - start) / REQUESTS / 1e3;
}

/* --- two threads --------------------------------------------------------------------------------------------------- */

typedef struct filler {
    pthread_t thread;
    pool *from;
    bool clears;
} filler;

static pthread_barrier_t all_are_done;

static void clear_together(const filler *self) {
    pthread_barrier_wait(&all_are_done);
    if (self->clears)
        pool_clear(self->from, NULL, 0);
    pthread_barrier_wait(&all_are_done);
}

static void *fill_in_thread(void *given) {
    const filler *self = given;
    void **pieces = must_calloc(PIECES, sizeof *pieces);
    for (size_t round = 0; round < ROUNDS / 4; round++) {
        take_pieces(self->from, pieces, 0);
        if (pool_is_shared)
            clear_together(self);
        else
            pool_clear(self->from, pieces, PIECES);
    }
    free(pieces);
    return NULL;
}

static double two_threads_ns(size_t unused) {
    (void)unused;
    filler fillers[THREADS];
    pthread_barrier_init(&all_are_done, NULL, THREADS);
    double start = cpu_nanoseconds();
    for (size_t i = 0; i < THREADS; i++) {
        fillers[i].from = pool_is_shared && i != 0 ? fillers[0].from : pool_new();
        fillers[i].clears = i == 0;
        if (pthread_create(&fillers[i].thread, NULL, fill_in_thread, &fillers[i]))
            fail("pthread_create");
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(fillers[i].thread, NULL);
    double figure = (cpu_nanoseconds() - start) / THREADS / (ROUNDS / 4) / PIECES;
    for (size_t i = 0; i < THREADS; i++)
        if (i == 0 || !pool_is_shared)
            pool_end(fillers[i].from);
    return figure;
}

static const figure_case cases[] = {
    {"pieces-16", pieces_ns, 16},       {"pieces-32", pieces_ns, 32}, {"pieces-64", pieces_ns, 64},
    {"pieces-mixed", pieces_ns, 0},     {"tree", tree_ns, 0},         {"request", request_us, 0},
    {"two-threads", two_threads_ns, 0},
};

int main(int count, char **arguments) {
    pools_begin();
    return print_figure(count, arguments, cases, sizeof cases / sizeof *cases);
}
