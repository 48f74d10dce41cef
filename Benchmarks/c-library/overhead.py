#!/usr/bin/env python3
"""What an evaluation costs besides the function, in process: lbfgsd.minimize and SciPy's L-BFGS-B.

usage: overhead.py [--rounds N] [--sizes N ...] [--torch]

Both minimize the same quadratic with 10 pairs and the same number of evaluations, by turns in one
process. Prints the medians in microseconds an evaluation, and the median of the ratios in a round.
With --torch it compares lbfgsd.torch.LBFGS with torch.optim.LBFGS instead: strong_wolfe, four
parameters of a quarter each. Needs SciPy or torch, and the client with its engine: a wheel of
`make wheel`, or LBFGSD_LIBRARY.
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


def torch_microseconds(make: Callable[..., Any], n: int) -> float:
    """The same of a torch optimizer: what `step` takes besides the closure."""
    import torch

    function = Quadratic(n)
    scales, centre = (torch.from_numpy(v) for v in (function.scales, function.centre))
    params = [torch.nn.Parameter(part.clone()) for part in torch.ones_like(scales).chunk(4)]
    scale, middle = scales.chunk(4), centre.chunk(4)
    options = {"max_iter": 20, "tolerance_grad": 0, "tolerance_change": 0, "history_size": 10}
    optimizer = make(params, line_search_fn="strong_wolfe", **options)
    calls, seconds = 0, 0.0

    def closure() -> Any:
        nonlocal calls, seconds
        began = time.perf_counter()
        loss = torch.zeros((), dtype=torch.float64)
        with torch.no_grad():
            for p, a, c in zip(params, scale, middle, strict=True):
                away = p - c
                p.grad = a * away
                loss += p.grad @ away
        calls += 1
        seconds += time.perf_counter() - began
        return loss / 2

    began = time.perf_counter()
    for _ in range(2 if n > 10_000 else 8):
        optimizer.step(closure)
    return (time.perf_counter() - began - seconds) / calls * 1e6


def compare_torch(rounds: int, sizes: list[int]) -> None:
    import torch

    import lbfgsd.torch

    def ours(params: Any, **options: Any) -> Any:
        return lbfgsd.torch.LBFGS(params, engine="local", **options)

    print("| n | lbfgsd, us | torch, us | ratio |\n|---:|---:|---:|---:|")
    for n in sizes:
        pairs = [
            (torch_microseconds(ours, n), torch_microseconds(torch.optim.LBFGS, n))
            for _ in range(rounds)
        ]
        mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"| {n} | {mine:.1f} | {other:.1f} | {statistics.median(a / b for a, b in pairs):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--torch", action="store_true")
    arguments = parser.parse_args()
    if arguments.torch:
        compare_torch(arguments.rounds, arguments.sizes or [1000, 1_000_000])
        return
    print("| n | lbfgsd, us | SciPy, us | ratio |\n|---:|---:|---:|---:|")
    for n in arguments.sizes or EVALUATIONS:
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
