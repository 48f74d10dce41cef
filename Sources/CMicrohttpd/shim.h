/* Wraps the parts of libmicrohttpd and epoll that Swift cannot import: variadic functions, macros
 * with casts, and unions. Nothing else belongs here; all decisions are made in Swift. */
#ifndef CMICROHTTPD_SHIM_H
#define CMICROHTTPD_SHIM_H

#ifdef __swift__
/* Both this module and Swift's Glibc module include the system's headers. Importing Glibc first
 * makes it the owner of their declarations; else the owner would depend on which module the
 * compiler happens to load first, and files that import only Glibc would not always compile. */
#pragma clang module import SwiftGlibc
#endif

#include <microhttpd.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/* The type that MHD_OPTION_URI_LOG_CALLBACK expects; the library leaves it unnamed. */
typedef void *(*cmhd_request_line_callback)(void *context, const char *target,
                                            struct MHD_Connection *connection);

static const uint64_t cmhd_size_unknown = MHD_SIZE_UNKNOWN;
static const ssize_t cmhd_end_of_stream = MHD_CONTENT_READER_END_OF_STREAM;
static const ssize_t cmhd_end_with_error = MHD_CONTENT_READER_END_WITH_ERROR;

/* Starts a daemon without a thread and without a listening socket: the caller of MHD_run serves the
 * connections that were added with MHD_add_connection. */
static inline struct MHD_Daemon *
cmhd_start(MHD_AccessHandlerCallback access, cmhd_request_line_callback request_line,
           MHD_RequestCompletedCallback completed, MHD_NotifyConnectionCallback connection,
           void *context, unsigned int connections_max, unsigned int idle_timeout_seconds,
           size_t connection_memory_bytes)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET,
        0, NULL, NULL, access, context,
        MHD_OPTION_URI_LOG_CALLBACK, request_line, context,
        MHD_OPTION_NOTIFY_COMPLETED, completed, context,
        MHD_OPTION_NOTIFY_CONNECTION, connection, context,
        MHD_OPTION_CONNECTION_LIMIT, connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT, idle_timeout_seconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory_bytes,
        MHD_OPTION_END);
}

/* Returns the daemon's epoll set, or -1. */
static inline int
cmhd_epoll_descriptor(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info == NULL ? -1 : info->epoll_fd;
}

/* Adds an eventfd to that set and returns it, or -1. The daemon ignores its events, because their
 * data pointer is NULL. It is edge-triggered: each write makes one event, without reads. */
static inline int
cmhd_add_event(int epoll_descriptor)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data = { .ptr = NULL } };
    int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor >= 0 && epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static inline void
cmhd_signal_event(int descriptor)
{
    (void)eventfd_write(descriptor, 1);
}

/* Disables chunked coding for the response, and closes the connection after it. */
static inline enum MHD_Result
cmhd_close_after(struct MHD_Response *response)
{
    return MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
}

/* Returns the connection's socket, or -1. */
static inline int
cmhd_socket(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

/* Returns the length of the request line and header fields as they were sent, or 0. */
static inline size_t
cmhd_header_size(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info == NULL ? 0 : info->header_size;
}

/* Returns the pointer that the connection callback stored when the connection began. */
static inline void *
cmhd_socket_context(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

#endif
