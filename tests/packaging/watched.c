/* watched.c: uses a piece of an arena in the way that the argument names. Prints what was read. */
#include <ration/ration.h>
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments) {
    rn_arena *arena = rn_arena_new(NULL, 0);
    rn_mark before = rn_arena_mark(arena);
    char *piece = rn_arena_alloc(arena, 24, 8), *other = rn_arena_alloc(arena, 24, 8);
    if (count != 2 || piece == NULL || other == NULL)
        return 2;
    memset(piece, 1, 24);
    memset(other, 2, 24);
    const volatile char *read = piece;
    if (strcmp(arguments[1], "rewound") == 0)
        rn_arena_rewind(arena, before);
    else if (strcmp(arguments[1], "behind") == 0)
        read = piece + 24;
    else if (strcmp(arguments[1], "again") == 0) {
        rn_arena_rewind(arena, before);
        piece = rn_arena_alloc(arena, 24, 8);
        if (piece == NULL)
            return 2;
        memset(piece, 3, 24);
        read = piece;
    } else if (strcmp(arguments[1], "block") == 0) {
        rn_arena_destroy(arena);
        for (int i = 0; i < 100; i++) { /* the chunk's memory serves others */
            char *block = rn_malloc(100000);
            if (block == NULL)
                return 2;
            memset(block, 4, 100000);
            read = block;
        }
    }
    printf("%#x\n", (unsigned char)*read);
    return 0;
}
