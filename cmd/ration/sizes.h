/* sizes.h: sizes and times as people write and read them. */
#ifndef RATION_CMD_SIZES_H
#define RATION_CMD_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "500M", "1.5G", "64KiB", "512m": a number and its unit, powers of 1024, in capitals or not. "5MB" is none: it may mean a power
 * of 1000. False if text is something else, or 0, or too large. */
bool size_parse(const char *text, uint64_t *bytes);

/* "500ms", "2s", "1m", in milliseconds. */
bool time_parse(const char *text, uint64_t *ms);

/* Bytes with three digits or so and a unit: "64.0 MiB". */
#define SIZE_TEXT 32
const char *size_text(uint64_t bytes, char text[SIZE_TEXT]);

#endif
