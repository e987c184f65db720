/* thread.c: pthread_create, so that each thread counts in the root's limit: libc maps its stack where nobody sees it.
 *
 * The count is given back as the thread ends, by return, pthread_exit or cancellation. This file is compiled without exceptions:
 * libc then runs the cleanup itself, and nothing of libgcc_s is needed. */
#include "../heap/mapped.h"

#include <dlfcn.h>
#include <errno.h>

#define EXPORT __attribute__((visibility("default")))

typedef struct task {
    void *(*run)(void *);
    void *argument;
} task;

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static void thread_ends(void *unused) {
    (void)unused;
    mapped_thread_ends();
}

static void *run_counted(void *argument) {
    task own = *(task *)argument;
    void *result;
    rn_free(argument);
    mapped_thread_is_counted();
    pthread_cleanup_push(thread_ends, NULL);
    result = own.run(own.argument);
    pthread_cleanup_pop(1);
    return result;
}

static create_function *libc_create(void) {
    static create_function *real;
    if (real == NULL)
        real = (create_function *)dlsym(RTLD_NEXT, "pthread_create");
    return real;
}

static int create_counted(pthread_t *made, const pthread_attr_t *attributes, task *wanted) {
    if (!mapped_thread_begins())
        return EAGAIN;
    int error = libc_create()(made, attributes, run_counted, wanted);
    if (error != 0)
        mapped_thread_not_made();
    return error;
}

EXPORT int pthread_create(pthread_t *made, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    int saved = errno;
    task *wanted = rn_heap_malloc(rn_heap_root(), sizeof *wanted); /* it outlives what is pushed */
    errno = saved;
    if (wanted == NULL)
        return EAGAIN;
    *wanted = (task){run, argument};
    int error = create_counted(made, attributes, wanted);
    if (error != 0)
        rn_free(wanted);
    return error;
}
