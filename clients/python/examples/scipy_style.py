"""`minimize` as SciPy's, with a run that survives restarts of the server and of the client.

Needs a server at $LBFGSD_URL, or at http://127.0.0.1:8080.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import lbfgsd

Vector = NDArray[np.float64]


def rosenbrock(x: Vector) -> tuple[float, Vector]:
    rises, rests = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * x[:-1] * rises - 2 * rests
    gradient[1:] += 200 * rises
    return float((100 * rises**2 + rests**2).sum()), gradient


class Interrupted:
    """The same function, with Ctrl-C at its twentieth call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        self.calls += 1
        if self.calls == 20:
            raise KeyboardInterrupt
        return rosenbrock(x)


try:
    lbfgsd.minimize(Interrupted(), np.zeros(10), jac=True)
except KeyboardInterrupt as interrupt:
    session = interrupt.lbfgsd_session  # type: ignore[attr-defined]

result = lbfgsd.minimize(rosenbrock, jac=True, session=session, options={"gtol": 1e-8})
print(result.message, result.fun, result.x)
