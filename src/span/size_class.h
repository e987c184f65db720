/* size_class.h: the sizes that small blocks come in, and the way from a size to its class.
 *
 * Steps of 16 up to 256, then eight to a doubling: above 128 bytes at most one part in 9 of a block is slack, and every
 * power of two is a class. A class's size is a multiple of an eighth of the power of two below it, so a size rounded up
 * to an alignment finds an aligned class at once or a few steps on. */
#ifndef RATION_SPAN_SIZE_CLASS_H
#define RATION_SPAN_SIZE_CLASS_H

#include <stddef.h>
#include <stdint.h>

/* X(the size below, the size) */
/* clang-format off */
#define SIZE_CLASSES(X)                                                                                                \
    X(0, 16) X(16, 32) X(32, 48) X(48, 64) X(64, 80) X(80, 96) X(96, 112) X(112, 128)                                  \
    X(128, 144) X(144, 160) X(160, 176) X(176, 192) X(192, 208) X(208, 224) X(224, 240) X(240, 256)                    \
    X(256, 288) X(288, 320) X(320, 352) X(352, 384) X(384, 416) X(416, 448) X(448, 480) X(480, 512)                    \
    X(512, 576) X(576, 640) X(640, 704) X(704, 768) X(768, 832) X(832, 896) X(896, 960) X(960, 1024)                   \
    X(1024, 1152) X(1152, 1280) X(1280, 1408) X(1408, 1536) X(1536, 1664) X(1664, 1792) X(1792, 1920) X(1920, 2048)    \
    X(2048, 2304) X(2304, 2560) X(2560, 2816) X(2816, 3072) X(3072, 3328) X(3328, 3584) X(3584, 3840) X(3840, 4096)    \
    X(4096, 4608) X(4608, 5120) X(5120, 5632) X(5632, 6144) X(6144, 6656) X(6656, 7168) X(7168, 7680) X(7680, 8192)    \
    X(8192, 9216) X(9216, 10240) X(10240, 11264) X(11264, 12288) X(12288, 13312)                                       \
    X(13312, 14336) X(14336, 15360) X(15360, 16384)                                                                    \
    X(16384, 18432) X(18432, 20480) X(20480, 22528) X(22528, 24576) X(24576, 26624)                                    \
    X(26624, 28672) X(28672, 30720) X(30720, 32768)                                                                    \
    X(32768, 36864) X(36864, 40960) X(40960, 45056) X(45056, 49152) X(49152, 53248)                                    \
    X(53248, 57344) X(57344, 61440) X(61440, 65536)
/* clang-format on */

enum {
#define NAME(below, size) SIZE_CLASS_##size,
    SIZE_CLASSES(NAME) SIZE_CLASSES_COUNT,
#undef NAME

    TINY_STEP_SHIFT = 4, /* up to TINY_MAX, sizes are looked up in steps of 16 */
    TINY_MAX = 1024,
    SMALL_STEP_SHIFT = 7, /* above it, up to SMALL_MAX, in steps of 128 */
    SMALL_MAX = 65536,

    RECIPROCAL_SHIFT = 48,

    GRANULE_SHIFT = 14, /* what spans are made of: 16 KiB */
    GRANULE = 1 << GRANULE_SHIFT,
};

typedef struct size_class {
    uint64_t reciprocal; /* ceil(2^48 / size): an offset below 2^18 times this is the index of its block and, in the low
                            48 bits, less than this only where the block starts (Lemire et al., Faster Remainder by
                            Direct Computation, 2019) */
    uint32_t size;
    uint8_t least_granules, most_granules; /* of a span */
} size_class;

extern const uint8_t size_class_of_tiny[TINY_MAX / 16 + 1];
extern const uint8_t size_class_of_small[SMALL_MAX / 128 + 1];
extern const size_class size_classes[SIZE_CLASSES_COUNT];

/* Bytes to ask for as the next span of a class of which so many blocks are out: half of those, within bounds. */
static inline size_t size_class_span(const size_class *class, size_t blocks_out) {
    size_t granules = class->least_granules, wanted = (blocks_out * class->size / 2) >> GRANULE_SHIFT;
    if (granules < wanted)
        granules = wanted < class->most_granules ? wanted : class->most_granules;
    return granules << GRANULE_SHIFT;
}

/* The class of a size up to SMALL_MAX. */
static inline unsigned size_class_index(size_t size) {
    if (size <= TINY_MAX)
        return size_class_of_tiny[(size + 15) >> TINY_STEP_SHIFT];
    return size_class_of_small[(size + 127) >> SMALL_STEP_SHIFT];
}

#endif
