// exceptions.cc: the adversary in C++: containers that grow until std::bad_alloc is thrown, and go on after it.
#include "adversary.h"

#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

struct Table {
    std::vector<std::string> strings;
    std::map<size_t, std::unique_ptr<char[]>> arrays;
    std::vector<size_t> numbers;
};

size_t bytes_of(const Table &table) {
    return table.numbers.capacity() * sizeof(size_t) + table.strings.size() * 3000 + table.arrays.size() * 10000;
}

void add(Table &table) {
    size_t key = random_below(1000000);
    table.strings.emplace_back(1 + random_below(6000), 's');
    table.arrays[key] = std::make_unique<char[]>(1 + random_below(20000));
    table.numbers.insert(table.numbers.end(), 1000, key);
    if (random_below(100) == 0) {
        std::string copy;
        for (const std::string &string : table.strings)
            copy += string;
    }
}

void make_room(Table &table) {
    table.strings.resize(table.strings.size() / 2);
    table.arrays.erase(table.arrays.begin(), table.arrays.lower_bound(random_below(1000000)));
    std::vector<size_t>().swap(table.numbers);
}

} // namespace

void exceptions() {
    Table table;
    const size_t most = size_t(256) << 20;
    while (time_left()) {
        try {
            add(table);
        } catch (const std::bad_alloc &) {
            note_denied();
            make_room(table);
        }
        if (bytes_of(table) > most)
            make_room(table);
    }
}
