/* around.c: whether another `ration run` holds for this one. A daemon's environment still tells of a run that has ended, so the
 * environment is not believed: our own Ration has tried to join. Start at around_joined(). */
#include "around.h"

#include "offer.h"
#include "sizes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *told(void) {
    return getenv("RATION_RUN");
}

bool around_told(void) {
    return told() != NULL;
}

/* What was joined is mapped, under the name that it was made with. */
static bool is_mapped(void) {
    static const char name[] = "/memfd:" OFFER_MEMORY_NAME " ";
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");

    while (maps != NULL && !found && fgets(line, sizeof(line), maps) != NULL)
        found = strstr(line, name) != NULL;
    if (maps != NULL)
        (void)fclose(maps);
    return found;
}

bool around_joined(void) {
    return around_told() && is_mapped();
}

static uint64_t size_in(const char *text) {
    uint64_t bytes = 0;

    return text != NULL && size_parse(text, &bytes) ? bytes : 0;
}

uint64_t around_limit(void) {
    const char *space = around_told() ? strchr(told(), ' ') : NULL;

    return size_in(space == NULL ? NULL : space + 1);
}

uint64_t around_limit_each(void) {
    return around_told() ? size_in(getenv("RATION_LIMIT")) : 0;
}
