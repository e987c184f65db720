/* arena_text.c: copies and strings in an arena. Start with rn_arena_vprintf. */
#include <ration/arena.h>

#include <stdio.h>
#include <string.h>

void *rn_arena_memdup(rn_arena *arena, const void *bytes, size_t size) {
    void *copy = rn_arena_alloc(arena, size, 16);
    return copy == NULL ? NULL : memcpy(copy, bytes, size);
}

static char *copy_string(rn_arena *arena, const char *string, size_t length) {
    char *copy = rn_arena_alloc(arena, length + 1, 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, string, length);
    copy[length] = '\0';
    return copy;
}

char *rn_arena_strdup(rn_arena *arena, const char *string) {
    return copy_string(arena, string, strlen(string));
}

char *rn_arena_strndup(rn_arena *arena, const char *string, size_t length) {
    return copy_string(arena, string, strnlen(string, length));
}

/* Into what is left of the chunk, which mostly does; then at its length. */
char *rn_arena_vprintf(rn_arena *arena, const char *format, va_list arguments) {
    size_t room = arena->end > arena->next ? (size_t)(arena->end - arena->next) : 0;
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(arena->next, room, format, arguments);
    char *text = length < 0 ? NULL : rn_arena_alloc(arena, (size_t)length + 1, 1);
    if (text != NULL && (size_t)length >= room)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *rn_arena_printf(rn_arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = rn_arena_vprintf(arena, format, arguments);
    va_end(arguments);
    return text;
}
