/* What the C programs of the tests share: a check that ends the program, and problems. */
#ifndef CHECKS_H
#define CHECKS_H

#include <lbfgsd.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program if a condition does not hold. */
#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);     \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

/* Ends the program if a call does not return `expected`, or its error does not say so. */
#define EXPECT(expected, call, part)                                                    \
    do {                                                                                \
        lbfgsd_error error = {77, "unwritten"};                                         \
        lbfgsd_status outcome = (call);                                                 \
        if (outcome != (expected) || error.code != (outcome < 0 ? outcome : 0)          \
            || strstr(error.text, part) == NULL || (outcome >= 0 && error.text[0])) {   \
            fprintf(stderr, "%s:%d: %s: %d, error %d: %s\n", __FILE__, __LINE__, #call, \
                    outcome, error.code, error.text);                                   \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

/* Rosenbrock's function, chained: sum 100 (x_(i+1) - x_i^2)^2 + (1 - x_i)^2. */
static inline double rosenbrock(size_t n, const double *x, double *g) {
    double loss = 0;
    memset(g, 0, n * sizeof *g);
    for (size_t i = 0; i + 1 < n; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        loss += 100 * a * a + b * b;
        g[i] += -400 * a * x[i] - 2 * b;
        g[i + 1] += 200 * a;
    }
    return loss;
}

static inline double rosenbrock_f32(size_t n, const float *x, float *g) {
    double loss = 0;
    memset(g, 0, n * sizeof *g);
    for (size_t i = 0; i + 1 < n; i++) {
        double a = x[i + 1] - (double)x[i] * x[i], b = 1 - x[i];
        loss += 100 * a * a + b * b;
        g[i] += (float)(-400 * a * x[i] - 2 * b);
        g[i + 1] += (float)(200 * a);
    }
    return loss;
}

/* The usual start: -1.2, 1, -1.2, 1 ... */
static inline void rosenbrock_start(size_t n, double *x) {
    for (size_t i = 0; i < n; i++) x[i] = i % 2 ? 1 : -1.2;
}

static inline lbfgsd_options default_options(int32_t mode) {
    lbfgsd_options options;
    CHECK(lbfgsd_options_init(&options, sizeof options, mode) == LBFGSD_OK);
    return options;
}

static inline lbfgsd_result result_of(const lbfgsd_optimizer *optimizer) {
    lbfgsd_result result = {.size = sizeof result};
    EXPECT(LBFGSD_OK, lbfgsd_get_result(optimizer, &result, &error), "");
    return result;
}

#endif
