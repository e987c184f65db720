#!/bin/bash
# Each public header stands alone, in C11, C23 as far as the compiler has it, and C++11, with no warning.
. "${0%/*}/tally.bash"

compiles() {
    local language=$1 header=$2
    # Twice: a second inclusion must be harmless.
    printf '#include <ration/%s>\n#include <ration/%s>\nint main(void) { return 0; }\n' "$header" "$header" |
        "$compiler" -fsyntax-only -Werror -Wall -Wextra -Wpedantic -Wshadow -I "$source_directory/include" \
            -x "${language%%,*}" -std="${language#*,}" -
}

for file in "$source_directory"/include/ration/*.h; do
    header=${file##*/}
    for language in c,c11 c,c2x c++,c++11 c++,c++20; do
        claim "$header compiles as ${language#*,}" compiles "$language" "$header"
    done
done
finish
