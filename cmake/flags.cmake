# How Ration is compiled and linked. Every flag stands here, with its reason, and nowhere else.
#
# ration_flags: what every object and program of ours takes. ration_library_flags: what goes into the libraries.
# RN_LINK_SHARED and RN_LINK_PRELOAD: how the two shared libraries are linked.
include_guard()

if(NOT CMAKE_BUILD_TYPE AND PROJECT_IS_TOP_LEVEL)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Debian builds with -O2, and so do we: what is measured is what is shipped.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g3")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g3")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(werror OFF)
if("$ENV{CI}" STREQUAL "true")
    set(werror ON)
endif()
option(RN_WERROR "Warnings are errors" ${werror})

add_library(ration_flags INTERFACE)
target_compile_options(ration_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wvla -Wformat -Werror=format-security -Wdate-time
    $<$<COMPILE_LANGUAGE:C>:-std=gnu17>
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
    $<$<COMPILE_LANGUAGE:CXX>:-std=gnu++17>
    $<$<BOOL:${RN_WERROR}>:-Werror>
    # The same bits come out whatever directory the sources lie in and are built in.
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.
    -ffile-prefix-map=${PROJECT_BINARY_DIR}=./build
    -fstack-protector-strong)
# Empty, so that a file that defines it itself for readers is not a redefinition. g++ always has it.
target_compile_definitions(ration_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>)
target_link_options(ration_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,--as-needed)

if(RN_SANITIZE)
    target_compile_options(ration_flags INTERFACE
        -fsanitize=${RN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_compile_definitions(ration_flags INTERFACE RN_SANITIZE=1)
    target_link_options(ration_flags INTERFACE -fsanitize=${RN_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    # FORTIFY needs the optimiser, and would hide accesses from a sanitizer.
    target_compile_options(ration_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

add_library(ration_library_flags INTERFACE)
target_link_libraries(ration_library_flags INTERFACE ration_flags)
# The sources look for them, too (a cross compiler has none): said here so that headers that are installed later, as by `make test`
# after `make demo`, have the libraries built anew.
find_path(valgrind_headers valgrind/memcheck.h)
target_compile_definitions(ration_library_flags INTERFACE RN_VALGRIND_HEADERS=$<BOOL:${valgrind_headers}>)
target_compile_options(ration_library_flags INTERFACE
    # Only what RN_API marks leaves the library, and calls within it go straight to their target.
    -fvisibility=hidden -fno-semantic-interposition
    # So that a linker script can say what lies beside what.
    -ffunction-sections -fdata-sections
    # One instruction to a thread's own data. The libraries are loaded at start, or fit the surplus libc keeps.
    -ftls-model=initial-exec
    # Calls into libc by one indirect jump: everything is bound at load anyway (-z now).
    -fno-plt)

# nodelete: threads hold destructors that point into the library. defs: nothing is left to whoever loads it.
set(RN_LINK_COMMON
    -Wl,-z,nodelete -Wl,-z,defs -Wl,-O1 -Wl,--hash-style=gnu -Wl,-Bsymbolic-functions -Wl,--exclude-libs,ALL)
set(RN_LINK_SHARED ${RN_LINK_COMMON})
# initfirst: our constructor runs before any other library's allocates. noseparate-code: one mapping instead of three, each
# of which would end in a page half used. The script says what lies beside what, so that few pages are touched.
set(RN_LINK_PRELOAD ${RN_LINK_COMMON} -Wl,-z,initfirst -Wl,-z,noseparate-code
    -Wl,-T,${PROJECT_SOURCE_DIR}/src/libration-preload.ld)
