/* Every wrong call that can be noticed is an error, and changes nothing. */
#include "checks.h"

static const double start[3] = {-1.2, 1, 3};

static lbfgsd_optimizer *created(void) {
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create(&optimizer, 3, start, NULL, &error), "");
    return optimizer;
}

static void test_creation(void) {
    double x0[3] = {1, NAN, 1};
    float small[2] = {INFINITY, 0};
    lbfgsd_optimizer *o = (lbfgsd_optimizer *)start;
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_create(NULL, 3, start, NULL, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_create(&o, 3, NULL, NULL, &error), "x0 is NULL");
    CHECK(o == NULL);
    EXPECT(LBFGSD_ERROR_COUNT, lbfgsd_create(&o, 0, start, NULL, &error), "at least 1, not 0");
    EXPECT(LBFGSD_ERROR_COUNT, lbfgsd_create(&o, SIZE_MAX, start, NULL, &error), "too large");
    EXPECT(LBFGSD_ERROR_COUNT, lbfgsd_create(&o, SIZE_MAX / 9, start, NULL, &error), "too large");
    EXPECT(LBFGSD_ERROR_MEMORY, lbfgsd_create(&o, SIZE_MAX / 1024, start, NULL, &error), "bytes");
    EXPECT(LBFGSD_ERROR_NOT_FINITE, lbfgsd_create(&o, 3, x0, NULL, &error), "index 1, not nan");
    EXPECT(LBFGSD_ERROR_NOT_FINITE, lbfgsd_create_f32(&o, 2, small, NULL, &error), "index 0");
    CHECK(lbfgsd_create(&o, 3, x0, NULL, NULL) == LBFGSD_ERROR_NOT_FINITE && o == NULL);
    lbfgsd_destroy(NULL);
}

static void refuse(lbfgsd_options options, lbfgsd_status expected, const char *text) {
    lbfgsd_optimizer *o;
    EXPECT(expected, lbfgsd_create(&o, 3, start, &options, &error), text);
    CHECK(o == NULL);
    o = created();
    EXPECT(expected, lbfgsd_set_options(o, &options, &error), text);
    EXPECT(expected, lbfgsd_begin(o, &options, &error), text);
    CHECK(lbfgsd_begin(o, NULL, NULL) == LBFGSD_EVALUATE);
    lbfgsd_destroy(o);
}

#define REFUSE(field, value, text)                                    \
    do {                                                              \
        lbfgsd_options options = default_options(LBFGSD_MODE_ROBUST); \
        options.field = (value);                                      \
        refuse(options, LBFGSD_ERROR_OPTION, text);                   \
    } while (0)

static void test_options(void) {
    REFUSE(lr, 0, "lr must be more than 0");
    REFUSE(lr, NAN, "lr must be a finite number");
    REFUSE(lr, -1, "lr must be");
    REFUSE(max_iter, 0, "max_iter must be at least 1, not 0");
    REFUSE(max_iter, INT64_MIN, "max_iter must be at least 1");
    REFUSE(max_eval, -1, "max_eval must be at least 1");
    REFUSE(history_size, 0, "history_size must be");
    REFUSE(tolerance_grad, -1, "tolerance_grad must be");
    REFUSE(tolerance_grad, NAN, "tolerance_grad must be");
    REFUSE(tolerance_grad_relative, NAN, "tolerance_grad_relative must be");
    REFUSE(tolerance_change, -1, "tolerance_change must be");
    REFUSE(tolerance_loss_relative, -INFINITY, "tolerance_loss_relative must be");
    REFUSE(noise, 1, "noise must be");
    REFUSE(noise, NAN, "noise must be");
    REFUSE(mode, 0, "mode has no choice 0");
    REFUSE(mode, 3, "mode has no choice 3");
    REFUSE(line_search, 5, "line_search has no choice 5");
    REFUSE(line_search, -1, "line_search has no choice -1");
    REFUSE(history_dtype, 4, "history_dtype has no choice 4");
    REFUSE(reuse_evaluation, 2, "reuse_evaluation must be 0 or 1");
    lbfgsd_options options = default_options(LBFGSD_MODE_TORCH);
    options.line_search = LBFGSD_LINE_SEARCH_HAGER_ZHANG;
    refuse(options, LBFGSD_ERROR_OPTION, "line_search hager_zhang needs mode robust");
    options = default_options(LBFGSD_MODE_ROBUST);
    options.size--;
    refuse(options, LBFGSD_ERROR_SIZE, "options.size is");
    options.size = 0;
    refuse(options, LBFGSD_ERROR_SIZE, "options.size is 0");
    CHECK(lbfgsd_options_init(NULL, sizeof options, LBFGSD_MODE_ROBUST) == LBFGSD_ERROR_NULL);
    CHECK(lbfgsd_options_init(&options, 8, LBFGSD_MODE_ROBUST) == LBFGSD_ERROR_SIZE);
    CHECK(lbfgsd_options_init(&options, sizeof options, 7) == LBFGSD_ERROR_OPTION);
    /* The largest values are no errors. */
    options = default_options(LBFGSD_MODE_ROBUST);
    options.max_iter = options.max_eval = options.history_size = INT64_MAX;
    options.tolerance_grad = INFINITY;
    options.lr = 1.7e308;
    lbfgsd_optimizer *o;
    EXPECT(LBFGSD_OK, lbfgsd_create(&o, 3, start, &options, &error), "");
    double g[3], loss = rosenbrock(3, start, g);
    CHECK(lbfgsd_begin(o, NULL, NULL) == LBFGSD_EVALUATE);
    EXPECT(LBFGSD_FINISHED, lbfgsd_advance(o, loss, g, &error), "");
    lbfgsd_destroy(o);
}

static void test_bounds_and_weights(void) {
    double lower[3] = {0, 0, 5}, upper[3] = {1, 1, 4}, none[3] = {NAN, 0, 0};
    double high[3] = {0, INFINITY, 0}, low[3] = {0, 0, -INFINITY}, weights[3] = {0, -1, 0};
    lbfgsd_optimizer *o = created();
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_bounds(o, lower, upper, &error), "index 2");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_bounds(o, none, NULL, &error), "lower must be a number");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_bounds(o, NULL, none, &error), "upper must be a number");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_bounds(o, high, NULL, &error), "index 1");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_bounds(o, NULL, low, &error), "index 2");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_uniform_bounds(o, 2, 1, &error), "2.0 is above 1.0");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_uniform_bounds(o, NAN, 1, &error), "NaN");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_l1(o, weights, &error), "l1 must be");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_uniform_l1(o, NAN, &error), "l1 must be");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_uniform_l1(o, INFINITY, &error), "l1 must be");
    CHECK(memcmp(lbfgsd_x(o), start, sizeof start) == 0);
    /* Mode torch has none, whichever comes first. */
    lbfgsd_options torch = default_options(LBFGSD_MODE_TORCH);
    EXPECT(LBFGSD_OK, lbfgsd_set_uniform_bounds(o, -1, 1, &error), "");
    CHECK(lbfgsd_x(o)[0] == -1 && lbfgsd_x(o)[2] == 1);
    EXPECT(LBFGSD_ERROR_OPTION, lbfgsd_set_options(o, &torch, &error), "there are bounds");
    EXPECT(LBFGSD_ERROR_OPTION, lbfgsd_begin(o, &torch, &error), "there are bounds");
    lbfgsd_destroy(o);
    EXPECT(LBFGSD_OK, lbfgsd_create(&o, 3, start, &torch, &error), "");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_uniform_bounds(o, -1, 1, &error), "mode robust");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_uniform_l1(o, 1, &error), "mode robust");
    lbfgsd_destroy(o);
    float x0[1] = {0};
    EXPECT(LBFGSD_OK, lbfgsd_create_f32(&o, 1, x0, NULL, &error), "");
    EXPECT(LBFGSD_ERROR_BOUNDS, lbfgsd_set_uniform_bounds(o, 0.1, 0.1, &error), "no number");
    lbfgsd_destroy(o);
}

static void test_order(void) {
    double g[3] = {NAN, 0, 0}, nan[3] = {0, 0, NAN};
    lbfgsd_result result = {.size = sizeof result};
    lbfgsd_optimizer *o = created();
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_get_result(o, &result, &error), "no step yet");
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_advance(o, 1, start, &error), "no step runs");
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_advance(o, NAN, NULL, &error), "no step runs");
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_stop(o, &error), "no step runs");
    EXPECT(LBFGSD_ERROR_NOT_FINITE, lbfgsd_set_x(o, nan, &error), "x must be finite at index 2");
    CHECK(lbfgsd_begin(o, NULL, NULL) == LBFGSD_EVALUATE);
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_begin(o, NULL, &error), "a step runs");
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_set_uniform_bounds(o, 0, 1, &error), "a step runs");
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_set_l1(o, NULL, &error), "a step runs");
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_set_x(o, start, &error), "a step runs");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_advance(o, 1, NULL, &error), "gradient is NULL");
    result.size = 8;
    EXPECT(LBFGSD_ERROR_SIZE, lbfgsd_get_result(o, &result, &error), "result.size is 8");
    CHECK(lbfgsd_advance(o, 1, g, NULL) == LBFGSD_FINISHED);
    CHECK(result_of(o).reason == LBFGSD_REASON_NON_FINITE && isnan(result_of(o).best_loss));
    CHECK(lbfgsd_begin(o, NULL, NULL) == LBFGSD_EVALUATE);
    CHECK(lbfgsd_advance(o, NAN, NULL, NULL) == LBFGSD_FINISHED);
    CHECK(lbfgsd_point(o) == NULL && lbfgsd_gradient_buffer(o) == NULL);
    lbfgsd_destroy(o);
}

static void test_precision(void) {
    float x0[2] = {0};
    double x[2] = {0};
    size_t count;
    lbfgsd_optimizer *o;
    EXPECT(LBFGSD_OK, lbfgsd_create_f32(&o, 2, x0, NULL, &error), "");
    CHECK(lbfgsd_begin(o, NULL, NULL) == LBFGSD_EVALUATE);
    EXPECT(LBFGSD_ERROR_PRECISION, lbfgsd_advance(o, 1, x, &error), "float32");
    EXPECT(LBFGSD_ERROR_PRECISION, lbfgsd_set_x(o, x, &error), "float32");
    EXPECT(LBFGSD_ERROR_PRECISION, lbfgsd_run(o, NULL, NULL, NULL, &error), "float32");
    EXPECT(LBFGSD_ERROR_PRECISION, lbfgsd_get_pairs(o, x, x, 1, &count, &error), "float32");
    lbfgsd_destroy(o);
    o = created();
    CHECK(lbfgsd_begin(o, NULL, NULL) == LBFGSD_EVALUATE && lbfgsd_point_f32(o) == NULL);
    CHECK(lbfgsd_x_f32(o) == NULL && lbfgsd_gradient_buffer_f32(o) == NULL);
    EXPECT(LBFGSD_ERROR_PRECISION, lbfgsd_advance_f32(o, 1, x0, &error), "float64");
    EXPECT(LBFGSD_ERROR_PRECISION, lbfgsd_set_x_f32(o, x0, &error), "float64");
    EXPECT(LBFGSD_ERROR_PRECISION, lbfgsd_run_f32(o, NULL, NULL, NULL, &error), "float64");
    lbfgsd_destroy(o);
}

static void test_null(void) {
    lbfgsd_optimizer *o = created();
    lbfgsd_result result = {.size = sizeof result};
    size_t count;
    double x[3] = {0};
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_begin(NULL, NULL, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_advance(NULL, 1, x, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_advance_f32(NULL, 1, NULL, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_stop(NULL, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_set_options(NULL, NULL, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_set_options(o, NULL, &error), "options is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_set_bounds(NULL, x, x, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_set_l1(NULL, x, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_set_uniform_l1(NULL, 1, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_set_x(o, NULL, &error), "x is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_get_result(NULL, &result, &error), "optimizer is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_get_result(o, NULL, &error), "result is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_get_active_bounds(o, NULL, 0, NULL, &error), "count is NULL");
    EXPECT(LBFGSD_OK, lbfgsd_get_active_bounds(o, NULL, 0, &count, &error), "");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_get_pairs(o, x, NULL, 1, &count, &error), "y is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_snapshot(o, NULL, 0, &count, &error), "bytes is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_snapshot(o, x, 24, NULL, &error), "size is NULL");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_run(o, NULL, NULL, NULL, &error), "evaluate is NULL");
    CHECK(lbfgsd_point(NULL) == NULL && lbfgsd_x(NULL) == NULL && lbfgsd_x_gradient(NULL) == NULL);
    CHECK(lbfgsd_count(NULL) == 0 && lbfgsd_snapshot_size(NULL) == 0);
    CHECK(lbfgsd_get_dtype(NULL) == LBFGSD_DTYPE_DEFAULT && lbfgsd_gradient_buffer(NULL) == NULL);
    CHECK(lbfgsd_reason_name(-1) == NULL && lbfgsd_reason_name(11) == NULL);
    CHECK(lbfgsd_status_name(3) == NULL && lbfgsd_status_name(-13) == NULL);
    CHECK(strcmp(lbfgsd_status_name(LBFGSD_ERROR_SIZE), "LBFGSD_ERROR_SIZE") == 0);
    lbfgsd_destroy(o);
}

static void test_states_of_torch(void) {
    lbfgsd_optimizer *o = created();
    double d[3] = {1, 2, 3}, s[3] = {1, 0, 0}, y[3] = {-1, 0, 0}, x[3] = {7, 7, 7}, al[1] = {0.5};
    lbfgsd_torch_state state = {
        .size = sizeof state, .func_evals = 5, .n_iter = 3, .d = d, .prev_flat_grad = d,
        .old_dirs = y, .old_stps = s, .pair_count = 1, .t = 1, .h_diag = 1, .prev_loss = NAN,
        .al = al, .al_count = 1};
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_load_torch_state(NULL, &state, &error), "optimizer");
    EXPECT(LBFGSD_ERROR_STATE, lbfgsd_load_torch_state(o, &state, &error), "old_stps[0] must");
    y[0] = 1;
    state.h_diag = INFINITY;
    EXPECT(LBFGSD_ERROR_STATE, lbfgsd_load_torch_state(o, &state, &error), "H_diag must be finite");
    state.h_diag = 1;
    state.n_iter = -1;
    EXPECT(LBFGSD_ERROR_STATE, lbfgsd_load_torch_state(o, &state, &error), "n_iter must be");
    state.n_iter = 3;
    state.pair_count = SIZE_MAX;
    EXPECT(LBFGSD_ERROR_STATE, lbfgsd_load_torch_state(o, &state, &error), "pair_count");
    state.pair_count = 1;
    state.size--;
    EXPECT(LBFGSD_ERROR_SIZE, lbfgsd_load_torch_state(o, &state, &error), "state.size is");
    state.size++;
    EXPECT(LBFGSD_OK, lbfgsd_load_torch_state(o, &state, &error), "");
    size_t count = 0;
    EXPECT(LBFGSD_OK, lbfgsd_get_pairs(o, NULL, NULL, 0, &count, &error), "");
    CHECK(count == 1);
    EXPECT(LBFGSD_OK, lbfgsd_load_torch_state(o, NULL, &error), "");
    EXPECT(LBFGSD_OK, lbfgsd_get_pairs(o, NULL, NULL, 0, &count, &error), "");
    CHECK(count == 0);
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_advance_to(o, 1, d, x, &error), "no step runs");
    EXPECT(LBFGSD_EVALUATE, lbfgsd_begin(o, NULL, &error), "");
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_load_torch_state(o, &state, &error), "a step runs");
    EXPECT(LBFGSD_ERROR_NULL, lbfgsd_advance_to(o, 1, d, NULL, &error), "x is NULL");
    EXPECT(LBFGSD_ERROR_PRECISION, lbfgsd_advance_to_f32(o, 1, NULL, (float *)x, &error), "");
    CHECK(x[0] == 7);
    EXPECT(LBFGSD_EVALUATE, lbfgsd_advance_to(o, 1, d, x, &error), "");
    CHECK(memcmp(x, lbfgsd_point(o), sizeof x) == 0);
    lbfgsd_destroy(o);
}

static lbfgsd_optimizer *driven;

/* Drives the optimizer that calls it, which is not allowed. */
static int driving(void *instance, size_t n, const double *x, double *loss, double *g) {
    (void)instance;
    *loss = rosenbrock(n, x, g);
    lbfgsd_stop(driven, NULL);
    return 0;
}

static void test_callbacks_that_drive(void) {
    driven = created();
    EXPECT(LBFGSD_ERROR_ORDER, lbfgsd_run(driven, driving, NULL, NULL, &error), "a callback");
    lbfgsd_destroy(driven);
    double x[3] = {1, 2, 3}, upper[3] = {0, 0, NAN};
    lbfgsd_result result = {.size = 1};
    EXPECT(LBFGSD_ERROR_SIZE,
           lbfgsd_minimize(3, x, NULL, NULL, driving, NULL, NULL, NULL, &result, &error), "size");
    EXPECT(LBFGSD_ERROR_BOUNDS,
           lbfgsd_minimize(3, x, NULL, upper, driving, NULL, NULL, NULL, NULL, &error), "upper");
    EXPECT(LBFGSD_ERROR_NULL,
           lbfgsd_minimize(3, NULL, NULL, NULL, driving, NULL, NULL, NULL, NULL, &error), "x0");
    CHECK(x[0] == 1 && x[1] == 2 && x[2] == 3);
}

int main(void) {
    test_creation();
    test_options();
    test_bounds_and_weights();
    test_order();
    test_precision();
    test_null();
    test_states_of_torch();
    test_callbacks_that_drive();
    puts("errors: ok");
    return 0;
}
