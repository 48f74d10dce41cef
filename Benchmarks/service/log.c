// A bare log with group commit: producers hand records to one writer, which appends what has come
// together and syncs it once; each producer waits until its record is on disk and hands the next.
//
//     log FILE RECORD-BYTES PRODUCERS SECONDS
//
// Prints a line of JSON: tells, which are records, seconds, p50 and p99 in microseconds, syncs.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static size_t record_bytes;
static int producers, file;
static volatile int done;

// Two buffers with a condition each: one is filled while the other is written.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t something = PTHREAD_COND_INITIALIZER;
static struct { char *bytes; size_t size; pthread_cond_t written; } groups[2];
static uint64_t filling = 1, committed;  // groups, counted; group g is in buffer g % 2
static uint64_t syncs;

struct producer {
    pthread_t thread;
    float *latencies;
    size_t count, capacity;
};

static void fail(const char *what) {
    perror(what);
    exit(74);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void *produce(void *argument) {
    struct producer *self = argument;
    char *record = malloc(record_bytes);
    if (record == NULL) fail("malloc");
    memset(record, 42, record_bytes);
    while (!done) {
        double began = now();
        pthread_mutex_lock(&lock);
        uint64_t mine = filling;
        int at = (int)(mine % 2);
        memcpy(groups[at].bytes + groups[at].size, record, record_bytes);
        groups[at].size += record_bytes;
        if (groups[at].size == record_bytes) pthread_cond_signal(&something);
        while (committed < mine) pthread_cond_wait(&groups[at].written, &lock);
        pthread_mutex_unlock(&lock);
        if (self->count == self->capacity) {
            self->capacity = self->capacity ? 2 * self->capacity : 4096;
            self->latencies = realloc(self->latencies, self->capacity * sizeof(float));
            if (self->latencies == NULL) fail("realloc");
        }
        self->latencies[self->count++] = (float)((now() - began) * 1e6);
    }
    free(record);
    return NULL;
}

__attribute__((noreturn)) static void *write_groups(void *argument) {
    (void)argument;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (groups[filling % 2].size == 0) pthread_cond_wait(&something, &lock);
        int at = (int)(filling % 2);
        filling += 1;
        pthread_mutex_unlock(&lock);
        for (size_t sent = 0; sent < groups[at].size;) {
            ssize_t count = write(file, groups[at].bytes + sent, groups[at].size - sent);
            if (count < 0 && errno != EINTR) fail("write");
            if (count > 0) sent += (size_t)count;
        }
        if (fdatasync(file) != 0) fail("fdatasync");
        pthread_mutex_lock(&lock);
        syncs += 1;
        committed += 1;
        groups[at].size = 0;
        pthread_cond_broadcast(&groups[at].written);
        pthread_mutex_unlock(&lock);
    }
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int count, char **words) {
    if (count != 5) {
        fprintf(stderr, "usage: log FILE RECORD-BYTES PRODUCERS SECONDS\n");
        return 64;
    }
    record_bytes = strtoull(words[2], NULL, 10);
    producers = atoi(words[3]);
    double duration = atof(words[4]);
    if (record_bytes == 0 || producers < 1) return 64;
    file = open(words[1], O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) fail(words[1]);
    for (int i = 0; i < 2; i++) {
        groups[i].bytes = malloc(record_bytes * (size_t)producers);
        if (groups[i].bytes == NULL) fail("malloc");
        pthread_cond_init(&groups[i].written, NULL);
    }
    struct producer *all = calloc((size_t)producers, sizeof *all);
    pthread_t writer;
    if (all == NULL || pthread_create(&writer, NULL, write_groups, NULL) != 0) fail("pthread_create");
    double began = now();
    for (int i = 0; i < producers; i++) {
        if (pthread_create(&all[i].thread, NULL, produce, &all[i]) != 0) fail("pthread_create");
    }
    struct timespec pause = {(time_t)duration, (long)((duration - (double)(time_t)duration) * 1e9)};
    nanosleep(&pause, NULL);
    done = 1;
    size_t total = 0, filled = 0;
    for (int i = 0; i < producers; i++) {
        pthread_join(all[i].thread, NULL);
        total += all[i].count;
    }
    double seconds = now() - began;
    float *latencies = malloc(total * sizeof *latencies);
    if (latencies == NULL || total == 0) fail("nothing was measured");
    for (int i = 0; i < producers; i++) {
        memcpy(latencies + filled, all[i].latencies, all[i].count * sizeof *latencies);
        filled += all[i].count;
    }
    qsort(latencies, total, sizeof *latencies, ascending);
    printf(
        "{\"tells\": %zu, \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"syncs\": %llu}\n",
        total, seconds, latencies[total / 2], latencies[total * 99 / 100],
        (unsigned long long)syncs);
    return 0;
}
