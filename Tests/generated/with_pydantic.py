"""Minimises Rosenbrock's function by the client that openapi-generator makes for Python.

    python with_pydantic.py URL N

The folder with the generated package is in PYTHONPATH. Prints a JSON document with what was found.
"""

from __future__ import annotations

import json
import sys

from openapi_client import (
    ApiClient,
    ApiException,
    Configuration,
    CreateOptions,
    CreateRequest,
    EvaluationsApi,
    Mode,
    SessionsApi,
    State,
    StepsApi,
    TellRequest,
)


def rosenbrock(x: list[float]) -> tuple[float, list[float]]:
    loss, gradient = 0.0, [0.0] * len(x)
    for i in range(len(x) - 1):
        rise, rest = x[i + 1] - x[i] * x[i], 1 - x[i]
        loss += 100 * rise * rise + rest * rest
        gradient[i] += -400 * x[i] * rise - 2 * rest
        gradient[i + 1] += 200 * rise
    return loss, gradient


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    client = ApiClient(Configuration(host=url))
    sessions, steps, evaluations = SessionsApi(client), StepsApi(client), EvaluationsApi(client)
    start = [-1.2 if i % 2 == 0 else 1.0 for i in range(count)]
    options = CreateOptions(mode=Mode.ROBUST, tolerance_grad=1e-8)
    request = CreateRequest(x0=start, options=options, labels={"from": "pydantic"})
    session = sessions.create_session(request)
    told = 0
    while True:
        turn = steps.begin_step(session.id)
        while turn.state == State.EVALUATING:
            loss, gradient = rosenbrock(turn.evaluation.x)
            answer = TellRequest(loss=loss, gradient=gradient)
            turn = evaluations.tell_result(session.id, turn.evaluation.number, answer)
            told += 1
        if turn.result.reason not in ("max_iterations", "max_evaluations"):
            break
    try:
        sessions.get_session("s" + "0" * 20)
        problem = "none"
    except ApiException as error:
        problem = error.data.type
    print(
        json.dumps(
            {
                "session": session.id,
                "x": turn.x,
                "loss": turn.result.loss,
                "reason": turn.result.reason,
                "converged": turn.result.converged,
                "evaluations": told,
                "problem": problem,
            }
        )
    )


if __name__ == "__main__":
    main()
