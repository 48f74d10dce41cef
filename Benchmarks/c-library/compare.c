/* liblbfgsd beside libLBFGS in one process, by turns: the time of the library alone between two
 * evaluations of a cheap function, with a full history. See README.md.
 *
 * Arguments: n, m, rounds. Prints a row of Markdown. */
#define _POSIX_C_SOURCE 200809L
#include <lbfgs.h>
#include <lbfgsd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * now.tv_sec + now.tv_nsec;
}

/* A run on sum_i e_i x_i^2 / 2 with eigenvalues from 1e3 to 1e7, from (1, ..., 1). */
struct run {
    size_t n;
    const double *eigenvalues;
    long skipped, measured; /* evaluations before the measured ones, and how many these are */
    long evaluations;
    double left;            /* when the last evaluation ended */
    double spent;           /* nanoseconds between evaluations */
    double clock;           /* what reading the clock takes */
};

static int is_over(const struct run *run) {
    return run->evaluations >= run->skipped + run->measured;
}

static double quadratic(struct run *run, const double *x, double *g) {
    double entered = nanoseconds();
    if (run->evaluations++ >= run->skipped && run->evaluations <= run->skipped + run->measured)
        run->spent += entered - run->left - run->clock;
    double loss = 0;
    for (size_t i = 0; i < run->n; i++) {
        g[i] = run->eigenvalues[i] * x[i];
        loss += g[i] * x[i] / 2;
    }
    run->left = nanoseconds();
    return loss;
}

static int evaluate_ours(void *run, size_t n, const double *x, double *loss, double *g) {
    (void)n;
    *loss = quadratic(run, x, g);
    return is_over(run);
}

static double evaluate_theirs(void *run, const double *x, double *g, int n, double step) {
    (void)n, (void)step;
    return quadratic(run, x, g);
}

static int progress_of_theirs(void *run, const double *x, const double *g, double fx, double xnorm,
                              double gnorm, double step, int n, int k, int ls) {
    (void)x, (void)g, (void)fx, (void)xnorm, (void)gnorm, (void)step, (void)n, (void)k, (void)ls;
    return is_over(run);
}

static void run_ours(struct run *run, double *x, int history) {
    lbfgsd_options options;
    lbfgsd_options_init(&options, sizeof options, LBFGSD_MODE_ROBUST);
    options.history_size = history;
    options.tolerance_grad = 0;
    lbfgsd_minimize(run->n, x, NULL, NULL, evaluate_ours, NULL, run, &options, NULL, NULL);
}

static void run_theirs(struct run *run, double *x, int history) {
    lbfgs_parameter_t options;
    lbfgs_parameter_init(&options);
    options.m = history;
    options.epsilon = 0;
    lbfgs(run->n, x, NULL, evaluate_theirs, progress_of_theirs, run, &options);
}

static int ascending(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static double median(double *values, int count) {
    qsort(values, count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int main(int count, char **arguments) {
    if (count != 4) return 64;
    size_t n = strtoul(arguments[1], NULL, 10);
    int history = atoi(arguments[2]), rounds = atoi(arguments[3]);
    double *eigenvalues = malloc(n * sizeof *eigenvalues), *x = lbfgs_malloc(n);
    double *times[2], *ratios = malloc(rounds * sizeof *ratios);
    for (size_t i = 0; i < n; i++) eigenvalues[i] = 1e3 * (1 + 9999 * (double)i / n);
    for (int which = 0; which < 2; which++) times[which] = malloc(rounds * sizeof(double));
    double clock = 0;
    for (int i = 0; i < 10000; i++) {
        double before = nanoseconds();
        clock += (nanoseconds() - before) / 10000;
    }
    for (int round = 0; round < rounds; round++) {
        for (int turn = 0; turn < 2; turn++) {
            int which = (round + turn) % 2;
            struct run run = {n, eigenvalues, 2 * history, n > 100000 ? 12 : 40, 0, 0, 0, clock};
            for (size_t i = 0; i < n; i++) x[i] = 1;
            (which ? run_theirs : run_ours)(&run, x, history);
            if (!is_over(&run)) {
                fprintf(stderr, "%s ended after %ld evaluations\n",
                        which ? "libLBFGS" : "liblbfgsd", run.evaluations);
                return 1;
            }
            times[which][round] = run.spent / run.measured;
        }
        ratios[round] = times[0][round] / times[1][round];
    }
    double ours = median(times[0], rounds), theirs = median(times[1], rounds);
    printf("| %zu | %d | %.3f | %.3f | %.2f |\n", n, history, ours / 1e3, theirs / 1e3,
           median(ratios, rounds));
    return 0;
}
