/* trees: many small binary trees are built, walked and torn down while one large tree lives on. */
#include "workload.h"

enum { LONG_LIVED_DEPTH = 17, SHALLOWEST = 4, DEEPEST = 14, NODES_A_DEPTH = 1 << 22 };

typedef struct node {
    struct node *left, *right;
    uint32_t value;
} node;

static node *build(int depth, uint32_t value) {
    node *fresh = must_malloc(sizeof *fresh);
    fresh->value = value;
    fresh->left = depth ? build(depth - 1, value * 2 + 1) : NULL;
    fresh->right = depth ? build(depth - 1, value * 2 + 2) : NULL;
    return fresh;
}

static uint64_t total(const node *tree) {
    return tree ? tree->value + total(tree->left) + total(tree->right) : 0;
}

static void tear_down(node *tree) {
    if (!tree)
        return;
    tear_down(tree->left);
    tear_down(tree->right);
    free(tree);
}

int main(void) {
    node *long_lived = build(LONG_LIVED_DEPTH, 1);
    uint64_t sum = 0;
    for (int depth = SHALLOWEST; depth <= DEEPEST; depth += 2) {
        int trees = NODES_A_DEPTH >> depth;
        for (int i = 0; i < trees; i++) {
            node *tree = build(depth, (uint32_t)i);
            sum += total(tree);
            tear_down(tree);
        }
    }
    sum += total(long_lived);
    tear_down(long_lived);
    return finish(sum);
}
