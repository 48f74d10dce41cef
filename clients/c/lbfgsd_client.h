/* lbfgsd_client.h: a client of lbfgsd in C99, in one file, over libcurl 7.68 or newer.

   Include it wherever it is used. In one C or C++ file, define LBFGSD_CLIENT_IMPLEMENTATION before
   that, and link with -lcurl. README.md beside this file has examples; the daemon's openapi.yaml
   describes what the operations do.

   Vectors travel as octets: they are sent from the caller's memory and received into that of a
   turn. Every request is repeated until it is answered or a deadline passes, which is safe: a
   result is identified by the number of its evaluation, and every POST has an Idempotency-Key.

   A client is used by one thread at a time.

   SPDX-License-Identifier: Apache-2.0 */

#ifndef LBFGSD_CLIENT_H
#define LBFGSD_CLIENT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call returns. lbfgsd_last_error() has the details. */
typedef enum lbfgsd_code {
    LBFGSD_OK = 0,
    LBFGSD_NO_MEMORY = 1,
    LBFGSD_INVALID_ARGUMENT = 2,
    LBFGSD_CONNECTION_FAILED = 3, /* No answer until the deadline. */
    LBFGSD_PROBLEM = 4,           /* The server refused: see http_status, type and detail. */
    LBFGSD_BAD_REPLY = 5,         /* The reply is not one of lbfgsd's. */
    LBFGSD_INTERRUPTED = 6        /* The function of lbfgsd_minimize() ended the run. */
} lbfgsd_code;

typedef struct lbfgsd_error {
    lbfgsd_code code;
    int http_status;    /* Of the last reply; 0 without one. */
    char type[64];      /* "/problems/invalid-request"; empty if the reply is no problem. */
    char title[128];
    char detail[512];
    char field[128];    /* The first field that is wrong, if the problem names one. */
    char reason[256];   /* What is wrong with it. */
    char message[1024]; /* All of it, in a sentence. */
} lbfgsd_error;

typedef struct lbfgsd_client lbfgsd_client;

typedef struct lbfgsd_settings {
    const char *url;         /* NULL: $LBFGSD_URL, or http://127.0.0.1:8080. */
    const char *token;       /* A bearer token. NULL: $LBFGSD_TOKEN, or none. */
    const char *unix_socket; /* The path of the daemon's socket, in place of the URL's address. */
    const char *ca_file;     /* Certificates for https. NULL: those of the system. */
    double timeout;          /* Seconds without progress after which an attempt is given up: 60. */
    double deadline;         /* Seconds that a call may take with all its attempts: 300. */
    double first_deadline;   /* The same until the server has answered once, so that a wrong address
                                is noticed at once: 0. */
    double pause_initial;    /* The first pause between attempts: 0.1 seconds. Pauses double, ... */
    double pause_max;        /* ... up to this: 10 seconds. */
} lbfgsd_settings;

/* Fills in the defaults. */
void lbfgsd_settings_init(lbfgsd_settings *settings);

/* Returns a client, or NULL if there is no memory for it. `settings` may be NULL for the defaults.
   Sends nothing yet. */
lbfgsd_client *lbfgsd_open(const lbfgsd_settings *settings);
void lbfgsd_close(lbfgsd_client *client);

/* The error of the last call of this client. */
const lbfgsd_error *lbfgsd_last_error(const lbfgsd_client *client);

typedef enum lbfgsd_dtype { LBFGSD_FLOAT64 = 0, LBFGSD_FLOAT32 = 1 } lbfgsd_dtype;

typedef struct lbfgsd_new_session {
    size_t n;
    const double *x0;          /* n numbers. */
    const double *lower;       /* n bounds, infinite where there is none; NULL for none at all. */
    const double *upper;
    const double *l1;          /* n weights of sum(l1 * |x|); NULL for none. */
    lbfgsd_dtype dtype;
    const char *options;       /* A JSON object; NULL for the server's defaults. */
    const char *name;          /* NULL for none. */
    const char *const *labels; /* Keys and values by turns, then NULL; or NULL for none. */
} lbfgsd_new_session;

void lbfgsd_new_session_init(lbfgsd_new_session *session);

typedef enum lbfgsd_state {
    LBFGSD_IDLE = 0,
    LBFGSD_EVALUATING = 1,   /* The session waits for loss and gradient at x. */
    LBFGSD_AWAITING_HOOK = 2 /* It waits for another client's answer to a hook. */
} lbfgsd_state;

/* The end of a step. Numbers that the server does not give are NaN, counts -1. */
typedef struct lbfgsd_result {
    char reason[32]; /* "gradient_tolerance", ... */
    int converged;
    double loss_before;
    double loss;
    double gradient_norm_inf;
    double projected_gradient_norm_inf;
    long long iterations;
    long long evaluations;
    long long active_bounds;
} lbfgsd_result;

/* The position of a session, and what it waits for. A call that succeeds replaces all of it; one
   that fails leaves it as it was. */
typedef struct lbfgsd_turn {
    char session[32];
    lbfgsd_state state;
    lbfgsd_dtype dtype;
    long long step;
    long long evaluation; /* The number to tell; 0 if none is pending. */
    size_t n;
    double *x;            /* The point: n numbers, which the turn owns. NULL in float32 sessions. */
    float *x_f32;         /* The same of a float32 session, else NULL. */
    int replayed;         /* The request had been carried out before. */
    int has_result;       /* Whether a step has ended. */
    lbfgsd_result result;
    char etag[64];
} lbfgsd_turn;

void lbfgsd_turn_init(lbfgsd_turn *turn);
/* Frees the point. The turn can be used again. */
void lbfgsd_turn_free(lbfgsd_turn *turn);

#define LBFGSD_ID_SIZE 32

/* Creates a session and writes its identifier to `session`. From 16384 numbers on the session is
   created with zeros, and its parameters follow as octets. */
lbfgsd_code lbfgsd_create(lbfgsd_client *client, const lbfgsd_new_session *create,
                          char session[LBFGSD_ID_SIZE]);
/* Deletes a session for good. */
lbfgsd_code lbfgsd_delete(lbfgsd_client *client, const char *session);

/* Begins a step. */
lbfgsd_code lbfgsd_begin(lbfgsd_client *client, const char *session, lbfgsd_turn *turn);
/* Returns the turn. Of an idle session it does so when a step begins, or after `wait` seconds (at
   most 30); 0 for at once. */
lbfgsd_code lbfgsd_ask(lbfgsd_client *client, const char *session, int wait, lbfgsd_turn *turn);
/* Tells loss and gradient (turn->n numbers) at the turn's point, and replaces the turn by the next.
   The gradient of a float32 session is rounded. */
lbfgsd_code lbfgsd_tell(lbfgsd_client *client, lbfgsd_turn *turn, double loss,
                        const double *gradient);
lbfgsd_code lbfgsd_tell_f32(lbfgsd_client *client, lbfgsd_turn *turn, double loss,
                            const float *gradient);
/* Tells that the turn's point can't be evaluated; the line search then contracts. */
lbfgsd_code lbfgsd_tell_failed(lbfgsd_client *client, lbfgsd_turn *turn, const char *reason);
/* Ends the running step at the best point that it has seen. */
lbfgsd_code lbfgsd_stop(lbfgsd_client *client, const char *session, lbfgsd_turn *turn);

/* Reads or replaces the n parameters; the latter between steps. */
lbfgsd_code lbfgsd_get_parameters(lbfgsd_client *client, const char *session, size_t n, double *x);
lbfgsd_code lbfgsd_set_parameters(lbfgsd_client *client, const char *session, size_t n,
                                  lbfgsd_dtype dtype, const double *x);

/* Saves the session as it is, even in the middle of a line search. `name` may be NULL. */
lbfgsd_code lbfgsd_checkpoint(lbfgsd_client *client, const char *session, const char *name,
                              long long *checkpoint);
/* Returns the session to a checkpoint. */
lbfgsd_code lbfgsd_restore(lbfgsd_client *client, const char *session, long long checkpoint,
                           lbfgsd_turn *turn);
/* Creates a session that starts from a checkpoint. */
lbfgsd_code lbfgsd_fork(lbfgsd_client *client, const char *session, long long checkpoint,
                        char fork[LBFGSD_ID_SIZE]);

/* Any other operation: sends `json` (NULL for no body) to a path such as "/v1/limits". The text of
   the reply is the caller's to free(); `reply` may be NULL. */
lbfgsd_code lbfgsd_request(lbfgsd_client *client, const char *method, const char *path,
                           const char *json, char **reply);

/* Computes the loss and the n numbers of its gradient at x. Returns 0, or a positive number where
   the loss is undefined, or a negative one to end the run. */
typedef int (*lbfgsd_function)(size_t n, const double *x, double *loss, double *gradient,
                               void *context);

typedef struct lbfgsd_minimum {
    char session[LBFGSD_ID_SIZE]; /* It stays on the server until lbfgsd_delete(). */
    lbfgsd_result result;
    long long calls;              /* Calls of the function. */
} lbfgsd_minimum;

/* The options of lbfgsd_minimize() for a session that has none: mode robust, and the tolerances and
   budgets of SciPy's L-BFGS-B. */
#define LBFGSD_MINIMIZE_OPTIONS                                                                    \
    "{\"mode\":\"robust\",\"lr\":1,\"history_size\":100,\"tolerance_grad\":1e-5,"                  \
    "\"tolerance_loss_relative\":2.2e-9,\"tolerance_change\":0,\"max_iter\":15000,"                \
    "\"max_eval\":15000}"

/* Creates a session and runs a step of it to its end. `x` gets the n numbers of the end. If the
   function ends the run, the step is stopped at its best point, and LBFGSD_INTERRUPTED returned. */
lbfgsd_code lbfgsd_minimize(lbfgsd_client *client, const lbfgsd_new_session *create,
                            lbfgsd_function function, void *context, double *x,
                            lbfgsd_minimum *minimum);
/* The same for a session that exists: takes up its step, or begins one. */
lbfgsd_code lbfgsd_resume(lbfgsd_client *client, const char *session, size_t n,
                          lbfgsd_function function, void *context, double *x,
                          lbfgsd_minimum *minimum);

#ifdef __cplusplus
}
#endif
#endif /* LBFGSD_CLIENT_H */

#ifdef LBFGSD_CLIENT_IMPLEMENTATION
#ifndef LBFGSD_CLIENT_IMPLEMENTED
#define LBFGSD_CLIENT_IMPLEMENTED

#include <curl/curl.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Text that grows. A failed allocation is remembered, and nothing is appended any more. */

typedef struct lbfgsd__text {
    char *bytes;
    size_t length, capacity;
    int failed;
} lbfgsd__text;

static void lbfgsd__append_bytes(lbfgsd__text *text, const char *bytes, size_t length) {
    if (text->failed) return;
    if (length >= (size_t)-1 / 2 - text->length) {
        text->failed = 1;
        return;
    }
    if (text->length + length + 1 > text->capacity) {
        size_t capacity = 2 * (text->length + length + 1);
        char *grown = (char *)realloc(text->bytes, capacity);
        if (grown == NULL) {
            text->failed = 1;
            return;
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    if (length > 0) memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void lbfgsd__append(lbfgsd__text *text, const char *string) {
    lbfgsd__append_bytes(text, string, strlen(string));
}

static void lbfgsd__append_integer(lbfgsd__text *text, long long value) {
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", value);
    lbfgsd__append(text, digits);
}

/* Writes a number as JSON has it and as a query may have it: with a point whatever the locale's
   decimal separator is, and without the plus sign of an exponent. The digits give the same bits
   when they are read. Returns 0 for a number that is not finite, whose name is written instead. */
static int lbfgsd__write_number(double value, char digits[40]) {
    const char *point = localeconv()->decimal_point, *found;
    char *plus;
    if (value != value || value - value != 0) {
        strcpy(digits, value != value ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
        return 0;
    }
    snprintf(digits, 40, "%.17g", value);
    if (strcmp(point, ".") != 0 && (found = strstr(digits, point)) != NULL) {
        size_t at = (size_t)(found - digits), width = strlen(point);
        digits[at] = '.';
        memmove(digits + at + 1, digits + at + width, strlen(digits + at + width) + 1);
    }
    plus = strchr(digits, '+');
    if (plus != NULL) memmove(plus, plus + 1, strlen(plus));
    return 1;
}

/* Reads such a number; NaN if it is none. */
static double lbfgsd__read_number(const char *text) {
    char copy[80];
    const char *point = localeconv()->decimal_point, *found = strchr(text, '.');
    size_t length = strlen(text), width = strlen(point);
    char *end;
    double value;
    if (length + width >= sizeof copy) return NAN;
    if (found == NULL || strcmp(point, ".") == 0) {
        memcpy(copy, text, length + 1);
    } else {
        size_t at = (size_t)(found - text);
        memcpy(copy, text, at);
        memcpy(copy + at, point, width);
        memcpy(copy + at + width, found + 1, length - at);
    }
    value = strtod(copy, &end);
    return end != copy && *end == '\0' ? value : NAN;
}

static void lbfgsd__append_number(lbfgsd__text *text, double value) {
    char digits[40];
    int finite = lbfgsd__write_number(value, digits);
    if (!finite) lbfgsd__append(text, "\"");
    lbfgsd__append(text, digits);
    if (!finite) lbfgsd__append(text, "\"");
}

static void lbfgsd__append_vector(lbfgsd__text *text, size_t n, const double *values) {
    size_t i;
    for (i = 0; i < n; i++) {
        lbfgsd__append(text, i == 0 ? "[" : ",");
        lbfgsd__append_number(text, values[i]);
    }
    lbfgsd__append(text, n == 0 ? "[]" : "]");
}

static void lbfgsd__append_string(lbfgsd__text *text, const char *string) {
    lbfgsd__append(text, "\"");
    for (; *string != '\0'; string++) {
        unsigned char byte = (unsigned char)*string;
        char escaped[8];
        if (byte == '"' || byte == '\\') {
            escaped[0] = '\\';
            escaped[1] = *string;
            lbfgsd__append_bytes(text, escaped, 2);
        } else if (byte < 0x20) {
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)byte);
            lbfgsd__append(text, escaped);
        } else {
            lbfgsd__append_bytes(text, string, 1);
        }
    }
    lbfgsd__append(text, "\"");
}

/* Reading JSON. Only problem documents are read, of which some strings are wanted; what is not JSON
   is as good as no document. Positions are pointers into text that ends with a NUL; NULL stands for
   an error or for what is not there. */

static const char *lbfgsd__json_space(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') at++;
    return at;
}

static int lbfgsd__hex_digits(const char *at, unsigned *value) {
    int i;
    *value = 0;
    for (i = 0; i < 4; i++) {
        char c = at[i];
        unsigned digit;
        if (c >= '0' && c <= '9') digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F') digit = (unsigned)(c - 'A') + 10;
        else return 0;
        *value = 16 * *value + digit;
    }
    return 1;
}

static size_t lbfgsd__utf8(unsigned code, char bytes[4]) {
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        bytes[0] = (char)(0xC0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        bytes[0] = (char)(0xE0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    bytes[0] = (char)(0xF0 | code >> 18);
    bytes[1] = (char)(0x80 | (code >> 12 & 0x3F));
    bytes[2] = (char)(0x80 | (code >> 6 & 0x3F));
    bytes[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* Reads the string at `at`, writes as much of it as fits into `out`, and returns what follows it.
   `out` may be NULL. */
static const char *lbfgsd__json_string(const char *at, char *out, size_t size) {
    size_t length = 0;
    if (*at != '"') return NULL;
    at++;
    while (*at != '"') {
        char bytes[4];
        size_t count = 1;
        if ((unsigned char)*at < 0x20) return NULL;
        if (*at != '\\') {
            bytes[0] = *at++;
        } else {
            static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
            const char *name = at[1] == '\0' ? NULL : strchr(names, at[1]);
            unsigned code, low;
            if (name != NULL) {
                bytes[0] = values[name - names];
                at += 2;
            } else if (at[1] == 'u' && lbfgsd__hex_digits(at + 2, &code)) {
                at += 6;
                if (code >= 0xD800 && code < 0xDC00 && at[0] == '\\' && at[1] == 'u' &&
                    lbfgsd__hex_digits(at + 2, &low) && low >= 0xDC00 && low < 0xE000) {
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    at += 6;
                } else if (code >= 0xD800 && code < 0xE000) {
                    code = 0xFFFD; /* Half of a character. */
                }
                count = lbfgsd__utf8(code, bytes);
            } else {
                return NULL;
            }
        }
        if (out != NULL && length + count < size) {
            memcpy(out + length, bytes, count);
            length += count;
        }
    }
    if (out != NULL && size > 0) out[length] = '\0';
    return at + 1;
}

/* Returns what follows the value at `at`. */
static const char *lbfgsd__json_skip(const char *at, int depth) {
    char end;
    at = lbfgsd__json_space(at);
    if (*at == '"') return lbfgsd__json_string(at, NULL, 0);
    if (*at != '{' && *at != '[') {
        size_t length = strcspn(at, ",]} \t\r\n");
        return length == 0 ? NULL : at + length;
    }
    if (depth == 0) return NULL;
    end = *at == '{' ? '}' : ']';
    at = lbfgsd__json_space(at + 1);
    if (*at == end) return at + 1;
    for (;;) {
        if (end == '}') {
            at = lbfgsd__json_string(lbfgsd__json_space(at), NULL, 0);
            if (at == NULL) return NULL;
            at = lbfgsd__json_space(at);
            if (*at++ != ':') return NULL;
        }
        at = lbfgsd__json_skip(at, depth - 1);
        if (at == NULL) return NULL;
        at = lbfgsd__json_space(at);
        if (*at == end) return at + 1;
        if (*at++ != ',') return NULL;
    }
}

#define LBFGSD__JSON_DEPTH 32

/* Returns the value of a member of the object at `at`. */
static const char *lbfgsd__json_member(const char *at, const char *key) {
    if (at == NULL || *(at = lbfgsd__json_space(at)) != '{') return NULL;
    at++;
    for (;;) {
        char name[64];
        at = lbfgsd__json_string(lbfgsd__json_space(at), name, sizeof name);
        if (at == NULL) return NULL;
        at = lbfgsd__json_space(at);
        if (*at++ != ':') return NULL;
        if (strcmp(name, key) == 0) return lbfgsd__json_space(at);
        at = lbfgsd__json_skip(at, LBFGSD__JSON_DEPTH);
        if (at == NULL) return NULL;
        at = lbfgsd__json_space(at);
        if (*at++ != ',') return NULL;
    }
}

static void lbfgsd__json_text(const char *object, const char *key, char *out, size_t size) {
    const char *value = lbfgsd__json_member(object, key);
    if (value == NULL || lbfgsd__json_string(value, out, size) == NULL) out[0] = '\0';
}

/* The client */

struct lbfgsd_client {
    CURL *curl;
    CURLM *sleeper; /* Has no transfers: waiting for it is sleeping, on every system. */
    char *url, *token, *unix_socket, *ca_file;
    lbfgsd_settings settings;
    int has_answered;
    uint64_t random;
    lbfgsd_error error;
};

typedef struct lbfgsd__request {
    const char *method;
    lbfgsd__text path;        /* With the query. */
    const char *content_type; /* NULL for a request without a body. */
    const void *body;
    size_t length;
    const char *accept;
    int wait; /* The seconds that the server may delay its reply on purpose. */
} lbfgsd__request;

typedef struct lbfgsd__reply {
    long status;
    int is_octets, too_long, no_memory;
    char content_type[64], location[160];
    char session[32], state[16], dtype[16], reason[32], etag[64];
    long long step, evaluation, count, iterations, evaluations, active_bounds, content_length;
    int converged, replayed;
    double loss_before, loss, gradient_norm_inf, projected_gradient_norm_inf;
    void *vector; /* The body, if it is octets. */
    size_t filled, vector_bytes;
    lbfgsd__text text; /* The body otherwise. */
} lbfgsd__reply;

#define LBFGSD__OCTETS "application/octet-stream"
#define LBFGSD__JSON "application/json"
#define LBFGSD__REPLY_BYTES_MAX ((size_t)256 << 20)
#define LBFGSD__CREATED_WITH_ZEROS_FROM 16384
#define LBFGSD__POLL_SECONDS_MAX 1.0

static lbfgsd_code lbfgsd__fail(lbfgsd_client *client, lbfgsd_code code, const char *format, ...) {
    va_list arguments;
    memset(&client->error, 0, sizeof client->error);
    client->error.code = code;
    va_start(arguments, format);
    vsnprintf(client->error.message, sizeof client->error.message, format, arguments);
    va_end(arguments);
    return code;
}

static lbfgsd_code lbfgsd__no_memory(lbfgsd_client *client) {
    return lbfgsd__fail(client, LBFGSD_NO_MEMORY, "there is not enough memory");
}

static lbfgsd_code lbfgsd__succeed(lbfgsd_client *client) {
    memset(&client->error, 0, sizeof client->error);
    return LBFGSD_OK;
}

static char *lbfgsd__copy(const char *string) {
    size_t size = strlen(string) + 1;
    char *copy = (char *)malloc(size);
    if (copy != NULL) memcpy(copy, string, size);
    return copy;
}

/* splitmix64 (Steele, Lea and Flood, 2014), for pauses and for keys. */
static uint64_t lbfgsd__random(lbfgsd_client *client) {
    uint64_t z = client->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Two programs must not use the same keys, so the seed is the system's, where it has one. */
static uint64_t lbfgsd__seed(const void *address) {
    uint64_t seed = 0;
    FILE *file = fopen("/dev/urandom", "rb");
    if (file != NULL) {
        setvbuf(file, NULL, _IONBF, 0);
        if (fread(&seed, sizeof seed, 1, file) != 1) seed = 0;
        fclose(file);
    }
    if (seed == 0)
        seed = (uint64_t)time(NULL) << 32 ^ (uint64_t)clock() ^ (uint64_t)(uintptr_t)address;
    return seed;
}

void lbfgsd_settings_init(lbfgsd_settings *settings) {
    memset(settings, 0, sizeof *settings);
    settings->timeout = 60;
    settings->deadline = 300;
    settings->pause_initial = 0.1;
    settings->pause_max = 10;
}

lbfgsd_client *lbfgsd_open(const lbfgsd_settings *given) {
    lbfgsd_settings settings;
    lbfgsd_client *client;
    const char *url, *token;
    int complete;
    size_t length;
    if (given != NULL) settings = *given;
    else lbfgsd_settings_init(&settings);
    url = settings.url != NULL ? settings.url : getenv("LBFGSD_URL");
    if (url == NULL || *url == '\0') url = "http://127.0.0.1:8080";
    token = settings.token != NULL ? settings.token : getenv("LBFGSD_TOKEN");
    if (token != NULL && *token == '\0') token = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return NULL;
    client = (lbfgsd_client *)calloc(1, sizeof *client);
    if (client == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    client->settings = settings;
    client->curl = curl_easy_init();
    client->sleeper = curl_multi_init();
    client->url = lbfgsd__copy(url);
    complete = client->curl != NULL && client->sleeper != NULL && client->url != NULL;
    if (token != NULL) complete &= (client->token = lbfgsd__copy(token)) != NULL;
    if (settings.unix_socket != NULL)
        complete &= (client->unix_socket = lbfgsd__copy(settings.unix_socket)) != NULL;
    if (settings.ca_file != NULL)
        complete &= (client->ca_file = lbfgsd__copy(settings.ca_file)) != NULL;
    if (!complete) {
        lbfgsd_close(client);
        return NULL;
    }
    for (length = strlen(client->url); length > 0 && client->url[length - 1] == '/'; length--)
        client->url[length - 1] = '\0';
    client->random = lbfgsd__seed(client);
    return client;
}

void lbfgsd_close(lbfgsd_client *client) {
    if (client == NULL) return;
    if (client->curl != NULL) curl_easy_cleanup(client->curl);
    if (client->sleeper != NULL) curl_multi_cleanup(client->sleeper);
    free(client->url);
    free(client->token);
    free(client->unix_socket);
    free(client->ca_file);
    free(client);
    curl_global_cleanup();
}

const lbfgsd_error *lbfgsd_last_error(const lbfgsd_client *client) { return &client->error; }

/* Replies */

static void lbfgsd__reply_reset(lbfgsd__reply *reply) {
    lbfgsd__text text = reply->text;
    free(reply->vector);
    memset(reply, 0, sizeof *reply);
    text.length = 0;
    if (text.bytes != NULL) text.bytes[0] = '\0';
    reply->text = text;
    reply->count = reply->content_length = reply->active_bounds = -1;
    reply->iterations = reply->evaluations = -1;
    reply->loss_before = reply->loss = NAN;
    reply->gradient_norm_inf = reply->projected_gradient_norm_inf = NAN;
}

static void lbfgsd__reply_free(lbfgsd__reply *reply) {
    free(reply->vector);
    free(reply->text.bytes);
}

static int lbfgsd__same_name(const char *a, size_t length, const char *b) {
    size_t i;
    if (strlen(b) != length) return 0;
    for (i = 0; i < length; i++) {
        char c = a[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if (c != b[i]) return 0;
    }
    return 1;
}

static void lbfgsd__note_field(lbfgsd__reply *reply, const char *name, size_t length,
                               const char *value) {
    static const struct {
        const char *name;
        size_t offset, size;
    } texts[] = {
#define LBFGSD__FIELD(name, member)                                                                \
    {name, offsetof(lbfgsd__reply, member), sizeof(((lbfgsd__reply *)0)->member)}
        LBFGSD__FIELD("content-type", content_type), LBFGSD__FIELD("location", location),
        LBFGSD__FIELD("lbfgsd-session", session),    LBFGSD__FIELD("lbfgsd-state", state),
        LBFGSD__FIELD("lbfgsd-dtype", dtype),        LBFGSD__FIELD("lbfgsd-reason", reason),
        LBFGSD__FIELD("etag", etag),
    }, integers[] = {
        LBFGSD__FIELD("content-length", content_length), LBFGSD__FIELD("lbfgsd-step", step),
        LBFGSD__FIELD("lbfgsd-evaluation", evaluation),  LBFGSD__FIELD("lbfgsd-count", count),
        LBFGSD__FIELD("lbfgsd-iterations", iterations),
        LBFGSD__FIELD("lbfgsd-evaluations", evaluations),
        LBFGSD__FIELD("lbfgsd-active-bounds", active_bounds),
    }, numbers[] = {
        LBFGSD__FIELD("lbfgsd-loss-before", loss_before), LBFGSD__FIELD("lbfgsd-loss", loss),
        LBFGSD__FIELD("lbfgsd-gradient-norm-inf", gradient_norm_inf),
        LBFGSD__FIELD("lbfgsd-projected-gradient-norm-inf", projected_gradient_norm_inf),
    }, flags[] = {
        LBFGSD__FIELD("lbfgsd-converged", converged),
        LBFGSD__FIELD("idempotent-replayed", replayed),
    };
#undef LBFGSD__FIELD
    char *base = (char *)reply;
    size_t i;
    for (i = 0; i < sizeof texts / sizeof *texts; i++)
        if (lbfgsd__same_name(name, length, texts[i].name))
            snprintf(base + texts[i].offset, texts[i].size, "%s", value);
    for (i = 0; i < sizeof integers / sizeof *integers; i++)
        if (lbfgsd__same_name(name, length, integers[i].name)) {
            long long number = strtoll(value, NULL, 10);
            memcpy(base + integers[i].offset, &number, sizeof number);
        }
    for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (lbfgsd__same_name(name, length, numbers[i].name)) {
            double number = lbfgsd__read_number(value);
            memcpy(base + numbers[i].offset, &number, sizeof number);
        }
    for (i = 0; i < sizeof flags / sizeof *flags; i++)
        if (lbfgsd__same_name(name, length, flags[i].name)) {
            int flag = strcmp(value, "true") == 0;
            memcpy(base + flags[i].offset, &flag, sizeof flag);
        }
}

/* libcurl's header callback: one line of the header, status line and empty line included. */
static size_t lbfgsd__receive_header(char *line, size_t size, size_t count, void *context) {
    lbfgsd__reply *reply = (lbfgsd__reply *)context;
    size_t length = size * count, name, end = length;
    char value[512];
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        /* Also after 100 Continue. */
        const char *status = (const char *)memchr(line, ' ', length);
        lbfgsd__reply_reset(reply);
        if (status != NULL && (size_t)(line + length - status) > 3)
            reply->status = 100 * (status[1] - '0') + 10 * (status[2] - '0') + (status[3] - '0');
        return length;
    }
    for (name = 0; name < length && line[name] != ':';) name++;
    if (name < length) {
        size_t begin = name + 1;
        while (begin < end && (line[begin] == ' ' || line[begin] == '\t')) begin++;
        while (end > begin && (unsigned char)line[end - 1] <= ' ') end--;
        if (end - begin < sizeof value) {
            memcpy(value, line + begin, end - begin);
            value[end - begin] = '\0';
            lbfgsd__note_field(reply, line, name, value);
        }
        return length;
    }
    if (reply->status < 300 && strncmp(reply->content_type, LBFGSD__OCTETS, 24) == 0) {
        /* Memory is allocated only if the length of the body agrees with the count of numbers, so
           that a broken reply can't ask for arbitrary memory. */
        size_t width = strcmp(reply->dtype, "float32") == 0 ? 4
                       : strcmp(reply->dtype, "float64") == 0 ? 8 : 0;
        reply->is_octets = 1;
        if (width == 0 || reply->count < 0 || reply->content_length < 0 ||
            reply->content_length / (long long)width != reply->count ||
            reply->content_length % (long long)width != 0 ||
            (unsigned long long)reply->content_length > (size_t)-1 / 2) {
            reply->too_long = 1;
            return 0;
        }
        reply->vector_bytes = (size_t)reply->content_length;
        reply->vector = malloc(reply->vector_bytes > 0 ? reply->vector_bytes : 1);
        if (reply->vector == NULL) {
            reply->no_memory = 1;
            return 0;
        }
    }
    return length;
}

static size_t lbfgsd__receive_body(char *bytes, size_t size, size_t count, void *context) {
    lbfgsd__reply *reply = (lbfgsd__reply *)context;
    size_t length = size * count;
    if (reply->is_octets) {
        if (length > reply->vector_bytes - reply->filled) {
            reply->too_long = 1;
            return 0;
        }
        memcpy((char *)reply->vector + reply->filled, bytes, length);
        reply->filled += length;
        return length;
    }
    if (length > LBFGSD__REPLY_BYTES_MAX - reply->text.length) {
        reply->too_long = 1;
        return 0;
    }
    lbfgsd__append_bytes(&reply->text, bytes, length);
    reply->no_memory = reply->text.failed;
    return reply->no_memory ? 0 : length;
}

static lbfgsd_code lbfgsd__refusal(lbfgsd_client *client, const lbfgsd__reply *reply) {
    lbfgsd_error *error = &client->error;
    const char *document = reply->text.length > 0 ? reply->text.bytes : "";
    const char *errors;
    int is_problem = strncmp(reply->content_type, "application/problem+json", 24) == 0;
    memset(error, 0, sizeof *error);
    error->code = LBFGSD_PROBLEM;
    error->http_status = (int)reply->status;
    if (is_problem) {
        lbfgsd__json_text(document, "type", error->type, sizeof error->type);
        lbfgsd__json_text(document, "title", error->title, sizeof error->title);
        lbfgsd__json_text(document, "detail", error->detail, sizeof error->detail);
        errors = lbfgsd__json_member(document, "errors");
        if (errors != NULL && *errors == '[') {
            lbfgsd__json_text(errors + 1, "field", error->field, sizeof error->field);
            lbfgsd__json_text(errors + 1, "reason", error->reason, sizeof error->reason);
        }
    }
    snprintf(error->message, sizeof error->message, "status %d%s%s%s%s", error->http_status,
             error->title[0] != '\0' ? ": " : "", error->title,
             error->detail[0] != '\0' ? ". " : "", error->detail);
    return LBFGSD_PROBLEM;
}

/* Requests */

static int lbfgsd__is_retried(long status) {
    return status == 408 || status == 429 || status == 502 || status == 503 || status == 504;
}

/* The pause before the next attempt; negative if the deadline passes before it. `least` is what the
   server asks for. */
static double lbfgsd__pause(lbfgsd_client *client, int attempt, double elapsed, double least) {
    const lbfgsd_settings *settings = &client->settings;
    double deadline = settings->deadline, left, pause = settings->pause_initial;
    if (!client->has_answered && settings->first_deadline < deadline)
        deadline = settings->first_deadline;
    left = deadline - elapsed;
    if (left <= 0 || least > left) return -1;
    while (attempt-- > 0 && pause < settings->pause_max) pause *= 2;
    if (pause > settings->pause_max) pause = settings->pause_max;
    /* Shortened at random by up to a half, so that clients don't come back all at once. */
    pause *= 0.5 + 0.5 * (double)(lbfgsd__random(client) >> 11) / 9007199254740992.0;
    pause += least;
    return pause > left ? left : pause;
}

static void lbfgsd__sleep(lbfgsd_client *client, double seconds) {
    while (seconds > 0) {
        double now = seconds > 1000 ? 1000 : seconds;
        curl_multi_poll(client->sleeper, NULL, 0, (int)(now * 1000 + 0.5), NULL);
        seconds -= now;
    }
}

static int lbfgsd__is_permanent(CURLcode code) {
    return code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ||
           code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_NOT_BUILT_IN || code == CURLE_UNKNOWN_OPTION;
}

static struct curl_slist *lbfgsd__headers(lbfgsd_client *client, const lbfgsd__request *request) {
    struct curl_slist *list = NULL, *next;
    lbfgsd__text lines[5];
    size_t i, count = 0;
    int failed = 0;
    memset(lines, 0, sizeof lines);
    lbfgsd__append(&lines[count], "Accept: ");
    lbfgsd__append(&lines[count++], request->accept);
    /* An empty field of libcurl's own is left out. */
    lbfgsd__append(&lines[count], "Content-Type: ");
    lines[count].length -= request->content_type == NULL;
    lbfgsd__append(&lines[count++], request->content_type == NULL ? "" : request->content_type);
    if (client->token != NULL) {
        lbfgsd__append(&lines[count], "Authorization: Bearer ");
        lbfgsd__append(&lines[count++], client->token);
    }
    if (strcmp(request->method, "POST") == 0) {
        char key[40];
        snprintf(key, sizeof key, "%016llx%016llx",
                 (unsigned long long)lbfgsd__random(client),
                 (unsigned long long)lbfgsd__random(client));
        lbfgsd__append(&lines[count], "Idempotency-Key: ");
        lbfgsd__append(&lines[count++], key);
    }
    if (request->wait > 0) {
        lbfgsd__append(&lines[count], "Prefer: wait=");
        lbfgsd__append_integer(&lines[count++], request->wait);
    }
    for (i = 0; i < count; i++) {
        failed |= lines[i].failed;
        next = failed ? NULL : curl_slist_append(list, lines[i].bytes);
        if (next == NULL) failed = 1;
        else list = next;
        free(lines[i].bytes);
    }
    if (failed) {
        curl_slist_free_all(list);
        return NULL;
    }
    return list;
}

/* One attempt. The handle keeps its connections. */
static CURLcode lbfgsd__attempt(lbfgsd_client *client, const lbfgsd__request *request,
                                const char *url, struct curl_slist *headers, lbfgsd__reply *reply,
                                char *explanation) {
    CURL *curl = client->curl;
    long patience = (long)client->settings.timeout + request->wait;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "lbfgsd-c");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, explanation);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, lbfgsd__receive_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, (void *)reply);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, lbfgsd__receive_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, (void *)reply);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)client->settings.timeout + 1);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, patience > 0 ? patience : 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    if (client->unix_socket != NULL)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
    if (client->ca_file != NULL) curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    if (request->content_type != NULL) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)request->body);
    }
    if (strcmp(request->method, "GET") != 0 || request->content_type != NULL)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    /* On a connection that was used before, libcurl would repeat a request whose reply is lost by
       itself, and the 404 of the repetition would look like that of a first attempt. */
    if (strcmp(request->method, "DELETE") == 0) curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    lbfgsd__reply_reset(reply);
    explanation[0] = '\0';
    return curl_easy_perform(curl);
}

/* Sends the request until it is answered. The caller frees path and reply. */
static lbfgsd_code lbfgsd__exchange(lbfgsd_client *client, lbfgsd__request *request,
                                    lbfgsd__reply *reply) {
    lbfgsd__text url;
    struct curl_slist *headers;
    double elapsed = 0;
    int attempt, lost = 0;
    lbfgsd_code code = LBFGSD_OK;
    memset(&url, 0, sizeof url);
    memset(reply, 0, sizeof *reply);
    lbfgsd__append(&url, client->url);
    if (request->path.bytes != NULL) lbfgsd__append(&url, request->path.bytes);
    headers = lbfgsd__headers(client, request);
    if (url.failed || request->path.failed || headers == NULL) {
        curl_slist_free_all(headers);
        free(url.bytes);
        return lbfgsd__no_memory(client);
    }
    for (attempt = 0;; attempt++) {
        char explanation[CURL_ERROR_SIZE];
        CURLcode outcome =
            lbfgsd__attempt(client, request, url.bytes, headers, reply, explanation);
        double seconds = 0, pause;
        curl_off_t asked = 0;
        curl_easy_getinfo(client->curl, CURLINFO_TOTAL_TIME, &seconds);
        elapsed += seconds;
        if (reply->no_memory || outcome == CURLE_OUT_OF_MEMORY) {
            code = lbfgsd__no_memory(client);
            break;
        }
        if (reply->too_long) {
            code = lbfgsd__fail(client, LBFGSD_BAD_REPLY,
                                "%s %s: the length of the body is not the one announced",
                                request->method, request->path.bytes);
            break;
        }
        if (outcome == CURLE_OK && !lbfgsd__is_retried(reply->status)) {
            client->has_answered = 1;
            if (reply->status == 404 && lost && strcmp(request->method, "DELETE") == 0) break;
            if (reply->status >= 400) code = lbfgsd__refusal(client, reply);
            else if (reply->status < 200 || reply->status >= 300)
                code = lbfgsd__fail(client, LBFGSD_BAD_REPLY, "%s %s: status %ld", request->method,
                                    request->path.bytes, reply->status);
            else if (reply->is_octets && reply->filled < reply->vector_bytes)
                code = lbfgsd__fail(client, LBFGSD_BAD_REPLY, "%s %s: the reply is too short",
                                    request->method, request->path.bytes);
            break;
        }
        if (outcome == CURLE_OK) {
            client->has_answered = 1;
            /* With these the request may have been carried out all the same. */
            lost |= reply->status != 429 && reply->status != 503;
            curl_easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &asked);
        } else {
            lost = 1;
        }
        pause = lbfgsd__is_permanent(outcome)
                    ? -1 : lbfgsd__pause(client, attempt, elapsed, (double)asked);
        if (pause < 0) {
            if (outcome == CURLE_OK) code = lbfgsd__refusal(client, reply);
            else
                code = lbfgsd__fail(client, LBFGSD_CONNECTION_FAILED, "%s %s: %s", client->url,
                                    client->has_answered ? "answers no more" : "does not answer",
                                    explanation[0] != '\0' ? explanation
                                                           : curl_easy_strerror(outcome));
            break;
        }
        lbfgsd__sleep(client, pause);
        elapsed += pause;
    }
    curl_slist_free_all(headers);
    free(url.bytes);
    return code;
}

static void lbfgsd__request_init(lbfgsd__request *request, const char *method, const char *accept) {
    memset(request, 0, sizeof *request);
    request->method = method;
    request->accept = accept;
}

/* Begins the path of a session's resource. Identifiers have no character that would have to be
   escaped. */
static int lbfgsd__session_path(lbfgsd_client *client, lbfgsd__request *request,
                                const char *session, const char *rest) {
    size_t length = session == NULL ? 0 : strlen(session), i;
    int valid = length > 0 && length < LBFGSD_ID_SIZE;
    for (i = 0; valid && i < length; i++) {
        char c = session[i];
        valid = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    }
    if (!valid) {
        lbfgsd__fail(client, LBFGSD_INVALID_ARGUMENT, "this is not the identifier of a session: %s",
                     session == NULL ? "NULL" : session);
        return 0;
    }
    lbfgsd__append(&request->path, "/v1/sessions/");
    lbfgsd__append(&request->path, session);
    lbfgsd__append(&request->path, rest);
    return 1;
}

static void lbfgsd__set_json(lbfgsd__request *request, const lbfgsd__text *json) {
    request->content_type = LBFGSD__JSON;
    request->body = json->bytes;
    request->length = json->length;
}

/* Vectors as octets, which are little-endian. */

static int lbfgsd__is_little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

static void lbfgsd__swap(void *numbers, size_t count, size_t width) {
    unsigned char *bytes = (unsigned char *)numbers;
    size_t i, j;
    if (lbfgsd__is_little_endian()) return;
    for (i = 0; i < count; i++, bytes += width)
        for (j = 0; j < width / 2; j++) {
            unsigned char byte = bytes[j];
            bytes[j] = bytes[width - 1 - j];
            bytes[width - 1 - j] = byte;
        }
}

/* Sets the body to `n` numbers. They are copied to *converted, which the caller frees, only if they
   have to be converted. Returns 0 if there is no memory for that. */
static int lbfgsd__set_octets(lbfgsd__request *request, size_t n, const double *x,
                              const float *x_f32, lbfgsd_dtype dtype, void **converted) {
    size_t width = dtype == LBFGSD_FLOAT32 ? 4 : 8, i;
    const void *as_is = dtype == LBFGSD_FLOAT32 ? (const void *)x_f32 : (const void *)x;
    *converted = NULL;
    request->content_type = LBFGSD__OCTETS;
    request->length = n * width;
    request->body = as_is;
    if (as_is != NULL && lbfgsd__is_little_endian()) return 1;
    *converted = malloc(n * width > 0 ? n * width : 1);
    if (*converted == NULL) return 0;
    if (as_is != NULL) memcpy(*converted, as_is, n * width);
    else if (dtype == LBFGSD_FLOAT32)
        for (i = 0; i < n; i++) ((float *)*converted)[i] = (float)x[i];
    else
        for (i = 0; i < n; i++) ((double *)*converted)[i] = x_f32[i];
    lbfgsd__swap(*converted, n, width);
    request->body = *converted;
    return 1;
}

/* Turns */

void lbfgsd_turn_init(lbfgsd_turn *turn) { memset(turn, 0, sizeof *turn); }

void lbfgsd_turn_free(lbfgsd_turn *turn) {
    free(turn->x);
    free(turn->x_f32);
    lbfgsd_turn_init(turn);
}

/* Takes over the vector of the reply. */
static lbfgsd_code lbfgsd__read_turn(lbfgsd_client *client, lbfgsd__reply *reply,
                                     lbfgsd_turn *turn) {
    static const char *const states[] = {"idle", "evaluating", "awaiting_hook"};
    lbfgsd_turn read;
    int i, state = -1;
    for (i = 0; i < 3; i++)
        if (strcmp(reply->state, states[i]) == 0) state = i;
    if (!reply->is_octets || reply->session[0] == '\0' || state < 0)
        return lbfgsd__fail(client, LBFGSD_BAD_REPLY, "the reply is not a turn");
    lbfgsd_turn_init(&read);
    strcpy(read.session, reply->session);
    strcpy(read.etag, reply->etag);
    read.state = (lbfgsd_state)state;
    read.dtype = strcmp(reply->dtype, "float32") == 0 ? LBFGSD_FLOAT32 : LBFGSD_FLOAT64;
    read.step = reply->step;
    read.evaluation = reply->evaluation;
    read.replayed = reply->replayed;
    read.n = (size_t)reply->count;
    lbfgsd__swap(reply->vector, read.n, read.dtype == LBFGSD_FLOAT32 ? 4 : 8);
    if (read.dtype == LBFGSD_FLOAT32) read.x_f32 = (float *)reply->vector;
    else read.x = (double *)reply->vector;
    reply->vector = NULL;
    read.has_result = reply->reason[0] != '\0';
    strcpy(read.result.reason, reply->reason);
    read.result.converged = reply->converged;
    read.result.loss_before = reply->loss_before;
    read.result.loss = reply->loss;
    read.result.gradient_norm_inf = reply->gradient_norm_inf;
    read.result.projected_gradient_norm_inf = reply->projected_gradient_norm_inf;
    read.result.iterations = reply->iterations;
    read.result.evaluations = reply->evaluations;
    read.result.active_bounds = reply->active_bounds;
    lbfgsd_turn_free(turn);
    *turn = read;
    return lbfgsd__succeed(client);
}

/* Sends a request that is answered with a turn. Frees its path. */
static lbfgsd_code lbfgsd__turn(lbfgsd_client *client, lbfgsd__request *request,
                                lbfgsd_turn *turn) {
    lbfgsd__reply reply;
    lbfgsd_code code = lbfgsd__exchange(client, request, &reply);
    if (code == LBFGSD_OK) code = lbfgsd__read_turn(client, &reply, turn);
    lbfgsd__reply_free(&reply);
    free(request->path.bytes);
    return code;
}

/* A POST without content. */
static lbfgsd_code lbfgsd__post_for_turn(lbfgsd_client *client, const char *session,
                                         const char *rest, lbfgsd_turn *turn) {
    lbfgsd__request request;
    lbfgsd__request_init(&request, "POST", LBFGSD__OCTETS);
    if (!lbfgsd__session_path(client, &request, session, rest)) return client->error.code;
    request.content_type = LBFGSD__JSON;
    request.body = "{}";
    request.length = 2;
    return lbfgsd__turn(client, &request, turn);
}

lbfgsd_code lbfgsd_begin(lbfgsd_client *client, const char *session, lbfgsd_turn *turn) {
    return lbfgsd__post_for_turn(client, session, "/steps", turn);
}

lbfgsd_code lbfgsd_stop(lbfgsd_client *client, const char *session, lbfgsd_turn *turn) {
    return lbfgsd__post_for_turn(client, session, "/stop", turn);
}

lbfgsd_code lbfgsd_restore(lbfgsd_client *client, const char *session, long long checkpoint,
                           lbfgsd_turn *turn) {
    char rest[64];
    snprintf(rest, sizeof rest, "/checkpoints/%lld/restore", checkpoint);
    return lbfgsd__post_for_turn(client, session, rest, turn);
}

lbfgsd_code lbfgsd_ask(lbfgsd_client *client, const char *session, int wait, lbfgsd_turn *turn) {
    lbfgsd__request request;
    lbfgsd__request_init(&request, "GET", LBFGSD__OCTETS);
    request.wait = wait;
    if (!lbfgsd__session_path(client, &request, session, "/evaluation")) return client->error.code;
    return lbfgsd__turn(client, &request, turn);
}

static int lbfgsd__result_path(lbfgsd_client *client, lbfgsd__request *request,
                               const lbfgsd_turn *turn) {
    if (!lbfgsd__session_path(client, request, turn->session, "/evaluations/")) return 0;
    lbfgsd__append_integer(&request->path, turn->evaluation);
    lbfgsd__append(&request->path, "/result");
    return 1;
}

static lbfgsd_code lbfgsd__tell(lbfgsd_client *client, lbfgsd_turn *turn, double loss,
                                const double *gradient, const float *gradient_f32) {
    lbfgsd__request request;
    lbfgsd_code code;
    char digits[40];
    void *converted;
    lbfgsd__request_init(&request, "PUT", LBFGSD__OCTETS);
    if (!lbfgsd__result_path(client, &request, turn)) return client->error.code;
    lbfgsd__write_number(loss, digits);
    lbfgsd__append(&request.path, "?loss=");
    lbfgsd__append(&request.path, digits);
    if (!lbfgsd__set_octets(&request, turn->n, gradient, gradient_f32, turn->dtype, &converted)) {
        free(request.path.bytes);
        return lbfgsd__no_memory(client);
    }
    code = lbfgsd__turn(client, &request, turn);
    free(converted);
    return code;
}

lbfgsd_code lbfgsd_tell(lbfgsd_client *client, lbfgsd_turn *turn, double loss,
                        const double *gradient) {
    return lbfgsd__tell(client, turn, loss, gradient, NULL);
}

lbfgsd_code lbfgsd_tell_f32(lbfgsd_client *client, lbfgsd_turn *turn, double loss,
                            const float *gradient) {
    return lbfgsd__tell(client, turn, loss, NULL, gradient);
}

lbfgsd_code lbfgsd_tell_failed(lbfgsd_client *client, lbfgsd_turn *turn, const char *reason) {
    lbfgsd__request request;
    lbfgsd__text json;
    lbfgsd_code code;
    memset(&json, 0, sizeof json);
    lbfgsd__request_init(&request, "PUT", LBFGSD__OCTETS);
    if (!lbfgsd__result_path(client, &request, turn)) return client->error.code;
    lbfgsd__append(&json, "{\"failed\":");
    lbfgsd__append_string(&json, reason);
    lbfgsd__append(&json, "}");
    lbfgsd__set_json(&request, &json);
    request.path.failed |= json.failed;
    code = lbfgsd__turn(client, &request, turn);
    free(json.bytes);
    return code;
}

/* Sessions */

void lbfgsd_new_session_init(lbfgsd_new_session *session) { memset(session, 0, sizeof *session); }

/* Sends a request that creates something, and copies the last segment of its Location. Frees the
   path. */
static lbfgsd_code lbfgsd__created(lbfgsd_client *client, lbfgsd__request *request,
                                   char identifier[LBFGSD_ID_SIZE]) {
    lbfgsd__reply reply;
    lbfgsd_code code = lbfgsd__exchange(client, request, &reply);
    if (code == LBFGSD_OK) {
        const char *last = strrchr(reply.location, '/');
        if (last == NULL || last[1] == '\0' || strlen(last + 1) >= LBFGSD_ID_SIZE) {
            code = lbfgsd__fail(client, LBFGSD_BAD_REPLY, "the reply has no Location");
        } else {
            strcpy(identifier, last + 1);
            code = lbfgsd__succeed(client);
        }
    }
    lbfgsd__reply_free(&reply);
    free(request->path.bytes);
    return code;
}

static void lbfgsd__append_named_vector(lbfgsd__text *json, const char *name, size_t n,
                                        const double *values) {
    if (values == NULL) return;
    lbfgsd__append(json, ",");
    lbfgsd__append_string(json, name);
    lbfgsd__append(json, ":");
    lbfgsd__append_vector(json, n, values);
}

static void lbfgsd__write_session(lbfgsd__text *json, const lbfgsd_new_session *create,
                                  const char *options, int with_values) {
    const char *const *label;
    lbfgsd__append(json, "{\"dtype\":");
    lbfgsd__append(json, create->dtype == LBFGSD_FLOAT32 ? "\"float32\"" : "\"float64\"");
    if (create->name != NULL) {
        lbfgsd__append(json, ",\"name\":");
        lbfgsd__append_string(json, create->name);
    }
    if (create->labels != NULL) {
        lbfgsd__append(json, ",\"labels\":{");
        for (label = create->labels; label[0] != NULL && label[1] != NULL; label += 2) {
            if (label != create->labels) lbfgsd__append(json, ",");
            lbfgsd__append_string(json, label[0]);
            lbfgsd__append(json, ":");
            lbfgsd__append_string(json, label[1]);
        }
        lbfgsd__append(json, "}");
    }
    if (options != NULL) {
        lbfgsd__append(json, ",\"options\":");
        lbfgsd__append(json, options);
    }
    lbfgsd__append(json, ",\"params\":[{\"shape\":[");
    lbfgsd__append_integer(json, (long long)create->n);
    lbfgsd__append(json, "]");
    if (with_values) lbfgsd__append_named_vector(json, "values", create->n, create->x0);
    else lbfgsd__append(json, ",\"fill\":0");
    lbfgsd__append_named_vector(json, "lower", create->n, create->lower);
    lbfgsd__append_named_vector(json, "upper", create->n, create->upper);
    lbfgsd__append_named_vector(json, "l1", create->n, create->l1);
    lbfgsd__append(json, "}]}");
}

static lbfgsd_code lbfgsd__create(lbfgsd_client *client, const lbfgsd_new_session *create,
                                  const char *options, char session[LBFGSD_ID_SIZE]) {
    lbfgsd__request request;
    lbfgsd__text json;
    lbfgsd_code code;
    int with_values = create->n < LBFGSD__CREATED_WITH_ZEROS_FROM;
    if (create->x0 == NULL || create->n == 0)
        return lbfgsd__fail(client, LBFGSD_INVALID_ARGUMENT, "x0 is missing");
    memset(&json, 0, sizeof json);
    lbfgsd__write_session(&json, create, options, with_values);
    lbfgsd__request_init(&request, "POST", LBFGSD__JSON);
    lbfgsd__append(&request.path, "/v1/sessions");
    lbfgsd__set_json(&request, &json);
    request.path.failed |= json.failed;
    code = lbfgsd__created(client, &request, session);
    free(json.bytes);
    if (code != LBFGSD_OK || with_values) return code;
    code = lbfgsd_set_parameters(client, session, create->n, create->dtype, create->x0);
    if (code == LBFGSD_PROBLEM) {
        lbfgsd_error error = client->error;
        lbfgsd_delete(client, session);
        client->error = error;
    }
    return code;
}

lbfgsd_code lbfgsd_create(lbfgsd_client *client, const lbfgsd_new_session *create,
                          char session[LBFGSD_ID_SIZE]) {
    return lbfgsd__create(client, create, create->options, session);
}

lbfgsd_code lbfgsd_delete(lbfgsd_client *client, const char *session) {
    lbfgsd__request request;
    lbfgsd__reply reply;
    lbfgsd_code code;
    lbfgsd__request_init(&request, "DELETE", LBFGSD__JSON);
    if (!lbfgsd__session_path(client, &request, session, "")) return client->error.code;
    code = lbfgsd__exchange(client, &request, &reply);
    lbfgsd__reply_free(&reply);
    free(request.path.bytes);
    return code == LBFGSD_OK ? lbfgsd__succeed(client) : code;
}

lbfgsd_code lbfgsd_get_parameters(lbfgsd_client *client, const char *session, size_t n, double *x) {
    lbfgsd__request request;
    lbfgsd__reply reply;
    lbfgsd_code code;
    size_t i;
    lbfgsd__request_init(&request, "GET", LBFGSD__OCTETS);
    if (!lbfgsd__session_path(client, &request, session, "/params")) return client->error.code;
    code = lbfgsd__exchange(client, &request, &reply);
    if (code == LBFGSD_OK && !reply.is_octets)
        code = lbfgsd__fail(client, LBFGSD_BAD_REPLY, "the reply is not octets");
    else if (code == LBFGSD_OK && (unsigned long long)reply.count != n)
        code = lbfgsd__fail(client, LBFGSD_INVALID_ARGUMENT, "the session has %lld numbers",
                            reply.count);
    else if (code == LBFGSD_OK && strcmp(reply.dtype, "float32") == 0) {
        lbfgsd__swap(reply.vector, n, 4);
        for (i = 0; i < n; i++) x[i] = ((float *)reply.vector)[i];
    } else if (code == LBFGSD_OK) {
        lbfgsd__swap(reply.vector, n, 8);
        memcpy(x, reply.vector, n * sizeof *x);
    }
    lbfgsd__reply_free(&reply);
    free(request.path.bytes);
    return code == LBFGSD_OK ? lbfgsd__succeed(client) : code;
}

lbfgsd_code lbfgsd_set_parameters(lbfgsd_client *client, const char *session, size_t n,
                                  lbfgsd_dtype dtype, const double *x) {
    lbfgsd__request request;
    lbfgsd__reply reply;
    lbfgsd_code code;
    void *converted;
    lbfgsd__request_init(&request, "PUT", LBFGSD__OCTETS);
    if (!lbfgsd__session_path(client, &request, session, "/params")) return client->error.code;
    if (!lbfgsd__set_octets(&request, n, x, NULL, dtype, &converted)) {
        free(request.path.bytes);
        return lbfgsd__no_memory(client);
    }
    code = lbfgsd__exchange(client, &request, &reply);
    lbfgsd__reply_free(&reply);
    free(request.path.bytes);
    free(converted);
    return code == LBFGSD_OK ? lbfgsd__succeed(client) : code;
}

lbfgsd_code lbfgsd_checkpoint(lbfgsd_client *client, const char *session, const char *name,
                              long long *checkpoint) {
    lbfgsd__request request;
    lbfgsd__text json;
    char identifier[LBFGSD_ID_SIZE];
    lbfgsd_code code;
    memset(&json, 0, sizeof json);
    lbfgsd__request_init(&request, "POST", LBFGSD__JSON);
    if (!lbfgsd__session_path(client, &request, session, "/checkpoints")) return client->error.code;
    lbfgsd__append(&json, name == NULL ? "{" : "{\"name\":");
    if (name != NULL) lbfgsd__append_string(&json, name);
    lbfgsd__append(&json, "}");
    lbfgsd__set_json(&request, &json);
    request.path.failed |= json.failed;
    code = lbfgsd__created(client, &request, identifier);
    free(json.bytes);
    if (code == LBFGSD_OK) *checkpoint = strtoll(identifier, NULL, 10);
    return code;
}

lbfgsd_code lbfgsd_fork(lbfgsd_client *client, const char *session, long long checkpoint,
                        char fork[LBFGSD_ID_SIZE]) {
    lbfgsd__request request;
    char rest[64];
    snprintf(rest, sizeof rest, "/checkpoints/%lld/fork", checkpoint);
    lbfgsd__request_init(&request, "POST", LBFGSD__JSON);
    if (!lbfgsd__session_path(client, &request, session, rest)) return client->error.code;
    request.content_type = LBFGSD__JSON;
    request.body = "{}";
    request.length = 2;
    return lbfgsd__created(client, &request, fork);
}

lbfgsd_code lbfgsd_request(lbfgsd_client *client, const char *method, const char *path,
                           const char *json, char **text) {
    lbfgsd__request request;
    lbfgsd__reply reply;
    lbfgsd_code code;
    if (text != NULL) *text = NULL;
    lbfgsd__request_init(&request, method, LBFGSD__JSON);
    lbfgsd__append(&request.path, path);
    if (json != NULL) {
        request.content_type = LBFGSD__JSON;
        request.body = json;
        request.length = strlen(json);
    }
    code = lbfgsd__exchange(client, &request, &reply);
    if (code == LBFGSD_OK && text != NULL) {
        if (reply.text.bytes == NULL) lbfgsd__append(&reply.text, "");
        *text = reply.text.bytes;
        reply.text.bytes = NULL;
        if (*text == NULL) code = lbfgsd__no_memory(client);
    }
    lbfgsd__reply_free(&reply);
    free(request.path.bytes);
    return code == LBFGSD_OK ? lbfgsd__succeed(client) : code;
}

/* Minimising */

/* Evaluates the turn's point and tells the outcome. *end is what the function returned, if that
   ends the run. */
static lbfgsd_code lbfgsd__answer(lbfgsd_client *client, lbfgsd_turn *turn,
                                  lbfgsd_function function, void *context, double *point,
                                  double *gradient, lbfgsd_minimum *minimum, int *end) {
    const double *x = turn->x;
    double loss = 0;
    lbfgsd_code code;
    size_t i;
    int outcome;
    if (x == NULL) {
        for (i = 0; i < turn->n; i++) point[i] = turn->x_f32[i];
        x = point;
    }
    outcome = function(turn->n, x, &loss, gradient, context);
    minimum->calls++;
    if (outcome < 0) {
        *end = outcome;
        return LBFGSD_OK;
    }
    code = outcome > 0 ? lbfgsd_tell_failed(client, turn, "infeasible")
                       : lbfgsd_tell(client, turn, loss, gradient);
    if (code == LBFGSD_PROBLEM && (strcmp(client->error.type, "/problems/already-told") == 0 ||
                                   strcmp(client->error.type, "/problems/evaluation-closed") == 0))
        /* Another client works on this session too, or has stopped it. */
        code = lbfgsd_ask(client, turn->session, 0, turn);
    return code;
}

static lbfgsd_code lbfgsd__run(lbfgsd_client *client, lbfgsd_turn *turn, size_t n,
                               lbfgsd_function function, void *context, double *x,
                               lbfgsd_minimum *minimum) {
    double *work, pause = 0.02;
    lbfgsd_code code = LBFGSD_OK;
    int end = 0;
    size_t i;
    if (turn->n != n)
        return lbfgsd__fail(client, LBFGSD_INVALID_ARGUMENT, "the session has %lu numbers",
                            (unsigned long)turn->n);
    /* The gradient, and the point of a float32 session in double precision. */
    work = (double *)malloc(2 * n * sizeof *work);
    if (work == NULL) return lbfgsd__no_memory(client);
    while (code == LBFGSD_OK && end == 0 && turn->state != LBFGSD_IDLE) {
        if (turn->state == LBFGSD_EVALUATING) {
            code = lbfgsd__answer(client, turn, function, context, work + n, work, minimum, &end);
        } else {
            lbfgsd__sleep(client, pause);
            if (pause < LBFGSD__POLL_SECONDS_MAX) pause *= 2;
            code = lbfgsd_ask(client, turn->session, 0, turn);
        }
    }
    free(work);
    if (end != 0) code = lbfgsd_stop(client, turn->session, turn);
    if (code != LBFGSD_OK) return code;
    minimum->result = turn->result;
    for (i = 0; i < n; i++) x[i] = turn->x != NULL ? turn->x[i] : (double)turn->x_f32[i];
    if (end == 0) return lbfgsd__succeed(client);
    return lbfgsd__fail(client, LBFGSD_INTERRUPTED, "the function ended the run with %d", end);
}

lbfgsd_code lbfgsd_resume(lbfgsd_client *client, const char *session, size_t n,
                          lbfgsd_function function, void *context, double *x,
                          lbfgsd_minimum *minimum) {
    lbfgsd_turn turn;
    lbfgsd_code code;
    lbfgsd_turn_init(&turn);
    /* Its session may be the one that is given. */
    memset(&minimum->result, 0, sizeof minimum->result);
    minimum->calls = 0;
    code = lbfgsd_ask(client, session, 0, &turn);
    if (code == LBFGSD_OK && turn.state == LBFGSD_IDLE) code = lbfgsd_begin(client, session, &turn);
    if (code == LBFGSD_OK) {
        strcpy(minimum->session, turn.session);
        code = lbfgsd__run(client, &turn, n, function, context, x, minimum);
    }
    lbfgsd_turn_free(&turn);
    return code;
}

lbfgsd_code lbfgsd_minimize(lbfgsd_client *client, const lbfgsd_new_session *create,
                            lbfgsd_function function, void *context, double *x,
                            lbfgsd_minimum *minimum) {
    const char *options = create->options != NULL ? create->options : LBFGSD_MINIMIZE_OPTIONS;
    char session[LBFGSD_ID_SIZE];
    lbfgsd_turn turn;
    lbfgsd_code code;
    memset(minimum, 0, sizeof *minimum);
    code = lbfgsd__create(client, create, options, session);
    if (code != LBFGSD_OK) return code;
    strcpy(minimum->session, session);
    lbfgsd_turn_init(&turn);
    code = lbfgsd_begin(client, session, &turn);
    if (code == LBFGSD_OK)
        code = lbfgsd__run(client, &turn, create->n, function, context, x, minimum);
    lbfgsd_turn_free(&turn);
    return code;
}

#ifdef __cplusplus
}
#endif
#endif /* LBFGSD_CLIENT_IMPLEMENTED */
#endif /* LBFGSD_CLIENT_IMPLEMENTATION */
