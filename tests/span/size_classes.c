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
        uint32_t end = (uint32_t) class->most_granules << GRANULE_SHIFT;
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

static void spans_grow_with_the_blocks_out(void) {
    for (unsigned i = 0; i < SIZE_CLASSES_COUNT; i++) {
        const size_class *class = &size_classes[i];
        size_t least = size_class_span(class, 0), most = size_class_span(class, UINT32_MAX), bytes = 0;
        CHECK(least >= 4 * (size_t) class->size);
        CHECK_EQ((size_t) class->most_granules << GRANULE_SHIFT, most);
        CHECK(most / class->size <= SPAN_BLOCKS_MAX);
        CHECK(most / PAGE <= 64); /* a word of bits names every page */
        for (size_t out = 0; bytes < most; out = 2 * out + 1) {
            CHECK(size_class_span(class, out) >= bytes);
            bytes = size_class_span(class, out);
            CHECK(bytes == least || bytes <= out * class->size / 2);
        }
    }
}

/* Behind the last block, on the last page that it lies on. */
static void spans_of_many_blocks_lose_at_most_a_part_in_50_of_their_pages(void) {
    for (unsigned i = size_class_index(64); i < SIZE_CLASSES_COUNT; i++) {
        size_t size = size_classes[i].size, blocks = size_class_span(&size_classes[i], UINT32_MAX) / size;
        if (blocks > SPAN_BLOCKS_MAX)
            blocks = SPAN_BLOCKS_MAX;
        size_t pages = (blocks * size + PAGE - 1) / PAGE * PAGE, lost = pages - blocks * size;
        if (lost * 50 > pages)
            check_fail(__FILE__, __LINE__, "class of %zu: %zu of %zu bytes lost", size, lost, pages);
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

TESTS(TEST(every_size_has_the_smallest_class_that_holds_it), TEST(classes_ascend_in_steps_of_16_at_least),
      TEST(at_most_one_part_in_9_is_slack_above_256),
      TEST(the_reciprocal_tells_the_start_of_every_block_from_every_other_offset), TEST(spans_grow_with_the_blocks_out),
      TEST(spans_of_many_blocks_lose_at_most_a_part_in_50_of_their_pages), TEST(every_power_of_two_is_a_class),
      TEST(a_size_rounded_to_an_alignment_finds_a_class_that_is_a_multiple))
