// Why a step ended, and what to try; programs that take a session up.

/** [what happened, what to try, whether that is good, bad or neither] by reason. */
const reasons = {
  gradient_tolerance: ["The gradient is as small as tolerance_grad asks: a minimum.",
    "Nothing. For more digits, lower tolerance_grad and begin another step.", "good"],
  step_tolerance: ["The last step changed x or the loss by less than tolerance_change.",
    "If the gradient is still large, lower tolerance_change, or scale the parameters alike.",
    "good"],
  loss_tolerance: ["The loss fell by less than tolerance_loss_relative of itself.",
    "Lower tolerance_loss_relative if you need more digits.", "good"],
  max_iterations: ["The step used up its max_iter iterations; the run isn't finished.",
    "Begin another step: it goes on where this one ended, with its history.", "neutral"],
  max_evaluations: ["The step used up its max_eval evaluations; the run isn't finished.",
    "Begin another step. If line searches take many evaluations, compare a larger max_eval.",
    "neutral"],
  not_a_descent_direction: ["The direction didn't lead downhill, which noise or a wrong gradient "
    + "causes.",
    "Check the gradient against finite differences. Mode robust restarts from steepest descent.",
    "bad"],
  non_finite: ["The loss or the gradient wasn't finite.",
    "Look for overflow or a logarithm of zero in the model, or start elsewhere. Mode robust "
    + "searches on with shorter steps.", "bad"],
  line_search_failed: ["No step length gave enough decrease.",
    "Check the gradient against finite differences. If the loss is noisy, set noise to its "
    + "absolute error.", "bad"],
  within_noise: ["What is left to gain is within the noise of the loss.",
    "Nothing, unless the loss can be computed more precisely.", "good"],
  stopped: ["Somebody stopped the step; x is the best point that was seen.",
    "Begin another step to go on.", "neutral"],
};

export function explain(reason) {
  const [text, advice, kind] = reasons[reason] ?? [reason, "", "neutral"];
  return { text, advice, kind };
}

export function snippets(session, origin) {
  const quoted = JSON.stringify(session.id);
  const isTokenNeeded = sessionStorage.getItem("lbfgsd-token") !== null;
  const header = isTokenNeeded ? ' -H "Authorization: Bearer $LBFGSD_TOKEN"' : "";
  const note = isTokenNeeded ? "The token comes from $LBFGSD_TOKEN." : "";
  const resume = `session=${quoted}`;
  const programs = {
    Python: [
      "import lbfgsd", "", "def fun(x):", "    ...  # your model", "    return loss, gradient", "",
      "result = lbfgsd.minimize(", `    fun, jac=True, url="${origin}",`, `    ${resume})`,
      "print(result.x, result.message)",
    ],
    curl: [
      `S=${origin}/v1/sessions/${session.id}`,
      `curl${header} -X POST $S/steps         # begins a step: the first point`,
      `curl${header} "$S/evaluation?wait=30"  # the point that it waits for`,
      `curl${header} -X PUT $S/evaluations/${session.evaluation + 1}/result \\`,
      "  -H 'Content-Type: application/json' \\",
      "  -d '{\"loss\": 1.5, \"gradient\": [0.5, ...]}'",
    ],
    C: [
      "#define LBFGSD_CLIENT_IMPLEMENTATION", '#include "lbfgsd_client.h"', "",
      "/* Your model. */", "static int fun(size_t n, const double *x, double *loss,",
      "               double *gradient, void *context);", "", "int main(void) {",
      `    static double x[${session.n}];`, "    lbfgsd_settings settings;",
      "    lbfgsd_minimum minimum;", "    lbfgsd_client *client;", "",
      "    lbfgsd_settings_init(&settings);", `    settings.url = "${origin}";`,
      "    client = lbfgsd_open(&settings);",
      `    lbfgsd_resume(client, ${quoted},`,
        `                  ${session.n}, fun, NULL, x, &minimum);`,
      "    lbfgsd_close(client);", "    return 0;", "}",
    ],
  };
  return Object.entries(programs).map(([name, lines]) => [name, lines.join("\n"), note]);
}
