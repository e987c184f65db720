/* sizes.c: numbers with units. Start at size_parse(). */
#include "sizes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct unit {
    const char *name;
    double factor;
} unit;

/* How long a number is that begins here, with digits on both sides of its point if it has one; 0: none does. */
static size_t number_length(const char *text) {
    static const char digits[] = "0123456789";
    size_t whole = strspn(text, digits), fraction = text[whole] == '.' ? strspn(text + whole + 1, digits) : 0;

    if (whole == 0 || text[whole] != '.')
        return whole;
    return fraction == 0 ? 0 : whole + 1 + fraction;
}

/* A number, which may have a fraction but neither sign nor exponent, and one of the units. */
static bool parse(const char *text, const unit *units, size_t count, int (*compare)(const char *, const char *),
                  double *value) {
    size_t length = number_length(text);
    char *end;

    if (length == 0)
        return false;
    errno = 0;
    *value = strtod(text, &end);
    if (errno != 0 || end != text + length)
        return false;
    for (size_t i = 0; i < count; i++)
        if (compare(end, units[i].name) == 0) {
            *value *= units[i].factor;
            return true;
        }
    return false;
}

bool size_parse(const char *text, uint64_t *bytes) {
    static const unit units[] = {{"B", 1},      {"K", 0x1p10},   {"KiB", 0x1p10}, {"M", 0x1p20},  {"MiB", 0x1p20},
                                 {"G", 0x1p30}, {"GiB", 0x1p30}, {"T", 0x1p40},   {"TiB", 0x1p40}};
    double value;

    if (!parse(text, units, sizeof(units) / sizeof(units[0]), strcasecmp, &value) || value < 1 || value > 0x1p60)
        return false;
    *bytes = (uint64_t)value;
    return true;
}

bool time_parse(const char *text, uint64_t *ms) {
    static const unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}};
    double value;

    if (!parse(text, units, sizeof(units) / sizeof(units[0]), strcmp, &value) || value >= 1e8)
        return false;
    *ms = (uint64_t)value;
    return true;
}

const char *size_text(uint64_t bytes, char text[SIZE_TEXT]) {
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit_index = 0;

    while (value >= 1000 && unit_index + 1 < sizeof(names) / sizeof(names[0])) {
        value /= 1024;
        unit_index++;
    }
    (void)snprintf(text, SIZE_TEXT, unit_index == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value,
                   names[unit_index]);
    return text;
}
