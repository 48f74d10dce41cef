/* Replaces the error pages of libmicrohttpd.
 *
 * Where the library's parser fails, before any callback knows of the request, it answers with pages
 * in HTML that are compiled into it. No option of version 0.9 changes them. But it queues them with
 * its own public function MHD_queue_response, which it calls through its procedure linkage table.
 * This target defines a function of that name. The dynamic linker takes the program's definition
 * before the library's, so the library's own pages come here, and only they: the program itself
 * queues its responses with cmhd_queue_response. */
#ifndef CMICROHTTPDPAGES_PAGES_H
#define CMICROHTTPDPAGES_PAGES_H

struct MHD_Connection;
struct MHD_Response;

/* Returns the response to send instead of a page with this status, which it may change; or NULL for
 * the page itself. The response is destroyed by the caller. Called on the daemon's thread. */
typedef struct MHD_Response *(*cmhd_render_page)(struct MHD_Connection *connection,
                                                 unsigned int *status);

/* Sets the function that is called for each page of each daemon of the process. */
void cmhd_replace_pages(cmhd_render_page render);

/* The library's MHD_queue_response. Returns whether the response was queued. */
int cmhd_queue_response(struct MHD_Connection *connection, unsigned int status,
                        struct MHD_Response *response);

#endif
