# The client, and the conditions that its functions signal.

lbfgsd_client <- function(url = NULL, token = NULL, unix_socket = NULL, timeout = 60,
                          retry = lbfgsd_retry()) {
    stopifnot(inherits(retry, "lbfgsd_retry"), timeout > 0)
    client <- list(
        url = sub("/+$", "", first_of(url, "LBFGSD_URL", "http://127.0.0.1:8080")),
        token = first_of(token, "LBFGSD_TOKEN", NULL),
        unix_socket = unix_socket,
        timeout = timeout,
        retry = retry,
        # Whether the server has ever answered this client, which its copies share.
        state = new.env(parent = emptyenv())
    )
    client$state$has_answered <- FALSE
    structure(client, class = "lbfgsd_client")
}

# The value, or that of an environment variable, or the default.
first_of <- function(value, variable, default) {
    if (!is.null(value)) return(value)
    found <- Sys.getenv(variable)
    if (nzchar(found)) found else default
}

lbfgsd_retry <- function(deadline = 300, first_deadline = 0, pause_initial = 0.1, pause_max = 10) {
    structure(
        list(
            deadline = deadline, first_deadline = first_deadline,
            pause_initial = pause_initial, pause_max = pause_max
        ),
        class = "lbfgsd_retry"
    )
}

# The token is not shown.
print.lbfgsd_client <- function(x, ...) {
    cat("<lbfgsd client of ", x$url, ">\n", sep = "")
    invisible(x)
}

# Conditions

signal <- function(class, message, ...) {
    classes <- c(class, "lbfgsd_error", "error", "condition")
    stop(structure(class = classes, list(message = message, call = NULL, ...)))
}

bad_reply <- function(...) signal("lbfgsd_bad_reply", paste0(...))

# Signals the refusal of the server, with its problem document (RFC 9457) if there is one.
refuse <- function(response) {
    document <- tryCatch(parse_json(response$body), error = function(error) NULL)
    if (!is.list(document)) document <- list()
    text <- function(key) {
        value <- document[[key]]
        if (is.character(value) && length(value) == 1) value else ""
    }
    status <- response$status_code
    said <- c(text("title"), text("detail"))
    message <- paste0(
        "status ", status, if (any(nzchar(said))) ": ", paste(said[nzchar(said)], collapse = ". ")
    )
    signal(
        "lbfgsd_problem", message,
        status = status, type = text("type"), title = text("title"), detail = text("detail"),
        errors = if (is.list(document$errors)) document$errors else list(), problem = document
    )
}

lbfgsd_infeasible <- function(reason = "infeasible") signal("lbfgsd_infeasible", reason)
