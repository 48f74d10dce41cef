#!/usr/bin/env python3
"""What an evaluation costs besides the function, in process: lbfgsd.minimize and SciPy's L-BFGS-B.

usage: overhead.py [--rounds N] [--sizes N ...]

Both minimize the same quadratic with 10 pairs and the same number of evaluations, by turns in one
process. Prints the medians in microseconds an evaluation, and the median of the ratios in a round.
Needs SciPy and the client with its engine: a wheel of `make wheel`, or LBFGSD_LIBRARY.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

import lbfgsd

EVALUATIONS = {2: 60, 100: 200, 10_000: 200, 1_000_000: 60}


class Quadratic:
    """Half the sum of a_i (x_i - c_i)^2, with a_i from 1 to 1e4; counts the seconds within."""

    def __init__(self, n: int) -> None:
        chance = np.random.default_rng(0)
        self.scales = 10 ** chance.uniform(0, 4, n)
        self.centre = chance.uniform(-1, 1, n)
        self.seconds = 0.0

    def __call__(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        began = time.perf_counter()
        away = x - self.centre
        gradient = self.scales * away
        loss = 0.5 * float(gradient @ away)
        self.seconds += time.perf_counter() - began
        return loss, gradient


def microseconds(run: Callable[[Quadratic], Any], n: int) -> float:
    function = Quadratic(n)
    began = time.perf_counter()
    result = run(function)
    elapsed = time.perf_counter() - began
    return (elapsed - function.seconds) / int(result.nfev) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=[*EVALUATIONS])
    arguments = parser.parse_args()
    print("| n | lbfgsd, us | SciPy, us | ratio |\n|---:|---:|---:|---:|")
    for n in arguments.sizes:
        most = EVALUATIONS.get(n, 100)
        options = {"maxfun": most, "maxiter": most, "gtol": 0, "maxcor": 10}

        def ours(function: Quadratic, n: int = n, options: dict[str, Any] = options) -> Any:
            start = np.ones(n)
            return lbfgsd.minimize(function, start, jac=True, engine="local", options=options)

        def theirs(function: Quadratic, n: int = n, options: dict[str, Any] = options) -> Any:
            return scipy.optimize.minimize(
                function, np.ones(n), jac=True, method="L-BFGS-B", options={**options, "ftol": 0}
            )

        rounds = [(microseconds(ours, n), microseconds(theirs, n)) for _ in range(arguments.rounds)]
        mine, other = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(a / b for a, b in rounds)
        print(f"| {n} | {mine:.1f} | {other:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
