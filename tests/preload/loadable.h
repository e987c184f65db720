/* loadable.h: a library to load, made on the spot: a test is one program. */
#ifndef TESTS_PRELOAD_LOADABLE_H
#define TESTS_PRELOAD_LOADABLE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Has the compiler, named with its options, make the library of that text; what it is called goes to library. */
static inline bool make_loadable(const char *directory, const char *compile, const char *text, char *library,
                                 size_t size) {
    char source[256], command[1024];
    snprintf(source, sizeof source, "%s/source", directory);
    snprintf(library, size, "%s/loadable.so", directory);
    FILE *file = fopen(source, "w");
    if (file == NULL)
        return false;
    fputs(text, file);
    fclose(file);
    snprintf(command, sizeof command, "unset LD_PRELOAD; %s -shared -fPIC -o %s %s 2>&1", compile, library, source);
    bool made = system(command) == 0;
    unlink(source);
    return made;
}

#endif
