/* heaps.cc: a heap for each request, in C++. It is the thread's current heap while the request is served; whether that
 * ends well or by an exception, it is not afterwards, and all that the request has taken goes at once.
 *
 * Build: c++ heaps.cc -lration. Start at serve. */
#include <cstdio>
#include <memory>
#include <new>
#include <ration/ration.h>

namespace {

struct destroyer {
    void operator()(rn_heap *heap) const noexcept {
        rn_heap_destroy(heap);
    }
};
using owned_heap = std::unique_ptr<rn_heap, destroyer>;

constexpr std::size_t request_limit = 1 << 20, page = 4000;

/* Where malloc is Ration's, operator new would do. */
void *take(std::size_t size) {
    void *block = rn_malloc(size);
    if (block == nullptr)
        throw std::bad_alloc();
    return block;
}

/* Nothing is freed here: the heap owns it. */
void render(std::size_t pages) {
    for (std::size_t i = 0; i < pages; i++)
        static_cast<char *>(take(page))[0] = 'a';
}

/* Whether the request could be served in its limit. */
bool serve(std::size_t pages) {
    owned_heap heap(rn_heap_new(nullptr, "request", request_limit));
    if (!heap)
        return false;
    try {
        ration::pushed current(heap.get());
        render(pages);
        return true;
    } catch (const std::bad_alloc &) {
        return false;
    }
}

bool root_is_current() {
    void *block = rn_malloc(1);
    bool is = rn_heap_of(block) == rn_heap_root();
    rn_free(block);
    return is;
}

} // namespace

int main() {
    bool small = serve(100), large = serve(1000), again = serve(100), root = root_is_current();
    std::printf("100 pages: %s\n", small ? "served" : "denied");
    std::printf("1000 pages: %s\n", large ? "served" : "denied");
    std::printf("100 pages again: %s\n", again ? "served" : "denied");
    std::printf("the current heap is %s\n", root ? "the root" : "one that is gone");
    return small && !large && again && root ? 0 : 1;
}
