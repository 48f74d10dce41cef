"""Records what torch.optim.LBFGS does where a step begins without a finite loss.

    python record_starts.py OUTFILE

runs the cases below with the real optimizer, on one thread, and writes one JSON file. Losses are
rounded to float32, in which those far away are infinite while their gradients are not; or they are
NaN at the start. A case in which torch asks for a point that isn't finite is an error: there is
nothing to follow. Needs torch and numpy.

The file is a list of objects with name, about, dtype, options (torch's names, max_eval as a
number), initial, and steps. Each step has evaluations (x, loss, gradient), and parameters, which
are those after the step. Numbers are written so that they are read back bit for bit; those that are
not finite are the strings "NaN" and "Infinity".
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def quadratic(x: Tensor) -> Tensor:
    """Eigenvalues 1 to 10."""
    value: Tensor = 0.5 * (torch.linspace(1, 10, x.numel(), dtype=x.dtype) * x * x).sum()
    return value


def quartic(x: Tensor) -> Tensor:
    """Convex, and steep far out."""
    value: Tensor = (x**4).sum() + 0.5 * (x * x).sum()
    return value


def rosenbrock(x: Tensor) -> Tensor:
    """One curved valley."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@dataclass(frozen=True)
class Case:
    """A problem, where it starts, and how it is minimised."""

    name: str
    about: str
    function: Callable[[Tensor], Tensor]
    start: list[float]
    dtype: str = "float64"
    steps: int = 3
    nan_at: tuple[int, ...] = ()
    """Evaluations, from 1, whose loss is replaced by NaN."""
    infinite_at: tuple[int, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


WOLFE = {"line_search_fn": "strong_wolfe"}


def cases() -> list[Case]:
    """Losses that are infinite for one evaluation, several or a whole step, or NaN; with both line
    searches and both dtypes."""
    far = [3e19, -2e19, 1e19]
    return [
        Case("far_fixed", "down by gradients alone", quadratic, far, options={"lr": 0.3}),
        Case("far_wolfe", "a whole search without a finite loss", quadratic, far, options=WOLFE),
        Case(
            "near_wolfe",
            "finite at the first trial",
            quadratic,
            [3.0, -2.0, 1.0],
            infinite_at=(1,),
            options=WOLFE,
        ),
        Case(
            "near_wolfe_float32",
            "the same",
            quadratic,
            [3.0, -2.0, 1.0],
            "float32",
            infinite_at=(1,),
            options=WOLFE,
        ),
        Case(
            "near_fixed_float32",
            "finite after three moves",
            quadratic,
            [3.0, -2.0, 1.0],
            "float32",
            infinite_at=(1, 2, 3),
            options={"lr": 0.1},
        ),
        Case(
            "near_fixed",
            "finite after one move",
            rosenbrock,
            [-1.2, 1.0, 0.5],
            infinite_at=(1,),
            options={"lr": 0.002},
        ),
        Case(
            "trials_wolfe",
            "infinite at the first trials too",
            quartic,
            [3.0, -2.0, 1.0],
            infinite_at=(1, 2),
            options=WOLFE,
        ),
        Case(
            "bracket_wolfe",
            "slopes alone make the bracket",
            rosenbrock,
            [-1.2, 1.0],
            infinite_at=(1, 2, 3, 4, 5),
            options=WOLFE,
        ),
        Case(
            "later_step",
            "a loss that is infinite where a later step begins",
            rosenbrock,
            [-1.2, 1.0],
            infinite_at=(6,),
            options=WOLFE | {"max_iter": 4},
        ),
        Case(
            "budget",
            "the budget ends while all is infinite",
            quadratic,
            far,
            options=WOLFE | {"max_eval": 3},
        ),
        Case(
            "no_budget",
            "no trial beyond the first",
            quadratic,
            far,
            options=WOLFE | {"max_eval": 1},
        ),
        Case("nan_wolfe", "NaN, then finite", rosenbrock, [-1.2, 1.0], nan_at=(1,), options=WOLFE),
        Case(
            "nan_zoom",
            "NaN, then a bracket that begins there",
            quadratic,
            [3.0, -2.0, 1.0],
            nan_at=(1,),
            options=WOLFE | {"lr": 15.0},
        ),
        Case(
            "nan_fixed",
            "NaN, then finite, by gradients alone",
            quadratic,
            [3.0, -2.0, 1.0],
            nan_at=(1,),
            options={"lr": 0.1},
        ),
        Case(
            "nan_float32",
            "the same",
            quadratic,
            [3.0, -2.0, 1.0],
            "float32",
            nan_at=(1,),
            options={"lr": 0.1},
        ),
    ]


def number(value: float) -> float | str:
    """A number as JSON has it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity"


def record(case: Case) -> dict[str, Any]:
    """Runs a case with torch."""
    dtype = getattr(torch, case.dtype)
    x = torch.tensor(case.start, dtype=dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([x], **case.options)
    group = optimizer.param_groups[0]
    steps: list[dict[str, Any]] = []
    count = 0
    for _ in range(case.steps):
        evaluations: list[dict[str, Any]] = []

        def closure(evaluations: list[dict[str, Any]] = evaluations) -> Tensor:
            nonlocal count
            count += 1
            point = x.detach().double().requires_grad_()
            exact = case.function(point)
            (gradient,) = torch.autograd.grad(exact, point)
            x.grad = gradient.to(dtype)
            with np.errstate(over="ignore"):
                loss = float(np.float32(exact.item()))
            loss = math.nan if count in case.nan_at else loss
            loss = math.inf if count in case.infinite_at else loss
            if not (torch.isfinite(x).all() and torch.isfinite(x.grad).all()):
                raise SystemExit(f"{case.name}: torch leaves the finite numbers")
            evaluations.append({"x": x.tolist(), "loss": number(loss), "gradient": x.grad.tolist()})
            return torch.tensor(loss, dtype=dtype)

        optimizer.step(closure)
        steps.append({"evaluations": evaluations, "parameters": x.tolist()})
    if isinstance(steps[0]["evaluations"][0]["loss"], float) and case.name != "later_step":
        raise SystemExit(f"{case.name}: the first loss is finite")
    names = (
        "lr",
        "max_iter",
        "max_eval",
        "tolerance_grad",
        "tolerance_change",
        "history_size",
        "line_search_fn",
    )
    return {
        "name": case.name,
        "about": case.about,
        "dtype": case.dtype,
        "options": {name: group[name] for name in names},
        "initial": torch.tensor(case.start, dtype=dtype).tolist(),
        "steps": steps,
    }


def main() -> None:
    """Records and writes every case."""
    torch.set_num_threads(1)
    recorded = [record(case) for case in cases()]
    for case in recorded:
        losses = [[e["loss"] for e in step["evaluations"]] for step in case["steps"]]
        print(
            case["name"],
            *[f"{len(step)} ({sum(isinstance(v, str) for v in step)})" for step in losses],
        )
    lines = ",\n".join(json.dumps(case, allow_nan=False) for case in recorded)
    Path(sys.argv[1]).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
