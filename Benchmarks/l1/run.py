#!/usr/bin/env python3
"""Compares L1-regularized fits by the daemon, libLBFGS's OWL-QN, and scikit-learn's own solvers, on
data sets that scikit-learn brings along. Prints Markdown. See README.md.

The daemon is $LBFGSD_BIN or .build/release/lbfgsd.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [
    str(ROOT / "clients" / "python" / "src"),
    str(ROOT / "Tests" / "integration"),
    str(HERE.parent / "robustness"),
]

from daemon import Daemon  # noqa: E402
from lbfgsd import Client  # noqa: E402
from solvers import HISTORY, BudgetSpent, liblbfgs  # noqa: E402

EVALUATIONS_MAX = 5000
TARGETS = (1e-4, 1e-9)
"""An evaluation reaches a target where its objective is above the best known one by at most this,
relatively."""
WEIGHTS = (0.1, 0.01, 0.001)
"""Weights of the L1 term, as shares of the least one with which all parameters are 0."""
TOLERANCE_GRADIENT = 1e-10
"""Of the projected pseudo-gradient, relative to the first."""

Vector = NDArray[np.floating[Any]]


class Loss:
    """A smooth loss, its gradient, and what scikit-learn finds for it with an L1 term."""

    def __init__(self, matrix: Vector, target: Vector) -> None:
        self.matrix, self.target = matrix, target

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        raise NotImplementedError

    def reference(self, weight: float) -> Vector:
        raise NotImplementedError


class Logistic(Loss):
    """sum_i log(1 + exp(-y_i a_i.x)), y_i = 1 or -1; LIBLINEAR minimizes the same."""

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        margin = self.target * (self.matrix @ x)
        loss = float(np.sum(np.logaddexp(0, -margin)))
        share = np.exp(-np.logaddexp(0, margin))
        return loss, -(self.matrix.T @ (self.target * share))

    def reference(self, weight: float) -> Vector:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(
            l1_ratio=1,
            C=1 / weight,
            solver="liblinear",
            fit_intercept=False,
            tol=1e-10,
            max_iter=1000,
            random_state=0,
        )
        return np.asarray(model.fit(self.matrix, self.target).coef_[0], np.float64)


class LeastSquares(Loss):
    """|A x - b|^2 / 2; scikit-learn's Lasso divides by the number of rows."""

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        residual = self.matrix @ x - self.target
        return float(residual @ residual) / 2, self.matrix.T @ residual

    def reference(self, weight: float) -> Vector:
        from sklearn.linear_model import Lasso

        rows = len(self.target)
        model = Lasso(alpha=weight / rows, fit_intercept=False, tol=1e-15, max_iter=100_000)
        return np.asarray(model.fit(self.matrix, self.target).coef_, np.float64)


@dataclass
class Run:
    """What a solver did: its objectives, evaluation by evaluation, and where it ended."""

    objectives: list[float] = field(default_factory=list)
    x: Vector | None = None

    def evaluations_to(self, objective: float) -> int | None:
        reached = (k for k, value in enumerate(self.objectives, 1) if value <= objective)
        return next(reached, None)


class Traced:
    """A loss that keeps the objectives of its evaluations."""

    def __init__(self, loss: Loss, weight: float) -> None:
        self.loss, self.weight, self.objectives = loss, weight, list[float]()

    def objective(self, x: Vector) -> float:
        return self.loss(x)[0] + self.weight * float(np.sum(np.abs(x)))

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        if len(self.objectives) >= EVALUATIONS_MAX:
            raise BudgetSpent
        loss, gradient = self.loss(x)
        self.objectives.append(loss + self.weight * float(np.sum(np.abs(x))))
        return loss, gradient


def standardized(matrix: Vector) -> Vector:
    spread = matrix.std(axis=0)
    kept = spread > 0
    return np.asarray((matrix[:, kept] - matrix[:, kept].mean(axis=0)) / spread[kept], np.float64)


def problems() -> Iterator[tuple[str, Loss]]:
    """Data sets with standardized columns; "squares" are all products of two columns besides."""
    from sklearn import datasets
    from sklearn.preprocessing import PolynomialFeatures

    cancer = datasets.load_breast_cancer()
    digits = datasets.load_digits()
    wine = datasets.load_wine()
    diabetes = datasets.load_diabetes()

    def squares(matrix: Vector) -> Vector:
        made = PolynomialFeatures(2, include_bias=False).fit_transform(standardized(matrix))
        return standardized(made)

    def signs(chosen: NDArray[np.bool_]) -> Vector:
        return np.where(chosen, 1.0, -1.0)

    yield "breast cancer", Logistic(standardized(cancer.data), signs(cancer.target == 0))
    yield "breast cancer, squares", Logistic(squares(cancer.data), signs(cancer.target == 0))
    yield "digits, 5 and above", Logistic(standardized(digits.data), signs(digits.target >= 5))
    yield "wine, class 1", Logistic(standardized(wine.data), signs(wine.target == 1))
    centred = diabetes.target - diabetes.target.mean()
    yield "diabetes", LeastSquares(standardized(diabetes.data), centred)
    yield "diabetes, squares", LeastSquares(squares(diabetes.data), centred)


def run_daemon(client: Client, loss: Loss, weight: float, options: dict[str, Any]) -> Run:
    traced = Traced(loss, weight)
    given = {
        "mode": "robust",
        "max_iter": EVALUATIONS_MAX,
        "max_eval": EVALUATIONS_MAX,
        "tolerance_grad": 0,
        "tolerance_grad_relative": TOLERANCE_GRADIENT,
        **options,
    }
    session = client.create_session(np.zeros(loss.matrix.shape[1]), options=given, l1=weight)
    try:
        turn = client.begin_step(session)
        while turn.evaluation is not None:
            told = traced(turn.evaluation.x)
            turn = client.tell(session, turn.evaluation.number, *told)
        return Run(traced.objectives, turn.x)
    finally:
        client.delete_session(session)


def run_liblbfgs(loss: Loss, weight: float) -> Run:
    """It ends by itself when its line search finds no lower objective."""
    traced = Traced(loss, weight)
    made: Any = traced
    x = None
    with contextlib.suppress(BudgetSpent):
        x, _ = liblbfgs(weight)(made, np.zeros(loss.matrix.shape[1]), -1)
    return Run(traced.objectives, x)


def support(x: Vector) -> set[int]:
    return set(np.flatnonzero(x))


def ending(run: Run, reference: Vector, traced: Traced) -> list[str]:
    """The objective where a run ended, in relation to scikit-learn's, and whether the same
    parameters are not 0. A run without an end spent its budget."""
    if run.x is None:
        return ["-", "-"]
    theirs = traced.objective(reference)
    difference = (traced.objective(run.x) - theirs) / abs(theirs)
    return [f"{difference:.1e}", "yes" if support(run.x) == support(reference) else "no"]


def shown(count: int | None) -> str:
    return "-" if count is None else str(count)


def compare(client: Client, name: str, loss: Loss, ratios: dict[tuple[str, float], Any]) -> None:
    largest = float(np.max(np.abs(loss(np.zeros(loss.matrix.shape[1]))[1])))
    contestants: dict[str, Callable[[float], Run]] = {
        "lbfgsd": lambda w: run_daemon(client, loss, w, {}),
        f"lbfgsd, history {HISTORY}": lambda w: run_daemon(
            client, loss, w, {"history_size": HISTORY}
        ),
    }
    with contextlib.suppress(OSError):
        liblbfgs()
        contestants["OWL-QN"] = lambda w: run_liblbfgs(loss, w)
    for share in WEIGHTS:
        weight = share * largest
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = loss.reference(weight)
        theirs = Traced(loss, weight).objective(reference)
        runs = {label: run(weight) for label, run in contestants.items()}
        best = min([theirs, *(min(run.objectives) for run in runs.values())])
        for label, run in runs.items():
            assert run.objectives
            counts = [run.evaluations_to(best + target * abs(best)) for target in TARGETS]
            for target, count in zip(TARGETS, counts, strict=True):
                ratios.setdefault((label, target), []).append(count)
            row = [
                f"{name} ({loss.matrix.shape[1]})",
                f"{share:g}",
                label,
                *map(shown, counts),
                str(len(run.objectives)),
                *ending(run, reference, Traced(loss, weight)),
                str(len(support(reference))),
            ]
            print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="*", help="how their names begin; all if left out")
    arguments = parser.parse_args()
    targets = " | ".join(f"evaluations to {target:g}" for target in TARGETS)
    print(
        f"| data (parameters) | weight | solver | {targets} | until it ends "
        "| objective against scikit-learn's | same support | its size |"
    )
    print("|---|---:|---|" + "---:|" * (len(TARGETS) + 2) + "---|---:|")
    ratios: dict[tuple[str, float], Any] = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("LBFGSD_BENCH_DIR")) as directory:
        daemon = Daemon(Path(directory) / "data", Path(directory) / "log")
        try:
            daemon.start()
            with Client(daemon.url) as client:
                # OWL-QN asks for points that are not finite.
                np.seterr(invalid="ignore", over="ignore")
                for name, loss in problems():
                    if not arguments.problems or name.startswith(tuple(arguments.problems)):
                        compare(client, name, loss, ratios)
        finally:
            daemon.close()
    report_ratios(ratios)


def report_ratios(counts: dict[tuple[str, float], list[int | None]]) -> None:
    """Prints the geometric mean of the evaluations in relation to OWL-QN's."""
    print()
    for (label, target), own in counts.items():
        theirs = counts.get(("OWL-QN", target))
        if label == "OWL-QN" or theirs is None:
            continue
        both = [(a, b) for a, b in zip(own, theirs, strict=True) if a is not None and b is not None]
        reached = sum(a is not None for a in own), sum(b is not None for b in theirs)
        mean = np.exp(np.mean([np.log(a / b) for a, b in both])) if both else np.nan
        print(
            f"- {label} to {target:g}: {mean:.2f} of OWL-QN's evaluations on {len(both)}; "
            f"reached {reached[0]} of {len(own)}, OWL-QN {reached[1]}"
        )


if __name__ == "__main__":
    main()
