# Toolchain: static programs on musl, by Debian's musl-tools. There is no C++ for it.
#
# musl-gcc hides /usr/include, and with it the kernel's own headers, which do not depend on libc: they are linked into
# a directory of their own and put last on the search path.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER musl-gcc)
set(RN_MUSL ON)

set(kernel_headers ${CMAKE_BINARY_DIR}/kernel-headers)
file(MAKE_DIRECTORY ${kernel_headers})
file(CREATE_LINK /usr/include/linux ${kernel_headers}/linux SYMBOLIC)
file(CREATE_LINK /usr/include/asm-generic ${kernel_headers}/asm-generic SYMBOLIC)
file(CREATE_LINK /usr/include/x86_64-linux-gnu/asm ${kernel_headers}/asm SYMBOLIC)
set(CMAKE_C_FLAGS_INIT "-idirafter ${kernel_headers}")
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
# musl-gcc's programs run here as they are.
set(CMAKE_CROSSCOMPILING_EMULATOR "")
