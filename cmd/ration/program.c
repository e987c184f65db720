/* program.c: finds a program on PATH, follows #! lines, and says why a preloaded malloc would not reach it.
 *
 * Start at program_refuses(). The reasons are in the order in which they matter to a reader: a Go program is most often
 * a static one too, and what to do about it differs. */
#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The kernel follows this many #! lines and then gives ELOOP. */
#define SCRIPT_DEPTH 5

/* Whether the file can be started: 0, or a status and errno. */
static int check_executable(const char *path) {
    struct stat status;

    if (stat(path, &status) != 0)
        return errno == ENOENT || errno == ENOTDIR ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE;
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return PROGRAM_NOT_EXECUTABLE;
    }
    if (!S_ISREG(status.st_mode)) {
        errno = EACCES;
        return PROGRAM_NOT_EXECUTABLE;
    }
    return access(path, X_OK) == 0 ? 0 : PROGRAM_NOT_EXECUTABLE;
}

/* One directory of PATH, its length given, with the name; an empty directory is the current one. */
static int check_in(const char *directory, size_t length, const char *name, char path[PATH_MAX]) {
    char candidate[PATH_MAX];
    int written = length == 0 ? snprintf(candidate, sizeof(candidate), "./%s", name)
                              : snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)length, directory, name);
    int failure;

    if (written < 0 || (size_t)written >= sizeof(candidate)) {
        errno = ENAMETOOLONG;
        return PROGRAM_NOT_FOUND;
    }
    failure = check_executable(candidate);
    if (failure == 0)
        memcpy(path, candidate, (size_t)written + 1);
    return failure;
}

/* A file that is there but may not be executed is remembered, and told only if no later directory has a better one. */
static int find_on_path(const char *name, char path[PATH_MAX]) {
    const char *directory = getenv("PATH");
    int failure = PROGRAM_NOT_FOUND, error = ENOENT;

    if (directory == NULL)
        directory = "/bin:/usr/bin";
    for (;;) {
        size_t length = strcspn(directory, ":");
        int here = check_in(directory, length, name, path);

        if (here == 0)
            return 0;
        if (here == PROGRAM_NOT_EXECUTABLE && errno == EACCES) {
            failure = here;
            error = errno;
        }
        if (directory[length] == 0)
            break;
        directory += length + 1;
    }
    errno = error;
    return failure;
}

int program_find(const char *name, char path[PATH_MAX]) {
    int failure;

    if (strchr(name, '/') == NULL && name[0] != 0)
        return find_on_path(name, path);
    failure = strlen(name) < PATH_MAX ? check_executable(name) : PROGRAM_NOT_FOUND;
    if (failure == 0)
        (void)snprintf(path, PATH_MAX, "%s", name);
    return failure;
}

/* Whether starting the file changes who the process is, so that the loader drops LD_PRELOAD (AT_SECURE, ld.so(8)). */
static bool gains_privilege(const char *path) {
    struct stat status;
    struct statvfs system;

    if (stat(path, &status) != 0 || (statvfs(path, &system) == 0 && (system.f_flag & ST_NOSUID) != 0))
        return false;
    if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid())
        return true;
    if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status.st_gid != getgid())
        return true;
    return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static bool is_musl_loader(const char *interpreter) {
    const char *slash = strrchr(interpreter, '/');

    return strncmp(slash == NULL ? interpreter : slash + 1, "ld-musl", strlen("ld-musl")) == 0;
}

/* Why an ELF program would keep its own malloc, or NULL. The facts that need a name in the sentence come in reason. */
static const char *image_refusal(const image_facts *program, const image_facts *library, char *reason, size_t size) {
    if (program->kind == IMAGE_FOREIGN)
        return "is built for another processor or word size than this Ration";
    if (program->go)
        return "is a Go program: no malloc to replace; use GOMEMLIMIT and a cgroup";
    if (program->kind == IMAGE_STATIC)
        return "is linked statically, so nothing can be preloaded; link it with libration-malloc.a";
    if (program->sanitizer)
        return "is built with a sanitizer, which needs its own malloc";
    if (program->defines_malloc && !program->ration)
        return "brings its own malloc, which the loader prefers to any preloaded one";
    if (program->allocator[0] != 0) {
        (void)snprintf(reason, size, "brings its own malloc (%s); two in one process would mix their blocks",
                       program->allocator);
        return reason;
    }
    if (is_musl_loader(program->interpreter) == library->needs_glibc)
        return library->needs_glibc ? "is linked against musl, and this Ration against glibc"
                                    : "is linked against glibc, and this Ration against musl";
    return NULL;
}

bool program_refuses(const char *path, const image_facts *library, char reason[PROGRAM_REASON_SIZE]) {
    image_facts program = {.kind = IMAGE_OTHER};
    char current[PATH_MAX], detail[256];
    const char *refusal = NULL;

    (void)snprintf(current, sizeof(current), "%s", path);
    /* A script's own set-uid bit means nothing to the kernel, so only what is left at the end counts. */
    for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
        if (image_read(current, &program) != 0)
            return false; /* unreadable, or gone: starting it will say */
        if (program.kind != IMAGE_SCRIPT)
            break;
        memcpy(current, program.interpreter, sizeof(current));
    }
    if (program.kind == IMAGE_OTHER || program.kind == IMAGE_SCRIPT)
        return false;
    refusal = gains_privilege(current) ? "is set-uid or the like, so the loader ignores what is preloaded"
                                       : image_refusal(&program, library, detail, sizeof(detail));
    if (refusal == NULL)
        return false;
    if (strcmp(current, path) == 0)
        (void)snprintf(reason, PROGRAM_REASON_SIZE, "%s", refusal);
    else
        (void)snprintf(reason, PROGRAM_REASON_SIZE, "its interpreter, %s, %s", current, refusal);
    return true;
}
