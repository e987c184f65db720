/* size_classes.c: the tables of size_class.h hold for every size and every offset, not for samples. */
#include "check.h"
#include "span/span.h"

static void every_size_has_the_smallest_class_that_holds_it(void) {
    unsigned expected = 0;
    for (size_t size = 0; size <= SMALL_MAX; size++) {
        if (size > size_classes[expected].size)
            expected++;
        if (size_class_index(size) != expected)
            check_fail(__FILE__, __LINE__, "size %zu: expected class %u, got %u", size, expected,
                       size_class_index(size));
    }
    CHECK_EQ(SIZE_CLASSES_COUNT - 1, expected);
}

static void classes_ascend_in_steps_of_16_at_least(void) {
    CHECK_EQ(16u, size_classes[0].size);
    CHECK_EQ(SMALL_MAX, size_classes[SIZE_CLASSES_COUNT - 1].size);
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        CHECK_EQ(0u, size_classes[i].size % 16);
        CHECK(i == 0 || size_classes[i].size > size_classes[i - 1].size);
    }
}

static void at_most_one_part_in_9_is_slack_above_256(void) {
    for (unsigned i = size_class_index(256); i + 1 < SIZE_CLASSES_COUNT; i++)
        CHECK((size_classes[i + 1].size - size_classes[i].size) * 9 <= size_classes[i + 1].size);
}

static void the_reciprocal_tells_the_start_of_every_block_from_every_other_offset(void) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        const size_class *class = &size_classes[i];
        uint32_t end = (uint32_t) class->granules << GRANULE_SHIFT;
        for (uint32_t offset = 0; offset < end; offset++) {
            unsigned expected = offset % class->size == 0 ? offset / class->size : SPAN_NOT_A_BLOCK;
            unsigned index = span_index(class, offset);
            if (index != expected) {
                check_fail(__FILE__, __LINE__, "class of %u, offset %u: expected block %u, got %u", class->size, offset,
                           expected, index);
                break;
            }
        }
    }
}

static void a_span_holds_its_blocks_and_no_more(void) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        size_t bytes = (size_t)size_classes[i].granules << GRANULE_SHIFT;
        CHECK(size_classes[i].granules > 0);
        CHECK_EQ(bytes / size_classes[i].size, size_classes[i].capacity);
        CHECK(size_classes[i].capacity <= SPAN_BLOCKS_MAX);
        /* A word of bits names every page. */
        CHECK(bytes / PAGE <= 64);
    }
}

static void every_power_of_two_is_a_class(void) {
    for (size_t size = 16; size <= SMALL_MAX; size *= 2)
        CHECK_EQ(size, size_classes[size_class_index(size)].size);
}

/* What malloc.c relies on: rounded up to the alignment, some class not much larger is a multiple of it. */
static void a_size_rounded_to_an_alignment_finds_a_class_that_is_a_multiple(void) {
    for (size_t align = 16; align <= GRANULE; align *= 2) {
        for (size_t size = align; size <= SMALL_MAX; size += align) {
            unsigned i = size_class_index(size);
            while (i < SIZE_CLASSES_COUNT && size_classes[i].size % align != 0)
                i++;
            REQUIRE(i < SIZE_CLASSES_COUNT);
            CHECK(size_classes[i].size < 2 * size + align);
        }
    }
}

static void fullness_rises_with_the_blocks_used_and_is_full_only_where_all_are(void) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        unsigned capacity = size_classes[i].capacity, fullness = size_classes[i].fullness;
        CHECK_EQ(FULLNESS_FULL, capacity * fullness >> FULLNESS_SHIFT);
        CHECK((capacity - 1) * fullness >> FULLNESS_SHIFT < FULLNESS_FULL);
    }
}

TESTS(TEST(every_size_has_the_smallest_class_that_holds_it), TEST(classes_ascend_in_steps_of_16_at_least),
      TEST(at_most_one_part_in_9_is_slack_above_256),
      TEST(the_reciprocal_tells_the_start_of_every_block_from_every_other_offset),
      TEST(a_span_holds_its_blocks_and_no_more),
      TEST(fullness_rises_with_the_blocks_used_and_is_full_only_where_all_are), TEST(every_power_of_two_is_a_class),
      TEST(a_size_rounded_to_an_alignment_finds_a_class_that_is_a_multiple))
