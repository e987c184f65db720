/* mappings.c: the largest mappings of the process, whoever made them. Start with tell_mappings. */
#include "parts.h"

#include "lines.h"
#include "paper.h"

#include <string.h>

enum { LARGEST = 20, NAME_BYTES = 49, SIZE_CELL = 8, PERMISSIONS = 4, NAME_COLUMN = 30 };

typedef struct large_mapping {
    size_t size, resident;
    char permissions[PERMISSIONS];
    char name[NAME_BYTES];
} large_mapping;

static large_mapping largest[LARGEST];
static unsigned count;

static void note(const large_mapping *m) {
    if (count == LARGEST && m->resident <= largest[LARGEST - 1].resident)
        return;
    unsigned i = count < LARGEST ? count++ : LARGEST - 1;
    for (; i > 0 && largest[i - 1].resident < m->resident; i--)
        largest[i] = largest[i - 1];
    largest[i] = *m;
}

/* The end of a long name tells more than its beginning. */
static void begin(large_mapping *m, const mapping *read) {
    *m = (large_mapping){.size = read->end - read->start};
    memcpy(m->permissions, read->permissions, PERMISSIONS);
    size_t length = strlen(read->name), kept = length < NAME_BYTES ? length : NAME_BYTES - 1;
    memcpy(m->name, read->name + length - kept, kept);
}

/* Of a line "Rss:   123 kB" the bytes. */
static size_t read_resident(const char *line) {
    size_t kib = 0;
    for (line += strcspn(line, "0123456789"); *line >= '0' && *line <= '9'; line++)
        kib = kib * 10 + (size_t)(*line - '0');
    return kib << 10;
}

static bool read_mappings(void) {
    large_mapping m = {0};
    mapping read;
    count = 0;
    if (!lines_open("/proc/self/smaps"))
        return false;
    for (const char *line; (line = lines_next()) != NULL;)
        if (mapping_read(line, &read)) {
            if (m.size != 0)
                note(&m);
            begin(&m, &read);
        } else if (strncmp(line, "Rss:", 4) == 0) {
            m.resident = read_resident(line);
        }
    if (m.size != 0)
        note(&m);
    lines_close();
    return true;
}

void tell_mappings(void) {
    paper_title("The largest mappings of the process, by what is resident");
    if (!read_mappings()) {
        paper_text("Missing: /proc/self/smaps can't be read.\n");
        return;
    }
    paper_text("resident    size  permissions name\n");
    for (unsigned i = 0; i < count; i++) {
        paper_size(largest[i].resident, SIZE_CELL);
        paper_size(largest[i].size, SIZE_CELL);
        paper_text("  ");
        paper_name(largest[i].permissions, PERMISSIONS);
        paper_column(NAME_COLUMN);
        paper_name(largest[i].name[0] == 0 ? "(no name)" : largest[i].name, NAME_BYTES);
        paper_line();
    }
}
