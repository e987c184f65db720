/* arena_model.c: random work on arenas, held against a plain list of what each has handed out: pieces are apart, hold what was
 * written, and are those that a rewind leaves. At limits, too, where requests are denied.
 *
 * Start with take_turn. */
#include "check.h"
#include "heap/accounts.h"
#include "random.h"

enum { PIECES = 4000, MARKS = 64, MIB = 1 << 20 };

#ifdef RN_SANITIZE
enum { TURNS = 100000 };
#else
enum { TURNS = 400000 };
#endif

typedef struct piece {
    unsigned char *bytes;
    size_t size;
} piece;

typedef struct world {
    random_source source;
    rn_arena *arena;
    piece pieces[PIECES];
    size_t count, denied;
    rn_mark marks[MARKS];
    size_t marked[MARKS], marks_count; /* how many pieces there were */
} world;

static unsigned char stamp(size_t i) {
    return (unsigned char)(i * 37 + 11);
}

static void check_piece(const world *w, size_t i) {
    const piece *p = &w->pieces[i];
    size_t step = p->size > 200 ? p->size / 50 : 1;
    for (size_t at = 0; at < p->size; at += step)
        REQUIRE(p->bytes[at] == stamp(i));
    if (p->size != 0)
        REQUIRE(p->bytes[p->size - 1] == stamp(i));
}

static size_t draw_size(world *w) {
    size_t kind = random_below(&w->source, 100);
    return random_below(&w->source, kind < 80 ? 200 : kind < 99 ? 10000 : 300000);
}

static void take(world *w) {
    size_t size = draw_size(w), align = (size_t)1 << random_below(&w->source, 8);
    unsigned char *bytes = rn_arena_alloc(w->arena, size, align);
    if (bytes == NULL) {
        w->denied++;
        return;
    }
    CHECK_EQ(0u, (uintptr_t)bytes & (align - 1));
    memset(bytes, stamp(w->count), size);
    w->pieces[w->count++] = (piece){bytes, size};
}

/* Only of those since the last mark: an older one would lose what it grew by. */
static void resize_any(world *w) {
    size_t first = w->marks_count == 0 ? 0 : w->marked[w->marks_count - 1], among = w->count - first;
    if (among == 0)
        return;
    size_t i = random_below(&w->source, 3) == 0 ? first + random_below(&w->source, among) : w->count - 1;
    piece *p = &w->pieces[i];
    size_t size = draw_size(w), kept = size < p->size ? size : p->size;
    unsigned char *bytes = rn_arena_extend(w->arena, p->bytes, p->size, size, 1);
    if (bytes == NULL) {
        w->denied++;
    } else {
        *p = (piece){bytes, kept};
        check_piece(w, i);
        p->size = size;
        memset(bytes, stamp(i), size);
    }
    check_piece(w, i);
}

static void mark(world *w) {
    if (w->marks_count == MARKS)
        return;
    w->marked[w->marks_count] = w->count;
    w->marks[w->marks_count++] = rn_arena_mark(w->arena);
}

static void rewind_to_any(world *w) {
    if (w->marks_count == 0)
        return;
    w->marks_count -= random_below(&w->source, w->marks_count < 4 ? w->marks_count : 4);
    rn_arena_rewind(w->arena, w->marks[w->marks_count - 1]);
    w->count = w->marked[w->marks_count - 1];
    w->marks_count -= random_below(&w->source, 2);
}

static void reset(world *w) {
    rn_arena_reset(w->arena);
    w->count = w->marks_count = 0;
    if (random_below(&w->source, 4) == 0)
        rn_arena_trim(w->arena);
}

static void take_turn(world *w) {
    size_t kind = random_below(&w->source, 1000);
    if (w->count == PIECES || kind == 0)
        reset(w);
    else if (kind < 40)
        mark(w);
    else if (kind < 70)
        rewind_to_any(w);
    else if (kind < 200)
        resize_any(w);
    else
        take(w);
    if (w->count != 0)
        check_piece(w, random_below(&w->source, w->count));
}

static void run(size_t limit, uint64_t seed) {
    static world w;
    w = (world){.source = {seed}};
    rn_heap *heap = made(NULL, "model", limit);
    w.arena = rn_arena_new(heap, random_below(&w.source, 2) * 5000);
    REQUIRE(w.arena != NULL);
    for (size_t turn = 0; turn < TURNS; turn++)
        take_turn(&w);
    for (size_t i = 0; i < w.count; i++)
        check_piece(&w, i);
    CHECK(limit == 0 ? w.denied == 0 : w.denied != 0);
    CHECK(limit == 0 || stats_of(heap).peak <= limit);
    rn_arena_destroy(w.arena);
    CHECK_EQ(0u, stats_of(heap).used);
    rn_heap_destroy(heap);
}

static void it_does_as_a_list_does(void) {
    for (uint64_t seed = 1; seed <= 4; seed++)
        run(0, seed);
}

static void so_it_does_at_a_limit(void) {
    for (uint64_t seed = 5; seed <= 8; seed++)
        run(MIB, seed);
}

TESTS(TEST(it_does_as_a_list_does), TEST(so_it_does_at_a_limit))
