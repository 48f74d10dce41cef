# Whole runs, in the form of stats::optim().

# The tolerances and budgets of SciPy's L-BFGS-B.
MINIMIZE_OPTIONS <- list(
    mode = "robust",
    lr = 1,
    history_size = 100,
    tolerance_grad = 1e-5,
    tolerance_loss_relative = 2.2e-9,
    tolerance_change = 0,
    max_iter = 15000,
    max_eval = 15000
)

HOOK_POLL_SECONDS <- list(first = 0.02, longest = 1)

lbfgsd_minimize <- function(fn, gr = NULL, x0, ..., lower = NULL, upper = NULL, l1 = NULL,
                            options = list(), name = NULL, labels = NULL, dtype = "float64",
                            client = lbfgsd_client()) {
    options <- modifyList(MINIMIZE_OPTIONS, options)
    session <- lbfgsd_create(client, x0, lower, upper, l1, options, name, labels, dtype)
    run(client, lbfgsd_begin(client, session), fn, gr, ...)
}

lbfgsd_resume <- function(fn, gr = NULL, session, ..., client = lbfgsd_client()) {
    turn <- lbfgsd_ask(client, session)
    if (turn$state == "idle") turn <- lbfgsd_begin(client, session)
    run(client, turn, fn, gr, ...)
}

run <- function(client, turn, fn, gr, ...) {
    calls <- 0
    pause <- HOOK_POLL_SECONDS$first
    finished <- FALSE
    # An error of `fn` or an interrupt stops the step at its best point.
    on.exit(if (!finished) stop_interrupted(client, turn$session))
    while (turn$state != "idle") {
        if (turn$state == "awaiting_hook") {
            Sys.sleep(pause)
            pause <- min(2 * pause, HOOK_POLL_SECONDS$longest)
            turn <- lbfgsd_ask(client, turn$session)
        } else {
            calls <- calls + 1
            turn <- answer(client, turn, evaluate(fn, gr, turn$x, ...))
        }
    }
    finished <- TRUE
    result <- turn$result
    list(
        par = turn$x,
        value = result$loss,
        counts = c("function" = calls, gradient = calls),
        convergence = convergence_code(result),
        message = result$reason,
        result = result,
        session = turn$session
    )
}

# The loss with its gradient as an attribute, or a condition that says why there is none.
evaluate <- function(fn, gr, x, ...) {
    tryCatch(
        {
            loss <- fn(x, ...)
            if (is.null(gr)) loss else structure(loss, gradient = gr(x, ...))
        },
        lbfgsd_infeasible = identity
    )
}

answer <- function(client, turn, told) {
    tryCatch(
        if (inherits(told, "lbfgsd_infeasible")) {
            lbfgsd_tell_failed(client, turn, conditionMessage(told))
        } else {
            gradient <- attr(told, "gradient")
            if (length(gradient) != length(turn$x)) {
                stop("the gradient has ", length(gradient), " numbers, x ", length(turn$x))
            }
            lbfgsd_tell(client, turn, told, gradient)
        },
        lbfgsd_problem = function(problem) {
            closed <- c("/problems/already-told", "/problems/evaluation-closed")
            if (!(problem$type %in% closed)) stop(problem)
            # Another client works on this session too, or has stopped it.
            lbfgsd_ask(client, turn$session)
        }
    )
}

# What went wrong is known already; a second error would hide it.
stop_interrupted <- function(client, session) {
    client$retry$deadline <- min(client$retry$deadline, 5)
    stopped <- tryCatch(
        {
            lbfgsd_stop(client, session)
            "stopped at its best point"
        },
        lbfgsd_error = function(error) "left where it was"
    )
    message("lbfgsd session ", session, " was ", stopped, "; lbfgsd_resume() takes it up again.")
}

# As optim() has them: 1 for a budget that is used up, 52 for what L-BFGS-B calls an error.
convergence_code <- function(result) {
    if (result$converged) return(0L)
    if (result$reason %in% c("max_iterations", "max_evaluations", "stopped")) 1L else 52L
}
