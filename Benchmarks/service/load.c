// Tells evaluations over keep-alive connections, one session and one request at a time on each,
// numbers counted up by one. Bodies come from a pool and leave from where they are, so that the
// client costs next to nothing: it measures the server, on the same machine.
//
//     load PORT BODIES-FILE WARM-UP-SECONDS SECONDS [RATE] < SESSIONS
//
// Each line of SESSIONS is "<identifier> <number of the pending evaluation>". BODIES-FILE begins
// with a line that is the media type of bodies and answers; each body follows a line "<bytes>
// <query>", where the query may be missing. Without RATE every connection tells as fast as it is
// answered. With it, requests fall due at that rate altogether whether or not the server keeps up
// (an open loop), and their latency counts from then. SECONDS get longer if fewer than three are
// answered in them.
//
// Prints a line of JSON: tells and seconds measured, microseconds from the beginning to the whole
// answer (p50_us, p99_us), and to its head (head_p50_us).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    connections_max = 1024,
    bodies_max = 256,
    head_bytes_max = 768,
    answer_head_bytes_max = 16 << 10,
    piece_bytes = 1 << 20,
    patience_ms = 120000,
    measured_min = 3
};

struct body { char *bytes, query[64]; size_t size; };
struct connection {
    int socket;
    char session[64], head[head_bytes_max], answer[answer_head_bytes_max + 1];
    long number;
    const struct body *body;
    size_t head_size, sent;      // of head and body together
    size_t received;             // of the answer's head
    size_t body_left;            // of the answer's body
    int in_body, awaits_room;
    double began, answered;
};

static char media_type[64];
static struct body bodies[bodies_max];
static size_t body_count;
static struct connection *connections, *idle[connections_max];
static int connection_count, idle_first, idle_count, poller;
struct times { float *at; size_t count, capacity; };
static struct times whole, heads;  // microseconds

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
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail(path);
    char line[128];
    if (fgets(line, sizeof line, file) == NULL || sscanf(line, "%63s", media_type) != 1) fail(path);
    while (body_count < bodies_max && fgets(line, sizeof line, file) != NULL) {
        struct body *body = &bodies[body_count++];
        if (sscanf(line, "%zu %63s", &body->size, body->query) < 1) fail("a body's line");
        body->bytes = malloc(body->size);
        if (body->bytes == NULL) fail("malloc");
        if (fread(body->bytes, 1, body->size, file) != body->size) fail("a body ends early");
    }
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
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

// Head and body in one go where they fit a packet, which a second send would delay.
static ssize_t send_some(struct connection *c) {
    size_t in_body = c->sent > c->head_size ? c->sent - c->head_size : 0;
    struct iovec parts[2] = {
        {c->head + c->sent, c->sent < c->head_size ? c->head_size - c->sent : 0},
        {c->body->bytes + in_body, c->body->size - in_body},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (parts[0].iov_len == 0) message.msg_iov = &parts[1], message.msg_iovlen = 1;
    return sendmsg(c->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_rest(struct connection *c) {
    while (c->sent < c->head_size + c->body->size) {
        ssize_t count = send_some(c);
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

static void begin_request(struct connection *c, double at) {
    c->body = &bodies[(size_t)c->number % body_count];
    int size = snprintf(
        c->head, sizeof c->head,
        "PUT /v1/sessions/%s/evaluations/%ld/result%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: %s\r\n"
        "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
        c->session, c->number, c->body->query, media_type, media_type, c->body->size);
    if (size < 0 || (size_t)size >= sizeof c->head) fail("the head is too long");
    c->head_size = (size_t)size;
    c->sent = c->received = c->body_left = 0;
    c->in_body = 0;
    c->began = at;
    send_rest(c);
}

static void take_head(struct connection *c) {
    c->answer[c->received] = '\0';
    char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) {
        if (c->received == answer_head_bytes_max) fail("the answer's head is too long");
        return;
    }
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "%s\n", c->answer);
        fail("the answer is not 200");
    }
    char *length = strcasestr(c->answer, "\r\nContent-Length:");
    if (length == NULL || length > end) fail("the answer has no length");
    size_t size = strtoull(length + 17, NULL, 10), here = c->received - (size_t)(end + 4 - c->answer);
    if (here > size) fail("more than one answer");
    if (size - here == 0 && strstr(end + 4, "\"state\":\"idle\"") != NULL) fail("the step has ended");
    char *state = strcasestr(c->answer, "\r\nLbfgsd-State: ");
    if (state != NULL && strncmp(state + 16, "evaluating", 10) != 0) fail("the step has ended");
    c->in_body = 1;
    c->body_left = size - here;
    c->answered = now();
}

// Whether the answer is complete.
static int receive(struct connection *c) {
    static char scratch[piece_bytes];
    for (;;) {
        char *into = c->in_body ? scratch : c->answer + c->received;
        size_t room = c->in_body ? sizeof scratch : answer_head_bytes_max - c->received;
        ssize_t count = recv(c->socket, into, room, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN) return 0;
        if (count <= 0) fail("the server closed a connection");
        if (c->in_body) {
            if ((size_t)count > c->body_left) fail("more than the answer");
            c->body_left -= (size_t)count;
        } else {
            c->received += (size_t)count;
            take_head(c);
        }
        if (c->in_body && c->body_left == 0) return 1;
    }
}

static void note(struct times *times, double seconds) {
    if (times->count == times->capacity) {
        times->capacity = times->capacity ? 2 * times->capacity : 1 << 20;
        times->at = realloc(times->at, times->capacity * sizeof *times->at);
        if (times->at == NULL) fail("realloc");
    }
    times->at[times->count++] = (float)(seconds * 1e6);
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(struct times *times, size_t percent) {
    qsort(times->at, times->count, sizeof *times->at, ascending);
    return times->at[times->count * percent / 100];
}

// Idle connections have their turn in order: one that no request needs for long would be closed.
static void rest(struct connection *c) {
    idle[(idle_first + idle_count++) % connections_max] = c;
}

static struct connection *wake(void) {
    struct connection *c = idle[idle_first];
    idle_first = (idle_first + 1) % connections_max;
    idle_count -= 1;
    return c;
}

static struct timespec until(double at) {
    double left = at - now();
    if (left < 0) left = 0;
    return (struct timespec){(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
}

static int is_over(double time, double end) {
    return time >= end && whole.count >= measured_min;
}

int main(int count, char **words) {
    if (count != 5 && count != 6) {
        fprintf(stderr, "usage: load PORT BODIES WARM-UP SECONDS [RATE] < SESSIONS\n");
        return 64;
    }
    read_bodies(words[2]);
    double warm_up = atof(words[3]), duration = atof(words[4]);
    double rate = count == 6 ? atof(words[5]) : 0;
    poller = epoll_create1(0);
    connections = calloc(connections_max, sizeof *connections);
    if (connections == NULL) fail("calloc");
    while (connection_count < connections_max) {
        struct connection *c = &connections[connection_count];
        if (scanf("%63s %ld", c->session, &c->number) != 2) break;
        open_connection(c, (uint16_t)atoi(words[1]));
        connection_count += 1;
    }
    if (connection_count == 0) fail("no sessions");

    double began = now(), start = began + warm_up, end = start + duration, time = began;
    double due = began, last = end;
    int busy = 0;
    for (int i = 0; i < connection_count; i++) rest(&connections[i]);
    // Every connection finishes the request it has under way when the time is up, which it isn't
    // before a few are measured.
    while (busy > 0 || !is_over(time, end)) {
        while (idle_count > 0 && !is_over(time, end) && (rate == 0 || due <= time)) {
            begin_request(wake(), rate == 0 ? time : due);
            busy += 1;
            if (rate > 0) due += 1 / rate;
        }
        struct timespec wait = {patience_ms / 1000, 0};
        if (rate > 0 && idle_count > 0 && !is_over(time, end)) wait = until(due);
        struct epoll_event events[connections_max];
        int ready = epoll_pwait2(poller, events, connections_max, &wait, NULL);
        time = now();
        if (ready < 0) fail("epoll_pwait2");
        if (ready == 0 && wait.tv_sec == patience_ms / 1000) fail("no answer");
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_rest(c);
            if (!(events[i].events & ~(uint32_t)EPOLLOUT) || !receive(c)) continue;
            time = now();
            if (time >= start && !is_over(time, end)) {
                if (time > last) last = time;
                note(&whole, time - c->began);
                note(&heads, c->answered - c->began);
            }
            c->number += 1;
            rest(c);
            busy -= 1;
            time = now();
        }
    }
    printf(
        "{\"tells\": %zu, \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
        "\"head_p50_us\": %.1f}\n",
        whole.count, last - start, percentile(&whole, 50), percentile(&whole, 99),
        percentile(&heads, 50));
    return 0;
}
