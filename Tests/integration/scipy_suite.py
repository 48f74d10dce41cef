"""A plugin for pytest that runs SciPy's own tests of L-BFGS-B against `lbfgsd.scipy_method`.

    python -m pytest -p scipy_suite --pyargs scipy.optimize.tests.test_optimize

It puts a function in the place of `scipy.optimize.minimize` that gives the method L-BFGS-B, named
or chosen by default, to the daemon at $LBFGSD_URL, and every other method to SciPy. Of the tests
those stay that call it so.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import scipy.optimize

import lbfgsd

calls: list[str] = []
"""The method, each time that it was called."""


def replaced(real: Any, ours: Any) -> Any:
    @functools.wraps(real)
    def minimize(fun: Any, x0: Any, args: Any = (), method: Any = None, **more: Any) -> Any:
        chosen = method
        if method is None and more.get("bounds") is not None and not more.get("constraints"):
            chosen = "L-BFGS-B"
        if isinstance(chosen, str) and chosen.lower() == "l-bfgs-b":
            calls.append(chosen)
            constraints = more.pop("constraints", ())
            return real(fun, x0, args, method=ours, constraints=constraints or (), **more)
        return real(fun, x0, args, method=method, **more)

    return minimize


def pytest_configure(config: pytest.Config) -> None:
    ours = lbfgsd.scipy_method(lbfgsd.Client())
    scipy.optimize.minimize = replaced(scipy.optimize.minimize, ours)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out tests of other methods."""
    others = [item for item in items if method_of(item) not in ("", "l-bfgs-b")]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


def method_of(item: pytest.Item) -> str:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    method = parameters.get("method", "")
    return method.lower() if isinstance(method, str) else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Any:
    before = len(calls)
    outcome = yield
    if len(calls) == before:
        pytest.skip("does not use L-BFGS-B")
    return outcome
