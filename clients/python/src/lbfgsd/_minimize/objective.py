"""The user's function and its gradient, with SciPy's conventions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._model import Floats
from .._progress import Progress
from .._stepping import LossAndGradient
from .box import Box
from .differences import (
    METHODS,
    MapLike,
    Steps,
    calls_per_gradient,
    estimate_gradient,
    scalar,
)

Jacobian = Callable[..., ArrayLike] | bool | str | None

FLOAT64 = np.dtype(np.float64)
KEY_BYTES_MAX = 1024
"""The largest point that is its own key in the cache."""


@dataclass(frozen=True)
class Function:
    """The user's function alone, as processes get it that estimate gradients."""

    fun: Callable[..., Any]
    args: tuple[Any, ...]

    def __call__(self, x: Any) -> Any:
        # It may change its argument.
        return self.fun(x.copy(), *self.args)


class CountedObjective:
    """The user's function with its gradient. Counts the calls, and caches the values at the newest
    points, with which steps of mode torch begin, and at the best one, where steps end."""

    CACHED_MAX = 64
    CACHED_BYTES_MAX = 256 << 20
    """Of gradients. The best and the newest are cached whatever their size."""

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Jacobian,
        args: tuple[Any, ...],
        progress: Progress,
        steps: Steps,
        apply: MapLike = map,
    ) -> None:
        self._fun, self._jac, self._args = fun, jac, args
        self._progress, self._steps, self._apply = progress, steps, apply
        self.box: Box | None = None
        """Within which gradients are estimated."""
        self._cache: dict[bytes | int, LossAndGradient] = {}
        self._best: bytes | int | None = None
        self._best_loss = math.inf
        self._hash: Callable[[bytes], bytes | int] = hash
        """Python's hash has 64 bits and is keyed anew in each process. Two of some dozen points
        have the same one less often than memory fails."""
        self.nfev = self.njev = 0
        self._method = jac if isinstance(jac, str) else "2-point"
        self.estimates = jac is not True and not callable(jac)
        """Whether gradients are finite differences."""
        if self._method not in METHODS:
            raise ValueError(f"jac can't be {jac!r}")

    def __call__(self, x: Floats) -> LossAndGradient:
        # SciPy's functions get Float64, whatever the session's dtype is.
        return self.evaluated(x.astype(np.float64, copy=False))

    def evaluated(self, x: Floats) -> LossAndGradient:
        """The values at a point in Float64, whose memory is not kept."""
        bits = x.tobytes()
        key = bits if len(bits) <= KEY_BYTES_MAX else self._hash(bits)
        value = self._cache.get(key)
        if value is None:
            value = self._evaluate(x)
            self._keep(key, value)
        return value

    def recorded(self, x: Floats, value: LossAndGradient, nfev: int, njev: int) -> LossAndGradient:
        """The same where the function was called by another process, and the counts since."""
        key = self._key(x.astype(np.float64, copy=False))
        if key not in self._cache:
            self._keep(key, value)
        self.nfev, self.njev = nfev, njev
        return self._cache[key]

    def _key(self, x: Floats) -> bytes | int:
        bits = x.tobytes()
        return bits if len(bits) <= KEY_BYTES_MAX else self._hash(bits)

    def _keep(self, key: bytes | int, value: LossAndGradient) -> None:
        if self._progress.is_shown:
            self._progress.update(value.loss, value.gradient)
        cache = self._cache
        # The best and the newest are cached in any case.
        count = len(cache)
        if count >= 2 and (
            count >= self.CACHED_MAX or count * value.gradient.nbytes >= self.CACHED_BYTES_MAX
        ):
            keys = iter(cache)
            oldest = next(keys)
            del cache[next(keys) if oldest == self._best else oldest]
        cache[key] = value
        if self._best is None or value.loss < self._best_loss:
            self._best, self._best_loss = key, value.loss

    @property
    def scheme(self) -> str | None:
        """The scheme of finite differences; None if there are none."""
        return self._method if self.estimates else None

    def make_lasting(self) -> None:
        """Lets the cache be used by other processes. It must be empty."""
        self._hash = lasting_hash

    def kept(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """Counts and cache, as `keep` takes them in another process."""
        keys = [key.hex() for key in self._cache if isinstance(key, bytes)]
        assert len(keys) == len(self._cache)
        values = {
            "nfev": self.nfev,
            "njev": self.njev,
            "cached": keys,
            "losses": [value.loss for value in self._cache.values()],
            "best": self._best.hex() if isinstance(self._best, bytes) else None,
            "best_loss": self._best_loss,
        }
        gradients = {f"cached/{i}": v.gradient for i, v in enumerate(self._cache.values())}
        return values, gradients

    def keep(self, values: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self.nfev, self.njev = values["nfev"], values["njev"]
        for i, (key, loss) in enumerate(zip(values["cached"], values["losses"], strict=True)):
            self._cache[bytes.fromhex(key)] = LossAndGradient(loss, arrays[f"cached/{i}"])
        best = values["best"]
        self._best = None if best is None else bytes.fromhex(best)
        self._best_loss = values["best_loss"]

    def loss(self, x: Floats) -> float:
        """The function alone."""
        if self._jac is True:
            return self(x).loss
        return scalar(self._value(x.astype(np.float64, copy=False)))

    def at(self, x: Floats) -> LossAndGradient | None:
        """What is cached of a point."""
        return self._cache.get(self._key(x.astype(np.float64, copy=False)))

    def calls(self, n: int) -> int:
        """The calls of the function that one evaluation with n parameters takes."""
        if not self.estimates:
            return 1
        fixed = 0 if self.box is None else int(self.box.fixed.sum())
        return 1 + calls_per_gradient(self._method, n - fixed)

    def _evaluate(self, x: Floats) -> LossAndGradient:
        if self._jac is True:
            loss, gradient = self._fun(x.copy(), *self._args)
            self.nfev += 1
            self.njev += 1
        elif callable(self._jac):
            loss = self._value(x)
            gradient = self._jac(x.copy(), *self._args)
            self.njev += 1
        else:
            loss = self._value(x)
            gradient = estimate_gradient(
                Function(self._fun, self._args),
                x,
                scalar(loss),
                self._method,
                self._steps,
                self.box,
                self._apply,
            )
            self.nfev += self.calls(x.size) - 1
            self.njev += 1
        if type(gradient) is np.ndarray and gradient.dtype == FLOAT64:
            gradient = gradient.copy()
        else:
            gradient = np.array(gradient, dtype=np.float64)
        if gradient.ndim != 1:
            gradient = gradient.reshape(-1)
        if gradient.size != x.size:
            message = f"the gradient has {gradient.size} numbers, the parameters {x.size}"
            raise ValueError(message)
        return LossAndGradient(scalar(loss), gradient)

    def _value(self, x: Floats) -> Any:
        self.nfev += 1
        return self._fun(x.copy(), *self._args)


def lasting_hash(bits: bytes) -> bytes:
    """A hash that is the same in every process."""
    return hashlib.blake2b(bits, digest_size=16).digest()
