#!/usr/bin/env python3
"""Counts the CUTEst problems that liblbfgsd and libLBFGS solve within 2000 evaluations, one after
the other in one process. See README.md.

python3 Benchmarks/c-library/problems.py --library PATH [--problems NAME ...] [--sizes MIN MAX]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [
    str(ROOT / "clients" / "python" / "src"),
    str(ROOT / "Benchmarks" / "robustness"),
]

from lbfgsd._engine.library import EVALUATE  # noqa: E402
from lbfgsd._engine.optimizer import LocalOptimizer  # noqa: E402
from solvers import BudgetSpent, Counted, Setting, Solver, liblbfgs  # noqa: E402
from suite import problems  # noqa: E402

SETTINGS = (
    Setting("float64, 1e-9", 1e-9, "float64", 2000, 1e-6),
    Setting("rounded to float32, 1e-4", 1e-4, "float32", 2000, 1e-3),
)


def liblbfgsd(library: Path, history: int) -> Solver:
    """One step in mode robust, with no options but the history, the tolerance and `noise`."""

    def solve(function: Counted, x0: NDArray[Any], limit: float) -> tuple[NDArray[Any], str]:
        budget, tolerance = function.setting.evaluations_max, function.setting.tolerance
        options = {
            "mode": "robust",
            "max_iter": budget,
            "max_eval": budget,
            "history_size": history,
            "tolerance_grad": tolerance,
            "tolerance_grad_relative": tolerance,
            "noise": function.setting.noise,
        }
        optimizer = LocalOptimizer(library, x0, options)
        status = optimizer.begin()
        while status == EVALUATE:
            loss, gradient = function(optimizer.trial.copy())
            status = optimizer.advance(loss, np.ascontiguousarray(gradient, dtype=np.float64))
        return optimizer.x, optimizer.result().reason

    return solve


def is_solved(function: Any, setting: Setting, x0: NDArray[Any], solver: Solver) -> bool:
    """Whether max|g| <= tolerance max(1, max|g0|) at the point where the solver ends."""
    counted = Counted(function, setting)
    limit = setting.tolerance * max(1.0, counted.norm(x0, counted.measure(x0)[1]))
    try:
        x, _ = solver(counted, x0.copy(), limit)
    except BudgetSpent:
        return False
    within = counted.evaluations <= setting.evaluations_max
    return bool(within and counted.norm(x, counted.measure(x)[1]) <= limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--problems", nargs="*", help="only these")
    parser.add_argument("--sizes", nargs=2, type=int, default=(1, 1000))
    options = parser.parse_args()
    solvers = {
        "liblbfgsd": liblbfgsd(options.library, 100),
        "liblbfgsd, history 10": liblbfgsd(options.library, 10),
        "libLBFGS": liblbfgs(),
    }
    solved = {setting.name: dict.fromkeys(solvers, 0) for setting in SETTINGS}
    count = 0
    sizes = range(options.sizes[0], options.sizes[1] + 1)
    for name, n, x0, function in problems(options.problems, sizes):
        count += 1
        for setting in SETTINGS:
            results = {
                label: is_solved(function, setting, x0, solver) for label, solver in solvers.items()
            }
            for label, result in results.items():
                solved[setting.name][label] += result
            only = [label for label, result in results.items() if result]
            if len(only) < len(solvers):
                print(f"{name}, n = {n}, {setting.name}: solved by {only}", file=sys.stderr)
    print(f"| solver | {' | '.join(solved)} |\n|---|{'---:|' * len(solved)}")
    for label in solvers:
        cells = [f"{solved[setting.name][label]} / {count}" for setting in SETTINGS]
        print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
