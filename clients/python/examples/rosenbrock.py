"""The bare protocol: ask for a point, tell its loss and gradient, get the next point back.

Needs a server at $LBFGSD_URL, or at http://127.0.0.1:8080.
"""

from __future__ import annotations

from typing import Any

import lbfgsd


def rosenbrock(x: Any) -> tuple[Any, Any]:
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a * a + 100 * b * b, [-2 * a - 400 * x[0] * b, 200 * b]


with lbfgsd.Client() as client:
    session = client.create_session([-1.2, 1.0], options={"mode": "robust"})

    # A step has 20 iterations and 25 evaluations, unless the options say otherwise.
    while True:
        turn = client.begin_step(session)
        while turn.evaluation is not None:
            loss, gradient = rosenbrock(turn.evaluation.x)
            turn = client.tell(session, turn.evaluation.number, loss, gradient)
        assert turn.result is not None
        if turn.result.reason not in ("max_iterations", "max_evaluations"):
            break

    print(turn.x, turn.result)
