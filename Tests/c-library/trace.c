/* Prints every evaluation of a run: the point, the loss and the gradient, in hexadecimal, and at
 * last the point where the run ended. Arguments: mode (robust or torch), whether bounded. */
#include "checks.h"

enum { n = 6 };

static void print(const char *name, double loss, const double *x, const double *g) {
    printf("%s %a", name, loss);
    for (int i = 0; i < n; i++) printf(" %a", x[i]);
    for (int i = 0; i < n && g != NULL; i++) printf(" %a", g[i]);
    printf("\n");
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    int is_torch = strcmp(arguments[1], "torch") == 0;
    lbfgsd_options options = default_options(is_torch ? LBFGSD_MODE_TORCH : LBFGSD_MODE_ROBUST);
    options.line_search = is_torch ? LBFGSD_LINE_SEARCH_STRONG_WOLFE : LBFGSD_LINE_SEARCH_DEFAULT;
    options.max_iter = 40;
    options.history_size = 7;
    double x0[n];
    rosenbrock_start(n, x0);
    lbfgsd_optimizer *optimizer;
    EXPECT(LBFGSD_OK, lbfgsd_create(&optimizer, n, x0, &options, &error), "");
    if (strcmp(arguments[2], "bounded") == 0)
        EXPECT(LBFGSD_OK, lbfgsd_set_uniform_bounds(optimizer, -1, 0.75, &error), "");
    lbfgsd_status status = lbfgsd_begin(optimizer, NULL, NULL);
    while (status == LBFGSD_EVALUATE) {
        double g[n];
        const double *x = lbfgsd_point(optimizer);
        double loss = rosenbrock(n, x, g);
        print("evaluation", loss, x, g);
        status = lbfgsd_advance(optimizer, loss, g, NULL);
    }
    print(lbfgsd_reason_name(result_of(optimizer).reason), result_of(optimizer).loss,
          lbfgsd_x(optimizer), NULL);
    lbfgsd_destroy(optimizer);
    return 0;
}
