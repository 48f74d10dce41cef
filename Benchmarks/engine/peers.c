// libLBFGS and the machine's own dot products, for run.py, which compiles this with
//   cc -O3 -march=native -ffast-math -fopenmp -shared -fPIC peers.c -llbfgs
#include <lbfgs.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

// Bytes a second of each of `runs` dot products of two vectors of `count` numbers.
void dot_bandwidths(long count, int threads, int runs, double *bandwidths) {
    double *a = malloc(8 * count), *b = malloc(8 * count);
    omp_set_num_threads(threads);
#pragma omp parallel for schedule(static)
    for (long i = 0; i < count; i++) a[i] = b[i] = 1e-3;
    volatile double sink = 0;
    for (int run = 0; run < runs; run++) {
        double began = seconds(), sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
        for (long i = 0; i < count; i++) sum += a[i] * b[i];
        bandwidths[run] = 16.0 * count / (seconds() - began);
        sink += sum;
    }
    free(a);
    free(b);
}

struct run {
    double began, *times;
    long count, skipped, written, max, iteration;
    double *eigenvalues;
    int trials;
};

// The valley of EngineBenchmark.swift.
static double evaluate(void *instance, const double *x, double *g, int n, double step) {
    struct run *run = instance;
    double now = seconds();
    // A trial within a line search is no iteration: progress() resets the count.
    if (run->trials == 0 && run->iteration > run->skipped && run->written < run->max)
        run->times[run->written++] = 1e9 * (now - run->began);
    run->trials++;
    double loss = 0;
    for (long i = 0; i < n; i++) {
        g[i] = run->eigenvalues[i] * x[i];
        loss += g[i] * x[i] / 2;
    }
    run->began = seconds();
    return loss;
}

static int progress(void *instance, const double *x, const double *g, const double fx,
                    const double xnorm, const double gnorm, const double step, int n, int k,
                    int ls) {
    struct run *run = instance;
    run->iteration = k;
    run->trials = 0;
    return run->written >= run->max;
}

// Nanoseconds from each answer to the next question, evaluations apart; those after line searches
// of one trial only. Returns how many were written.
long liblbfgs_times(long count, int history, long skipped, double *times, long max) {
    struct run run = {0, times, count, skipped, 0, max, 0, malloc(8 * count), 0};
    double *x = lbfgs_malloc(count);
    for (long i = 0; i < count; i++) {
        x[i] = 1;
        run.eigenvalues[i] = 1e3 * (1 + 9999 * (double)i / count);
    }
    lbfgs_parameter_t options;
    lbfgs_parameter_init(&options);
    options.m = history;
    options.epsilon = 0;
    lbfgs(count, x, NULL, evaluate, progress, &run, &options);
    lbfgs_free(x);
    free(run.eigenvalues);
    return run.written;
}
