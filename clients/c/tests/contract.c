/* Carries out the commands of the contract suite, Tests/integration/clients, one a line. The answer
   is a line of fields: "ok" or "error", then KEY=VALUE. Vectors are the hexadecimal digits of
   doubles, 16 each; "-" stands for what is not there. */

#define LBFGSD_CLIENT_IMPLEMENTATION
#include "../lbfgsd_client.h"

#include <inttypes.h>

static lbfgsd_client *client;
static lbfgsd_turn turn;

static double read_double(const char *digits) {
    char copy[17];
    uint64_t bits;
    double value;
    memcpy(copy, digits, 16);
    copy[16] = '\0';
    bits = strtoull(copy, NULL, 16);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Returns NULL for "-". */
static double *read_vector(const char *digits, size_t *n) {
    double *values;
    size_t i;
    if (strcmp(digits, "-") == 0) return NULL;
    *n = strlen(digits) / 16;
    values = malloc(*n * sizeof *values);
    for (i = 0; i < *n; i++) values[i] = read_double(digits + 16 * i);
    return values;
}

static void print_vector(const char *key, size_t n, const double *x, const float *x_f32) {
    size_t i;
    printf(" %s=", key);
    for (i = 0; i < n; i++) {
        double value = x != NULL ? x[i] : (double)x_f32[i];
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        printf("%016" PRIx64, bits);
    }
}

static void print_error(void) {
    static const char *const kinds[] = {"ok",         "no-memory", "invalid", "connection",
                                        "problem",    "bad-reply", "interrupted"};
    const lbfgsd_error *error = lbfgsd_last_error(client);
    printf("error kind=%s status=%d type=%s field=%s message=%s", kinds[error->code],
           error->http_status, error->type, error->field, error->message);
}

static void print_result(const lbfgsd_result *result) {
    printf(" reason=%s converged=%d iterations=%lld evaluations=%lld", result->reason,
           result->converged, result->iterations, result->evaluations);
    print_vector("loss", 1, &result->loss, NULL);
}

static void print_turn(lbfgsd_code code) {
    static const char *const states[] = {"idle", "evaluating", "awaiting_hook"};
    if (code != LBFGSD_OK) {
        print_error();
        return;
    }
    printf("ok session=%s state=%s step=%lld evaluation=%lld dtype=%s replayed=%d", turn.session,
           states[turn.state], turn.step, turn.evaluation,
           turn.dtype == LBFGSD_FLOAT32 ? "float32" : "float64", turn.replayed);
    if (turn.has_result) print_result(&turn.result);
    print_vector("x", turn.n, turn.x, turn.x_f32);
}

static void print_text(lbfgsd_code code, const char *key, const char *text) {
    if (code != LBFGSD_OK) print_error();
    else printf("ok %s=%s", key, text);
}

/* The chained Rosenbrock function, infeasible where x[0] exceeds the limit that the context has. */
static int rosenbrock(size_t n, const double *x, double *loss, double *gradient, void *context) {
    double sum = 0;
    size_t i;
    if (context != NULL && x[0] > *(const double *)context) return 1;
    for (i = 0; i < n; i++) gradient[i] = 0;
    for (i = 0; i + 1 < n; i++) {
        double rise = x[i + 1] - x[i] * x[i], rest = 1 - x[i];
        sum += 100 * (rise * rise) + rest * rest;
        gradient[i] += -400 * x[i] * rise - 2 * rest;
        gradient[i + 1] += 200 * rise;
    }
    *loss = sum;
    return 0;
}

static int give_up(size_t n, const double *x, double *loss, double *gradient, void *context) {
    int *left = context;
    rosenbrock(n, x, loss, gradient, NULL);
    return (*left)-- > 0 ? 0 : -1;
}

static const char *or_null(const char *word) { return strcmp(word, "-") == 0 ? NULL : word; }

/* open URL TOKEN SOCKET DEADLINE FIRST_DEADLINE TIMEOUT */
static void open_client(char **words) {
    lbfgsd_settings settings;
    lbfgsd_settings_init(&settings);
    settings.url = words[1];
    settings.token = or_null(words[2]);
    settings.unix_socket = or_null(words[3]);
    settings.deadline = strtod(words[4], NULL);
    settings.first_deadline = strtod(words[5], NULL);
    settings.timeout = strtod(words[6], NULL);
    settings.pause_initial = 0.02;
    settings.pause_max = 0.2;
    lbfgsd_close(client);
    client = lbfgsd_open(&settings);
    printf(client != NULL ? "ok" : "error kind=no-memory");
}

/* create DTYPE NAME LABEL OPTIONS LOWER UPPER X; the label is KEY:VALUE */
static void create(char **words) {
    lbfgsd_new_session new_session;
    const char *labels[] = {NULL, NULL, NULL};
    char session[LBFGSD_ID_SIZE];
    double *x, *lower, *upper;
    lbfgsd_new_session_init(&new_session);
    new_session.dtype = strcmp(words[1], "float32") == 0 ? LBFGSD_FLOAT32 : LBFGSD_FLOAT64;
    new_session.name = or_null(words[2]);
    if (or_null(words[3]) != NULL) {
        char *colon = strchr(words[3], ':');
        *colon = '\0';
        labels[0] = words[3];
        labels[1] = colon + 1;
        new_session.labels = labels;
    }
    new_session.options = or_null(words[4]);
    new_session.lower = lower = read_vector(words[5], &new_session.n);
    new_session.upper = upper = read_vector(words[6], &new_session.n);
    new_session.x0 = x = read_vector(words[7], &new_session.n);
    print_text(lbfgsd_create(client, &new_session, session), "session", session);
    free(x);
    free(lower);
    free(upper);
}

/* next: tells the function at the newest turn's point */
static void answer(void) {
    double *gradient = malloc(turn.n * sizeof *gradient), *x = malloc(turn.n * sizeof *x);
    float *gradient_f32 = malloc(turn.n * sizeof *gradient_f32);
    double loss;
    size_t i;
    for (i = 0; i < turn.n; i++) x[i] = turn.x != NULL ? turn.x[i] : (double)turn.x_f32[i];
    rosenbrock(turn.n, x, &loss, gradient, NULL);
    for (i = 0; i < turn.n; i++) gradient_f32[i] = (float)gradient[i];
    /* Either function serves either kind of session; here each its own. */
    print_turn(turn.dtype == LBFGSD_FLOAT32 ? lbfgsd_tell_f32(client, &turn, loss, gradient_f32)
                                            : lbfgsd_tell(client, &turn, loss, gradient));
    free(gradient);
    free(gradient_f32);
    free(x);
}

/* tell SESSION NUMBER LOSS GRADIENT */
static void tell(char **words) {
    size_t n = 0;
    double *gradient = read_vector(words[4], &n);
    lbfgsd_code code = lbfgsd_ask(client, words[1], 0, &turn);
    if (code == LBFGSD_OK) {
        turn.evaluation = strtoll(words[2], NULL, 10);
        code = lbfgsd_tell(client, &turn, read_double(words[3]), gradient);
    }
    print_turn(code);
    free(gradient);
}

/* fail SESSION NUMBER REASON */
static void fail(char **words) {
    lbfgsd_code code = lbfgsd_ask(client, words[1], 0, &turn);
    if (code == LBFGSD_OK) {
        turn.evaluation = strtoll(words[2], NULL, 10);
        code = lbfgsd_tell_failed(client, &turn, words[3]);
    }
    print_turn(code);
}

/* minimize DTYPE LIMIT LOWER UPPER X, or resume SESSION N, or interrupt CALLS X */
static void minimize(char **words) {
    lbfgsd_new_session new_session;
    lbfgsd_minimum minimum;
    lbfgsd_code code;
    double limit = 0, *lower = NULL, *upper = NULL, *start = NULL, *x;
    lbfgsd_new_session_init(&new_session);
    if (strcmp(words[0], "resume") == 0) {
        new_session.n = strtoul(words[2], NULL, 10);
        x = malloc(new_session.n * sizeof *x);
        code = lbfgsd_resume(client, words[1], new_session.n, rosenbrock, NULL, x, &minimum);
    } else if (strcmp(words[0], "interrupt") == 0) {
        int left = (int)strtol(words[1], NULL, 10);
        new_session.x0 = start = read_vector(words[2], &new_session.n);
        x = malloc(new_session.n * sizeof *x);
        code = lbfgsd_minimize(client, &new_session, give_up, &left, x, &minimum);
        if (code == LBFGSD_INTERRUPTED) code = LBFGSD_OK;
    } else {
        int limited = or_null(words[2]) != NULL;
        if (limited) limit = read_double(words[2]);
        new_session.dtype = strcmp(words[1], "float32") == 0 ? LBFGSD_FLOAT32 : LBFGSD_FLOAT64;
        new_session.lower = lower = read_vector(words[3], &new_session.n);
        new_session.upper = upper = read_vector(words[4], &new_session.n);
        new_session.x0 = start = read_vector(words[5], &new_session.n);
        x = malloc(new_session.n * sizeof *x);
        code = lbfgsd_minimize(client, &new_session, rosenbrock, limited ? &limit : NULL, x,
                               &minimum);
    }
    if (code != LBFGSD_OK) {
        print_error();
    } else {
        printf("ok session=%s calls=%lld", minimum.session, minimum.calls);
        print_result(&minimum.result);
        print_vector("x", new_session.n, x, NULL);
    }
    free(start);
    free(lower);
    free(upper);
    free(x);
}

/* parameters SESSION N [DTYPE X]: reads them, or replaces them first */
static void parameters(char **words) {
    size_t n = strtoul(words[2], NULL, 10);
    double *x = malloc(n * sizeof *x), *given = NULL;
    lbfgsd_dtype dtype = LBFGSD_FLOAT64;
    lbfgsd_code code = LBFGSD_OK;
    if (words[3] != NULL) {
        if (strcmp(words[3], "float32") == 0) dtype = LBFGSD_FLOAT32;
        given = read_vector(words[4], &n);
        code = lbfgsd_set_parameters(client, words[1], n, dtype, given);
    }
    if (code == LBFGSD_OK) code = lbfgsd_get_parameters(client, words[1], n, x);
    if (code != LBFGSD_OK) {
        print_error();
    } else {
        printf("ok");
        print_vector("x", n, x, NULL);
    }
    free(given);
    free(x);
}

/* checkpoint SESSION, fork SESSION CHECKPOINT, request METHOD PATH */
static void others(char **words) {
    char text[LBFGSD_ID_SIZE] = "", *reply;
    long long checkpoint = 0;
    lbfgsd_code code;
    if (strcmp(words[0], "checkpoint") == 0) {
        code = lbfgsd_checkpoint(client, words[1], "a \"name\"", &checkpoint);
        snprintf(text, sizeof text, "%lld", checkpoint);
        print_text(code, "checkpoint", text);
    } else if (strcmp(words[0], "fork") == 0) {
        code = lbfgsd_fork(client, words[1], strtoll(words[2], NULL, 10), text);
        print_text(code, "session", text);
    } else {
        code = lbfgsd_request(client, words[1], words[2], NULL, &reply);
        print_text(code, "reply", reply);
        free(reply);
    }
}

static int execute(char *line) {
    char *words[16] = {NULL};
    int count = 0;
    char *word = line, *space;
    line[strcspn(line, "\n")] = '\0';
    /* The reason of a failure is the rest of its line. */
    while (count < 15) {
        words[count++] = word;
        if (count == 4 && strcmp(words[0], "fail") == 0) break;
        space = strchr(word, ' ');
        if (space == NULL) break;
        *space = '\0';
        word = space + 1;
    }
    if (strcmp(words[0], "open") == 0) open_client(words);
    else if (strcmp(words[0], "create") == 0) create(words);
    else if (strcmp(words[0], "begin") == 0) print_turn(lbfgsd_begin(client, words[1], &turn));
    else if (strcmp(words[0], "ask") == 0) print_turn(lbfgsd_ask(client, words[1], 0, &turn));
    else if (strcmp(words[0], "next") == 0) answer();
    else if (strcmp(words[0], "tell") == 0) tell(words);
    else if (strcmp(words[0], "fail") == 0) fail(words);
    else if (strcmp(words[0], "stop") == 0) print_turn(lbfgsd_stop(client, words[1], &turn));
    else if (strcmp(words[0], "restore") == 0)
        print_turn(lbfgsd_restore(client, words[1], strtoll(words[2], NULL, 10), &turn));
    else if (strcmp(words[0], "delete") == 0)
        print_text(lbfgsd_delete(client, words[1]), "deleted", words[1]);
    else if (strcmp(words[0], "parameters") == 0) parameters(words);
    else if (strcmp(words[0], "minimize") == 0 || strcmp(words[0], "resume") == 0 ||
             strcmp(words[0], "interrupt") == 0) minimize(words);
    else if (strcmp(words[0], "checkpoint") == 0 || strcmp(words[0], "fork") == 0 ||
             strcmp(words[0], "request") == 0) others(words);
    else return 0;
    return 1;
}

/* Reads a line of any length; the caller frees it. */
static char *read_line(void) {
    size_t length = 0, capacity = 4096;
    char *line = malloc(capacity);
    while (fgets(line + length, (int)(capacity - length), stdin) != NULL) {
        length += strlen(line + length);
        if (line[length - 1] == '\n') return line;
        capacity *= 2;
        line = realloc(line, capacity);
    }
    free(line);
    return NULL;
}

int main(void) {
    char *line;
    int known = 1;
    lbfgsd_turn_init(&turn);
    while (known && (line = read_line()) != NULL) {
        known = execute(line);
        printf("\n");
        fflush(stdout);
        free(line);
    }
    lbfgsd_turn_free(&turn);
    lbfgsd_close(client);
    return known ? 0 : 64;
}
