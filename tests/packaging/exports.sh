#!/bin/bash
# What the libraries export is what the headers declare, and in the libraries that are a malloc, the malloc family.
. "${0%/*}/tally.bash"

library=$build_directory/lib

# Names that a shared library defines for others, with their versions.
exported() { nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }' | sort -u; }
# Global names that an archive defines.
archived() { nm -g --defined-only "$1" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u; }
malloc_names() { grep -v '^#' "$here/malloc-names" | sort -u; }
mapping_names() { grep -v '^#' "$here/mapping-names" | sort -u; }
declared() { "$here/declared-names" "$source_directory"; }

# Each prints the names that only one side has.
headers_declare_many() { [ "$(declared | wc -l)" -ge 20 ] || declared; }
shared_library() { diff <(declared | sed 's/$/@@RATION_0/') <(exported "$library/libration.so"); }
preload_library() {
    diff <({ declared | sed 's/$/@@RATION_0/'; malloc_names; mapping_names; } | sort -u) <(exported "$library/libration-preload.so")
}
archive() { diff <(declared) <(archived "$library/libration.a"); }
malloc_archive() { diff <({ declared; malloc_names; } | sort -u) <(archived "$library/libration-malloc.a"); }

claim "the headers' declarations are found" headers_declare_many
claim "libration.so exports what the headers declare" shared_library
claim "libration-preload.so exports the headers' names, the malloc family and the calls that map" preload_library
claim "libration.a defines what the headers declare" archive
claim "libration-malloc.a defines the headers' names and the malloc family" malloc_archive
finish
