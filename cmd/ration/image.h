/* image.h: what the file of a program says about itself, read without running it.
 *
 * image_read() fills the facts that decide whether a preloaded malloc can reach the program. It looks at headers and
 * symbol tables only, trusts no offset in them, and treats a file that is no ELF as text (see image_kind). */
#ifndef RATION_CMD_IMAGE_H
#define RATION_CMD_IMAGE_H

#include <limits.h>
#include <stdbool.h>

typedef enum image_kind {
    IMAGE_OTHER,   /* no ELF file: the kernel, or a shell, will know what to do with it */
    IMAGE_SCRIPT,  /* begins with #!; interpreter is the program to look at */
    IMAGE_FOREIGN, /* an ELF file for another processor or word size */
    IMAGE_STATIC,  /* no dynamic loader, so nothing can be preloaded */
    IMAGE_DYNAMIC, /* started by a dynamic loader; interpreter is its path */
} image_kind;

typedef struct image_facts {
    image_kind kind;
    char interpreter[PATH_MAX]; /* of a script or of a dynamic program, else "" */
    bool go;                    /* carries the build information that Go's linker writes */
    bool sanitizer;             /* built with a sanitizer that brings its own malloc */
    bool defines_malloc;        /* exports malloc from the program itself */
    bool ration;                /* its malloc is a Ration's: it exports rn_version, too */
    bool needs_glibc;           /* linked against glibc's libc.so.6 */
    char allocator[64];         /* the malloc library that it is linked against, else "" */
} image_facts;

/* 0, or -1 with errno where the file can't be read; *facts is then untouched. */
int image_read(const char *path, image_facts *facts);

#endif
