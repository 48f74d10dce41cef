/* Whole runs: both precisions, both modes, bounds, L1, callbacks, several steps. */
#include "checks.h"

static void test_reverse_communication(void) {
    enum { n = 10 };
    double x0[n];
    rosenbrock_start(n, x0);
    lbfgsd_options options = default_options(LBFGSD_MODE_ROBUST);
    options.tolerance_grad = 1e-9;
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create(&optimizer, n, x0, &options, &error), "");
    CHECK(lbfgsd_count(optimizer) == n && lbfgsd_get_dtype(optimizer) == LBFGSD_FLOAT64);
    CHECK(lbfgsd_point(optimizer) == NULL && lbfgsd_gradient_buffer(optimizer) == NULL);
    CHECK(memcmp(lbfgsd_x(optimizer), x0, sizeof x0) == 0);
    CHECK(lbfgsd_x_gradient(optimizer) == NULL);
    int evaluations = 0;
    lbfgsd_status status = lbfgsd_begin(optimizer, NULL, NULL);
    while (status == LBFGSD_EVALUATE) {
        /* By turns from memory of the program and from the optimizer's. */
        double own[n], *g = evaluations++ % 2 ? own : lbfgsd_gradient_buffer(optimizer);
        double loss = rosenbrock(n, lbfgsd_point(optimizer), g);
        status = lbfgsd_advance(optimizer, loss, g, NULL);
    }
    CHECK(status == LBFGSD_FINISHED);
    lbfgsd_result result = result_of(optimizer);
    CHECK(result.reason == LBFGSD_REASON_GRADIENT_TOLERANCE && result.converged == 1);
    CHECK(result.evaluations == evaluations && result.total_evaluations == evaluations);
    CHECK(result.iterations > 5 && result.iterations < evaluations);
    CHECK(result.loss < 1e-12 && result.loss_before > 100 && result.best_loss <= result.loss);
    CHECK(result.gradient_norm_inf <= 1e-9 && isnan(result.projected_gradient_norm_inf));
    CHECK(result.active_bounds == -1);
    CHECK(strcmp(lbfgsd_reason_name(result.reason), "gradient_tolerance") == 0);
    double largest = 0;
    for (int i = 0; i < n; i++) {
        CHECK(fabs(lbfgsd_x(optimizer)[i] - 1) < 1e-8);
        largest = fmax(largest, fabs(lbfgsd_x_gradient(optimizer)[i]));
    }
    CHECK(largest == result.gradient_norm_inf);
    size_t pairs;
    EXPECT(LBFGSD_OK, lbfgsd_get_pairs(optimizer, NULL, NULL, 0, &pairs, &error), "");
    CHECK(pairs > 3 && pairs <= 100);
    double *s = malloc(2 * pairs * sizeof x0), *y = s + pairs * n;
    EXPECT(LBFGSD_OK, lbfgsd_get_pairs(optimizer, s, y, pairs, &pairs, &error), "");
    for (size_t pair = 0; pair < pairs; pair++) {
        double curvature = 0;
        for (int i = 0; i < n; i++) curvature += s[pair * n + i] * y[pair * n + i];
        CHECK(curvature > 0);
    }
    free(s);
    /* A further step finds nothing to do, and one from elsewhere goes on with the counts. */
    CHECK(lbfgsd_begin(optimizer, NULL, NULL) == LBFGSD_FINISHED);
    EXPECT(LBFGSD_OK, lbfgsd_set_x(optimizer, x0, &error), "");
    CHECK(lbfgsd_begin(optimizer, NULL, NULL) == LBFGSD_EVALUATE);
    CHECK(result_of(optimizer).reason == LBFGSD_REASON_NONE);
    EXPECT(LBFGSD_FINISHED, lbfgsd_stop(optimizer, &error), "");
    CHECK(result_of(optimizer).reason == LBFGSD_REASON_STOPPED);
    CHECK(result_of(optimizer).total_evaluations == evaluations);
    lbfgsd_destroy(optimizer);
}

static void test_float32(void) {
    enum { n = 6 };
    float x0[n] = {-1.2f, 1, -1.2f, 1, -1.2f, 1};
    lbfgsd_options options = default_options(LBFGSD_MODE_ROBUST);
    options.tolerance_grad = 1e-3;
    options.history_dtype = LBFGSD_BFLOAT16;
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create_f32(&optimizer, n, x0, &options, &error), "");
    CHECK(lbfgsd_get_dtype(optimizer) == LBFGSD_FLOAT32);
    CHECK(lbfgsd_x(optimizer) == NULL && lbfgsd_x_f32(optimizer) != NULL);
    lbfgsd_status status = lbfgsd_begin(optimizer, NULL, NULL);
    CHECK(lbfgsd_point(optimizer) == NULL && lbfgsd_gradient_buffer(optimizer) == NULL);
    while (status == LBFGSD_EVALUATE) {
        float *g = lbfgsd_gradient_buffer_f32(optimizer);
        double loss = rosenbrock_f32(n, lbfgsd_point_f32(optimizer), g);
        status = lbfgsd_advance_f32(optimizer, loss, g, NULL);
    }
    CHECK(status == LBFGSD_FINISHED && result_of(optimizer).converged);
    for (int i = 0; i < n; i++) CHECK(fabsf(lbfgsd_x_f32(optimizer)[i] - 1) < 0.02f);
    CHECK(lbfgsd_x_gradient_f32(optimizer) != NULL && lbfgsd_x_gradient(optimizer) == NULL);
    lbfgsd_destroy(optimizer);
}

static void test_bounds(void) {
    double x0[2] = {-1.2, 1}, lower[2] = {-INFINITY, -2}, upper[2] = {0.5, INFINITY};
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create(&optimizer, 2, x0, NULL, &error), "");
    EXPECT(LBFGSD_OK, lbfgsd_set_bounds(optimizer, lower, upper, &error), "");
    lbfgsd_status status = lbfgsd_begin(optimizer, NULL, NULL);
    while (status == LBFGSD_EVALUATE) {
        const double *x = lbfgsd_point(optimizer);
        CHECK(x[0] <= 0.5 && x[1] >= -2);
        double g[2], loss = rosenbrock(2, x, g);
        status = lbfgsd_advance(optimizer, loss, g, NULL);
    }
    lbfgsd_result result = result_of(optimizer);
    CHECK(status == LBFGSD_FINISHED && result.converged && result.active_bounds == 1);
    CHECK(result.projected_gradient_norm_inf <= 1e-7 && result.gradient_norm_inf > 0.9);
    CHECK(lbfgsd_x(optimizer)[0] == 0.5 && fabs(lbfgsd_x(optimizer)[1] - 0.25) < 1e-6);
    lbfgsd_active_bound active = {9, 9, 9};
    size_t count;
    EXPECT(LBFGSD_OK, lbfgsd_get_active_bounds(optimizer, &active, 1, &count, &error), "");
    CHECK(count == 1 && active.index == 0 && active.side == 1 && active.multiplier < -0.9);
    /* Without them it goes on to the minimum. */
    EXPECT(LBFGSD_OK, lbfgsd_set_uniform_bounds(optimizer, -INFINITY, INFINITY, &error), "");
    CHECK(lbfgsd_begin(optimizer, NULL, NULL) == LBFGSD_EVALUATE);
    EXPECT(LBFGSD_OK, lbfgsd_get_active_bounds(optimizer, NULL, 0, &count, &error), "");
    CHECK(count == 0);
    lbfgsd_destroy(optimizer);
}

/* sum (x_i - i / 4)^2 / 2, whose minimum with weights of 1 / 2 is max(0, i / 4 - 1 / 2). */
static int shifted(void *instance, size_t n, const double *x, double *loss, double *g) {
    ++*(int *)instance;
    *loss = 0;
    for (size_t i = 0; i < n; i++) {
        g[i] = x[i] - i / 4.0;
        *loss += g[i] * g[i] / 2;
    }
    return 0;
}

static void test_l1(void) {
    double x0[6] = {1, 1, 1, 1, 1, 1};
    int calls = 0;
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create(&optimizer, 6, x0, NULL, &error), "");
    EXPECT(LBFGSD_OK, lbfgsd_set_uniform_l1(optimizer, 0.5, &error), "");
    EXPECT(LBFGSD_FINISHED, lbfgsd_run(optimizer, shifted, NULL, &calls, &error), "");
    for (int i = 0; i < 6; i++) {
        double x = lbfgsd_x(optimizer)[i], expected = fmax(0, i / 4.0 - 0.5);
        CHECK(expected == 0 ? x == 0 : fabs(x - expected) < 1e-6);
    }
    CHECK(result_of(optimizer).evaluations == calls);
    double weights[6] = {0, 0, 0, 0, 0, 2};
    EXPECT(LBFGSD_OK, lbfgsd_set_l1(optimizer, weights, &error), "");
    EXPECT(LBFGSD_FINISHED, lbfgsd_run(optimizer, shifted, NULL, &calls, &error), "");
    CHECK(fabs(lbfgsd_x(optimizer)[4] - 1) < 1e-6 && lbfgsd_x(optimizer)[5] == 0);
    lbfgsd_destroy(optimizer);
}

struct record {
    int evaluations, iterations, stop_at, fail_at;
    int64_t seen;
};

static int recorded(void *instance, size_t n, const double *x, double *loss, double *g) {
    struct record *record = instance;
    *loss = rosenbrock(n, x, g);
    return ++record->evaluations == record->fail_at;
}

static int observed(void *instance, const lbfgsd_optimizer *optimizer) {
    struct record *record = instance;
    lbfgsd_result result = result_of(optimizer);
    CHECK(result.reason == LBFGSD_REASON_NONE && result.iterations > record->seen);
    CHECK(isfinite(result.loss) && isfinite(result.gradient_norm_inf));
    CHECK(result.evaluations == record->evaluations);
    record->seen = result.iterations;
    return ++record->iterations == record->stop_at;
}

static void test_callbacks(void) {
    double x[4], lower[4] = {-9, -9, -9, -9};
    lbfgsd_result result = {.size = sizeof result};
    struct record record = {0};
    rosenbrock_start(4, x);
    EXPECT(LBFGSD_FINISHED,
           lbfgsd_minimize(4, x, lower, NULL, recorded, observed, &record, NULL, &result, &error),
           "");
    CHECK(result.converged && fabs(x[3] - 1) < 1e-6 && result.evaluations == record.evaluations);
    CHECK(record.iterations == result.iterations - 1);

    struct record stopped = {.stop_at = 3};
    rosenbrock_start(4, x);
    EXPECT(LBFGSD_FINISHED,
           lbfgsd_minimize(4, x, NULL, NULL, recorded, observed, &stopped, NULL, &result, &error),
           "");
    CHECK(result.reason == LBFGSD_REASON_STOPPED && stopped.iterations == 3);

    struct record failed = {.fail_at = 4};
    rosenbrock_start(4, x);
    EXPECT(LBFGSD_FINISHED,
           lbfgsd_minimize(4, x, NULL, NULL, recorded, NULL, &failed, NULL, &result, &error), "");
    CHECK(result.reason == LBFGSD_REASON_STOPPED && result.evaluations == 3);

    float small[4] = {3, 3, 3, 3};
    lbfgsd_evaluate_f32 none = NULL;
    EXPECT(LBFGSD_ERROR_NULL,
           lbfgsd_minimize_f32(4, small, NULL, NULL, none, NULL, NULL, NULL, NULL, &error),
           "evaluate is NULL");
}

/* log(x), with a minimum at its lower end: NaN left of 0. */
static int logarithm(void *instance, size_t n, const float *x, double *loss, float *g) {
    (void)instance, (void)n;
    *loss = x[0] > 0 ? x[0] - log(x[0]) : NAN;
    g[0] = 1 - 1 / x[0];
    return 0;
}

static void test_undefined_points(void) {
    float x[1] = {20};
    lbfgsd_result result = {.size = sizeof result};
    lbfgsd_options options = default_options(LBFGSD_MODE_ROBUST);
    options.lr = 100;
    options.tolerance_grad = 1e-4;
    EXPECT(LBFGSD_FINISHED,
           lbfgsd_minimize_f32(1, x, NULL, NULL, logarithm, NULL, NULL, &options, &result, &error),
           "");
    CHECK(result.converged && fabsf(x[0] - 1) < 1e-3f);
}

static void test_torch_mode(void) {
    double x0[10];
    rosenbrock_start(10, x0);
    lbfgsd_options options = default_options(LBFGSD_MODE_TORCH);
    CHECK(options.max_iter == 20 && options.tolerance_change == 1e-9);
    options.line_search = LBFGSD_LINE_SEARCH_STRONG_WOLFE;
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create(&optimizer, 10, x0, &options, &error), "");
    struct record record = {0};
    int steps = 0;
    do {
        EXPECT(LBFGSD_FINISHED, lbfgsd_run(optimizer, recorded, NULL, &record, &error), "");
    } while (!result_of(optimizer).converged && ++steps < 10);
    CHECK(steps > 0 && steps < 10 && fabs(lbfgsd_x(optimizer)[0] - 1) < 1e-4);
    /* Options of one step, and those of the following ones. */
    EXPECT(LBFGSD_OK, lbfgsd_set_x(optimizer, x0, &error), "");
    lbfgsd_options one = options;
    one.max_iter = 1;
    lbfgsd_status status = lbfgsd_begin(optimizer, &one, NULL);
    EXPECT(LBFGSD_FINISHED, lbfgsd_run(optimizer, recorded, NULL, &record, &error), "");
    CHECK(status == LBFGSD_EVALUATE && result_of(optimizer).iterations == 1);
    options.max_iter = 2, options.max_eval = 100;
    EXPECT(LBFGSD_OK, lbfgsd_set_options(optimizer, &options, &error), "");
    EXPECT(LBFGSD_FINISHED, lbfgsd_run(optimizer, recorded, NULL, &record, &error), "");
    CHECK(result_of(optimizer).iterations == 2);
    CHECK(result_of(optimizer).reason == LBFGSD_REASON_MAX_ITERATIONS);
    lbfgsd_destroy(optimizer);
}

/* lbfgsd_advance_to() does what lbfgsd_advance() does, and gives the next point, at last x. */
static void test_points_in_memory_of_the_program(void) {
    double x[6], g[6];
    rosenbrock_start(6, x);
    lbfgsd_optimizer *one, *other;
    EXPECT(LBFGSD_OK, lbfgsd_create(&one, 6, x, NULL, &error), "");
    EXPECT(LBFGSD_OK, lbfgsd_create(&other, 6, x, NULL, &error), "");
    EXPECT(LBFGSD_EVALUATE, lbfgsd_begin(one, NULL, &error), "");
    lbfgsd_status status = lbfgsd_begin(other, NULL, NULL);
    int evaluations = 0;
    while (status == LBFGSD_EVALUATE) {
        CHECK(memcmp(x, lbfgsd_point(one), sizeof x) == 0);
        double loss = rosenbrock(6, x, g);
        lbfgsd_advance(one, loss, g, NULL);
        status = lbfgsd_advance_to(other, loss, g, x, NULL);
        evaluations++;
    }
    CHECK(status == LBFGSD_FINISHED && evaluations > 20);
    CHECK(memcmp(x, lbfgsd_x(one), sizeof x) == 0 && memcmp(x, lbfgsd_x(other), sizeof x) == 0);
    lbfgsd_destroy(one);
    lbfgsd_destroy(other);
}

int main(void) {
    test_points_in_memory_of_the_program();
    test_reverse_communication();
    test_float32();
    test_bounds();
    test_l1();
    test_callbacks();
    test_undefined_points();
    test_torch_mode();
    CHECK(strcmp(lbfgsd_version(), LBFGSD_VERSION) == 0);
    puts("runs: ok");
    return 0;
}
