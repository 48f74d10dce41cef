# Carries out the commands of the contract suite, Tests/integration/clients, one a line. The answer
# is a line of fields: "ok" or "error", then KEY=VALUE. Vectors are the hexadecimal digits of
# doubles, 16 each; "-" stands for what is not there.

library(lbfgsd)

client <- NULL
turn <- NULL

or_null <- function(word) if (word == "-") NULL else word

vector_of_word <- function(word) {
    if (word == "-") return(NULL)
    starts <- seq(1, nchar(word), 2)
    bytes <- as.raw(strtoi(substring(word, starts, starts + 1), 16L))
    readBin(bytes, "double", length(bytes) / 8, endian = "big")
}

digits <- function(x) paste(format(writeBin(as.double(x), raw(), endian = "big")), collapse = "")

result_fields <- function(result) {
    c(
        paste0("reason=", result$reason), paste0("converged=", as.integer(result$converged)),
        paste0("iterations=", result$iterations), paste0("evaluations=", result$evaluations),
        paste0("loss=", digits(if (is.na(result$loss)) NaN else result$loss))
    )
}

turn_fields <- function(newest) {
    turn <<- newest
    c(
        paste0("session=", turn$session), paste0("state=", turn$state),
        paste0("step=", turn$step),
        paste0("evaluation=", if (is.na(turn$evaluation)) 0 else turn$evaluation),
        paste0("dtype=", turn$dtype), paste0("replayed=", as.integer(turn$replayed)),
        if (!is.null(turn$result)) result_fields(turn$result),
        paste0("x=", digits(turn$x))
    )
}

minimum_fields <- function(found) {
    c(
        paste0("session=", found$session), paste0("calls=", found$counts[["function"]]),
        result_fields(found$result), paste0("x=", digits(found$par))
    )
}

# The chained Rosenbrock function. sum() would add in another precision.
rosenbrock <- function(x, limit = Inf) {
    if (x[1] > limit) lbfgsd_infeasible()
    loss <- 0
    gradient <- numeric(length(x))
    for (i in seq_len(length(x) - 1)) {
        rise <- x[i + 1] - x[i] * x[i]
        rest <- 1 - x[i]
        loss <- loss + (100 * (rise * rise) + rest * rest)
        gradient[i] <- gradient[i] + (-400 * x[i] * rise - 2 * rest)
        gradient[i + 1] <- gradient[i + 1] + 200 * rise
    }
    structure(loss, gradient = gradient)
}

asked_as <- function(session, number) {
    asked <- lbfgsd_ask(client, session)
    asked$evaluation <- as.numeric(number)
    asked
}

commands <- list(
    open = function(url, token, socket, deadline, first_deadline, timeout) {
        retry <- lbfgsd_retry(as.numeric(deadline), as.numeric(first_deadline), 0.02, 0.2)
        client <<- lbfgsd_client(
            url, or_null(token), or_null(socket), as.numeric(timeout), retry
        )
        NULL
    },
    create = function(dtype, name, label, options, lower, upper, x) {
        labels <- NULL
        if (label != "-") {
            parts <- strsplit(label, ":")[[1]]
            labels <- structure(list(parts[2]), names = parts[1])
        }
        options <- if (options != "-") jsonlite::fromJSON(options)
        session <- lbfgsd_create(
            client, vector_of_word(x), vector_of_word(lower), vector_of_word(upper),
            options = options, name = or_null(name), labels = labels, dtype = dtype
        )
        paste0("session=", session)
    },
    begin = function(session) turn_fields(lbfgsd_begin(client, session)),
    ask = function(session) turn_fields(lbfgsd_ask(client, session)),
    stop = function(session) turn_fields(lbfgsd_stop(client, session)),
    `next` = function() {
        told <- rosenbrock(turn$x)
        turn_fields(lbfgsd_tell(client, turn, told, attr(told, "gradient")))
    },
    tell = function(session, number, loss, gradient) {
        asked <- asked_as(session, number)
        told <- lbfgsd_tell(client, asked, vector_of_word(loss), vector_of_word(gradient))
        turn_fields(told)
    },
    fail = function(session, number, ...) {
        turn_fields(lbfgsd_tell_failed(client, asked_as(session, number), paste(...)))
    },
    delete = function(session) {
        lbfgsd_delete(client, session)
        paste0("deleted=", session)
    },
    checkpoint = function(session) {
        paste0("checkpoint=", lbfgsd_checkpoint(client, session, "a \"name\""))
    },
    restore = function(session, checkpoint) {
        turn_fields(lbfgsd_restore(client, session, checkpoint))
    },
    fork = function(session, checkpoint) {
        paste0("session=", lbfgsd_fork(client, session, checkpoint))
    },
    parameters = function(session, n, dtype = NULL, x = NULL) {
        if (!is.null(x)) lbfgsd_set_parameters(client, session, vector_of_word(x), dtype)
        paste0("x=", digits(lbfgsd_parameters(client, session)))
    },
    minimize = function(dtype, limit, lower, upper, x) {
        most <- if (limit == "-") Inf else vector_of_word(limit)
        minimum_fields(lbfgsd_minimize(
            rosenbrock, NULL, vector_of_word(x), most,
            lower = vector_of_word(lower), upper = vector_of_word(upper), dtype = dtype,
            client = client
        ))
    },
    resume = function(session, n) {
        # In optim()'s form: a function, and another for its gradient.
        loss <- function(x) as.numeric(rosenbrock(x))
        gradient <- function(x) attr(rosenbrock(x), "gradient")
        minimum_fields(lbfgsd_resume(loss, gradient, session, client = client))
    },
    interrupt = function(most, x) {
        calls <- 0
        session <- NULL
        limited <- function(x) {
            calls <<- calls + 1
            if (calls > as.numeric(most)) stop("enough")
            rosenbrock(x)
        }
        said <- NULL
        withCallingHandlers(
            tryCatch(
                lbfgsd_minimize(limited, NULL, vector_of_word(x), client = client),
                simpleError = identity
            ),
            message = function(note) {
                said <<- conditionMessage(note)
                invokeRestart("muffleMessage")
            }
        )
        session <- sub("lbfgsd session ([^ ]*) .*\n", "\\1", said)
        c(paste0("calls=", calls), turn_fields(lbfgsd_ask(client, session)))
    },
    request = function(method, path) {
        reply <- lbfgsd_request(client, method, path)
        paste0("reply=", jsonlite::toJSON(reply, auto_unbox = TRUE, digits = NA))
    }
)

error_fields <- function(error) {
    kinds <- c(
        lbfgsd_problem = "problem", lbfgsd_connection_failed = "connection",
        lbfgsd_bad_reply = "bad-reply"
    )
    kind <- kinds[intersect(class(error), names(kinds))]
    field <- if (length(error$errors) > 0) error$errors[[1]]$field
    c(
        paste0("kind=", if (length(kind) == 1) kind else "invalid"),
        paste0("status=", if (is.null(error$status)) 0 else error$status),
        paste0("type=", error$type), paste0("field=", field),
        paste0("message=", gsub("\n", " ", conditionMessage(error)))
    )
}

input <- file("stdin", "r")
while (length(line <- readLines(input, 1)) > 0) {
    words <- strsplit(line, " ", fixed = TRUE)[[1]]
    answer <- tryCatch(
        c("ok", do.call(commands[[words[1]]], as.list(words[-1]))),
        error = function(error) c("error", error_fields(error))
    )
    cat(paste(answer, collapse = " "), "\n", sep = "")
    flush(stdout())
}
close(input)
