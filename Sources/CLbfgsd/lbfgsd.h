/*
 * liblbfgsd: L-BFGS for C, C++, Fortran and whatever can call C.
 *
 * The library is the engine of the daemon lbfgsd. It minimizes a smooth function f(x) of n numbers
 * from its values and gradients, in float64 or float32, with bounds l <= x <= u and an L1 term
 * sum_i w_i |x_i| if there are any. It has no threads, files, clocks, randomness or global state.
 * The same calls give the same bits, on any machine.
 *
 * There are two ways to use it. With a callback, as in libLBFGS:
 *
 *     static int evaluate(void *instance, size_t n, const double *x, double *loss, double *g) {
 *         *loss = (x[0] - 1) * (x[0] - 1);
 *         g[0] = 2 * (x[0] - 1);
 *         return 0;
 *     }
 *
 *     double x[1] = {3};
 *     lbfgsd_result result = {.size = sizeof result};
 *     lbfgsd_error error;
 *     if (lbfgsd_minimize(1, x, NULL, NULL, evaluate, NULL, NULL, NULL, &result, &error) < 0)
 *         fprintf(stderr, "%s\n", error.text);
 *
 * Or by reverse communication, where the program has the loop, and the library asks it for
 * evaluations:
 *
 *     lbfgsd_optimizer *optimizer;
 *     lbfgsd_status status = lbfgsd_create(&optimizer, n, x0, NULL, &error);
 *     if (status == LBFGSD_OK) status = lbfgsd_begin(optimizer, NULL, &error);
 *     while (status == LBFGSD_EVALUATE) {
 *         const double *x = lbfgsd_point(optimizer);
 *         double *g = lbfgsd_gradient_buffer(optimizer);
 *         double loss = evaluate_somewhere(x, g);
 *         status = lbfgsd_advance(optimizer, loss, g, &error);
 *     }
 *     if (status == LBFGSD_FINISHED) use(lbfgsd_x(optimizer));
 *     lbfgsd_destroy(optimizer);
 *
 * Between any two calls the whole state can be written to bytes (lbfgsd_snapshot) and read back
 * (lbfgsd_restore), in this process or another, also in the middle of a line search. The run then
 * goes on with the same bits.
 *
 * Conventions
 *
 * - A function that can fail returns an lbfgsd_status: negative for an error. The last argument
 *   then receives a code and a text, unless it is NULL. A call that fails changes nothing.
 * - Functions without a suffix are for float64, those with the suffix _f32 for float32. An
 *   optimizer has one precision. The other functions take either.
 * - Vectors have n numbers and are read or written during the call only. Pointers that a function
 *   returns belong to the optimizer; how long they are valid is said there.
 * - Threads: an optimizer may be used by any thread, by one at a time. Different optimizers may be
 *   used at the same time; they share nothing.
 * - Memory: 2 m n numbers for m curvature pairs (history_size at most) and some ten vectors of n.
 *   Where the library gets no memory in the middle of a run, the process ends, as it does where the
 *   operating system overcommits. lbfgsd_create and lbfgsd_restore report it beforehand where n is
 *   obviously too large.
 * - Wrong arguments are errors, never a crash: calls in a wrong order, NULL, n = 0, numbers that
 *   are not finite, options out of range, damaged snapshots. What cannot be checked are pointers to
 *   memory that is too short or not there, and optimizers that were destroyed.
 * - C99 and C++98 or later. Structures grow at their ends only; their field `size` says which
 *   version the program was compiled with.
 */
#ifndef LBFGSD_H
#define LBFGSD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the interface that this header describes; see lbfgsd_version(). */
#define LBFGSD_VERSION "0.1.0"

/** What a call did, or why it failed. */
typedef enum lbfgsd_status {
    /** The call did what it says. */
    LBFGSD_OK = 0,
    /** An evaluation of the loss and its gradient is wanted at lbfgsd_point(). */
    LBFGSD_EVALUATE = 1,
    /** The step is over: see lbfgsd_get_result() and lbfgsd_x(). */
    LBFGSD_FINISHED = 2,
    /** An argument that is needed is NULL. */
    LBFGSD_ERROR_NULL = -1,
    /** n is 0, or so large that its octets cannot be counted. */
    LBFGSD_ERROR_COUNT = -2,
    /** A number of a starting point is NaN or infinite. The text has its index. */
    LBFGSD_ERROR_NOT_FINITE = -3,
    /** An option is out of range. The text has its name. */
    LBFGSD_ERROR_OPTION = -4,
    /** Bounds or weights do not fit. The text has the index. */
    LBFGSD_ERROR_BOUNDS = -5,
    /** The call is not possible now: a step runs, or none does. */
    LBFGSD_ERROR_ORDER = -6,
    /** The optimizer has the other precision. */
    LBFGSD_ERROR_PRECISION = -7,
    /** The bytes are no snapshot, or a damaged one, or of a newer version. */
    LBFGSD_ERROR_SNAPSHOT = -8,
    /** There is not enough memory for n numbers. */
    LBFGSD_ERROR_MEMORY = -9,
    /** The memory that was given is too small. */
    LBFGSD_ERROR_ROOM = -10,
    /** The field `size` of a structure is that of no version of this interface. */
    LBFGSD_ERROR_SIZE = -11,
    /** A state of torch does not fit. The text has the key that is wrong. */
    LBFGSD_ERROR_STATE = -12
} lbfgsd_status;

/** An error. The caller owns it; nothing has to be freed. */
typedef struct lbfgsd_error {
    /** The negative lbfgsd_status that the call returned; 0 if it did not fail. */
    int32_t code;
    /** What is wrong, in a sentence of UTF-8 that ends with a NUL; empty if nothing is. */
    char text[252];
} lbfgsd_error;

/** An optimizer: a point, its history, and the step that may be running. */
typedef struct lbfgsd_optimizer lbfgsd_optimizer;

/* ---------------------------------------------------------------------------------- Options */

/** The rules for directions, searches and ends of steps. */
typedef enum lbfgsd_mode {
    /**
     * Rules that do not depend on the scale of the problem and take the precision of its evaluation
     * into account: Hager and Zhang's line search, restarts, steps that end at their best point.
     */
    LBFGSD_MODE_ROBUST = 1,
    /** The trajectories of torch.optim.LBFGS. It has neither bounds nor an L1 term. */
    LBFGSD_MODE_TORCH = 2
} lbfgsd_mode;

/** How a step length is found. */
typedef enum lbfgsd_line_search {
    /** Hager and Zhang's in mode robust; none, but moves by lr, in mode torch. */
    LBFGSD_LINE_SEARCH_DEFAULT = 0,
    /** Strong Wolfe conditions by bracketing and zoom (Nocedal & Wright 2006), c1 = 1e-4,
     *  c2 = 0.9: torch's. Either mode. */
    LBFGSD_LINE_SEARCH_STRONG_WOLFE = 1,
    /** More & Thuente 1994, as in MINPACK. Mode robust. */
    LBFGSD_LINE_SEARCH_MORE_THUENTE = 2,
    /** Hager & Zhang 2005, with approximate Wolfe conditions. Mode robust. */
    LBFGSD_LINE_SEARCH_HAGER_ZHANG = 3,
    /** Sufficient decrease only, by contraction. Mode robust. */
    LBFGSD_LINE_SEARCH_BACKTRACKING = 4
} lbfgsd_line_search;

/** The precision of vectors, or of stored curvature pairs. */
typedef enum lbfgsd_dtype {
    /** That of the optimizer. */
    LBFGSD_DTYPE_DEFAULT = 0,
    /** IEEE 754 double, 8 bytes. */
    LBFGSD_FLOAT64 = 1,
    /** IEEE 754 single, 4 bytes. */
    LBFGSD_FLOAT32 = 2,
    /** The upper half of a single, 2 bytes. Curvature pairs only. */
    LBFGSD_BFLOAT16 = 3
} lbfgsd_dtype;

/**
 * The options of an optimizer. Fill them by lbfgsd_options_init(), then change what should differ.
 * Where a function takes NULL instead, the options are those of LBFGSD_MODE_ROBUST.
 */
typedef struct lbfgsd_options {
    /** sizeof(lbfgsd_options), as lbfgsd_options_init() writes it. */
    size_t size;
    /** An lbfgsd_mode. */
    int32_t mode;
    /** An lbfgsd_line_search. Default: LBFGSD_LINE_SEARCH_DEFAULT. */
    int32_t line_search;
    /** The precision in which curvature pairs are stored, an lbfgsd_dtype. A lower one takes less
     *  memory and time: bfloat16 a quarter of float64's. Default: LBFGSD_DTYPE_DEFAULT. */
    int32_t history_dtype;
    /** 1: a step begins without an evaluation if loss and gradient at x are known from the step
     *  before. 0: it begins with one; take that if the loss changes between steps, as with
     *  mini-batches. Default: 1 in mode robust, 0 in mode torch. */
    int32_t reuse_evaluation;
    /** The most iterations of a step, at least 1. Default: 15000 in mode robust, 20 (torch's) in
     *  mode torch. */
    int64_t max_iter;
    /** The evaluations after which a step ends, at least 1; 0 stands for max_iter * 5 / 4. Mode
     *  robust never exceeds it, mode torch may, by one, as torch does. Default: 0. */
    int64_t max_eval;
    /** m, the most curvature pairs to keep, at least 1. Each takes 2 n numbers. More pairs need
     *  fewer evaluations, and more time for each. Default: 100. */
    int64_t history_size;
    /** The first trial step length: of each iteration in mode torch, and scaled by
     *  min(1, 1 / ||g||_1) in the first one; of the first iteration alone in mode robust. Finite,
     *  at least 0, in mode robust more than 0. Default: 1. */
    double lr;
    /** A step ends when max_i |g_i|, or with bounds or an L1 term the same of the projected
     *  gradient, is at most this. At least 0. Default: 1e-7. */
    double tolerance_grad;
    /** A step ends when the same norm is at most this times its value at the first evaluation. It
     *  does not depend on the scale of the loss. At least 0. Default: 0, which is off. */
    double tolerance_grad_relative;
    /** A step ends when the largest change of a parameter in an iteration is at most this, or the
     *  loss changes by less. It is absolute. At least 0; 0 is off. Default: 0 in mode robust, 1e-9
     *  in mode torch. */
    double tolerance_change;
    /** A step ends when an iteration changes the loss by at most this times the larger of the two
     *  losses. At least 0. Default: 0, which is off. */
    double tolerance_loss_relative;
    /** The relative precision of the evaluation, from 0 to below 1: the distance from 1 to the next
     *  number, for example 1.2e-7 if the function computes in float32. Mode robust treats smaller
     *  differences of losses as noise. Negative: that of the optimizer's precision. Default: -1. */
    double noise;
} lbfgsd_options;

/**
 * Fills options with the defaults of a mode. O(1).
 *
 * @param options  receives the defaults.
 * @param size     sizeof(lbfgsd_options) in the calling program.
 * @param mode     an lbfgsd_mode.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL, LBFGSD_ERROR_SIZE, or LBFGSD_ERROR_OPTION for a mode that
 *         there is not.
 */
lbfgsd_status lbfgsd_options_init(lbfgsd_options *options, size_t size, int32_t mode);

/* ------------------------------------------------------------------- Creation and destruction */

/**
 * Creates an optimizer in float64. O(n).
 *
 * @param optimizer  receives the optimizer, or NULL if there is an error. The caller destroys it.
 * @param n          how many numbers x has; at least 1.
 * @param x0         the point to start at, n finite numbers, which are copied.
 * @param options    the options of all steps, or NULL.
 * @param error      receives what is wrong, or NULL.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL, LBFGSD_ERROR_COUNT, LBFGSD_ERROR_NOT_FINITE,
 *         LBFGSD_ERROR_OPTION, LBFGSD_ERROR_SIZE or LBFGSD_ERROR_MEMORY.
 */
lbfgsd_status lbfgsd_create(
    lbfgsd_optimizer **optimizer, size_t n, const double *x0, const lbfgsd_options *options,
    lbfgsd_error *error);

/** As lbfgsd_create(), in float32. Sums are taken in float64 nevertheless. */
lbfgsd_status lbfgsd_create_f32(
    lbfgsd_optimizer **optimizer, size_t n, const float *x0, const lbfgsd_options *options,
    lbfgsd_error *error);

/** Destroys an optimizer and all memory it has returned pointers to. NULL is allowed. Not to be
 *  called from within a callback of lbfgsd_run(). O(m). */
void lbfgsd_destroy(lbfgsd_optimizer *optimizer);

/** n; 0 for NULL. O(1). */
size_t lbfgsd_count(const lbfgsd_optimizer *optimizer);

/** The precision: LBFGSD_FLOAT64 or LBFGSD_FLOAT32; LBFGSD_DTYPE_DEFAULT for NULL. O(1). */
lbfgsd_dtype lbfgsd_get_dtype(const lbfgsd_optimizer *optimizer);

/* ------------------------------------------------------------------- Changes between two steps */

/**
 * Replaces the options of the steps that follow. O(1).
 *
 * @return LBFGSD_OK; LBFGSD_ERROR_NULL, also if `options` is NULL; LBFGSD_ERROR_SIZE;
 *         LBFGSD_ERROR_OPTION, also for mode torch where there are bounds or an L1 term. A running
 *         step keeps the options that it began with.
 */
lbfgsd_status lbfgsd_set_options(
    lbfgsd_optimizer *optimizer, const lbfgsd_options *options, lbfgsd_error *error);

/**
 * Replaces the bounds l <= x <= u. Numbers outside are moved to their bound; no point outside is
 * ever asked for, and a point at a bound is the bound, with the same bits. The history stays. O(n).
 *
 * @param lower  n lower bounds, -INFINITY where there is none; NULL: no lower bounds.
 * @param upper  n upper bounds, INFINITY where there is none; NULL: no upper bounds. Equal bounds
 *               fix a number. In float32 bounds are rounded inwards.
 * @return LBFGSD_OK; LBFGSD_ERROR_NULL; LBFGSD_ERROR_ORDER while a step runs; LBFGSD_ERROR_BOUNDS
 *         for NaN, a lower bound above its upper one, a lower bound of INFINITY or an upper one of
 *         -INFINITY, and for mode torch.
 */
lbfgsd_status lbfgsd_set_bounds(
    lbfgsd_optimizer *optimizer, const double *lower, const double *upper, lbfgsd_error *error);

/** As lbfgsd_set_bounds(), with the same bounds for all numbers, which takes no memory. */
lbfgsd_status lbfgsd_set_uniform_bounds(
    lbfgsd_optimizer *optimizer, double lower, double upper, lbfgsd_error *error);

/**
 * Replaces the weights of the term sum_i w_i |x_i|, which the library adds to the loss: the program
 * evaluates f without it, and results have it. It makes numbers exactly 0. O(n).
 *
 * @param weights  n finite numbers of at least 0; NULL: no term.
 * @return LBFGSD_OK; LBFGSD_ERROR_NULL; LBFGSD_ERROR_ORDER while a step runs; LBFGSD_ERROR_BOUNDS
 *         for weights that are negative or not finite, and for mode torch.
 */
lbfgsd_status lbfgsd_set_l1(
    lbfgsd_optimizer *optimizer, const double *weights, lbfgsd_error *error);

/** As lbfgsd_set_l1(), with the same weight for all numbers. */
lbfgsd_status lbfgsd_set_uniform_l1(
    lbfgsd_optimizer *optimizer, double weight, lbfgsd_error *error);

/**
 * Replaces x and keeps the history. Numbers outside the bounds are moved to their bound. O(n).
 *
 * @param x  n finite numbers.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL, LBFGSD_ERROR_NOT_FINITE, LBFGSD_ERROR_PRECISION, or
 *         LBFGSD_ERROR_ORDER while a step runs.
 */
lbfgsd_status lbfgsd_set_x(lbfgsd_optimizer *optimizer, const double *x, lbfgsd_error *error);
/** As lbfgsd_set_x(), in float32. */
lbfgsd_status lbfgsd_set_x_f32(lbfgsd_optimizer *optimizer, const float *x, lbfgsd_error *error);

/* ----------------------------------------------------------------------- Reverse communication */

/**
 * Begins a step: a run that ends when a tolerance is met or a budget is spent. In mode torch it is
 * one call of torch's optimizer.step(closure). Steps may follow one another; history and counts go
 * on. O(1), or O(m n) where the evaluation of the step before is used again.
 *
 * @param options  options for this step alone, or NULL for those of the optimizer.
 * @return LBFGSD_EVALUATE; LBFGSD_FINISHED if there is nothing to do; LBFGSD_ERROR_NULL;
 *         LBFGSD_ERROR_ORDER if a step runs; LBFGSD_ERROR_OPTION or LBFGSD_ERROR_SIZE.
 */
lbfgsd_status lbfgsd_begin(
    lbfgsd_optimizer *optimizer, const lbfgsd_options *options, lbfgsd_error *error);

/** The point at which an evaluation is wanted, n numbers in the optimizer's own memory; NULL if
 *  none is wanted or the precision is float32. Valid, and unchanged, until the next call of a
 *  function that takes the optimizer without const. O(1). */
const double *lbfgsd_point(const lbfgsd_optimizer *optimizer);
/** As lbfgsd_point(), in float32. */
const float *lbfgsd_point_f32(const lbfgsd_optimizer *optimizer);

/** Memory for the gradient at lbfgsd_point(), n numbers, which lbfgsd_advance() takes without
 *  copying them. To use it is optional. All of it must be written. NULL if no evaluation is wanted
 *  or the precision is float32. Valid until lbfgsd_advance() or lbfgsd_stop(). O(1). */
double *lbfgsd_gradient_buffer(lbfgsd_optimizer *optimizer);
/** As lbfgsd_gradient_buffer(), in float32. */
float *lbfgsd_gradient_buffer_f32(lbfgsd_optimizer *optimizer);

/**
 * Answers the evaluation that is wanted. O(n) within a line search, O(m n) where an iteration ends.
 *
 * A loss or a gradient that is not finite is no error: it says that the function is undefined
 * there, and the line search contracts.
 *
 * @param loss      f at lbfgsd_point(), without the L1 term.
 * @param gradient  the gradient of f there, n numbers, or lbfgsd_gradient_buffer(). It may be NULL
 *                  if the loss is not finite.
 * @return LBFGSD_EVALUATE, LBFGSD_FINISHED, LBFGSD_ERROR_NULL, LBFGSD_ERROR_PRECISION, or
 *         LBFGSD_ERROR_ORDER if no step runs.
 */
lbfgsd_status lbfgsd_advance(
    lbfgsd_optimizer *optimizer, double loss, const double *gradient, lbfgsd_error *error);
/** As lbfgsd_advance(), with a gradient in float32. */
lbfgsd_status lbfgsd_advance_f32(
    lbfgsd_optimizer *optimizer, double loss, const float *gradient, lbfgsd_error *error);

/**
 * As lbfgsd_advance(), and writes where the next evaluation is wanted or, if the step is over, x.
 *
 * @param x  receives n numbers; unchanged if there is an error.
 */
lbfgsd_status lbfgsd_advance_to(
    lbfgsd_optimizer *optimizer, double loss, const double *gradient, double *x,
    lbfgsd_error *error);
/** As lbfgsd_advance_to(), in float32. */
lbfgsd_status lbfgsd_advance_to_f32(
    lbfgsd_optimizer *optimizer, double loss, const float *gradient, float *x,
    lbfgsd_error *error);

/**
 * Ends the running step now, at the best point it has seen. The next step goes on from there. O(n).
 *
 * @return LBFGSD_FINISHED, LBFGSD_ERROR_NULL, or LBFGSD_ERROR_ORDER if no step runs.
 */
lbfgsd_status lbfgsd_stop(lbfgsd_optimizer *optimizer, lbfgsd_error *error);

/* ------------------------------------------------------------------------------------- Results */

/** Why a step ended. */
typedef enum lbfgsd_reason {
    /** No step has ended yet, or one is running. */
    LBFGSD_REASON_NONE = 0,
    /** The gradient's norm is within tolerance_grad or tolerance_grad_relative: converged. */
    LBFGSD_REASON_GRADIENT_TOLERANCE = 1,
    /** The parameters change by no more than tolerance_change: converged. */
    LBFGSD_REASON_STEP_TOLERANCE = 2,
    /** The loss changes by too little for tolerance_change or tolerance_loss_relative:
     *  converged. */
    LBFGSD_REASON_LOSS_TOLERANCE = 3,
    /** max_iter iterations were made. */
    LBFGSD_REASON_MAX_ITERATIONS = 4,
    /** max_eval evaluations were made. */
    LBFGSD_REASON_MAX_EVALUATIONS = 5,
    /** The direction does not descend (in mode torch: by no more than tolerance_change). */
    LBFGSD_REASON_NOT_A_DESCENT_DIRECTION = 6,
    /** Loss or gradient are not finite where the step had to go. */
    LBFGSD_REASON_NON_FINITE = 7,
    /** The line search found no acceptable point, not even along the gradient. Loss or gradient may
     *  be wrong or less precise than `noise` says, or x is a minimum as far as they can tell. */
    LBFGSD_REASON_LINE_SEARCH_FAILED = 8,
    /** Mode robust: only noise is left. For a hundred iterations neither the loss nor the gradient
     *  fell beyond it. */
    LBFGSD_REASON_WITHIN_NOISE = 9,
    /** lbfgsd_stop() was called, or a callback asked for it. */
    LBFGSD_REASON_STOPPED = 10
} lbfgsd_reason;

/** The result of a step. Losses have the L1 term. NaN: not known. */
typedef struct lbfgsd_result {
    /** sizeof(lbfgsd_result), which the program writes before the call. */
    size_t size;
    /** An lbfgsd_reason. */
    int32_t reason;
    /** 1 if a tolerance was met, else 0. */
    int32_t converged;
    /** The iterations of the step. */
    int64_t iterations;
    /** The evaluations of the step. */
    int64_t evaluations;
    /** The iterations of all steps. */
    int64_t total_iterations;
    /** The evaluations of all steps. */
    int64_t total_evaluations;
    /** The loss where the step began. */
    double loss_before;
    /** The loss at lbfgsd_x(). In mode torch without a line search the last of max_iter moves is
     *  not evaluated, as in torch: this is then the loss before it. */
    double loss;
    /** max_i |g_i| where `loss` was measured. */
    double gradient_norm_inf;
    /** The same of the projected gradient, which tolerance_grad is on; NaN without bounds and L1
     *  term. */
    double projected_gradient_norm_inf;
    /** How many numbers are at a bound; -1 without bounds and L1 term. */
    int64_t active_bounds;
    /** The lowest loss of all evaluations; NaN if none was finite. */
    double best_loss;
    /** The trials of the line search that failed, if that is the reason; else 0. */
    int64_t failed_search_trials;
    /** Its lowest loss minus that where it began; NaN if no trial was finite. */
    double failed_search_loss_change;
    /** The change of the loss that counted as noise in it. */
    double failed_search_loss_noise;
    /** g.d where it began. */
    double failed_search_slope;
    /** ||d||_inf. */
    double failed_search_direction_norm_inf;
    /** The step lengths between which it ended. */
    double failed_search_step_length_lower, failed_search_step_length_upper;
} lbfgsd_result;

/**
 * Gets the result of the step that ended last or, while a step runs, what it has done so far: the
 * reason is then LBFGSD_REASON_NONE. O(1), and O(n) while a step with bounds runs.
 *
 * @param result  its field `size` must be set.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL, LBFGSD_ERROR_SIZE, or LBFGSD_ERROR_ORDER if there has been
 *         no step yet.
 */
lbfgsd_status lbfgsd_get_result(
    const lbfgsd_optimizer *optimizer, lbfgsd_result *result, lbfgsd_error *error);

/** The name of an lbfgsd_reason, for example "gradient_tolerance"; NULL for another number. Valid
 *  forever. */
const char *lbfgsd_reason_name(int32_t reason);

/** The name of an lbfgsd_status, for example "LBFGSD_ERROR_ORDER"; NULL for another number. Valid
 *  forever. */
const char *lbfgsd_status_name(int32_t status);

/** x, the last point that was accepted, n numbers in the optimizer's own memory; NULL if the
 *  precision is float32. Valid as that of lbfgsd_point(). O(1). */
const double *lbfgsd_x(const lbfgsd_optimizer *optimizer);
/** As lbfgsd_x(), in float32. */
const float *lbfgsd_x_f32(const lbfgsd_optimizer *optimizer);

/** The gradient of f at lbfgsd_x(), n numbers in the optimizer's own memory; NULL if it is not
 *  known or the precision is float32. Valid as that of lbfgsd_point(). O(1). */
const double *lbfgsd_x_gradient(const lbfgsd_optimizer *optimizer);
/** As lbfgsd_x_gradient(), in float32. */
const float *lbfgsd_x_gradient_f32(const lbfgsd_optimizer *optimizer);

/** A number that is at a bound. */
typedef struct lbfgsd_active_bound {
    /** Its index, from 0. */
    size_t index;
    /** -1: at the lower bound; 1: at the upper bound; 0: at both, as they are equal. */
    int64_t side;
    /** The multiplier of the bound, which is the gradient there: at least 0 at a lower bound that
     *  keeps the loss from decreasing, at most 0 at such an upper bound. NaN if not known. */
    double multiplier;
} lbfgsd_active_bound;

/**
 * Writes which numbers of x are at a bound, in the order of their indices. O(n).
 *
 * @param active    receives up to `capacity` of them; may be NULL if that is 0.
 * @param capacity  how many `active` has memory for.
 * @param count     receives how many there are, which may be more.
 * @return LBFGSD_OK or LBFGSD_ERROR_NULL.
 */
lbfgsd_status lbfgsd_get_active_bounds(
    const lbfgsd_optimizer *optimizer, lbfgsd_active_bound *active, size_t capacity,
    size_t *count, lbfgsd_error *error);

/**
 * Writes the curvature pairs of the history, oldest first: the steps s_i and the changes of the
 * gradient y_i along them, of which the inverse Hessian is approximated. O(m n).
 *
 * @param s         receives up to `capacity` vectors of n numbers, one after the other; may be NULL
 *                  if that is 0.
 * @param y         likewise.
 * @param capacity  how many vectors there is memory for.
 * @param count     receives how many pairs there are, which may be more.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL, or LBFGSD_ERROR_PRECISION for an optimizer in float32.
 */
lbfgsd_status lbfgsd_get_pairs(
    const lbfgsd_optimizer *optimizer, double *s, double *y, size_t capacity, size_t *count,
    lbfgsd_error *error);

/* ----------------------------------------------------------------------------------- Snapshots */

/** How many bytes lbfgsd_snapshot() writes now; 0 for NULL. O(m^2). */
size_t lbfgsd_snapshot_size(const lbfgsd_optimizer *optimizer);

/**
 * Writes the whole state, possible between any two calls, to bytes that lbfgsd_restore() reads on
 * any machine. They have a checksum; docs/design/engine-snapshot.md describes them. O(m n).
 *
 * @param bytes     receives the snapshot.
 * @param capacity  how many bytes there is memory for; lbfgsd_snapshot_size() at least.
 * @param size      receives how many bytes were written.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL or LBFGSD_ERROR_ROOM.
 */
lbfgsd_status lbfgsd_snapshot(
    const lbfgsd_optimizer *optimizer, void *bytes, size_t capacity, size_t *size,
    lbfgsd_error *error);

/**
 * Creates an optimizer from a snapshot. It goes on where that was taken, with the same bits: if an
 * evaluation was wanted, lbfgsd_point() is the same. The bytes may come from anywhere: all that is
 * accepted can be used safely. O(m n).
 *
 * @param optimizer  receives the optimizer, or NULL if there is an error. The caller destroys it.
 * @param bytes      the snapshot, which is copied.
 * @param size       how many bytes it has.
 * @return LBFGSD_EVALUATE if an evaluation is wanted at lbfgsd_point(), LBFGSD_OK if no step runs,
 *         LBFGSD_ERROR_NULL or LBFGSD_ERROR_SNAPSHOT.
 */
lbfgsd_status lbfgsd_restore(
    lbfgsd_optimizer **optimizer, const void *bytes, size_t size, lbfgsd_error *error);

/* ------------------------------------------------------------------------------ torch's states */

/**
 * What torch.optim.LBFGS.state_dict() has under "state", with torch's names. Vectors are in the
 * optimizer's precision.
 */
typedef struct lbfgsd_torch_state {
    /** sizeof(lbfgsd_torch_state). */
    size_t size;
    /** The evaluations and the iterations of all steps. */
    int64_t func_evals, n_iter;
    /** The last direction and the gradient before it, n numbers each, or NULL. */
    const void *d, *prev_flat_grad;
    /** The y's and the s's, which torch calls dirs and steps, `pair_count` vectors each, one after
     *  the other, oldest first; NULL: none. */
    const void *old_dirs, *old_stps;
    size_t pair_count;
    /** The last step length, the scale of the initial inverse Hessian, and the loss before the last
     *  direction; NaN: none. */
    double t, h_diag, prev_loss;
    /** The coefficients alpha of the last direction that are not None, or NULL. */
    const double *al;
    size_t al_count;
} lbfgsd_torch_state;

/**
 * Replaces history and counts by those of torch's optimizer. x and the options stay. What torch's
 * state has beside can be read from a snapshot. O(m^2 n).
 *
 * @param state  the state; NULL: that of a new optimizer.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL, LBFGSD_ERROR_SIZE, LBFGSD_ERROR_STATE, or
 *         LBFGSD_ERROR_ORDER while a step runs.
 */
lbfgsd_status lbfgsd_load_torch_state(
    lbfgsd_optimizer *optimizer, const lbfgsd_torch_state *state, lbfgsd_error *error);

/* ------------------------------------------------------------------- Vectors that live elsewhere */

/**
 * An optimizer whose vectors live on workers (ranks, devices, nodes), in any number and length. It
 * sees only dot products of them, and answers with commands. Memory: O(m^2).
 *
 * One process, the coordinator, has it. Each worker holds slices of x, of a direction d, of the
 * gradients g (at x) and h (where the line began), of the gradients of some trials, and of up to m
 * pairs (s_i, y_i). For each command every worker changes its slices as the command says, evaluates
 * its part of the loss and its slice of the gradient, and reports dot products over its slice. The
 * coordinator adds these up in the order of the workers and advances. All modes and line searches
 * are those of lbfgsd_optimizer; there are neither bounds nor an L1 term, and history_size is fixed.
 */
typedef struct lbfgsd_coordinator lbfgsd_coordinator;

/** The fixed numbers of a report; see lbfgsd_coordinator_advance(). */
#define LBFGSD_REPORT_FIXED 10
/** The fixed numbers of a command; see lbfgsd_coordinator_command(). */
#define LBFGSD_COMMAND_FIXED 14

/**
 * Creates a coordinator with an empty history. O(1).
 *
 * @param dtype    the precision in which workers store vectors, LBFGSD_FLOAT64 or LBFGSD_FLOAT32,
 *                 which mode robust takes for that of the evaluation.
 * @param options  the options of all steps, or NULL.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL, LBFGSD_ERROR_OPTION or LBFGSD_ERROR_SIZE.
 */
lbfgsd_status lbfgsd_coordinator_create(
    lbfgsd_coordinator **coordinator, int32_t dtype, const lbfgsd_options *options,
    lbfgsd_error *error);

/** Destroys a coordinator. NULL is allowed. */
void lbfgsd_coordinator_destroy(lbfgsd_coordinator *coordinator);

/** How many pairs the workers have once they have executed the newest command; 0 for NULL. */
size_t lbfgsd_coordinator_pairs(const lbfgsd_coordinator *coordinator);

/** Begins a step; see lbfgsd_begin(). There is a new command then. */
lbfgsd_status lbfgsd_coordinator_begin(
    lbfgsd_coordinator *coordinator, const lbfgsd_options *options, lbfgsd_error *error);

/**
 * Writes the newest command: LBFGSD_COMMAND_FIXED numbers, then for each of the k pairs the
 * coefficient of s_i, oldest first, then that of each y_i. All is in Float64; NaN stands for
 * nothing. A worker does what it says in this order:
 *
 *      0  number     1, 2, 3 ...: each command is executed once, in the order of numbers
 *      1  save       unless NaN: keep a copy of x + t d (x for 0) with this t, for `restore`
 *      2  accept     unless NaN: x = x + t d, and g = the gradient of the trial at this t, if there
 *                    is one; then forget all gradients of trials. 0: g = the gradient of the
 *                    evaluation at x
 *      3  restore    1: x = the copy
 *      4  clear      1: drop all pairs
 *      5  push       1: append the pair s = t d, y = g - h, with the t of the last move
 *      6  drop       1: drop the oldest pair
 *      7  direction  1: d = c g, then for each pair, oldest first, d = d + a_i s_i + b_i y_i with
 *                    the coefficients that follow, in Float64, rounded once; then h = g
 *      8  c
 *      9  move       unless NaN: x = x + t d, without a gradient
 *     10  trial      unless NaN: evaluate at x + t d with this t (x for 0), keep the gradient as
 *                    that of the trial at t, and report. NaN: the step is over
 *     11  retain     up to three t, NaN where there are fewer: gradients of other trials can be
 *     12             dropped
 *     13
 *
 * @param command   receives the numbers.
 * @param capacity  for how many there is memory: LBFGSD_COMMAND_FIXED + 2 k at least.
 * @param count     receives how many were written.
 * @return LBFGSD_OK, LBFGSD_ERROR_NULL, LBFGSD_ERROR_ROOM, or LBFGSD_ERROR_ORDER before the first
 *         step.
 */
lbfgsd_status lbfgsd_coordinator_command(
    const lbfgsd_coordinator *coordinator, double *command, size_t capacity, size_t *count,
    lbfgsd_error *error);

/**
 * Answers the newest command by the sums of the workers' reports. O(m^2).
 *
 * With g the gradient at the trial and v = g - h (0 before the first direction), the numbers are
 *
 *     g.d  h.d  v.d  d.d  v.v  v.g  g.g  ||g||_inf  ||g||_1  ||d||_inf
 *
 * and then for each of the k pairs, oldest first: s_i.g, then for each y_i.g, s_i.v, y_i.v. Norms
 * in the maximum norm are not added, but their largest is taken. Without a direction the numbers
 * with d and v are 0.
 *
 * @param loss    f at the trial; NaN where it is undefined.
 * @param report  the numbers; NULL if the loss is not finite.
 * @param count   how many: LBFGSD_REPORT_FIXED + 4 k.
 * @return LBFGSD_EVALUATE or LBFGSD_FINISHED, with a new command in either case;
 *         LBFGSD_ERROR_NULL; LBFGSD_ERROR_COUNT; LBFGSD_ERROR_ORDER if no step runs.
 */
lbfgsd_status lbfgsd_coordinator_advance(
    lbfgsd_coordinator *coordinator, double loss, const double *report, size_t count,
    lbfgsd_error *error);

/** Ends the running step at its best point; there is a new command. See lbfgsd_stop(). */
lbfgsd_status lbfgsd_coordinator_stop(lbfgsd_coordinator *coordinator, lbfgsd_error *error);

/** Gets the result of the last step, or so far; see lbfgsd_get_result(). */
lbfgsd_status lbfgsd_coordinator_get_result(
    const lbfgsd_coordinator *coordinator, lbfgsd_result *result, lbfgsd_error *error);

/** How many bytes lbfgsd_coordinator_snapshot() writes now; 0 for NULL. O(m^2). */
size_t lbfgsd_coordinator_snapshot_size(const lbfgsd_coordinator *coordinator);

/** Writes the whole state, as lbfgsd_snapshot() does; O(m^2). The workers' slices are not in it. */
lbfgsd_status lbfgsd_coordinator_snapshot(
    const lbfgsd_coordinator *coordinator, void *bytes, size_t capacity, size_t *size,
    lbfgsd_error *error);

/** Creates a coordinator from a snapshot, as lbfgsd_restore() does. It has the same command. */
lbfgsd_status lbfgsd_coordinator_restore(
    lbfgsd_coordinator **coordinator, const void *bytes, size_t size, lbfgsd_error *error);

/* ----------------------------------------------------------------------------------- Callbacks */

/**
 * Evaluates the function.
 *
 * @param instance  what the program passed.
 * @param n         how many numbers x and g have.
 * @param x         the point. It must not be changed.
 * @param loss      receives f(x); NaN where f is undefined.
 * @param g         receives the gradient; all of it must be written, unless the loss is NaN.
 * @return 0; another number ends the run at the best point before this one.
 */
typedef int (*lbfgsd_evaluate)(
    void *instance, size_t n, const double *x, double *loss, double *g);
/** As lbfgsd_evaluate, in float32. */
typedef int (*lbfgsd_evaluate_f32)(
    void *instance, size_t n, const float *x, double *loss, float *g);

/**
 * Called after each iteration but the last. It may call the functions that take the optimizer with
 * const, lbfgsd_x() and lbfgsd_get_result() for example.
 *
 * @return 0; another number ends the run at the best point.
 */
typedef int (*lbfgsd_progress)(void *instance, const lbfgsd_optimizer *optimizer);

/**
 * Runs a step with a callback. If a step is running already, because the optimizer was restored for
 * example, it goes on.
 *
 * @param evaluate  evaluates the function. It must return (no exception, no longjmp), and must not
 *                  use the optimizer.
 * @param progress  called after each iteration, or NULL.
 * @param instance  passed on to both.
 * @return LBFGSD_FINISHED; LBFGSD_ERROR_NULL; LBFGSD_ERROR_PRECISION; LBFGSD_ERROR_ORDER if a
 *         callback has driven the optimizer itself.
 */
lbfgsd_status lbfgsd_run(
    lbfgsd_optimizer *optimizer, lbfgsd_evaluate evaluate, lbfgsd_progress progress,
    void *instance, lbfgsd_error *error);
/** As lbfgsd_run(), in float32. */
lbfgsd_status lbfgsd_run_f32(
    lbfgsd_optimizer *optimizer, lbfgsd_evaluate_f32 evaluate, lbfgsd_progress progress,
    void *instance, lbfgsd_error *error);

/**
 * Minimizes a function in one call: creates an optimizer, sets its bounds, runs it, and destroys
 * it.
 *
 * @param n         how many numbers x has; at least 1.
 * @param x         the point to start at; receives the point where the run ended.
 * @param lower     n lower bounds, or NULL: see lbfgsd_set_bounds().
 * @param upper     n upper bounds, or NULL.
 * @param evaluate  evaluates the function: see lbfgsd_run().
 * @param progress  called after each iteration, or NULL.
 * @param instance  passed on to both.
 * @param options   the options, or NULL.
 * @param result    receives the result, with the field `size` set before; or NULL.
 * @param error     receives what is wrong, or NULL.
 * @return LBFGSD_FINISHED, or an error of lbfgsd_create(), lbfgsd_set_bounds() or lbfgsd_run().
 */
lbfgsd_status lbfgsd_minimize(
    size_t n, double *x, const double *lower, const double *upper, lbfgsd_evaluate evaluate,
    lbfgsd_progress progress, void *instance, const lbfgsd_options *options,
    lbfgsd_result *result, lbfgsd_error *error);
/** As lbfgsd_minimize(), in float32; bounds are float64. */
lbfgsd_status lbfgsd_minimize_f32(
    size_t n, float *x, const double *lower, const double *upper, lbfgsd_evaluate_f32 evaluate,
    lbfgsd_progress progress, void *instance, const lbfgsd_options *options,
    lbfgsd_result *result, lbfgsd_error *error);

/** The version of the library, for example "0.1.0". Valid forever. */
const char *lbfgsd_version(void);

#ifdef __cplusplus
}
#endif

#endif
