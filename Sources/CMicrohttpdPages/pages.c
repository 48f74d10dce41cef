#define _GNU_SOURCE
#include "pages.h"

#include <dlfcn.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stddef.h>

typedef enum MHD_Result (*queue_function)(struct MHD_Connection *, unsigned int,
                                          struct MHD_Response *);

static _Atomic(cmhd_render_page) render_page;
static _Atomic(queue_function) library_queue;

/* The library's definition, the next after the program's in the order of symbol look-up. */
static queue_function library_function(void)
{
    queue_function function = atomic_load_explicit(&library_queue, memory_order_acquire);
    if (function == NULL) {
        /* POSIX's way to convert the result of dlsym to a pointer to a function. */
        *(void **)&function = dlsym(RTLD_NEXT, "MHD_queue_response");
        atomic_store_explicit(&library_queue, function, memory_order_release);
    }
    return function;
}

void cmhd_replace_pages(cmhd_render_page render)
{
    atomic_store_explicit(&render_page, render, memory_order_release);
}

int cmhd_queue_response(struct MHD_Connection *connection, unsigned int status,
                        struct MHD_Response *response)
{
    queue_function queue = library_function();
    return queue != NULL && queue(connection, status, response) == MHD_YES;
}

/* Called by the library for its own pages. */
enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned int status_code,
                                   struct MHD_Response *response)
{
    cmhd_render_page render = atomic_load_explicit(&render_page, memory_order_acquire);
    struct MHD_Response *own = render == NULL ? NULL : render(connection, &status_code);
    int is_queued =
        cmhd_queue_response(connection, status_code, own == NULL ? response : own);
    if (own != NULL) MHD_destroy_response(own);
    return is_queued ? MHD_YES : MHD_NO;
}
