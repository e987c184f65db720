/* one_malloc: prints the KiB resident after a single malloc(100). Stdio is not used before, since it allocates. */
#include "resident.h"

int main(void) {
    char *volatile block = malloc(100);
    if (!block)
        return 1;
    block[0] = 1;
    long kib = resident_kib();
    free(block);
    printf("%ld\n", kib);
    return kib < 0;
}
