// The floor to measure the daemon against: libmicrohttpd alone, set up as the daemon sets it up,
// which reads a request's body and answers fixed bytes. With a file to write to, it appends each
// body to it and syncs it before it answers. With a length too, it suspends each request, a thread
// appends a record of that length for all that wait and syncs them once, and resumes them: what the
// bare server and the bare log of log.c make together.
//
//     bare PORT ANSWER-FILE [WRITTEN-FILE [RECORD-BYTES]]
//
// ANSWER-FILE has header fields, one "Name: value" a line, an empty line, and the body.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { connection_memory_bytes = 32 << 10, connections_max = 2048 };
static const off_t written_bytes_max = (off_t)4 << 30;

static struct MHD_Response *fixed_answer;
static int written = -1;
static size_t record_bytes;

struct request {
    struct MHD_Connection *connection;
    struct request *next;
    int is_written;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t something = PTHREAD_COND_INITIALIZER;
static struct request *waiting;

static void fail(const char *what) {
    perror(what);
    exit(74);
}

static void append(const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t done = write(written, bytes, count);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) fail("write");
        bytes += done;
        count -= (size_t)done;
    }
}

__attribute__((noreturn)) static void *write_groups(void *argument) {
    (void)argument;
    char *records = calloc(connections_max, record_bytes);
    if (records == NULL) fail("calloc");
    for (;;) {
        pthread_mutex_lock(&lock);
        while (waiting == NULL) pthread_cond_wait(&something, &lock);
        struct request *group = waiting;
        waiting = NULL;
        pthread_mutex_unlock(&lock);
        size_t count = 0;
        for (struct request *request = group; request; request = request->next) count += 1;
        append(records, count * record_bytes);
        if (fdatasync(written) != 0) fail("fdatasync");
        while (group != NULL) {
            struct request *next = group->next;
            group->is_written = 1;
            MHD_resume_connection(group->connection);
            group = next;
        }
    }
}

static enum MHD_Result handle_in_groups(
    void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **state) {
    (void)context, (void)url, (void)method, (void)version, (void)upload;
    struct request *request = *state;
    if (request == NULL) {
        *state = request = calloc(1, sizeof *request);
        if (request == NULL) fail("calloc");
        request->connection = connection;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (request->is_written) return MHD_queue_response(connection, MHD_HTTP_OK, fixed_answer);
    MHD_suspend_connection(connection);
    pthread_mutex_lock(&lock);
    request->next = waiting;
    waiting = request;
    pthread_cond_signal(&something);
    pthread_mutex_unlock(&lock);
    return MHD_YES;
}

static enum MHD_Result handle(
    void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **state) {
    (void)context, (void)url, (void)method, (void)version;
    static int headers_seen;
    if (*state == NULL) {
        *state = &headers_seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        if (written >= 0) append(upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (written >= 0 && fdatasync(written) != 0) fail("fdatasync");
    return MHD_queue_response(connection, MHD_HTTP_OK, fixed_answer);
}

// Between requests the file begins anew when it is long, so that a run fits the disk.
static void complete(
    void *context, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode code) {
    (void)context, (void)connection, (void)code;
    if (record_bytes > 0) {
        free(*state);
        *state = NULL;
        return;
    }
    struct stat status;
    if (written < 0 || fstat(written, &status) != 0 || status.st_size < written_bytes_max) return;
    if (ftruncate(written, 0) != 0) fail("ftruncate");
}

static void read_answer(const char *path) {
    int file = open(path, O_RDONLY);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || status.st_size == 0) fail(path);
    size_t size = (size_t)status.st_size;
    char *text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (text == MAP_FAILED) fail("mmap");
    char *body = memmem(text, size, "\n\n", 2);
    if (body == NULL) fail("no empty line in the answer");
    body += 2;
    fixed_answer = MHD_create_response_from_buffer(
        size - (size_t)(body - text), body, MHD_RESPMEM_PERSISTENT);
    for (char *line = text; line < body - 1;) {
        char *end = strchr(line, '\n'), *colon = strstr(line, ": ");
        if (colon == NULL || colon > end) break;
        *end = *colon = '\0';
        if (MHD_add_response_header(fixed_answer, line, colon + 2) != MHD_YES) fail(line);
        line = end + 1;
    }
}

static int listen_on(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (listener < 0) fail("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
    if (listen(listener, 1024) != 0) fail("listen");
    return listener;
}

int main(int count, char **words) {
    if (count < 3 || count > 5) {
        fprintf(stderr, "usage: bare PORT ANSWER-FILE [WRITTEN-FILE [RECORD-BYTES]]\n");
        return 64;
    }
    read_answer(words[2]);
    if (count >= 4) {
        written = open(words[3], O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_CLOEXEC, 0600);
        if (written < 0) fail(words[3]);
    }
    if (count == 5) {
        record_bytes = strtoull(words[4], NULL, 10);
        pthread_t writer;
        if (record_bytes == 0) return 64;
        if (pthread_create(&writer, NULL, write_groups, NULL) != 0) fail("pthread_create");
    }
    int listener = listen_on((uint16_t)atoi(words[1]));
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_USE_ERROR_LOG |
            (record_bytes > 0 ? MHD_ALLOW_SUSPEND_RESUME : 0),
        0, NULL, NULL, record_bytes > 0 ? handle_in_groups : handle, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)connection_memory_bytes,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections_max,
        MHD_OPTION_NOTIFY_COMPLETED, complete, NULL, MHD_OPTION_END);
    if (daemon == NULL) return 1;
    // As in the daemon, connections are accepted here and handed over. SIGTERM ends the process as
    // it is.
    for (;;) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        int client = accept4(
            listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) fail("accept");
        int on = 1;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (MHD_add_connection(daemon, client, (struct sockaddr *)&from, size) != MHD_YES) {
            fail("MHD_add_connection");
        }
    }
}
