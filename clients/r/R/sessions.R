# Operations on sessions.

# From so many numbers on a session is created with zeros, and its parameters follow as octets.
CREATED_WITH_ZEROS_FROM <- 16384L

session_path <- function(session, ...) {
    stopifnot(is.character(session), length(session) == 1, nzchar(session))
    segments <- vapply(c(session, ...), URLencode, "", reserved = TRUE)
    paste(c("/v1/sessions", segments), collapse = "/")
}

lbfgsd_create <- function(client, x0, lower = NULL, upper = NULL, l1 = NULL, options = NULL,
                          name = NULL, labels = NULL, dtype = c("float64", "float32")) {
    dtype <- match.arg(dtype)
    is_long <- length(x0) >= CREATED_WITH_ZEROS_FROM
    values <- if (is_long) list(fill = 0) else list(values = I(as.double(x0)))
    given <- function(...) Filter(Negate(is.null), list(...))
    parameter <- c(
        list(shape = I(length(x0))), values, given(lower = lower, upper = upper, l1 = l1)
    )
    document <- c(
        list(dtype = dtype, params = list(parameter)),
        given(name = name, labels = as_object(labels), options = as_object(options))
    )
    content <- json_content(document)
    session <- created_id(exchange(client, "POST", "/v1/sessions", content = content))
    if (is_long) {
        tryCatch(
            lbfgsd_set_parameters(client, session, x0, dtype),
            lbfgsd_problem = function(problem) {
                lbfgsd_delete(client, session)
                stop(problem)
            }
        )
    }
    session
}

as_object <- function(values) if (is.null(values)) NULL else as.list(values)

lbfgsd_delete <- function(client, session) {
    exchange(client, "DELETE", session_path(session))
    invisible(NULL)
}

# Steps and evaluations

post_for_turn <- function(client, ...) {
    turn_of(exchange(client, "POST", session_path(...), OCTETS, charToRaw("{}")))
}

lbfgsd_begin <- function(client, session) post_for_turn(client, session, "steps")

lbfgsd_stop <- function(client, session) post_for_turn(client, session, "stop")

lbfgsd_ask <- function(client, session, wait = 0) {
    turn_of(exchange(client, "GET", session_path(session, "evaluation"), OCTETS, wait = wait))
}

result_path <- function(turn) {
    if (is.na(turn$evaluation)) stop("the turn has no pending evaluation")
    session_path(turn$session, "evaluations", number_text(turn$evaluation), "result")
}

lbfgsd_tell <- function(client, turn, loss, gradient) {
    text <- URLencode(number_text(as.double(loss)), reserved = TRUE)
    path <- paste0(result_path(turn), "?loss=", text)
    content <- octets(gradient, turn$dtype)
    turn_of(exchange(client, "PUT", path, OCTETS, content, OCTETS))
}

lbfgsd_tell_failed <- function(client, turn, reason) {
    content <- json_content(list(failed = reason))
    turn_of(exchange(client, "PUT", result_path(turn), OCTETS, content))
}

# Parameters and checkpoints

lbfgsd_parameters <- function(client, session) {
    vector_of(exchange(client, "GET", session_path(session, "params"), OCTETS))
}

lbfgsd_set_parameters <- function(client, session, x, dtype = c("float64", "float32")) {
    content <- octets(x, match.arg(dtype))
    path <- session_path(session, "params")
    invisible(vector_of(exchange(client, "PUT", path, OCTETS, content, OCTETS)))
}

lbfgsd_checkpoint <- function(client, session, name = NULL) {
    content <- json_content(list(name = name))
    path <- session_path(session, "checkpoints")
    created_id(exchange(client, "POST", path, content = content))
}

lbfgsd_restore <- function(client, session, checkpoint) {
    post_for_turn(client, session, "checkpoints", checkpoint, "restore")
}

lbfgsd_fork <- function(client, session, checkpoint) {
    path <- session_path(session, "checkpoints", checkpoint, "fork")
    created_id(exchange(client, "POST", path, content = charToRaw("{}")))
}

# Anything else

lbfgsd_request <- function(client, method, path, document = NULL) {
    content <- if (!is.null(document)) json_content(document)
    response <- exchange(client, method, path, content = content)
    if (length(response$body) == 0) return(NULL)
    tryCatch(
        parse_json(response$body),
        error = function(error) bad_reply("not JSON: ", conditionMessage(error))
    )
}
