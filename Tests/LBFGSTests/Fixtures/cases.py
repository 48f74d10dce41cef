"""What is recorded: the problems, and the cases made of them.

The cases are chosen so that together they pass through every branch of the method (`BRANCHES` in
replay.py) and end steps for every reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

#: The loss at the parameters in the given step, on which the loss of a mini-batch depends.
Loss: TypeAlias = Callable[[Sequence[Tensor], int], Tensor]


# Problems


@dataclass(frozen=True)
class Problem:
    """A starting point, and a loss to minimise."""

    start: list[Tensor]
    loss: Loss


def generator(seed: int) -> torch.Generator:
    """A seeded source of random numbers."""
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers, in float64."""
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def flat(start: Sequence[float] | Tensor, loss: Callable[[Tensor], Tensor]) -> Problem:
    """A problem in one parameter."""
    tensor = start if isinstance(start, Tensor) else torch.tensor(start, dtype=torch.float64)
    return Problem([tensor], lambda parameters, _: loss(parameters[0]))


def quadratic(n: int, condition: float, seed: int = 1, scale: float = 1.0) -> Problem:
    """A quadratic in random axes. Its eigenvalues are spaced evenly in their logarithm, from
    scale / condition to scale."""
    axes = torch.linalg.qr(normal(seed, n, n)).Q
    values = scale * torch.logspace(-math.log10(condition), 0.0, n, dtype=torch.float64)
    matrix = axes @ torch.diag(values) @ axes.T
    target = normal(seed + 1, n)

    def loss(x: Tensor) -> Tensor:
        r = x - target.to(x.dtype)
        value: Tensor = 0.5 * r.dot(matrix.to(x.dtype) @ r)
        return value

    return flat(torch.zeros(n, dtype=torch.float64), loss)


def diagonal(values: Sequence[float], start: Sequence[float]) -> Problem:
    """sum values_i x_i^2 / 2."""
    weights = torch.tensor(values, dtype=torch.float64)
    return flat(start, lambda x: 0.5 * (weights.to(x.dtype) * x * x).sum())


def rosenbrock(start: Sequence[float] | Tensor, scale: float = 1.0) -> Problem:
    """The extended Rosenbrock function, n/2 independent valleys."""

    def loss(x: Tensor) -> Tensor:
        odd, even = x[0::2], x[1::2]
        value: Tensor = (
            scale * (100.0 * (even - odd.square()).square() + (1.0 - odd).square()).sum()
        )
        return value

    return flat(start, loss)


def chained_rosenbrock(start: Sequence[float] | Tensor) -> Problem:
    """Rosenbrock's function with neighbouring variables coupled: one long valley."""
    return flat(start, lambda x: (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum())


def powell(start: Sequence[float]) -> Problem:
    """Powell's singular function: the Hessian is singular at the minimum."""

    def loss(x: Tensor) -> Tensor:
        a, b, c, d = x
        squares = (a + 10 * b).square() + 5 * (c - d).square()
        value: Tensor = squares + (b - 2 * c).pow(4) + 10 * (a - d).pow(4)
        return value

    return flat(start, loss)


def beale(start: Sequence[float]) -> Problem:
    """Beale's function: flat far out, a curved valley near the minimum at (3, 0.5)."""

    def loss(x: Tensor) -> Tensor:
        a, b = x
        first, second, third = (
            (c - a + a * b.pow(k)).square() for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))
        )
        value: Tensor = first + second + third
        return value

    return flat(start, loss)


def himmelblau(start: Sequence[float]) -> Problem:
    """Himmelblau's function: four minima."""
    return flat(start, lambda x: (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2)


def wood(start: Sequence[float]) -> Problem:
    """Wood's function: a saddle point on the way."""

    def loss(x: Tensor) -> Tensor:
        a, b, c, d = x
        valleys = 100 * (b - a**2) ** 2 + (1 - a) ** 2 + 90 * (d - c**2) ** 2 + (1 - c) ** 2
        value: Tensor = valleys + 10.1 * ((b - 1) ** 2 + (d - 1) ** 2) + 19.8 * (b - 1) * (d - 1)
        return value

    return flat(start, loss)


def wavy(start: Sequence[float], height: float, rate: float) -> Problem:
    """A bowl with waves on it: intervals have several minima, and cubics may have none."""
    return flat(start, lambda x: (0.5 * x * x + height * torch.sin(rate * x)).sum())


def styblinski_tang(start: Sequence[float]) -> Problem:
    """Two minima along each axis, negative curvature in between."""
    return flat(start, lambda x: 0.5 * (x**4 - 16 * x**2 + 5 * x).sum())


def one_way(start: Sequence[float], rate: float = 1.0) -> Problem:
    """sum exp(-rate x): no minimum, every trial is worth extending."""
    return flat(start, lambda x: torch.exp(-rate * x).sum())


def barrier(start: Sequence[float]) -> Problem:
    """sum 1/x^2 + x^8: very steep on both sides of the minimum, so cubics land near an end."""
    return flat(start, lambda x: (x**-2 + x**8).sum())


def cliff(start: Sequence[float], rate: float, height: float, tilt: float) -> Problem:
    """A cliff above a wavy plain. Beyond the cliff, no trial decreases the loss enough for the
    directional derivative at the top."""
    return flat(start, lambda x: (torch.exp(-rate * x) + height * torch.sin(x) - tilt * x).sum())


def kink(start: Sequence[float], width: float) -> Problem:
    """Slopes near -1 and 2 that change within `width` of 0, so that hardly any point meets the
    curvature condition."""
    return flat(
        start, lambda x: (1.5 * torch.sqrt(x * x + width**2) + 0.5 * x + 0.05 * x * x).sum()
    )


def log_sum_exp(n: int, m: int, seed: int) -> Problem:
    """A smoothed maximum of m linear functions, with a small quadratic."""
    matrix, shift = normal(seed, m, n), normal(seed + 1, m)

    def loss(x: Tensor) -> Tensor:
        return torch.logsumexp(matrix.to(x.dtype) @ x + shift.to(x.dtype), 0) + 0.05 * x.dot(x)

    return flat(torch.full((n,), 0.5, dtype=torch.float64), loss)


def logistic(n: int, m: int, seed: int, decay: float = 1e-2, batch: int | None = None) -> Problem:
    """Logistic regression on m points that are separable but for noise. With `batch`, each step has
    a mini-batch of its own."""
    features = normal(seed, m, n)
    labels = (features @ normal(seed + 1, n) + 0.5 * normal(seed + 2, m) > 0).to(torch.float64)

    def loss(parameters: Sequence[Tensor], step: int) -> Tensor:
        weights, bias = parameters
        rows = slice(0, m) if batch is None else slice(step * batch % m, step * batch % m + batch)
        scores = features[rows].to(weights.dtype) @ weights + bias
        fit = torch.nn.functional.binary_cross_entropy_with_logits(
            scores, labels[rows].to(weights.dtype)
        )
        return fit + 0.5 * decay * weights.dot(weights)

    return Problem([torch.zeros(n, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)], loss)


def perceptron(sizes: tuple[int, int, int], m: int, seed: int, unused: int = 0) -> Problem:
    """A network with one hidden layer on a regression task, with `unused` parameters that do not
    affect the loss."""
    inputs, hidden, outputs = sizes
    x = normal(seed, m, inputs)
    target = torch.sin(x @ normal(seed + 1, inputs, outputs))
    start = [
        normal(seed + 2, hidden, inputs) / math.sqrt(inputs),
        torch.zeros(hidden, dtype=torch.float64),
        *([normal(seed + 4, unused)] if unused else []),
        normal(seed + 3, outputs, hidden) / math.sqrt(hidden),
        torch.zeros(outputs, dtype=torch.float64),
    ]

    def loss(parameters: Sequence[Tensor], _: int) -> Tensor:
        w1, b1, *_unused, w2, b2 = parameters
        predicted = torch.tanh(x.to(w1.dtype) @ w1.T + b1) @ w2.T + b2
        return ((predicted - target.to(w1.dtype)) ** 2).mean() + 1e-3 * (
            w1.square().sum() + w2.square().sum()
        )

    return Problem(start, loss)


# Cases


@dataclass(frozen=True)
class Case:
    """One run of an optimizer. `changes` maps the index of a step to the options that are changed
    before it. `shows` names what the case is for, branches of the replay or reasons, and record.py
    verifies that it shows them."""

    name: str
    about: str
    problem: Problem
    steps: int = 1
    dtype: str = "float64"
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[int, dict[str, Any]] = field(default_factory=dict)
    shows: tuple[str, ...] = ()


WOLFE: dict[str, Any] = {"line_search_fn": "strong_wolfe"}
#: Tolerances that end a step only at a point torch cannot leave.
TIGHT: dict[str, Any] = {"tolerance_grad": 1e-14, "tolerance_change": 1e-18}


def cases() -> list[Case]:
    """Every case, in order."""
    return [
        *one_dimension(),
        *budgets(),
        *tolerances(),
        *line_searches(),
        *smooth(),
        *histories(),
        *models(),
    ]


def one_dimension() -> list[Case]:
    """Problems in one dimension."""
    bowl = diagonal([2.0], [3.0])
    return [
        Case("parabola_fixed", "one dimension, fixed step", bowl, 3, options={"lr": 0.5}),
        Case("parabola_wolfe", "one dimension, line search", bowl, 3, options=WOLFE),
        Case("parabola_wolfe_float32", "the same in float32", bowl, 3, "float32", WOLFE),
        Case(
            "lr_zero",
            "a step length of zero: evaluated twice, moved not at all",
            bowl,
            2,
            options={"lr": 0.0},
        ),
    ]


def budgets() -> list[Case]:
    """max_iter and max_eval, small or changed on the way."""
    valley = rosenbrock([-1.2, 1.0])
    bowl = quadratic(10, 100.0)
    return [
        Case(
            "max_iter_1_fixed",
            "one iteration a step: moves without looking",
            bowl,
            12,
            options={"max_iter": 1, "lr": 0.5},
        ),
        Case(
            "max_iter_1_wolfe",
            "one iteration a step",
            valley,
            12,
            options=WOLFE | {"max_iter": 1, "max_eval": 20},
        ),
        Case(
            "max_iter_1_default_max_eval",
            "max_eval resolves to 1: no budget at all",
            valley,
            12,
            options=WOLFE | {"max_iter": 1},
        ),
        Case(
            "max_eval_1_fixed",
            "the first move uses the budget up",
            bowl,
            8,
            options={"max_eval": 1, "lr": 0.5},
        ),
        Case(
            "max_eval_1_wolfe",
            "line searches without a budget",
            valley,
            10,
            options=WOLFE | {"max_eval": 1},
        ),
        Case("max_eval_2_fixed", "two evaluations a step", bowl, 8, options={"max_eval": 2}),
        Case(
            "max_eval_2_wolfe",
            "one trial after the first",
            valley,
            12,
            options=WOLFE | {"max_eval": 2},
        ),
        Case(
            "max_eval_2_wolfe_far",
            "the same from a steep start: a search that returns no step",
            rosenbrock([-3.0, 4.0]),
            10,
            options=WOLFE | {"max_eval": 2},
            shows=("bracket: budget exhausted", "search returned no step"),
        ),
        Case(
            "max_eval_2_float32",
            "two evaluations a step in float32",
            rosenbrock([-1.2, 1.0]),
            6,
            "float32",
            WOLFE | {"max_eval": 2},
        ),
        Case(
            "max_eval_3_wolfe",
            "two trials after the first",
            valley,
            12,
            options=WOLFE | {"max_eval": 3},
        ),
        Case(
            "max_eval_4_wolfe",
            "three, with the history going on between steps",
            beale([1.0, 1.0]),
            10,
            options=WOLFE | {"max_eval": 4},
        ),
        Case(
            "max_eval_3_tiny_lr",
            "budget spent while extending",
            valley,
            6,
            options=WOLFE | {"max_eval": 3, "lr": 1e-4},
            shows=("bracket: budget exhausted",),
        ),
        Case(
            "bracket_budget_one_way",
            "nothing to bracket: every search runs out",
            one_way([0.0, 1.0]),
            4,
            options=WOLFE | {"max_eval": 5, "lr": 1e-8},
            shows=("bracket: budget exhausted",),
        ),
        Case(
            "zoom_budget_huge_lr",
            "first trial far beyond: zoom runs out, no move",
            himmelblau([0.0, 0.0]),
            6,
            options=WOLFE | {"max_eval": 3, "lr": 1e4},
            shows=("zoom: budget exhausted", "search returned no step"),
        ),
        Case(
            "no_budget_no_move",
            "the one trial is worse: the step is zero",
            valley,
            3,
            options=WOLFE | {"max_eval": 1, "lr": 50.0},
            shows=("bracket: no budget at all", "search returned no step"),
        ),
        Case(
            "max_iter_changed",
            "max_iter changed between steps; max_eval stays what it was resolved to",
            valley,
            5,
            options=WOLFE | {"max_iter": 3},
            changes={2: {"max_iter": 8}, 4: {"max_iter": 2}},
        ),
        Case(
            "lr_changed",
            "lr changed between steps, fixed step",
            bowl,
            6,
            options={"lr": 0.1, "max_iter": 4},
            changes={2: {"lr": 0.5}, 4: {"lr": 1.5}},
        ),
        Case(
            "lr_changed_wolfe",
            "lr changed between steps, line search",
            valley,
            6,
            options=WOLFE | {"lr": 1e-3, "max_iter": 4},
            changes={2: {"lr": 1.0}, 4: {"lr": 2.0}},
        ),
        Case(
            "everything_changed",
            "search, budgets and tolerances changed between steps",
            rosenbrock([0.5, -0.5, -1.0, 1.5]),
            6,
            options={"lr": 0.1, "max_iter": 5},
            changes={
                1: {"line_search_fn": "strong_wolfe", "lr": 1.0},
                3: {"max_eval": 3, "tolerance_change": 1e-6},
                4: {"max_eval": 40, "max_iter": 12},
                5: {"tolerance_grad": 1e-2},
            },
        ),
    ]


def tolerances() -> list[Case]:
    """Steps that end at each of the tolerances."""
    valley = rosenbrock([-1.2, 1.0])
    bowl = diagonal([1.0, 10.0, 100.0], [1.0, -1.0, 1.0])
    return [
        Case(
            "starts_at_optimum",
            "nothing to do, twice; there is no history to speak of",
            diagonal([1.0, 2.0], [0.0, 0.0]),
            2,
            options=WOLFE,
            shows=("gradient_tolerance",),
        ),
        Case(
            "gradient_tolerance_fixed",
            "fixed steps until the gradient is small",
            bowl,
            8,
            options={"tolerance_grad": 1e-3, "tolerance_change": 1e-15},
            shows=("gradient_tolerance",),
        ),
        Case(
            "gradient_tolerance_float32",
            "fixed steps until the gradient is small, in float32",
            diagonal([1.0, 10.0, 100.0], [1.0, -1.0, 1.0]),
            4,
            "float32",
            {"tolerance_grad": 1e-3, "tolerance_change": 1e-15},
            shows=("gradient_tolerance",),
        ),
        Case(
            "gradient_tolerance_wolfe",
            "searches until the gradient is small",
            rosenbrock([-1.2, 1.0]),
            4,
            options=WOLFE | {"tolerance_grad": 1e-2, "tolerance_change": 1e-14, "max_iter": 30},
            shows=("gradient_tolerance",),
        ),
        Case(
            "step_tolerance_fixed",
            "ends on the change in x",
            bowl,
            4,
            options={"lr": 0.1, "tolerance_change": 2e-2, "tolerance_grad": 1e-12},
            shows=("step_tolerance",),
        ),
        Case(
            "step_tolerance_wolfe",
            "ends on the change in x, with searches",
            diagonal([1e6, 3e6, 2e6], [1.0, 2.0, -1.0]),
            4,
            options=WOLFE | {"tolerance_change": 1e-3, "tolerance_grad": 1e-12, "max_eval": 60},
            shows=("step_tolerance",),
        ),
        Case(
            "loss_tolerance_fixed",
            "ends on the change in loss",
            diagonal([0.1, 0.1], [1.0, 3.0]),
            3,
            options={"lr": 0.1, "tolerance_change": 1e-3, "max_iter": 60},
            shows=("loss_tolerance",),
        ),
        Case(
            "loss_tolerance_wolfe",
            "ends on the change in loss, with searches",
            powell([3.0, -1.0, 0.0, 1.0]),
            3,
            options=WOLFE | {"tolerance_change": 1e-7, "max_iter": 60},
            shows=("loss_tolerance",),
        ),
        Case(
            "not_descent_at_once",
            "the first slope is already too small; t and d are kept though nothing moved",
            diagonal([1.0, 1.0], [1e-5, -1e-5]),
            3,
            options=WOLFE,
            shows=("not_a_descent_direction",),
        ),
        Case(
            "not_descent_later",
            "the slope gets too small on the way",
            valley,
            3,
            options=WOLFE | {"tolerance_change": 1e-3, "max_iter": 50},
            shows=("not_a_descent_direction",),
        ),
        Case(
            "not_descent_fixed",
            "the same with fixed steps",
            bowl,
            3,
            options={"tolerance_change": 1e-4, "lr": 0.5},
            shows=("not_a_descent_direction",),
        ),
        Case(
            "zero_tolerances",
            "no tolerance at all",
            quadratic(6, 10.0),
            3,
            options=WOLFE | {"tolerance_grad": 0.0, "tolerance_change": 0.0, "max_iter": 5},
        ),
        Case(
            "scaled_down",
            "losses so small that absolute tolerances end it at once",
            rosenbrock([-1.2, 1.0], 1e-9),
            3,
            options=WOLFE,
            shows=("not_a_descent_direction",),
        ),
        Case(
            "pairs_refused",
            "curvature below the absolute 1e-10: pairs refused",
            diagonal([1e-7, 3e-7, 1e-6], [1.0, 2.0, -1.0]),
            2,
            options=WOLFE | TIGHT | {"max_iter": 12, "max_eval": 40},
            shows=("pair refused",),
        ),
        Case(
            "negative_curvature_fixed",
            "fixed steps across a ridge: pairs refused",
            styblinski_tang([0.2, -0.3, 0.1]),
            4,
            options={"lr": 0.1, "max_iter": 8},
            shows=("pair refused",),
        ),
    ]


def line_searches() -> list[Case]:
    """Line searches with many trials."""
    return [
        Case(
            "tiny_lr_extends",
            "a tiny first trial, extended again and again",
            quadratic(5, 10.0),
            2,
            options=WOLFE | {"lr": 1e-6, "max_iter": 6, "max_eval": 80},
            shows=("extend: clamped to the largest step",),
        ),
        Case(
            "tiny_lr_float32",
            "a tiny first trial, in float32",
            quadratic(10, 100.0, 19),
            1,
            "float32",
            WOLFE | {"lr": 1e-3, "max_iter": 6, "max_eval": 60},
            shows=("extend: clamped to the largest step",),
        ),
        Case(
            "tiny_lr_one_way",
            "extension clamped to ten times",
            one_way([0.0], 0.5),
            2,
            options=WOLFE | {"lr": 1e-5, "max_iter": 3, "max_eval": 40},
            shows=("extend: clamped to the largest step",),
        ),
        Case(
            "huge_lr_zooms",
            "a first trial far beyond the minimum",
            quadratic(5, 10.0),
            2,
            options=WOLFE | {"lr": 100.0, "max_iter": 8, "max_eval": 80},
        ),
        Case(
            "barrier_zooms",
            "steep walls: zoom keeps replacing the high end",
            barrier([0.3]),
            3,
            options=WOLFE | {"lr": 5.0, "max_iter": 6, "max_eval": 60},
            shows=("zoom: high end replaced",),
        ),
        Case(
            "barrier_from_above",
            "steep walls, from the other side",
            barrier([2.5, 0.4]),
            3,
            options=WOLFE | {"lr": 1.0, "max_iter": 10, "max_eval": 60},
        ),
        Case(
            "waves",
            "several minima along the line",
            wavy([4.0, -3.0], 2.0, 5.0),
            3,
            options=WOLFE | {"lr": 2.0, "max_iter": 8},
        ),
        Case(
            "waves_high",
            "cubics below the smallest extension",
            wavy([6.0], 8.0, 4.0),
            4,
            options=WOLFE | {"lr": 3.0, "max_iter": 5},
            shows=("extend: clamped to the smallest step",),
        ),
        Case(
            "waves_end_to_end",
            "trials near an end twice over, moved off the lower end and off the upper",
            wavy([0.8], 3.8, 2.1),
            1,
            options=WOLFE | {"lr": 1000.0, "max_iter": 4, "max_eval": 40},
            shows=(
                "zoom: near an end twice",
                "zoom: moved off the lower end",
                "zoom: moved off the upper end",
            ),
        ),
        Case(
            "waves_uphill",
            "a third trial no better than the second",
            wavy([4.8], 6.1, 6.9),
            3,
            options=WOLFE | {"lr": 0.01, "max_iter": 4, "max_eval": 40},
            shows=("bracket: no better than the last trial", "extend: no minimiser, midpoint"),
        ),
        Case(
            "barrier_clamped",
            "a minimiser outside the interval",
            barrier([1.0]),
            2,
            options=WOLFE | {"lr": 2.0, "max_iter": 6, "max_eval": 10},
            shows=("zoom: clamped to an end",),
        ),
        Case(
            "cliff",
            "both ends decrease too little: they exchange roles, cubics without a minimiser",
            cliff([0.0], 20.0, 1e-3, 1e-4),
            1,
            options=WOLFE | {"lr": 3000.0, "max_iter": 2, "max_eval": 40},
            shows=("zoom: ends exchange roles", "zoom: no minimiser, midpoint"),
        ),
        Case(
            "kink",
            "a search that goes on below tolerance_change, which is not its own",
            kink([2.0, 0.7], 1e-6),
            1,
            options=WOLFE | {"tolerance_change": 1e-3, "max_iter": 4, "max_eval": 60},
        ),
        Case(
            "cliff_tight",
            "zoom stops at an interval of 1e-9, although tolerance_change is smaller",
            cliff([0.0], 20.0, 1e-3, 1e-4),
            1,
            options=WOLFE | TIGHT | {"lr": 3000.0, "max_iter": 2, "max_eval": 60},
            shows=("zoom: interval below tolerance",),
        ),
        Case("himmelblau", "four minima", himmelblau([1.0, 1.0]), 2, options=WOLFE),
        Case(
            "himmelblau_float32",
            "four minima, in float32",
            himmelblau([1.0, 1.0]),
            2,
            "float32",
            WOLFE | {"tolerance_grad": 1e-3},
        ),
        Case("wood", "a saddle point on the way", wood([-3.0, -1.0, -3.0, -1.0]), 1, options=WOLFE),
        Case(
            "styblinski_tang",
            "negative curvature between two minima",
            styblinski_tang([0.1, -0.2, 4.0, 1.0]),
            2,
            options=WOLFE,
        ),
        Case("beale_far", "a plateau", beale([-2.0, 2.0]), 1, options=WOLFE),
    ]


def smooth() -> list[Case]:
    """Quadratics and valleys, well and ill-conditioned."""
    spread = torch.linspace(-1.5, 1.5, 20, dtype=torch.float64)
    return [
        Case(
            "rosenbrock_default",
            "torch's defaults from the classical start",
            rosenbrock([-1.2, 1.0]),
            3,
            options=WOLFE,
        ),
        Case(
            "rosenbrock_float32",
            "the same in float32",
            rosenbrock([-1.2, 1.0]),
            1,
            "float32",
            WOLFE | {"max_iter": 12},
        ),
        Case(
            "rosenbrock_long",
            "one long step to the end",
            rosenbrock([-1.2, 1.0]),
            1,
            options=WOLFE | {"max_iter": 100, "max_eval": 200},
        ),
        Case(
            "rosenbrock_fixed", "fixed small steps", rosenbrock([-1.2, 1.0]), 5, options={"lr": 0.1}
        ),
        Case("rosenbrock_extended_20", "ten valleys", rosenbrock(spread), 3, options=WOLFE),
        Case(
            "rosenbrock_chained_8",
            "one long valley",
            chained_rosenbrock([-1.0] * 8),
            1,
            options=WOLFE,
        ),
        Case("quadratic_lr_0_1", "lr 0.1", quadratic(10, 10.0), 4, options={"lr": 0.1}),
        Case("quadratic_lr_0_5", "lr 0.5", quadratic(10, 10.0), 4, options={"lr": 0.5}),
        Case("quadratic_lr_1", "lr 1", quadratic(10, 10.0), 3, options={"lr": 1}),
        Case("quadratic_lr_1_5", "lr 1.5", quadratic(10, 10.0), 4, options={"lr": 1.5}),
        Case("quadratic_lr_2", "lr 2", quadratic(10, 10.0), 3, options={"lr": 2.0, "max_iter": 8}),
        Case(
            "quadratic_wolfe_lr_2",
            "lr 2, with a search",
            quadratic(10, 10.0),
            3,
            options=WOLFE | {"lr": 2.0, "max_iter": 6},
        ),
        Case(
            "quadratic_wolfe_lr_0_1",
            "lr 0.1, with a search",
            quadratic(10, 10.0),
            3,
            options=WOLFE | {"lr": 0.1, "max_iter": 6},
        ),
        Case(
            "quadratic_1e4",
            "condition 1e4",
            quadratic(20, 1e4, 3),
            3,
            options=WOLFE | {"max_iter": 12},
        ),
        Case(
            "quadratic_1e6",
            "condition 1e6",
            quadratic(10, 1e6, 5),
            3,
            options=WOLFE | {"max_iter": 12},
        ),
        Case(
            "quadratic_1e8",
            "condition 1e8",
            quadratic(10, 1e8, 7),
            3,
            options=WOLFE | {"max_iter": 12},
        ),
        Case(
            "quadratic_1e8_large",
            "condition 1e8, eigenvalues up to 1e8",
            quadratic(8, 1e8, 9, 1e8),
            3,
            options=WOLFE | {"max_iter": 10},
        ),
        Case(
            "quadratic_1e8_axes",
            "condition 1e8, along the axes",
            diagonal([1e-4, 1e-2, 1.0, 1e2, 1e4], [1.0, -1.0, 1.0, -1.0, 1.0]),
            3,
            options=WOLFE | {"max_iter": 10},
        ),
        Case(
            "quadratic_100_float32",
            "float32, 100 dimensions",
            quadratic(100, 100.0, 11),
            2,
            "float32",
            WOLFE | {"max_iter": 10},
        ),
        Case("quadratic_500", "500 dimensions", quadratic(500, 50.0, 13), 1, options=WOLFE),
        Case(
            "quadratic_500_float32",
            "500 dimensions in float32, fixed steps",
            quadratic(500, 50.0, 13),
            1,
            "float32",
            {"lr": 0.5, "max_iter": 15},
        ),
        Case(
            "powell",
            "singular at the minimum",
            powell([3.0, -1.0, 0.0, 1.0]),
            3,
            options=WOLFE | {"max_iter": 10},
        ),
        Case(
            "log_sum_exp_30",
            "a smoothed maximum",
            log_sum_exp(30, 60, 17),
            2,
            options=WOLFE | {"max_iter": 15},
        ),
    ]


def histories() -> list[Case]:
    """Histories short and long, wrapped and not."""
    return [
        Case(
            "history_1",
            "one pair, dropped every time",
            rosenbrock([-1.2, 1.0]),
            3,
            options=WOLFE | {"history_size": 1},
            shows=("oldest pair dropped",),
        ),
        Case(
            "history_1_fixed",
            "one pair, fixed steps",
            quadratic(10, 100.0, 19),
            3,
            options={"history_size": 1, "lr": 0.5},
            shows=("oldest pair dropped",),
        ),
        Case(
            "history_1_float32",
            "one pair, fixed steps, in float32",
            quadratic(10, 100.0, 19),
            3,
            "float32",
            {"history_size": 1, "lr": 0.5},
            shows=("oldest pair dropped",),
        ),
        Case(
            "history_5",
            "five pairs, wrapping round within and between steps",
            chained_rosenbrock([-0.5] * 6),
            3,
            options=WOLFE | {"history_size": 5, "max_iter": 7},
            shows=("oldest pair dropped",),
        ),
        Case(
            "history_5_float32",
            "the same in float32",
            chained_rosenbrock([-0.5] * 6),
            1,
            "float32",
            WOLFE | {"history_size": 5, "max_iter": 10},
            shows=("oldest pair dropped",),
        ),
        Case(
            "history_5_quadratic",
            "five pairs for 40 dimensions",
            quadratic(40, 1e3, 21),
            3,
            options=WOLFE | {"history_size": 5},
            shows=("oldest pair dropped",),
        ),
        Case(
            "history_100_full",
            "a hundred pairs and more",
            quadratic(60, 1e4, 37),
            3,
            options=WOLFE | TIGHT | {"max_iter": 45, "max_eval": 100},
            shows=("oldest pair dropped",),
        ),
    ]


def models() -> list[Case]:
    """Several parameters, mini-batches, networks."""
    return [
        Case(
            "logistic_10",
            "logistic regression, two parameters",
            logistic(10, 80, 23),
            2,
            options=WOLFE,
        ),
        Case(
            "logistic_10_float32",
            "the same in float32",
            logistic(10, 80, 23),
            1,
            "float32",
            WOLFE | {"max_iter": 8},
        ),
        Case(
            "logistic_batches",
            "another mini-batch each step: pairs across batches",
            logistic(10, 80, 25, batch=16),
            5,
            options=WOLFE | {"max_iter": 4},
        ),
        Case(
            "logistic_batches_fixed",
            "the same with fixed steps",
            logistic(10, 80, 25, batch=16),
            6,
            options={"max_iter": 1, "lr": 0.5},
        ),
        Case(
            "logistic_batches_float32",
            "the same in float32",
            logistic(10, 80, 25, batch=16),
            6,
            "float32",
            {"max_iter": 1, "lr": 0.5},
        ),
        Case(
            "logistic_100",
            "logistic regression, 101 numbers",
            logistic(100, 150, 27, decay=1e-3),
            2,
            options=WOLFE | {"max_iter": 15},
        ),
        Case(
            "perceptron",
            "a small network, four parameters",
            perceptron((3, 5, 2), 40, 29),
            3,
            options=WOLFE | {"max_iter": 10},
        ),
        Case(
            "perceptron_fixed",
            "a small network, fixed steps",
            perceptron((3, 5, 2), 40, 29),
            3,
            options={"lr": 0.1, "max_iter": 10},
        ),
        Case(
            "perceptron_unused",
            "a parameter whose gradient is None",
            perceptron((3, 5, 2), 40, 31, unused=4),
            2,
            options=WOLFE | {"max_iter": 10},
        ),
        Case(
            "perceptron_float32",
            "a small network in float32",
            perceptron((3, 5, 2), 40, 33),
            1,
            "float32",
            WOLFE | {"max_iter": 8},
        ),
        Case(
            "perceptron_300",
            "a network of 321 numbers",
            perceptron((6, 40, 1), 60, 35),
            1,
            options=WOLFE,
        ),
    ]
