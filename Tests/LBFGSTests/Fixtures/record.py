"""Records reference trajectories of torch.optim.LBFGS.

    python record.py OUTDIR

runs every case of cases.py with the real optimizer, on one thread, checks each recording against an
independent implementation (replay.py), and writes OUTDIR/NAME.json and OUTDIR/NAME.bin. Needs torch
and numpy.

A case is one run of an optimizer: several steps of several evaluations each. Vectors are flat, in
parameter order; a gradient that is None is recorded as zeros, as torch treats it.

NAME.json (snake_case keys; every number is finite; doubles have up to 17 digits, as many as they
need):

    name, about, torch      what this is, what it is for, the version of torch that ran
    dtype                   "float32" or "float64": the scalar type of every vector in NAME.bin
    n                       the length of every vector
    parameters              [{"shape": [..], "used": true}], used false where the gradient was None
    options                 lr, max_iter, max_eval, tolerance_grad, tolerance_change, history_size,
                            line_search_fn (null or "strong_wolfe"); max_eval always as a number
    has_history             whether NAME.bin holds the history after each step
    steps                   one object a step:
        options             null, or if they were changed before this step, all options in force
        evaluations         how many times this step called the closure
        iterations          how many iterations it began
        reason              gradient_tolerance, step_tolerance, loss_tolerance, max_iterations,
                            max_evaluations or not_a_descent_direction
        loss                what step() returned: the loss of this step's first evaluation
        state               torch's state after the step: func_evals, n_iter, pairs (the length of
                            old_dirs); t, h_diag, prev_loss are null until a step has iterated

NAME.bin (little-endian, without padding or a header; V is a vector of n scalars of dtype, D is one
float64):

    initial parameters      V
    then, for every step:
        for every evaluation:   loss D, x V, gradient V
        parameters after        V
        if n_iter > 0:          d V, prev_flat_grad V
        if has_history:         for every pair, oldest first:
                                    old_dirs[i] V (y), old_stps[i] V (s), ro[i] D,
                                    al[i] D (0 where torch has none)

The script stops with an error if a case is not well-posed. It is not if the replay, with dot
products in float64 and the direction from either the two-loop recursion or the compact form, makes
another decision than torch, or asks for a point whose distance from torch's is more than a tenth of
what a test allows; nor if with every dot product perturbed the replay makes another decision, or
gets further away than a test allows.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from cases import Case, cases
from replay import BRANCHES, Direction, Noise, Options, Reason, Replay, StepResult
from torch import Tensor

Vector: TypeAlias = npt.NDArray[Any]

#: What a test may allow for ||x - x_torch||inf / max(1, ||x_torch||inf).
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
#: Relative noise on every dot product, under which no decision may change.
NOISE = {"float64": 1e-13, "float32": 3e-8}
#: What a test may allow for ||found - torch's||inf / ||torch's||inf, for d, t, H_diag, every s and
#: the vector of all ro. For the vector of all al, which may cancel, the divisor is
#: max(1, ||torch's||inf).
STATE_TOLERANCE = {"float64": 1e-8, "float32": 1e-2}
#: The history is recorded for vectors up to this length.
HISTORY_UP_TO = 12


# Recording


@dataclass(frozen=True)
class Evaluation:
    """What the closure saw and returned."""

    loss: float
    x: Vector
    gradient: Vector


@dataclass(frozen=True)
class State:
    """torch's state after a step, where it has got that far."""

    func_evals: int
    n_iter: int
    t: float | None
    h_diag: float | None
    prev_loss: float | None
    d: Vector | None
    prev_flat_grad: Vector | None
    old_dirs: list[Vector]
    old_stps: list[Vector]
    ro: list[float]
    al: list[float]


@dataclass(frozen=True)
class Step:
    """One step as torch took it."""

    options: Options
    changed: bool
    evaluations: list[Evaluation]
    iterations: int
    reason: Reason
    loss: float
    parameters: Vector
    state: State


@dataclass(frozen=True)
class Recording:
    """One case as torch ran it."""

    case: Case
    initial: Vector
    shapes: list[tuple[list[int], bool]]
    options: Options
    steps: list[Step]


def gather(tensors: Sequence[Tensor]) -> Vector:
    """The tensors' numbers in one vector of its own."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).clone().numpy()


def options_of(optimizer: torch.optim.LBFGS) -> Options:
    """The options in force."""
    group = optimizer.param_groups[0]
    return Options(**{name: group[name] for name in Options.__dataclass_fields__})


def state_of(optimizer: torch.optim.LBFGS) -> State:
    """A copy of torch's state, as plain numbers and vectors."""
    state = optimizer.state[optimizer.param_groups[0]["params"][0]]

    def number(key: str) -> float | None:
        return None if state.get(key) is None else float(state[key])

    def vector(key: str) -> Vector | None:
        return None if state.get(key) is None else gather([state[key]])

    pairs = len(state.get("old_dirs") or [])
    return State(
        func_evals=state["func_evals"],
        n_iter=state["n_iter"],
        t=number("t"),
        h_diag=number("H_diag"),
        prev_loss=number("prev_loss"),
        d=vector("d"),
        prev_flat_grad=vector("prev_flat_grad"),
        old_dirs=[gather([y]) for y in state.get("old_dirs") or []],
        old_stps=[gather([s]) for s in state.get("old_stps") or []],
        ro=[float(value) for value in state.get("ro") or []],
        al=[0.0 if value is None else float(value) for value in (state.get("al") or [])[:pairs]],
    )


def reason_of(
    options: Options,
    evaluations: list[Evaluation],
    iterations: int,
    parameters: Vector,
    state: dict[str, Any],
) -> Reason:
    """The reason why a step ended, inferred from the state after it, since torch does not say it.

    The tests are torch's own, on the tensors that torch used, in torch's order. The gradient at the
    end is that of the last evaluation at the final parameters, compared bit for bit. If torch moved
    on without evaluating, it is that of the last evaluation; the iterations were then used up,
    which is tested first.
    """
    if iterations == 0:
        assert len(evaluations) == 1
        return "gradient_tolerance"
    if state["prev_flat_grad"].dot(state["d"]) > -options.tolerance_change:
        return "not_a_descent_direction"
    if iterations == options.max_iter:
        return "max_iterations"
    if len(evaluations) >= options.max_eval:
        return "max_evaluations"
    last = [e for e in evaluations if np.array_equal(e.x, parameters)][-1]
    if np.abs(last.gradient).max() <= options.tolerance_grad:
        return "gradient_tolerance"
    if state["d"].mul(state["t"]).abs().max() <= options.tolerance_change:
        return "step_tolerance"
    assert abs(last.loss - state["prev_loss"]) < options.tolerance_change
    return "loss_tolerance"


def record(case: Case) -> Recording:
    """Runs a case with torch."""
    dtype = getattr(torch, case.dtype)
    parameters = [torch.nn.Parameter(tensor.to(dtype).clone()) for tensor in case.problem.start]
    optimizer = torch.optim.LBFGS(parameters, **case.options)
    first_options, initial = options_of(optimizer), gather(parameters)
    steps: list[Step] = []
    n_iter = func_evals = 0

    for index in range(case.steps):
        optimizer.param_groups[0].update(case.changes.get(index, {}))
        options = options_of(optimizer)
        evaluations: list[Evaluation] = []

        def closure(index: int = index, evaluations: list[Evaluation] = evaluations) -> Tensor:
            optimizer.zero_grad()
            loss = case.problem.loss(parameters, index)
            loss.backward()
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            evaluations.append(
                Evaluation(float(loss.detach()), gather(parameters), gather(gradients))
            )
            return loss

        returned = float(optimizer.step(closure).detach())
        after, state = gather(parameters), state_of(optimizer)
        iterations = state.n_iter - n_iter
        assert len(evaluations) == state.func_evals - func_evals, case.name
        n_iter, func_evals = state.n_iter, state.func_evals
        raw = optimizer.state[parameters[0]]
        reason = reason_of(options, evaluations, iterations, after, raw)
        changed = index in case.changes
        steps.append(
            Step(options, changed, evaluations, iterations, reason, returned, after, state)
        )

    shapes = [(list(p.shape), p.grad is not None) for p in parameters]
    recording = Recording(case, initial, shapes, first_options, steps)
    assert all(np.isfinite(vector).all() for vector in vectors_of(recording)), (
        f"{case.name}: not finite"
    )
    return recording


def vectors_of(recording: Recording) -> Iterator[Vector]:
    """Everything that goes into the binary file, in its order, as arrays of their type on disk."""
    dtype = np.dtype(recording.case.dtype).newbyteorder("<")

    def vector(value: Vector) -> Vector:
        assert value.shape == recording.initial.shape
        return value.astype(dtype)

    def double(*values: float) -> Vector:
        return np.array(values, dtype="<f8")

    yield vector(recording.initial)
    for step in recording.steps:
        for evaluation in step.evaluations:
            yield double(evaluation.loss)
            yield vector(evaluation.x)
            yield vector(evaluation.gradient)
        yield vector(step.parameters)
        state = step.state
        if state.n_iter > 0:
            assert state.d is not None and state.prev_flat_grad is not None
            yield vector(state.d)
            yield vector(state.prev_flat_grad)
        if has_history(recording):
            al = itertools.chain(state.al, itertools.repeat(0.0))
            for y, s, ro, alpha in zip(state.old_dirs, state.old_stps, state.ro, al, strict=False):
                yield vector(y)
                yield vector(s)
                yield double(ro, alpha)


def has_history(recording: Recording) -> bool:
    """Whether the vectors are short enough to record the history after every step."""
    return recording.initial.size <= HISTORY_UP_TO


def metadata_of(recording: Recording) -> dict[str, Any]:
    """The JSON file."""

    def step(value: Step) -> dict[str, Any]:
        state = value.state
        return {
            "options": asdict(value.options) if value.changed else None,
            "evaluations": len(value.evaluations),
            "iterations": value.iterations,
            "reason": value.reason,
            "loss": value.loss,
            "state": {
                "func_evals": state.func_evals,
                "n_iter": state.n_iter,
                "pairs": len(state.old_dirs),
                "t": state.t,
                "h_diag": state.h_diag,
                "prev_loss": state.prev_loss,
            },
        }

    return {
        "name": recording.case.name,
        "about": recording.case.about,
        "torch": torch.__version__.split("+")[0],
        "dtype": recording.case.dtype,
        "n": recording.initial.size,
        "parameters": [{"shape": shape, "used": used} for shape, used in recording.shapes],
        "options": asdict(recording.options),
        "has_history": has_history(recording),
        "steps": [step(value) for value in recording.steps],
    }


# Checking


class IllPosedError(Exception):
    """A case on which a faithful implementation could part from torch."""


@dataclass
class Deviation:
    """The largest distances of a replay from torch, as fractions of what a test allows."""

    x: float = 0.0
    state: float = 0.0

    def take(self, other: Deviation) -> None:
        """The elementwise maximum."""
        self.x, self.state = max(self.x, other.x), max(self.state, other.state)


def distance(found: Vector | float, expected: Vector | float, floor: float) -> float:
    """||found - expected||inf / max(floor, ||expected||inf), in float64; 0 where both are zero."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    difference = float(np.abs(a - b).max(initial=0.0))
    return difference and difference / max(floor, float(np.abs(b).max(initial=0.0)))


def follow(recording: Recording, replay: Replay, share: float) -> Deviation:
    """Feeds torch's losses and gradients to a replay, and requires torch's decisions and points.

    `share` is how much of the tolerances the replay may use.
    """
    name, dtype = recording.case.name, recording.case.dtype
    allowed, state_allowed = share * TOLERANCE[dtype], share * STATE_TOLERANCE[dtype]
    deviation = Deviation()

    def at(found: Vector, expected: Vector, where: str) -> None:
        deviation.x = max(deviation.x, distance(found, expected, 1.0) / allowed)
        if deviation.x > 1.0:
            raise IllPosedError(f"{name}: {where}: x is {deviation.x:.1f} times the allowance away")

    for index, step in enumerate(recording.steps):
        replay.options = step.options
        run = replay.step()
        point = next(run)
        result: StepResult | None = None
        for count, evaluation in enumerate(step.evaluations):
            if result is not None:
                raise IllPosedError(
                    f"{name}: step {index} ended after {count} evaluations: {result.reason}"
                )
            at(point, evaluation.x, f"step {index}, evaluation {count}")
            try:
                point = run.send((evaluation.loss, evaluation.gradient))
            except StopIteration as stop:
                result = stop.value
        expected = StepResult(step.reason, step.loss, step.iterations, len(step.evaluations))
        if result != expected:
            raise IllPosedError(f"{name}: step {index}: {result}, and torch: {expected}")
        at(replay.parameters, step.parameters, f"after step {index}")

        state = step.state
        if (replay.func_evals, replay.n_iter, len(replay.pairs)) != (
            state.func_evals,
            state.n_iter,
            len(state.old_dirs),
        ):
            raise IllPosedError(f"{name}: step {index}: the counters differ")
        if state.n_iter > 0:
            deviation.state = max(deviation.state, state_distance(replay, state) / state_allowed)
        if deviation.state > 1.0:
            raise IllPosedError(
                f"{name}: step {index}: the state is {deviation.state:.1f} times the allowance away"
            )
    return deviation


def state_distance(replay: Replay, state: State) -> float:
    """The largest relative difference in any part of the state."""
    assert replay.d is not None and replay.t is not None and replay.h_diag is not None
    assert replay.prev_flat_grad is not None and replay.prev_loss == state.prev_loss
    assert state.d is not None and state.t is not None and state.h_diag is not None
    assert state.prev_flat_grad is not None and np.array_equal(
        replay.prev_flat_grad, state.prev_flat_grad
    )
    parts = [
        distance(replay.d, state.d, 0.0),
        distance(replay.t, state.t, 0.0),
        distance(replay.h_diag, state.h_diag, 0.0),
        distance(np.array([pair.ro for pair in replay.pairs]), np.array(state.ro), 0.0),
    ]
    for pair, y, s in zip(replay.pairs, state.old_dirs, state.old_stps, strict=True):
        assert np.array_equal(pair.y, y)
        parts.append(distance(pair.s, s, 0.0))
    if state.al:
        parts.append(distance(np.array(replay.al), np.array(state.al), 1.0))
    return max(parts)


def check(recording: Recording) -> tuple[Deviation, set[str]]:
    """Replays a recording in every way that a faithful implementation may take. Returns the largest
    deviation and the branches that were passed."""
    dtype = recording.case.dtype
    ways: list[tuple[Direction, Noise, float]] = [
        ("two_loop", Noise(), 0.1),
        ("compact", Noise(), 0.1),
        *(("two_loop", Noise(NOISE[dtype], seed), 1.0) for seed in range(4)),
        *(("compact", Noise(NOISE[dtype], seed), 1.0) for seed in range(2)),
    ]
    worst, branches = Deviation(), set[str]()
    for direction, noise, share in ways:
        replay = Replay(recording.initial, recording.options, direction, noise)
        worst.take(follow(recording, replay, share))
        branches |= replay.branches
    return worst, branches


# The command


def main() -> None:
    """Records, checks and writes every case."""
    parser = argparse.ArgumentParser(
        description="Records reference trajectories of torch.optim.LBFGS."
    )
    parser.add_argument("outdir", type=Path)
    outdir: Path = parser.parse_args().outdir
    outdir.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    passed, total = set[str](), 0
    failures: list[str] = []
    print(f"{'case':34}{'n':>4}{'steps':>6}{'evals':>6}{'KiB':>7}{'x':>10}{'state':>10}  reasons")
    for case in cases():
        recording = record(case)
        try:
            deviation, branches = check(recording)
        except IllPosedError as problem:
            failures.append(str(problem))
            continue
        passed |= branches
        shown: set[str] = branches | {step.reason for step in recording.steps}
        missed = set(case.shows) - shown
        if missed:
            failures.append(f"{case.name} does not show {', '.join(sorted(missed))}")
        data = b"".join(vector.tobytes() for vector in vectors_of(recording))
        (outdir / f"{case.name}.bin").write_bytes(data)
        text = json.dumps(metadata_of(recording), indent=2, allow_nan=False) + "\n"
        (outdir / f"{case.name}.json").write_text(text, encoding="utf-8")
        total += len(data) + len(text)
        print(
            f"{case.name:34}{recording.initial.size:4}{len(recording.steps):6}"
            f"{sum(len(step.evaluations) for step in recording.steps):6}{len(data) / 1024:7.1f}"
            f"{deviation.x:10.1e}{deviation.state:10.1e}  "
            + " ".join(
                reason for reason, _ in itertools.groupby(step.reason for step in recording.steps)
            )
        )
    print(
        f"{len(cases())} cases, {total / 2**20:.2f} MiB; "
        "x and state are fractions of what is allowed"
    )
    for branch in sorted(BRANCHES - passed):
        failures.append(f"no case passes through: {branch}")
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
