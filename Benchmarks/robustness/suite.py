"""CUTEst problems without constraints, from the package sif2jax, as plain functions in float64.

for name, n, x0, loss_and_gradient in problems(): ...
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Collection, Iterator
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

LossAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


def _classes() -> list[Any]:
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
    package = importlib.import_module("sif2jax.cutest._unconstrained_minimisation")
    return package.unconstrained_minimisation_problems


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
    seen = set()
    for problem in _classes():
        name = type(problem).__name__
        if name in seen or (names is not None and name not in names):
            continue
        seen.add(name)
        x0 = np.array(ravel_pytree(problem.y0)[0], np.float64)
        if names is not None or x0.size in sizes:
            yield name, x0.size, x0, _function(problem)
