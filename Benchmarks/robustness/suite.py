"""CUTEst problems without constraints, or with bounds alone, from the package sif2jax, as plain
functions in float64.

for name, n, x0, loss_and_gradient in problems(): ...
for name, n, x0, loss_and_gradient, lower, upper in bounded_problems(): ...
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

jax.config.update("jax_enable_x64", True)

PARAMETERS_MAX = 1000
BOUNDED_PARAMETERS_MAX = 5000

LossAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


def _package(part: str) -> Any:
    """Imports only the subpackage that is needed; importing all of sif2jax builds every problem."""
    if "sif2jax" not in sys.modules:
        found = importlib.util.find_spec("sif2jax")
        assert found is not None and found.origin is not None, "sif2jax is not installed"
        root = Path(found.origin).parent
        for name, path in (("sif2jax", root), ("sif2jax.cutest", root / "cutest")):
            module = types.ModuleType(name)
            module.__path__, module.__package__ = [str(path)], name
            module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
            module.__spec__.submodule_search_locations = [str(path)]
            sys.modules[name] = module
    return importlib.import_module(f"sif2jax.cutest.{part}")


def _function(problem: Any) -> LossAndGradient:
    _, unravel = ravel_pytree(problem.y0)
    compiled = jax.jit(jax.value_and_grad(lambda v: problem.objective(unravel(v), problem.args)))

    def loss_and_gradient(x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        loss, gradient = compiled(np.asarray(x, np.float64))
        return float(loss), np.array(gradient, np.float64)

    return loss_and_gradient


def problems(
    names: Collection[str] | None = None, sizes: range = range(1, PARAMETERS_MAX + 1)
) -> Iterator[tuple[str, int, NDArray[Any], LossAndGradient]]:
    """Yields the named problems, or all whose number of parameters is within the sizes."""
    package = _package("_unconstrained_minimisation")
    for problem, x0 in _selected(package.unconstrained_minimisation_problems, names, sizes):
        yield type(problem).__name__, x0.size, x0, _function(problem)


def bounded_problems(
    names: Collection[str] | None = None, sizes: range = range(1, BOUNDED_PARAMETERS_MAX + 1)
) -> Iterator[tuple[str, int, NDArray[Any], LossAndGradient, NDArray[Any], NDArray[Any]]]:
    """Likewise, with bounds, which are infinite where there are none. The start may be outside."""
    package = _package("_bounded_minimisation")
    for problem, x0 in _selected(package.bounded_minimisation_problems, names, sizes):
        lower, upper = (np.broadcast_to(np.array(b, float), x0.shape) for b in problem.bounds)
        yield type(problem).__name__, x0.size, x0, _function(problem), lower.copy(), upper.copy()


def _selected(
    listed: Iterable[Any], names: Collection[str] | None, sizes: range
) -> Iterator[tuple[Any, NDArray[Any]]]:
    seen = set()
    for problem in listed:
        name = type(problem).__name__
        if name in seen or (names is not None and name not in names):
            continue
        seen.add(name)
        x0 = np.array(ravel_pytree(problem.y0)[0], np.float64)
        if names is not None or x0.size in sizes:
            yield problem, x0
