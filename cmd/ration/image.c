/* image.c: reads ELF headers, dynamic entries and symbol names out of a mapped file.
 *
 * Start at image_read(). Every offset comes from a file that anyone may have written, so each access goes through
 * part() or text(), which give NULL where the file ends too soon; a fact that can't be read is taken as absent. */
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#error "Ration runs on x86-64 and arm64"
#endif

/* The kernel reads no more of a script's first line (BINPRM_BUF_SIZE). */
#define SCRIPT_LINE 256

typedef struct image {
    const unsigned char *bytes;
    size_t size;
} image;

/* count structures of one size at an offset, or NULL where they are not all in the file, or not aligned as their type
 * must be (no linker writes such). */
static const void *part(const image *file, uint64_t offset, uint64_t count, size_t size) {
    uint64_t length;

    if (offset % _Alignof(Elf64_Ehdr) != 0 || __builtin_mul_overflow(count, (uint64_t)size, &length))
        return NULL;
    if (offset > file->size || length > file->size - offset)
        return NULL;
    return file->bytes + offset;
}

/* A string at an offset, or "" where it does not end within the file. */
static const char *text(const image *file, uint64_t offset) {
    if (offset >= file->size || memchr(file->bytes + offset, 0, file->size - offset) == NULL)
        return "";
    return (const char *)file->bytes + offset;
}

/* The section headers; *count is 0 where there are none. */
static const Elf64_Shdr *sections(const image *file, const Elf64_Ehdr *header, size_t *count) {
    const Elf64_Shdr *first = header->e_shentsize == sizeof(Elf64_Shdr)
                                  ? part(file, header->e_shoff, header->e_shnum, sizeof(Elf64_Shdr))
                                  : NULL;

    *count = first == NULL || header->e_shoff == 0 ? 0 : header->e_shnum;
    return first;
}

static bool has_section(const image *file, const Elf64_Ehdr *header, const char *name) {
    size_t count;
    const Elf64_Shdr *section = sections(file, header, &count);
    uint64_t names;

    if (header->e_shstrndx >= count)
        return false;
    names = section[header->e_shstrndx].sh_offset;
    for (size_t i = 0; i < count; i++)
        if (strcmp(text(file, names + section[i].sh_name), name) == 0)
            return true;
    return false;
}

static void read_symbols(const image *file, const Elf64_Shdr *table, uint64_t names, image_facts *facts) {
    size_t count = table->sh_size / sizeof(Elf64_Sym);
    const Elf64_Sym *symbol = part(file, table->sh_offset, count, sizeof(Elf64_Sym));

    for (size_t i = 0; symbol != NULL && i < count; i++) {
        const char *name = text(file, names + symbol[i].st_name);

        if (symbol[i].st_shndx != SHN_UNDEF && strcmp(name, "malloc") == 0)
            facts->defines_malloc = true;
        if (symbol[i].st_shndx != SHN_UNDEF && strcmp(name, "rn_version") == 0)
            facts->ration = true;
        /* Imported from a shared run-time library or exported from one linked in. */
        if (strcmp(name, "__asan_init") == 0 || strcmp(name, "__tsan_init") == 0 || strcmp(name, "__msan_init") == 0 ||
            strcmp(name, "__hwasan_init") == 0)
            facts->sanitizer = true;
    }
}

/* The library that would be loaded under name is itself a malloc. Sanitizers are told by their symbols instead. */
static bool is_allocator(const char *name) {
    static const char *const prefixes[] = {"libjemalloc.", "libtcmalloc",  "libmimalloc", "libsnmalloc",
                                           "librpmalloc",  "libhardened_", "libscudo"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static void read_libraries(const image *file, const Elf64_Shdr *table, uint64_t names, image_facts *facts) {
    size_t count = table->sh_size / sizeof(Elf64_Dyn);
    const Elf64_Dyn *entry = part(file, table->sh_offset, count, sizeof(Elf64_Dyn));

    for (size_t i = 0; entry != NULL && i < count && entry[i].d_tag != DT_NULL; i++) {
        const char *name = entry[i].d_tag == DT_NEEDED ? text(file, names + entry[i].d_un.d_val) : "";

        if (is_allocator(name))
            (void)snprintf(facts->allocator, sizeof(facts->allocator), "%s", name);
        if (strcmp(name, "libc.so.6") == 0)
            facts->needs_glibc = true;
    }
}

/* Sections rather than the loader's own tables: every linker writes them, and they give lengths to check against. */
static void read_dynamic(const image *file, const Elf64_Ehdr *header, image_facts *facts) {
    size_t count;
    const Elf64_Shdr *section = sections(file, header, &count);

    for (size_t i = 0; i < count; i++) {
        uint64_t names = section[i].sh_link < count ? section[section[i].sh_link].sh_offset : UINT64_MAX;

        if (section[i].sh_type == SHT_DYNSYM)
            read_symbols(file, &section[i], names, facts);
        if (section[i].sh_type == SHT_DYNAMIC)
            read_libraries(file, &section[i], names, facts);
    }
}

static void read_elf(const image *file, image_facts *facts) {
    const Elf64_Ehdr *header = part(file, 0, 1, sizeof(*header));
    const Elf64_Phdr *segment;

    facts->kind = IMAGE_FOREIGN;
    if (header == NULL || header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != OWN_MACHINE)
        return;
    facts->kind = IMAGE_STATIC;
    segment =
        header->e_phentsize == sizeof(*segment) ? part(file, header->e_phoff, header->e_phnum, sizeof(*segment)) : NULL;
    for (size_t i = 0; segment != NULL && i < header->e_phnum; i++)
        if (segment[i].p_type == PT_INTERP) {
            facts->kind = IMAGE_DYNAMIC;
            (void)snprintf(facts->interpreter, sizeof(facts->interpreter), "%s", text(file, segment[i].p_offset));
        }
    facts->go = has_section(file, header, ".go.buildinfo");
    read_dynamic(file, header, facts);
}

/* "#! /bin/sh -e": the first word after #!, as the kernel splits it. */
static void read_script(const image *file, image_facts *facts) {
    char line[SCRIPT_LINE] = {0};
    const char *word = line + 2;

    memcpy(line, file->bytes, file->size < sizeof(line) - 1 ? file->size : sizeof(line) - 1);
    line[strcspn(line, "\n")] = 0;
    word += strspn(word, " \t");
    facts->kind = IMAGE_SCRIPT;
    (void)snprintf(facts->interpreter, sizeof(facts->interpreter), "%.*s", (int)strcspn(word, " \t"), word);
}

static int map(const char *path, image *file) {
    struct stat status;
    const void *bytes = "";
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);

    if (descriptor < 0)
        return -1;
    if (fstat(descriptor, &status) != 0)
        status.st_size = 0;
    if (status.st_size > 0)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    (void)close(descriptor);
    if (bytes == MAP_FAILED)
        return -1;
    *file = (image){.bytes = bytes, .size = (size_t)status.st_size};
    return 0;
}

int image_read(const char *path, image_facts *facts) {
    image file;
    image_facts found = {.kind = IMAGE_OTHER};

    if (map(path, &file) != 0)
        return -1;
    if (file.size >= SELFMAG && memcmp(file.bytes, ELFMAG, SELFMAG) == 0)
        read_elf(&file, &found);
    else if (file.size >= 2 && memcmp(file.bytes, "#!", 2) == 0)
        read_script(&file, &found);
    if (file.size > 0)
        (void)munmap((void *)(uintptr_t)file.bytes, file.size);
    *facts = found;
    return 0;
}
