/* consumer.c: the small program that consumer.sh builds against Ration in every way there is. */
#include <ration/ration.h>
#include <stdio.h>

int main(void) {
    rn_heap *heap = rn_heap_new(NULL, "consumer", 0);
    void *block = heap ? rn_heap_malloc(heap, 100) : NULL;
    if (!block || rn_heap_of(block) != heap || rn_usable_size(block) < 100)
        return 1;
    rn_free(block);
    rn_heap_destroy(heap);
    puts("consumer: 100 bytes in heap of its own");
    return 0;
}
