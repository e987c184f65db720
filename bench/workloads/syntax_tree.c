/* syntax_tree: source text is parsed to a tree with names, argument vectors and literals; it is folded and discarded.
 *
 * The text is made from a seed; the grammar is calls and sums: expression = term {'+' term}; term = number | name
 * ['(' expression {',' expression} ')']. Start at parse_expression. */
#include "workload.h"
#include <ctype.h>

enum { FILES = 12, PASSES = 80, FILE_SIZE = 60000, DEEPEST = 6 };

typedef enum node_kind { NUMBER, NAME, CALL, SUM } node_kind;

typedef struct node {
    node_kind kind;
    size_t count, room;
    uint64_t value;
    char *name;
    struct node **children;
} node;

typedef struct text {
    char *bytes;
    size_t length, position;
} text;

static void write_name(text *out, random_source *random) {
    size_t length = random_between(random, 3, 24);
    for (size_t i = 0; i < length; i++)
        out->bytes[out->length++] = (char)('a' + random_below(random, 26));
}

static void write_expression(text *out, random_source *random, int depth) {
    size_t choice = depth < DEEPEST ? random_below(random, 4) : random_below(random, 2);
    if (choice == 0) {
        out->length += (size_t)sprintf(out->bytes + out->length, "%zu", random_below(random, 100000));
        return;
    }
    write_name(out, random);
    if (choice < 2)
        return;
    size_t arguments = random_between(random, 1, 4);
    for (size_t i = 0; i < arguments; i++) {
        out->bytes[out->length++] = i ? ',' : '(';
        write_expression(out, random, depth + 1);
    }
    out->bytes[out->length++] = ')';
}

static void write_file(text *out, random_source *random) {
    out->length = 0;
    write_expression(out, random, 0);
    while (out->length < FILE_SIZE) {
        out->bytes[out->length++] = '+';
        write_expression(out, random, 0);
    }
    out->bytes[out->length] = '\0';
}

static node *node_new(node_kind kind) {
    node *fresh = must_calloc(1, sizeof *fresh);
    fresh->kind = kind;
    return fresh;
}

static void node_add(node *parent, node *child) {
    if (parent->count == parent->room) {
        parent->room = parent->room ? parent->room * 2 : 2;
        parent->children = must_realloc(parent->children, parent->room * sizeof(void *));
    }
    parent->children[parent->count++] = child;
}

static int at(const text *source, char expected) {
    return source->bytes[source->position] == expected;
}

static node *parse_expression(text *source);

static char *parse_name(text *source) {
    size_t start = source->position;
    while (isalpha((unsigned char)source->bytes[source->position]))
        source->position++;
    size_t length = source->position - start;
    char *name = memcpy(must_malloc(length + 1), source->bytes + start, length);
    name[length] = '\0';
    return name;
}

static node *parse_number(text *source) {
    node *number = node_new(NUMBER);
    for (; isdigit((unsigned char)source->bytes[source->position]); source->position++)
        number->value = number->value * 10 + (uint64_t)(source->bytes[source->position] - '0');
    return number;
}

static node *parse_term(text *source) {
    if (isdigit((unsigned char)source->bytes[source->position]))
        return parse_number(source);
    node *named = node_new(NAME);
    named->name = parse_name(source);
    if (!at(source, '('))
        return named;
    named->kind = CALL;
    do {
        source->position++;
        node_add(named, parse_expression(source));
    } while (at(source, ','));
    if (!at(source, ')'))
        fail("expected a closing bracket");
    source->position++;
    return named;
}

static node *parse_expression(text *source) {
    node *first = parse_term(source);
    if (!at(source, '+'))
        return first;
    node *sum = node_new(SUM);
    node_add(sum, first);
    while (at(source, '+')) {
        source->position++;
        node_add(sum, parse_term(source));
    }
    return sum;
}

static uint64_t fold(const node *tree) {
    uint64_t value = tree->value + (uint64_t)tree->kind;
    if (tree->name)
        value = value * 31 + strlen(tree->name);
    for (size_t i = 0; i < tree->count; i++)
        value = value * 17 + fold(tree->children[i]);
    return value;
}

static void discard(node *tree) {
    for (size_t i = 0; i < tree->count; i++)
        discard(tree->children[i]);
    free(tree->children);
    free(tree->name);
    free(tree);
}

static uint64_t compile(text *source) {
    source->position = 0;
    node *tree = parse_expression(source);
    if (source->position != source->length)
        fail("the parser stopped early");
    uint64_t value = fold(tree);
    discard(tree);
    return value;
}

int main(void) {
    random_source random = random_of(10);
    text files[FILES];
    uint64_t sum = 0;
    for (size_t i = 0; i < FILES; i++) {
        /* One expression overshoots the size asked for by less than its own deepest nesting can fill. */
        files[i] = (text){.bytes = must_malloc((size_t)FILE_SIZE * 8)};
        write_file(&files[i], &random);
    }
    for (int pass = 0; pass < PASSES; pass++)
        for (size_t i = 0; i < FILES; i++)
            sum = sum * 3 + compile(&files[i]);
    for (size_t i = 0; i < FILES; i++)
        free(files[i].bytes);
    return finish(sum);
}
