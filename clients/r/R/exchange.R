# Requests, sent until they are answered.

RETRIED <- c(408L, 429L, 502L, 503L, 504L)
# With these the request may have been carried out all the same.
LOST_REPLIES <- c(408L, 502L, 504L)

OCTETS <- "application/octet-stream"
JSON <- "application/json"

# A request that is not sent yet. `content` is a raw vector, `wait` how many seconds the server may
# delay its reply on purpose.
new_request <- function(client, method, path, accept = JSON, content = NULL, type = JSON,
                        wait = 0) {
    patience <- ceiling(client$timeout + wait)
    request <- request(paste0(client$url, path))
    request <- req_method(request, method)
    request <- req_user_agent(request, "lbfgsd-r")
    request <- req_headers(request, Accept = accept)
    # An attempt is given up after so many seconds without progress.
    request <- req_options(
        request,
        followlocation = 0L, connecttimeout = patience, low_speed_limit = 1L,
        low_speed_time = patience
    )
    # On a connection that was used before, libcurl would repeat a request whose reply is lost by
    # itself, and the 404 of the repetition would look like that of a first attempt.
    if (method == "DELETE") request <- req_options(request, fresh_connect = 1L)
    if (!is.null(client$unix_socket)) {
        request <- req_options(request, unix_socket_path = client$unix_socket)
    }
    if (!is.null(client$token)) {
        request <- req_headers(request, Authorization = paste("Bearer", client$token))
    }
    if (method == "POST") {
        key <- paste(format(rand_bytes(16)), collapse = "")
        request <- req_headers(request, `Idempotency-Key` = key)
    }
    if (wait > 0) {
        request <- req_headers(request, Prefer = paste0("wait=", max(1, round(wait))))
    }
    if (!is.null(content)) {
        request <- req_body_raw(request, content, type)
        # The body has made it a POST.
        request <- req_method(request, method)
    }
    # httr2 has neither a deadline for attempts that fail, nor a pause only between them: it makes one
    # attempt, after which it does not wait.
    request <- req_retry(
        request,
        max_tries = 1, is_transient = function(response) FALSE, backoff = function(attempt) 0
    )
    req_error(request, is_error = function(response) FALSE)
}

# Sends a request until it is answered; returns the response, or signals why there is none.
exchange <- function(client, method, path, ...) {
    request <- new_request(client, method, path, ...)
    began <- now()
    attempt <- 0
    lost <- FALSE
    repeat {
        response <- tryCatch(req_perform(request), error = identity)
        answered <- !inherits(response, "error")
        status <- if (answered) response$status_code else 0L
        if (answered) client$state$has_answered <- TRUE
        if (status == 404L && lost && method == "DELETE") return(response)
        if (answered && !(status %in% RETRIED)) {
            if (status >= 400L) refuse(response)
            if (status >= 300L) bad_reply(method, " ", path, ": status ", status)
            return(response)
        }
        lost <- lost || !answered || status %in% LOST_REPLIES
        least <- if (answered) retry_after_seconds(response) else 0
        pause <- pause_before_next(client, attempt, now() - began, least)
        if (is.null(pause)) {
            if (answered) refuse(response)
            how <- if (client$state$has_answered) " answers no more: " else " does not answer: "
            signal("lbfgsd_connection_failed", paste0(client$url, how, explained(response)))
        }
        Sys.sleep(pause)
        attempt <- attempt + 1
    }
}

# The seconds before the next attempt; NULL if the deadline passes before it. `least` is what the
# server asks for.
pause_before_next <- function(client, attempt, elapsed, least) {
    retry <- client$retry
    deadline <- retry$deadline
    if (!client$state$has_answered) deadline <- min(deadline, retry$first_deadline)
    left <- deadline - elapsed
    if (left <= 0 || least > left) return(NULL)
    longest <- min(retry$pause_max, retry$pause_initial * 2^min(attempt, 60))
    # Shortened at random by up to a half, so that clients don't come back all at once; not by R's
    # generator, whose numbers are the caller's.
    min(left, least + longest * (0.5 + 0.5 * rand_num(1)))
}

retry_after_seconds <- function(response) {
    text <- header(response, "Retry-After")
    if (is.na(text)) return(0)
    if (grepl("^[0-9]+$", text)) return(as.numeric(text))
    when <- tryCatch(
        suppressWarnings(resp_retry_after(response)),
        error = function(error) NA_real_
    )
    if (is.na(when)) 0 else max(0, when)
}

# httr2 says in the parent of its error what libcurl has said.
explained <- function(error) {
    messages <- conditionMessage(error)
    if (inherits(error$parent, "condition")) messages <- conditionMessage(error$parent)
    gsub("[[:space:]]+", " ", messages)
}

now <- function() proc.time()[["elapsed"]]
