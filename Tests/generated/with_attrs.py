"""Minimises Rosenbrock's function by the client that openapi-python-client makes.

    python with_attrs.py URL N

The folder with the generated package is in PYTHONPATH. Prints a JSON document with what was found.
"""

from __future__ import annotations

import json
import sys

from attrs_client import Client
from attrs_client.api.evaluations import tell_result
from attrs_client.api.sessions import create_session, get_session
from attrs_client.api.steps import begin_step
from attrs_client.models import (
    CreateOptions,
    CreateRequest,
    Mode,
    State,
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
    client = Client(base_url=url)
    start = [-1.2 if i % 2 == 0 else 1.0 for i in range(count)]
    options = CreateOptions(mode=Mode.ROBUST, tolerance_grad=1e-8)
    request = CreateRequest(x0=start, options=options)
    session = create_session.sync(client=client, body=request)
    told = 0
    while True:
        turn = begin_step.sync(session.id, client=client)
        while turn.state == State.EVALUATING:
            loss, gradient = rosenbrock(turn.evaluation.x)
            answer = TellRequest(loss=loss, gradient=gradient)
            turn = tell_result.sync(session.id, turn.evaluation.number, client=client, body=answer)
            told += 1
        if turn.result.reason not in ("max_iterations", "max_evaluations"):
            break
    problem = get_session.sync("s" + "0" * 20, client=client)
    print(
        json.dumps(
            {
                "session": session.id,
                "x": turn.x,
                "loss": turn.result.loss,
                "reason": turn.result.reason,
                "converged": turn.result.converged,
                "evaluations": told,
                "problem": problem.type_,
            }
        )
    )


if __name__ == "__main__":
    main()
