// operators.cc: C++'s operator new and delete in all their forms: plain, array, nothrow, aligned, sized; the
// new_handler, bad_alloc, and blocks that cross between C and C++.
#include "again.h"

#include <new>
#include <string>
#include <vector>

#include <malloc.h>
#include <pthread.h>

// clang declares these only when asked to; the library has them either way.
void operator delete(void *, std::size_t) noexcept;
void operator delete[](void *, std::size_t) noexcept;
void operator delete(void *, std::size_t, std::align_val_t) noexcept;
void operator delete[](void *, std::size_t, std::align_val_t) noexcept;

// A size that no system has, out of the compiler's sight.
static std::size_t impossible() {
    return hide_size(static_cast<std::size_t>(PTRDIFF_MAX) - 100000);
}

static bool is_aligned(void *block, std::size_t alignment) {
    return (reinterpret_cast<std::uintptr_t>(block) & (alignment - 1)) == 0;
}

static void every_plain_form_works() {
    for (std::size_t size = 0; size < (8 << 20); size = size * 3 + 1) {
        void *blocks[] = {::operator new(size), ::operator new[](size), ::operator new(size, std::nothrow),
                          ::operator new[](size, std::nothrow)};
        for (std::size_t i = 0; i < 4; i++) {
            REQUIRE(blocks[i] != nullptr);
            CHECK(is_aligned(blocks[i], size >= 16 ? 16 : 8));
            pattern_write(blocks[i], size, i);
        }
        for (std::size_t i = 0; i < 4; i++)
            CHECK(pattern_holds(blocks[i], size, size, i));
        ::operator delete(blocks[0]);
        ::operator delete[](blocks[1]);
        ::operator delete(blocks[2], std::nothrow);
        ::operator delete[](blocks[3], std::nothrow);
    }
}

static void every_sized_delete_works() {
    for (std::size_t size = 0; size < (8 << 20); size = size * 3 + 1) {
        ::operator delete(::operator new(size), size);
        ::operator delete[](::operator new[](size), size);
    }
}

static void every_aligned_form_works() {
    for (std::size_t power = 3; power <= 24; power++)
        for (std::size_t size = 1; size < 300000; size = size * 9 + 1) {
            std::size_t bytes = std::size_t{1} << power;
            std::align_val_t alignment{bytes};
            void *blocks[] = {::operator new(size, alignment),
                              ::operator new[](size, alignment),
                              ::operator new(size, alignment, std::nothrow),
                              ::operator new[](size, alignment, std::nothrow),
                              ::operator new(size, alignment),
                              ::operator new[](size, alignment)};
            for (std::size_t i = 0; i < 6; i++) {
                REQUIRE(blocks[i] != nullptr);
                CHECK(is_aligned(blocks[i], bytes));
                pattern_write(blocks[i], size, i);
            }
            for (std::size_t i = 0; i < 6; i++)
                CHECK(pattern_holds(blocks[i], size, size, i));
            ::operator delete(blocks[0], alignment);
            ::operator delete[](blocks[1], alignment);
            ::operator delete(blocks[2], alignment, std::nothrow);
            ::operator delete[](blocks[3], alignment, std::nothrow);
            ::operator delete(blocks[4], size, alignment);
            ::operator delete[](blocks[5], size, alignment);
        }
}

static void delete_of_null_does_nothing() {
    ::operator delete(hide(nullptr));
    ::operator delete[](hide(nullptr));
    ::operator delete(hide(nullptr), std::nothrow);
    ::operator delete (hide(nullptr), std::size_t{8});
    ::operator delete[](hide(nullptr), std::size_t{8});
    ::operator delete (hide(nullptr), std::align_val_t{64});
    ::operator delete (hide(nullptr), std::size_t{64}, std::align_val_t{64});
}

template <typename Function> static bool throws_bad_alloc(Function function) {
    try {
        hide(function());
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static void throwing_forms_throw_bad_alloc() {
    CHECK(throws_bad_alloc([] { return ::operator new(impossible()); }));
    CHECK(throws_bad_alloc([] { return ::operator new[](impossible()); }));
    CHECK(throws_bad_alloc([] { return ::operator new(hide_size(SIZE_MAX)); }));
    CHECK(throws_bad_alloc([] { return ::operator new (impossible(), std::align_val_t{64}); }));
    CHECK(throws_bad_alloc([] { return ::operator new[](impossible(), std::align_val_t{4096}); }));
}

static void nothrow_forms_give_null() {
    CHECK_EQ(nullptr, hide(::operator new(impossible(), std::nothrow)));
    CHECK_EQ(nullptr, hide(::operator new[](impossible(), std::nothrow)));
    CHECK_EQ(nullptr, hide(::operator new (impossible(), std::align_val_t{64}, std::nothrow)));
    CHECK_EQ(nullptr, hide(::operator new[](impossible(), std::align_val_t{64}, std::nothrow)));
}

static int handler_calls;

static void count_and_leave() {
    if (++handler_calls == 3)
        std::set_new_handler(nullptr);
}

static void the_new_handler_is_called_until_it_leaves() {
    for (int form = 0; form < 4; form++) {
        handler_calls = 0;
        std::set_new_handler(count_and_leave);
        if (form == 0)
            CHECK(throws_bad_alloc([] { return ::operator new(impossible()); }));
        else if (form == 1)
            CHECK_EQ(nullptr, hide(::operator new(impossible(), std::nothrow)));
        else if (form == 2)
            CHECK(throws_bad_alloc([] { return ::operator new (impossible(), std::align_val_t{128}); }));
        else
            CHECK_EQ(nullptr, hide(::operator new[](impossible(), std::align_val_t{128}, std::nothrow)));
        CHECK_EQ(3, handler_calls);
    }
    std::set_new_handler(nullptr);
}

struct own_failure : std::bad_alloc {
    int number = 42;
};

static void throw_own_failure() {
    throw own_failure();
}

// A handler may throw; nothrow forms turn that into NULL.
static void what_the_new_handler_throws_is_passed_on() {
    std::set_new_handler(throw_own_failure);
    int caught = 0;
    try {
        hide(::operator new(impossible()));
    } catch (const own_failure &failure) {
        caught = failure.number;
    }
    CHECK_EQ(42, caught);
    CHECK_EQ(nullptr, hide(::operator new(impossible(), std::nothrow)));
    std::set_new_handler(nullptr);
}

static void *reserve;

static void give_up_the_reserve() {
    std::free(reserve);
    reserve = nullptr;
    struct rlimit plenty = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(RLIMIT_AS, &plenty);
    plenty.rlim_cur = plenty.rlim_max;
    setrlimit(RLIMIT_AS, &plenty);
    std::set_new_handler(nullptr);
}

// The handler makes room, and the request that was denied goes through.
static void a_new_handler_that_makes_room_is_honoured() {
    if (emulated()) {
        skip("the emulator keeps no limit on the address space");
        return;
    }
    struct rlimit before, tight;
    getrlimit(RLIMIT_AS, &before);
    tight = before;
    tight.rlim_cur = std::size_t{6} << 30;
    reserve = std::malloc(1000);
    std::set_new_handler(give_up_the_reserve);
    if (setrlimit(RLIMIT_AS, &tight) != 0) {
        skip("no limit on the address space");
    } else {
        char *large = static_cast<char *>(::operator new(hide_size(std::size_t{7} << 30), std::nothrow));
        setrlimit(RLIMIT_AS, &before);
        CHECK_EQ(nullptr, reserve);
        if (large == nullptr)
            skip("the system has no room for 7 GiB");
        ::operator delete(large);
    }
    std::set_new_handler(nullptr);
    std::free(reserve);
}

static void blocks_cross_between_c_and_cpp() {
    for (std::size_t size = 1; size < 1000000; size = size * 4 + 1) {
        std::free(::operator new(size));
        ::operator delete(std::malloc(size));
        void *nothing = ::operator new(hide_size(0));
        CHECK(malloc_usable_size(nothing) < 4096);
        ::operator delete(nothing);
        void *block = ::operator new[](size);
        CHECK(malloc_usable_size(block) >= size);
        pattern_write(block, size, 5);
        block = std::realloc(block, size * 2);
        CHECK(pattern_holds(block, size, size, 5));
        ::operator delete[](block);
    }
}

struct alignas(256) wide {
    char bytes[300];
};

static void containers_live_and_die() {
    std::vector<std::string> names;
    for (int i = 0; i < 20000; i++)
        names.push_back("name number " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 100), '.'));
    for (int i = 0; i < 20000; i++)
        CHECK(names[static_cast<std::size_t>(i)].compare(12, std::to_string(i).size(), std::to_string(i)) == 0);
    std::vector<wide> table(500);
    CHECK(is_aligned(table.data(), 256));
    wide *one = new wide();
    wide *many = new wide[7];
    CHECK(is_aligned(one, 256));
    CHECK(is_aligned(many, 256));
    delete one;
    delete[] many;
}

static void *throw_in_a_thread(void *unused) {
    for (int i = 0; i < 1000; i++)
        CHECK(throws_bad_alloc([] { return ::operator new(impossible()); }));
    return unused;
}

static void threads_may_throw_at_once() {
    pthread_t threads[4];
    for (pthread_t &thread : threads)
        REQUIRE(pthread_create(&thread, nullptr, throw_in_a_thread, nullptr) == 0);
    for (pthread_t &thread : threads)
        pthread_join(thread, nullptr);
}

TESTS(TEST(every_plain_form_works), TEST(every_sized_delete_works), TEST(every_aligned_form_works),
      TEST(delete_of_null_does_nothing), TEST(throwing_forms_throw_bad_alloc), TEST(nothrow_forms_give_null),
      TEST(the_new_handler_is_called_until_it_leaves), TEST(what_the_new_handler_throws_is_passed_on),
      TEST(a_new_handler_that_makes_room_is_honoured), TEST(blocks_cross_between_c_and_cpp),
      TEST(containers_live_and_die), TEST(threads_may_throw_at_once))
