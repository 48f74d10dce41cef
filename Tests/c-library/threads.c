/* Eight threads with an optimizer each compute what one thread computes, bit for bit. */
#include "checks.h"

#include <pthread.h>

enum { threads = 8, n = 50 };

static int runs = 5;

struct job {
    int number;
    double x[n];
    char text[252];
};

static int evaluate(void *instance, size_t count, const double *x, double *loss, double *g) {
    *loss = rosenbrock(count, x, g) * (1 + *(const int *)instance);
    return 0;
}

static void *work(void *argument) {
    struct job *job = argument;
    double lower[n];
    for (int i = 0; i < n; i++) lower[i] = i % 5 == job->number % 5 ? 1.25 : -2;
    for (int run = 0; run < runs; run++) {
        rosenbrock_start(n, job->x);
        EXPECT(LBFGSD_FINISHED,
               lbfgsd_minimize(n, job->x, lower, NULL, evaluate, NULL, &job->number, NULL, NULL,
                               &error), "");
    }
    /* Errors too are each thread's own. */
    lbfgsd_optimizer *optimizer;
    lbfgsd_error error;
    CHECK(lbfgsd_create(&optimizer, 1, job->x, NULL, &error) == LBFGSD_OK);
    CHECK(lbfgsd_set_uniform_bounds(optimizer, 1000 + job->number, 0, &error) < 0);
    memcpy(job->text, error.text, sizeof job->text);
    lbfgsd_destroy(optimizer);
    return NULL;
}

int main(int count, char **arguments) {
    static struct job alone[threads], together[threads];
    pthread_t ids[threads];
    if (count > 1) runs = atoi(arguments[1]);
    for (int i = 0; i < threads; i++) {
        together[i].number = i;
        CHECK(pthread_create(&ids[i], NULL, work, &together[i]) == 0);
    }
    for (int i = 0; i < threads; i++) CHECK(pthread_join(ids[i], NULL) == 0);
    for (int i = 0; i < threads; i++) {
        char expected[32];
        alone[i].number = i;
        work(&alone[i]);
        CHECK(memcmp(alone[i].x, together[i].x, sizeof alone[i].x) == 0);
        snprintf(expected, sizeof expected, "%d.0 is above 0.0", 1000 + i);
        CHECK(strstr(together[i].text, expected) != NULL);
    }
    puts("threads: ok");
    return 0;
}
