/* cage.c: a library in a cage. expat gets 8 MiB of its own in a process that may hold 64; a hostile document makes it
 * run out of them, which expat reports as it always would, and the process goes on with the next document.
 *
 * Twice: expat is told which functions to call; and, where malloc is Ration's (libration-malloc.a, or the preload
 * library), it is used as it is. Build: cc cage.c -lration -lexpat. Start at parse. */
#include <expat.h>
#include <ration/ration.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20, LETTERS = 256 << 10 };

/* A start, what comes again and again, and an end. */
typedef struct document {
    const char *what, *start, *body, *end;
    size_t bodies;
} document;

static char letters[LETTERS + 1];
static const document orders = {"a good document", "<orders>", "<order item='7'>2</order>", "</orders>", 10000};
static const document endless = {"a name without end", "<", letters, "/>", 400}; /* 100 MiB */

/* These draw on the thread's current heap. */
static const XML_Memory_Handling_Suite rations = {rn_malloc, rn_realloc, rn_free};

/* Without memory functions (NULL) expat calls malloc. */
static enum XML_Error parse(rn_heap *cage, const XML_Memory_Handling_Suite *memory, const document *text) {
    RN_HEAP_PUSHED(cage); /* until this function returns, however it does */
    XML_Parser parser = XML_ParserCreate_MM(NULL, memory, NULL);
    if (parser == NULL)
        return XML_ERROR_NO_MEMORY;
    enum XML_Status status = XML_Parse(parser, text->start, (int)strlen(text->start), false);
    for (size_t i = 0; i < text->bodies && status == XML_STATUS_OK; i++)
        status = XML_Parse(parser, text->body, (int)strlen(text->body), false);
    if (status == XML_STATUS_OK)
        status = XML_Parse(parser, text->end, (int)strlen(text->end), true);
    enum XML_Error error = status == XML_STATUS_OK ? XML_ERROR_NONE : XML_GetErrorCode(parser);
    XML_ParserFree(parser);
    return error;
}

/* Whether the document ends as expected, and whether the cage holds no more after it than before. */
static bool show(rn_heap *cage, const XML_Memory_Handling_Suite *memory, const document *text,
                 enum XML_Error expected) {
    rn_stats before, after;
    rn_heap_trim(cage); /* what is only cached goes back, so that held means in use */
    rn_heap_stats(cage, &before);
    enum XML_Error error = parse(cage, memory, text);
    rn_heap_trim(cage);
    rn_heap_stats(cage, &after);
    printf("  %s: %s; %zu KiB held before, %zu after, %zu MiB at most; %zu denied\n", text->what,
           error == XML_ERROR_NONE ? "parsed" : XML_ErrorString(error), before.used >> 10, after.used >> 10,
           (after.peak + MIB - 1) / MIB, after.denied - before.denied);
    return error == expected && after.used <= before.used && after.peak <= after.limit;
}

static bool show_cage(const char *how, const XML_Memory_Handling_Suite *memory) {
    puts(how);
    rn_heap *cage = rn_heap_new(NULL, "expat", 8 * MIB);
    if (cage == NULL)
        return false;
    bool well = show(cage, memory, &orders, XML_ERROR_NONE);
    well = show(cage, memory, &endless, XML_ERROR_NO_MEMORY) && well;
    well = show(cage, memory, &orders, XML_ERROR_NONE) && well;
    rn_heap_destroy(cage);
    return well;
}

static bool malloc_is_rations(void) {
    void *block = calloc(1, 1);
    bool is = rn_heap_of(block) != NULL;
    free(block);
    return is;
}

int main(void) {
    memset(letters, 'a', LETTERS);
    if (rn_heap_set_limit(rn_heap_root(), 64 * MIB) != 0)
        return 1;
    bool well = show_cage("expat, told to call rn_malloc:", &rations);
    if (malloc_is_rations())
        well = show_cage("expat as it is:", NULL) && well;
    puts(well ? "the process goes on" : "something went wrong");
    return well ? 0 : 1;
}
