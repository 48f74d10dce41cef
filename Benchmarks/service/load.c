// Tells evaluations as fast as the server answers: one keep-alive connection a session, one request
// at a time on each, numbers counted up by one. The bodies come from a pool, so that the client
// costs next to nothing: it measures the server, on the same machine.
//
//     load PORT BODIES-FILE WARM-UP-SECONDS SECONDS < SESSIONS
//
// Each line of SESSIONS is "<identifier> <number of the pending evaluation>"; each line of
// BODIES-FILE is a body. Prints a line of JSON: tells, seconds, p50 and p99 in microseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { connections_max = 1024, bodies_max = 256, head_bytes_max = 512, answer_bytes_max = 1 << 20 };

struct connection {
    int socket;
    char session[64];
    long number;
    char *request;  // head and body of the request under way
    size_t request_size, sent;
    char *answer;
    size_t received, answer_size;  // answer_size is 0 until the head is complete
    double began;
    int awaits_room;  // part of the request is still to be sent
};

static struct { char *text; size_t size; } bodies[bodies_max];
static size_t body_count, body_size_max;
static struct connection connections[connections_max];
static int connection_count, poller;
static float *latencies;  // microseconds
static size_t latency_count, latency_capacity;

static void fail(const char *what) {
    fprintf(stderr, "load: %s (%s)\n", what, errno ? strerror(errno) : "no system error");
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void read_bodies(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) fail(path);
    size_t capacity = 0;
    ssize_t length;
    char *line = NULL;
    while (body_count < bodies_max && (length = getline(&line, &capacity, file)) > 1) {
        bodies[body_count].size = (size_t)length - 1;
        bodies[body_count].text = strndup(line, (size_t)length - 1);
        if ((size_t)length > body_size_max) body_size_max = (size_t)length;
        body_count += 1;
    }
    free(line);
    fclose(file);
    if (body_count == 0) fail("no bodies");
}

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->socket, &event) != 0) fail("epoll_ctl");
}

static void open_connection(struct connection *c, uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (c->socket < 0) fail("socket");
    if (connect(c->socket, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    int on = 1;
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->request = malloc(head_bytes_max + body_size_max);
    c->answer = malloc(answer_bytes_max + 1);
    if (c->request == NULL || c->answer == NULL) fail("malloc");
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void send_rest(struct connection *c) {
    while (c->sent < c->request_size) {
        ssize_t count = send(
            c->socket, c->request + c->sent, c->request_size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) {
            if (!c->awaits_room) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->awaits_room = 1;
            return;
        }
        if (count < 0) fail("send");
        c->sent += (size_t)count;
    }
    if (c->awaits_room) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->awaits_room = 0;
}

static void begin_request(struct connection *c) {
    size_t choice = (size_t)c->number % body_count;
    int head = snprintf(
        c->request, head_bytes_max,
        "PUT /v1/sessions/%s/evaluations/%ld/result HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
        c->session, c->number, bodies[choice].size);
    memcpy(c->request + head, bodies[choice].text, bodies[choice].size);
    c->request_size = (size_t)head + bodies[choice].size;
    c->sent = c->received = c->answer_size = 0;
    c->began = now();
    send_rest(c);
}

static void measure_head(struct connection *c) {
    c->answer[c->received] = '\0';
    char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) return;
    char *length = strcasestr(c->answer, "\r\nContent-Length:");
    if (length == NULL || length > end) fail("an answer without Content-Length");
    c->answer_size = (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
    if (c->answer_size > answer_bytes_max) fail("an answer that is too long");
}

// Returns whether the answer is complete.
static int receive(struct connection *c) {
    ssize_t count = recv(
        c->socket, c->answer + c->received, answer_bytes_max - c->received, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count < 0) fail("recv");
    if (count == 0) fail("the server closed a connection");
    c->received += (size_t)count;
    if (c->answer_size == 0) measure_head(c);
    return c->answer_size > 0 && c->received >= c->answer_size;
}

static void check(struct connection *c) {
    c->answer[c->received] = '\0';
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0 || strstr(c->answer, "\"evaluation\"") == NULL) {
        fprintf(stderr, "%.*s\n", 1000, c->answer);
        errno = 0;
        fail("an answer that asks for no evaluation");
    }
}

static void note_latency(double seconds) {
    if (latency_count == latency_capacity) {
        latency_capacity = latency_capacity ? 2 * latency_capacity : 1 << 20;
        latencies = realloc(latencies, latency_capacity * sizeof *latencies);
        if (latencies == NULL) fail("realloc");
    }
    latencies[latency_count++] = (float)(seconds * 1e6);
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int count, char **words) {
    if (count != 5) {
        fprintf(stderr, "usage: load PORT BODIES-FILE WARM-UP-SECONDS SECONDS < SESSIONS\n");
        return 64;
    }
    read_bodies(words[2]);
    double warm_up = atof(words[3]), duration = atof(words[4]);
    poller = epoll_create1(0);
    while (connection_count < connections_max) {
        struct connection *c = &connections[connection_count];
        if (scanf("%63s %ld", c->session, &c->number) != 2) break;
        open_connection(c, (uint16_t)atoi(words[1]));
        connection_count += 1;
    }
    if (connection_count == 0) fail("no sessions");

    double start = now() + warm_up, end = start + duration, time = 0;
    for (int i = 0; i < connection_count; i++) begin_request(&connections[i]);
    // Every connection finishes the request it has under way when the time is up.
    for (int busy = connection_count; busy > 0;) {
        struct epoll_event events[connections_max];
        int ready = epoll_wait(poller, events, connections_max, 10000);
        if (ready == 0) { errno = 0; fail("no answer for 10 s"); }
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_rest(c);
            if (!(events[i].events & ~(uint32_t)EPOLLOUT) || !receive(c)) continue;
            check(c);
            time = now();
            if (time >= start && time < end) note_latency(time - c->began);
            c->number += 1;
            if (time < end) begin_request(c); else busy -= 1;
        }
    }
    if (latency_count == 0) fail("nothing was measured");
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    printf("{\"tells\": %zu, \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", latency_count,
           duration, latencies[latency_count / 2], latencies[latency_count * 99 / 100]);
    return 0;
}
