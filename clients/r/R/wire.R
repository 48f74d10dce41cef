# Values as bytes: JSON and octets, to and from.

# JSON whose numbers give the same bits when they are read. A named list is an object, numbers of
# class AsIs and those that are not one are an array.
json_text <- function(value) {
    if (is.null(value)) return("null")
    if (is.list(value)) {
        parts <- vapply(value, json_text, "")
        if (is.null(names(value)) && length(value) > 0) return(bracketed("[", parts, "]"))
        keys <- vapply(names(value), json_string, "")
        return(bracketed("{", paste0(keys, rep(":", length(keys)), parts), "}"))
    }
    parts <- if (is.character(value)) {
        vapply(value, json_string, "", USE.NAMES = FALSE)
    } else if (is.logical(value)) {
        ifelse(is.na(value), "null", ifelse(value, "true", "false"))
    } else {
        number_text(as.double(value), quote = "\"")
    }
    if (length(value) == 1 && !inherits(value, "AsIs")) parts else bracketed("[", parts, "]")
}

bracketed <- function(open, parts, close) paste0(open, paste(parts, collapse = ","), close)

json_string <- function(string) {
    as.character(toJSON(unbox(enc2utf8(string))))
}

# Numbers as the server reads them, those that are not finite by name.
number_text <- function(x, quote = "") {
    text <- sprintf("%.17g", x)
    special <- !is.finite(x)
    names <- ifelse(is.nan(x) | is.na(x), "NaN", ifelse(x > 0, "Infinity", "-Infinity"))
    text[special] <- paste0(quote, names[special], quote)
    text
}

json_content <- function(value) charToRaw(enc2utf8(json_text(value)))

parse_json <- function(body) {
    fromJSON(rawToChar(body), simplifyVector = FALSE)
}

width_of <- function(dtype) c(float64 = 8L, float32 = 4L)[[dtype]]

octets <- function(x, dtype) {
    writeBin(as.double(x), raw(), size = width_of(dtype), endian = "little")
}

header <- function(response, name) {
    value <- resp_header(response, name)
    if (is.null(value)) NA_character_ else value
}

# The vector of a reply.
vector_of <- function(response) {
    type <- trimws(sub(";.*", "", header(response, "Content-Type")))
    dtype <- header(response, "Lbfgsd-Dtype")
    count <- suppressWarnings(as.numeric(header(response, "Lbfgsd-Count")))
    if (!identical(type, OCTETS) || !(dtype %in% c("float64", "float32"))) {
        bad_reply("the reply has no octets")
    }
    if (is.na(count) || count * width_of(dtype) != length(response$body)) {
        bad_reply(length(response$body), " octets for ", count, " numbers")
    }
    readBin(response$body, "double", count, size = width_of(dtype), endian = "little")
}

turn_of <- function(response) {
    x <- vector_of(response)
    text <- function(name) header(response, paste0("Lbfgsd-", name))
    number <- function(name) as.numeric(text(name))
    session <- text("Session")
    state <- text("State")
    if (is.na(session) || !(state %in% c("idle", "evaluating", "awaiting_hook"))) {
        bad_reply("the reply is not a turn")
    }
    result <- NULL
    if (!is.na(text("Reason"))) {
        result <- list(
            reason = text("Reason"),
            converged = identical(text("Converged"), "true"),
            iterations = number("Iterations"),
            evaluations = number("Evaluations"),
            loss_before = number("Loss-Before"),
            loss = number("Loss"),
            gradient_norm_inf = number("Gradient-Norm-Inf"),
            projected_gradient_norm_inf = number("Projected-Gradient-Norm-Inf"),
            active_bounds = number("Active-Bounds")
        )
    }
    structure(
        list(
            session = session,
            state = state,
            dtype = text("Dtype"),
            step = number("Step"),
            evaluation = number("Evaluation"),
            x = x,
            replayed = identical(header(response, "Idempotent-Replayed"), "true"),
            result = result,
            etag = header(response, "ETag")
        ),
        class = "lbfgsd_turn"
    )
}

# The identifier of what a request has created.
created_id <- function(response) {
    location <- header(response, "Location")
    if (is.na(location)) bad_reply("the reply has no Location")
    basename(location)
}
