"""A second implementation of torch.optim.LBFGS, in plain NumPy, by reverse communication.

`Replay` never calls a function to be minimised. `step()` is a generator: it yields the point at
which it needs the loss and the gradient, is sent both, and returns a `StepResult` when the step has
ended. Fed the losses and gradients recorded from torch, it must ask for the points that torch asked
for.

It is deliberately not built like torch. Scalars and dot products are float64 for both dtypes, where
torch keeps them in the dtype of the parameters; only vectors have the session's dtype. The
direction comes either from the two-loop recursion or from its compact form in coefficients, and the
dot products can be perturbed. A trajectory on which all of these agree does not depend on how its
sums were rounded.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[Any]
Reply: TypeAlias = tuple[float, Vector]
Direction: TypeAlias = Literal["two_loop", "compact"]
Reason: TypeAlias = Literal[
    "gradient_tolerance",
    "step_tolerance",
    "loss_tolerance",
    "max_iterations",
    "max_evaluations",
    "not_a_descent_direction",
]

SUFFICIENT_DECREASE = 1e-4
CURVATURE = 0.9
#: Zoom ends when the interval moves no parameter by more than this. The option tolerance_change
#: does not affect it, since torch does not pass it to the line search, which has this default.
INTERVAL_TOLERANCE = 1e-9

#: Every branch of the method that a collection of trajectories should pass through.
BRANCHES = frozenset(
    {
        "first direction",
        "pair kept",
        "pair refused",
        "oldest pair dropped",
        "bracket: too little decrease",
        "bracket: no better than the last trial",
        "bracket: slope turned positive",
        "bracket: conditions met",
        "bracket: budget exhausted",
        "bracket: no budget at all",
        "extend: cubic",
        "extend: clamped to the smallest step",
        "extend: clamped to the largest step",
        "extend: no minimiser, midpoint",
        "zoom: interval below tolerance",
        "zoom: cubic",
        "zoom: clamped to an end",
        "zoom: no minimiser, midpoint",
        "zoom: near an end, let pass",
        "zoom: near an end twice",
        "zoom: moved off the upper end",
        "zoom: moved off the lower end",
        "zoom: high end replaced",
        "zoom: ends exchange roles",
        "zoom: low end becomes the high one",
        "zoom: low end replaced",
        "zoom: conditions met",
        "zoom: budget exhausted",
        "search returned no step",
    }
)


@dataclass(frozen=True)
class Options:
    """The options of torch.optim.LBFGS, under its names; `max_eval` resolved to a number."""

    lr: float
    max_iter: int
    max_eval: int
    tolerance_grad: float
    tolerance_change: float
    history_size: int
    line_search_fn: str | None


@dataclass(frozen=True)
class StepResult:
    """How a step ended. `loss` is that of its first evaluation, which torch's `step` returns."""

    reason: Reason
    loss: float
    iterations: int
    evaluations: int


@dataclass(frozen=True)
class Pair:
    """An accepted curvature pair, with the two gradients whose difference is `y`."""

    s: Vector
    y: Vector
    ro: float
    gradient_before: Vector
    gradient_after: Vector


@dataclass(frozen=True)
class Trial:
    """A point on the search line: its step length, loss, directional derivative and gradient."""

    t: float
    loss: float
    slope: float
    gradient: Vector


@dataclass
class Noise:
    """Relative noise on every dot product: uniform in [-size, size], from a fixed seed."""

    size: float = 0.0
    seed: int = 0
    _generator: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._generator = np.random.default_rng(self.seed)

    def apply(self, value: float) -> float:
        """`value`, perturbed."""
        if self.size == 0.0:
            return value
        return value * (1.0 + self.size * float(self._generator.uniform(-1.0, 1.0)))


class Replay:
    """The optimizer's state, and the step that advances it."""

    def __init__(
        self,
        parameters: Vector,
        options: Options,
        direction: Direction = "two_loop",
        noise: Noise | None = None,
    ) -> None:
        self.parameters = parameters.copy()
        self.options = options
        self.branches: set[str] = set()
        self.func_evals = 0
        self.n_iter = 0
        self.t: float | None = None
        self.d: Vector | None = None
        self.h_diag: float | None = None
        self.prev_loss: float | None = None
        self.prev_flat_grad: Vector | None = None
        self.pairs: list[Pair] = []
        self.al: list[float] = []
        self._noise = noise or Noise()
        self._find_direction = self._two_loop if direction == "two_loop" else self._compact

    # One step

    def step(self) -> Generator[Vector, Reply, StepResult]:
        """Runs a step: yields points, is sent (loss, gradient), returns the result."""
        options = self.options
        first_loss, gradient = yield self.parameters
        loss = first_loss
        self.func_evals += 1
        evaluations = 1
        iterations = 0

        def ended(reason: Reason) -> StepResult:
            return StepResult(reason, first_loss, iterations, evaluations)

        if _largest(gradient) <= options.tolerance_grad:
            return ended("gradient_tolerance")

        while True:
            iterations += 1
            self.n_iter += 1
            self._update_direction(gradient)
            assert self.d is not None
            self.prev_flat_grad = gradient
            self.prev_loss = loss

            self.t = options.lr
            if self.n_iter == 1:
                self.t *= min(1.0, 1.0 / float(np.abs(gradient).astype(np.float64).sum()))
            slope = self._dot(gradient, self.d)
            if slope > -options.tolerance_change:
                return ended("not_a_descent_direction")

            if options.line_search_fn is None:
                self.parameters = self._point(self.parameters, self.t)
                if iterations != options.max_iter:
                    loss, gradient = yield self.parameters
                    used = 1
                else:
                    used = 0
            else:
                origin = Trial(0.0, loss, slope, gradient)
                best, used = yield from self._strong_wolfe(origin, options.max_eval - evaluations)
                self.t, loss, gradient = best.t, best.loss, best.gradient
                if self.t == 0.0:
                    self._note("search returned no step")
                self.parameters = self._point(self.parameters, self.t)
            evaluations += used
            self.func_evals += used

            if iterations == options.max_iter:
                return ended("max_iterations")
            if evaluations >= options.max_eval:
                return ended("max_evaluations")
            if _largest(gradient) <= options.tolerance_grad:
                return ended("gradient_tolerance")
            if _largest(self.d) * abs(self.t) <= options.tolerance_change:
                return ended("step_tolerance")
            if abs(loss - self.prev_loss) < options.tolerance_change:
                return ended("loss_tolerance")

    # Direction

    def _update_direction(self, gradient: Vector) -> None:
        if self.n_iter == 1:
            self._note("first direction")
            self.d = -gradient
            self.h_diag = 1.0
            return
        assert self.d is not None and self.t is not None and self.prev_flat_grad is not None
        s = self.d.dtype.type(self.t) * self.d
        y = gradient - self.prev_flat_grad
        sy = self._dot(s, y)
        if sy > 1e-10:
            self._note("pair kept")
            if len(self.pairs) == self.options.history_size:
                self._note("oldest pair dropped")
                del self.pairs[0]
            self.pairs.append(Pair(s, y, 1.0 / sy, self.prev_flat_grad, gradient))
            self.h_diag = sy / self._dot(y, y)
        else:
            self._note("pair refused")
        assert self.h_diag is not None
        self.d, self.al = self._find_direction(gradient, self.h_diag)

    def _two_loop(self, gradient: Vector, h_diag: float) -> tuple[Vector, list[float]]:
        """The two-loop recursion (Nocedal and Wright, algorithm 7.4) on -g, with vectors in their
        dtype."""
        scalar = gradient.dtype.type
        al = [0.0] * len(self.pairs)
        q = -gradient
        for i, pair in reversed(list(enumerate(self.pairs))):
            al[i] = self._dot(pair.s, q) * pair.ro
            q = q - scalar(al[i]) * pair.y
        r = scalar(h_diag) * q
        for i, pair in enumerate(self.pairs):
            be = self._dot(pair.y, r) * pair.ro
            r = r + scalar(al[i] - be) * pair.s
        return r, al

    def _compact(self, gradient: Vector, h_diag: float) -> tuple[Vector, list[float]]:
        """The same recursion carried out in coefficients of g, the s and the y.

        R_ij = s_i.y_j and M_ij = y_i.y_j come from differences of dot products with gradients, as
        they do where both matrices are updated in one pass over the history per iteration.
        """
        count = len(self.pairs)
        if count == 0:
            return -gradient, []
        s = np.array([pair.s for pair in self.pairs], dtype=np.float64)
        y = np.array([pair.y for pair in self.pairs], dtype=np.float64)
        before = np.array([pair.gradient_before for pair in self.pairs], dtype=np.float64)
        after = np.array([pair.gradient_after for pair in self.pairs], dtype=np.float64)
        g = gradient.astype(np.float64)
        big_r = s @ after.T - s @ before.T
        upper = y @ after.T - y @ before.T
        big_m = np.triu(upper) + np.triu(upper, 1).T
        a, b = s @ g, y @ g
        alpha = np.zeros(count)
        for i in reversed(range(count)):
            alpha[i] = (a[i] - big_r[i, i + 1 :] @ alpha[i + 1 :]) / big_r[i, i]
        v = h_diag * (b - big_m @ alpha)
        w = np.zeros(count)
        for i in range(count):
            w[i] = alpha[i] - (v[i] + big_r[:i, i] @ w[:i]) / big_r[i, i]
        d = -h_diag * g + h_diag * (alpha @ y) - w @ s
        return d.astype(gradient.dtype), [-float(value) for value in alpha]

    # Line search

    def _strong_wolfe(
        self, origin: Trial, budget: int
    ) -> Generator[Vector, Reply, tuple[Trial, int]]:
        """Bracket, then zoom (Nocedal and Wright, algorithms 3.5 and 3.6), as minFunc does it.

        `budget` bounds the trials after the first, over both phases. Returns the trial to move to
        and the number of evaluations.
        """
        assert self.d is not None and self.t is not None
        start, d_norm = self.parameters, _largest(self.d)

        def evaluate(t: float) -> Generator[Vector, Reply, Trial]:
            loss, gradient = yield self._point(start, t)
            return Trial(t, loss, self._dot(gradient, self.d), gradient)

        def decreases_enough(trial: Trial) -> bool:
            return not trial.loss > origin.loss + SUFFICIENT_DECREASE * trial.t * origin.slope

        def is_flat_enough(trial: Trial) -> bool:
            return abs(trial.slope) <= -CURVATURE * origin.slope

        previous, trial = origin, (yield from evaluate(self.t))
        used = 0
        while used < budget:
            if not decreases_enough(trial):
                self._note("bracket: too little decrease")
                break
            if used > 1 and trial.loss >= previous.loss:
                self._note("bracket: no better than the last trial")
                break
            if is_flat_enough(trial):
                self._note("bracket: conditions met")
                return trial, used + 1
            if trial.slope >= 0.0:
                self._note("bracket: slope turned positive")
                break
            t = self._extend(previous, trial)
            previous, trial = trial, (yield from evaluate(t))
            used += 1
        else:
            self._note("bracket: budget exhausted" if budget > 0 else "bracket: no budget at all")
            return (origin if origin.loss <= trial.loss else trial), used + 1

        # The position of an end, not its step, breaks a tie between two equal losses.
        ends = [previous, trial]
        low = 0 if ends[0].loss <= ends[1].loss else 1
        passed_near_end = False
        while used < budget:
            high = 1 - low
            if abs(ends[1].t - ends[0].t) * d_norm < INTERVAL_TOLERANCE:
                self._note("zoom: interval below tolerance")
                break
            t, passed_near_end = self._zoom_step(ends[0], ends[1], passed_near_end)
            trial = yield from evaluate(t)
            used += 1
            if not decreases_enough(trial) or trial.loss >= ends[low].loss:
                self._note("zoom: high end replaced")
                ends[high] = trial
                if low != (0 if ends[0].loss <= ends[1].loss else 1):
                    self._note("zoom: ends exchange roles")
                    low = high
                continue
            if is_flat_enough(trial):
                self._note("zoom: conditions met")
                return trial, used + 1
            if trial.slope * (ends[high].t - ends[low].t) >= 0.0:
                self._note("zoom: low end becomes the high one")
                ends[high] = ends[low]
            else:
                self._note("zoom: low end replaced")
            ends[low] = trial
        else:
            self._note("zoom: budget exhausted")
        return ends[low], used + 1

    def _extend(self, previous: Trial, trial: Trial) -> float:
        smallest = trial.t + 0.01 * (trial.t - previous.t)
        largest = trial.t * 10.0
        t = _cubic_minimiser(previous, trial)
        if t is None:
            self._note("extend: no minimiser, midpoint")
            return (smallest + largest) / 2.0
        if t < smallest:
            self._note("extend: clamped to the smallest step")
            return smallest
        if t > largest:
            self._note("extend: clamped to the largest step")
            return largest
        self._note("extend: cubic")
        return t

    def _zoom_step(self, one: Trial, other: Trial, passed_near_end: bool) -> tuple[float, bool]:
        """The next trial inside the interval, and whether it was accepted although it is near an
        end."""
        lower, upper = min(one.t, other.t), max(one.t, other.t)
        t = _cubic_minimiser(one, other)
        if t is None:
            self._note("zoom: no minimiser, midpoint")
            t = (lower + upper) / 2.0
        elif lower < t < upper:
            self._note("zoom: cubic")
        else:
            self._note("zoom: clamped to an end")
            t = min(max(t, lower), upper)
        margin = 0.1 * (upper - lower)
        if min(upper - t, t - lower) >= margin:
            return t, False
        if not passed_near_end and lower < t < upper:
            self._note("zoom: near an end, let pass")
            return t, True
        if passed_near_end:
            self._note("zoom: near an end twice")
        if upper - t < t - lower:
            self._note("zoom: moved off the upper end")
            return upper - margin, False
        self._note("zoom: moved off the lower end")
        return lower + margin, False

    # Arithmetic

    def _dot(self, a: Vector, b: Vector | None) -> float:
        assert b is not None
        return self._noise.apply(float(a.astype(np.float64) @ b.astype(np.float64)))

    def _point(self, start: Vector, t: float) -> Vector:
        assert self.d is not None
        moved: Vector = start + self.d.dtype.type(t) * self.d
        return moved

    def _note(self, branch: str) -> None:
        assert branch in BRANCHES, branch
        self.branches.add(branch)


def _largest(vector: Vector) -> float:
    return float(np.abs(vector).max())


def _cubic_minimiser(one: Trial, other: Trial) -> float | None:
    """The minimiser of the cubic through two trials' losses and slopes, or None if it has none."""
    left, right = (one, other) if one.t <= other.t else (other, one)
    d1 = left.slope + right.slope - 3.0 * (left.loss - right.loss) / (left.t - right.t)
    discriminant = d1 * d1 - left.slope * right.slope
    if discriminant < 0.0:
        return None
    d2 = math.sqrt(discriminant)
    share = (right.slope + d2 - d1) / (right.slope - left.slope + 2.0 * d2)
    return right.t - (right.t - left.t) * share
