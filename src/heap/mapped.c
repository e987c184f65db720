/* mapped.c: memory that the program maps itself. */
#include "mapped.h"

size_t mapped_bytes(void) {
    return 0;
}

size_t rest_bytes(void) {
    return 0;
}

void mapped_measure(void) {}

size_t mapped_examine(void) {
    return 0;
}
