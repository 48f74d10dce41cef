// The floor to measure the daemon against: libmicrohttpd alone, set up as the daemon sets it up,
// which reads a request's body and answers fixed bytes from a file.
//
//     bare PORT ANSWER-FILE
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { answer_bytes_max = 1 << 20, connection_memory_bytes = 64 << 10, connections_max = 1024 };

static struct MHD_Response *fixed_answer;

static enum MHD_Result handle(
    void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **state) {
    (void)context, (void)url, (void)method, (void)version, (void)upload;
    static int headers_seen;
    if (*state == NULL) {
        *state = &headers_seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, fixed_answer);
}

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "usage: bare PORT ANSWER-FILE\n");
        return 64;
    }
    static char answer[answer_bytes_max];
    FILE *file = fopen(words[2], "rb");
    if (file == NULL) {
        perror(words[2]);
        return 66;
    }
    size_t length = fread(answer, 1, sizeof answer, file);
    fclose(file);
    fixed_answer = MHD_create_response_from_buffer(length, answer, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(fixed_answer, "Content-Type", "application/json");

    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, (uint16_t)atoi(words[1]), NULL, NULL,
        handle, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)connection_memory_bytes,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections_max, MHD_OPTION_END);
    if (daemon == NULL) return 1;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int caught;
    sigwait(&ends, &caught);
    MHD_stop_daemon(daemon);
    return 0;
}
