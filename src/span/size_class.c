/* size_class.c: the tables behind size_class.h, made by the compiler from its list. */
#include "size_class.h"

#include "span.h"

/* Where there are few blocks a span holds some 16, or 64 KiB of them, or 4. Where there are many it grows to 64 KiB, or
 * 256 KiB of blocks above 8 KiB: a word of bits can name its pages, and SPAN_BLOCKS_MAX its blocks. */
#define GRANULES_FOR(bytes) (((bytes) + GRANULE - 1) >> GRANULE_SHIFT)
#define LEAST_GRANULES(size) \
    ((size) <= 4096 ? GRANULES_FOR(16 * (size)) : (size) <= 8192 ? 4 : GRANULES_FOR(4 * (size)))
#define FITTING(size) ((256u << 10) / (size))
#define MOST_GRANULES(size) \
    ((size) <= 64 ? (size) / 16 : (size) <= 8192 ? FULL_GRANULES(size) : GRANULES_FOR(FITTING(size) * (size)))

/* But more than 64 KiB where of those more than a part in 64 would be lost behind the last block, on its last page. */
#define FILLED(size, granules) (((granules) << GRANULE_SHIFT) / (size) * (size))
#define LOST(size, granules) (-FILLED(size, granules) & (PAGE - 1))
#define IS_FULL(size, granules) (64 * LOST(size, granules) <= FILLED(size, granules))
#define FULL_GRANULES(size) \
    (IS_FULL(size, 4)   ? 4 \
     : IS_FULL(size, 5) ? 5 \
     : IS_FULL(size, 6) ? 6 \
     : IS_FULL(size, 7) ? 7 \
     : IS_FULL(size, 8) ? 8 \
                        : 9)

const size_class size_classes[SIZE_CLASSES_COUNT] = {
#define ROW(below, bytes)                                                 \
    [SIZE_CLASS_##bytes] = {                                              \
        .size = (bytes),                                                  \
        .reciprocal = ((1ull << RECIPROCAL_SHIFT) + (bytes)-1) / (bytes), \
        .least_granules = (uint8_t)LEAST_GRANULES(bytes),                 \
        .most_granules = (uint8_t)MOST_GRANULES(bytes),                   \
    },
    SIZE_CLASSES(ROW)
#undef ROW
};

/* Classes on the other side of TINY_MAX fall on entry 0, which no size above 0 looks up; it must end as class 0. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Winitializer-overrides"

/* clang-format off */
const uint8_t size_class_of_tiny[TINY_MAX / 16 + 1] = {
#define RANGE(below, size)                                                                                             \
    [(size) <= TINY_MAX ? (below) / 16 + 1 : 0 ...(size) <= TINY_MAX ? (size) / 16 : 0] =                              \
        (size) <= TINY_MAX ? SIZE_CLASS_##size : 0,
    SIZE_CLASSES(RANGE)
#undef RANGE
};

const uint8_t size_class_of_small[SMALL_MAX / 128 + 1] = {
#define RANGE(below, size)                                                                                             \
    [(size) > TINY_MAX ? (below) / 128 + 1 : 0 ...(size) > TINY_MAX ? (size) / 128 : 0] =                              \
        (size) > TINY_MAX ? SIZE_CLASS_##size : 0,
    SIZE_CLASSES(RANGE)
#undef RANGE
};
/* clang-format on */

#pragma GCC diagnostic pop
