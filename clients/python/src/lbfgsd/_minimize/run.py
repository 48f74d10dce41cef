"""A run: steps that follow one another until a tolerance is met or a budget is used up."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._client import Client
from .._engine import LocalClient
from .._engine.client import SESSION
from .._errors import Infeasible
from .._model import Floats, Session, StepResult, Turn
from .._stepping import HookHandler, LossAndGradient, run_step, stop_interrupted
from .box import Box
from .durable import Durable
from .objective import CountedObjective
from .options import RunOptions
from .result import (
    CHECK,
    CONVERGED,
    FAILED,
    FIXED,
    GRADIENT_SUSPECTED,
    MESSAGES,
    STATUSES,
    OptimizeResult,
)
from .unbounded import UnboundedTest

ITERATIONS_WITH_RESTARTS = 4
"""The iterations that a step needs for the restarts after which a line search has failed."""


class Run:
    """One call of `minimize`."""

    def __init__(
        self,
        client: Client,
        options: RunOptions,
        objective: CountedObjective,
        callback: Callable[..., Any] | None,
        on_hook: HookHandler | None,
        durable: Durable | None = None,
    ) -> None:
        self.durable = durable
        self.client, self.options, self.objective = client, options, objective
        self.on_hook = on_hook
        self.callback = _adapted(callback)
        self.box: Box | None = None
        self.l1: Floats = np.zeros(1)
        self.is_new = False
        """Whether the session has the options of its first step."""
        self.nit = 0
        self.nit_before = 0
        """The iterations of the steps of this run that have ended, less those of the first step
        that another run has made."""
        self.reported = 0
        """The iterations of the running step for which the callback was called."""
        self.points: list[tuple[Floats, float]] = []
        """With a callback: the newest accepted point and the trials since, with their losses."""
        self.unbounded = UnboundedTest()
        self.ending: str | None = None
        """Why the running step is ended before its time."""
        self.ended: bytes | None = None
        """The point where the newest step ended."""
        self.stalled = 0
        """The number of consecutive steps that used up a budget and ended where they began."""

    def start(
        self,
        x0: ArrayLike | None,
        name: str | None,
        labels: Mapping[str, str] | None,
        bounds: Any = None,
        l1: ArrayLike | None = None,
    ) -> Any:
        kept = None if self.durable is None or self.durable.is_new else self.durable
        if x0 is None and kept is None:
            raise TypeError("x0 is missing")
        x = None if x0 is None else np.atleast_1d(np.array(x0, dtype=np.float64))
        if x is not None and x.ndim > 1:
            raise ValueError("'x0' must only have one dimension.")
        n = x.size if x is not None else 0 if kept is None else kept.n
        self.box = self.objective.box = Box.of(bounds, n)
        if self.box is not None and self.box.fixed.all():
            return self._all_fixed(self.box.lower)
        if l1 is not None:
            self.l1 = np.broadcast_to(np.asarray(l1, dtype=float), (n,))
        if kept is not None:
            return self._taken_up(kept, x)
        assert x is not None
        self.calls = self.objective.calls(x.size)
        options = self.options.step_options(self.options.iterations, self._evaluations_left())
        created = self.client.create_session(
            x,
            options=options,
            name=name,
            labels=labels,
            lower=None if self.box is None else _shortened(self.box.lower),
            upper=None if self.box is None else _shortened(self.box.upper),
            l1=l1,
        )
        self.session, self.session_options = created.id, dict(created.options)
        self.is_new = True
        if self.durable is not None:
            self.durable.check(self, x)
            self.durable.begin(self)
        return self._guarded(None)

    def _taken_up(self, kept: Durable, x: Floats | None) -> Any:
        """Goes on with the run in the journal."""
        if kept.is_imported and (self.box is not None or self.l1.any()):
            raise ValueError("the journal has its own bounds and l1")
        kept.check(self, x)
        self.session = SESSION
        return self._guarded(kept.restore(self))

    def replay(self) -> None:
        """Runs through the journal, and calls the function where that ends."""
        assert self.durable is not None
        self.session = SESSION
        self._loop(self.durable.restore(self))

    def resume(self, found: Session, x0: ArrayLike | None) -> Any:
        if x0 is not None and np.ndim(x0) > 1:
            raise ValueError("'x0' must only have one dimension.")
        if x0 is not None and np.size(x0) != found.n:
            raise ValueError(f"x0 has {np.size(x0)} numbers, the session {found.n}")
        self.session = found.id
        self.session_options = dict(found.options)
        if found.bounded or found.l1:
            theirs = self.client.get_bounds(found)
            self.l1 = theirs.l1.astype(np.float64)
            if found.bounded:
                ends = theirs.lower.astype(np.float64), theirs.upper.astype(np.float64)
                self.box = self.objective.box = Box(*ends)
        self.calls = self.objective.calls(found.n)
        turn = self.client.ask(found) if found.state != "idle" else None
        if turn is not None and turn.iterations is not None:
            self.reported, self.nit_before = turn.iterations, -turn.iterations
        return self._guarded(turn)

    def _guarded(self, turn: Turn | None) -> Any:
        try:
            return self._loop(turn)
        except BaseException as error:
            if not isinstance(self.client, LocalClient):
                stop_interrupted(self.client, self.session, error)
            raise

    def _loop(self, turn: Turn | None) -> Any:
        while True:
            turn = self._step(turn)
            result, x = turn.result, turn.x
            assert result is not None and x is not None
            x = x.astype(np.float64, copy=False)
            has_moved = self.ending is None and result.iterations > self.reported
            if self.ending is None:
                self.nit = self.nit_before + result.iterations
            self.nit_before, self.reported = self.nit, 0
            self.points = [(x, math.nan if result.loss is None else result.loss)]
            reason = self.ending or self._verdict(x, result)
            if reason is not None and self.objective.at(x) is None:
                # The session reused an evaluation from before this run, and shows no gradient.
                with contextlib.suppress(Infeasible):
                    self.objective(x)
            outcome = self._outcome(x, result, reason or "max_iterations")
            if has_moved and not self._call_back(outcome):
                return self._finished(self._outcome(x, result, "callback"))
            if reason is not None:
                return self._finished(outcome)
            turn = None

    def _step(self, turn: Turn | None) -> Turn:
        """Runs a step to its end, or one that `turn` belongs to."""
        if turn is None:
            if not self.is_new:
                self._set_options()
            self.is_new = False
            client, is_plain = self.client, self.callback is None and self.durable is None
            if isinstance(client, LocalClient) and is_plain:
                return client.run_step(self.objective.evaluated, self._is_unbounded)
            turn = self.client.begin_step(self.session)
        return run_step(self.client, turn, self._evaluate, self.on_hook, self._watch)

    def _is_unbounded(self, x: Floats, loss: float) -> bool:
        if self.unbounded.is_met(x, loss):
            # The point is told nevertheless, and the step ends there.
            self.ending = "unbounded"
        return self.ending is not None

    def _evaluate(self, x: Floats) -> LossAndGradient:
        if self.durable is None:
            value = self.objective(x)
        else:
            assert isinstance(self.client, LocalClient)
            value = self.durable.evaluate(self.objective, x, self.client.evaluations)
        if self.callback is not None:
            self.points.append((x, value.loss + self._l1_term(x)))
        self._is_unbounded(x, value.loss)
        return value

    def _watch(self, turn: Turn) -> bool:
        """Calls the callback if another iteration has ended. Returns whether to end the step."""
        if self.durable is not None:
            self.durable.compact(self)
        done = turn.iterations or 0
        if done > self.reported and self.ending is None:
            self.reported, self.nit = done, self.nit_before + done
            if self.callback is not None:
                # The accepted point is the trial whose loss the session reports, the newest of
                # them; nothing was accepted if the search has failed.
                loss = math.nan if turn.loss is None else turn.loss
                near = [abs(its - loss) for _, its in reversed(self.points)]
                if near:
                    chosen = self.points[-1 - int(np.argmin(near))]
                    self.points = [chosen]
                    if not self._call_back(self._intermediate(*chosen)):
                        self.ending = "callback"
        return self.ending is not None

    def _call_back(self, outcome: Any) -> bool:
        """Returns whether the run goes on."""
        if self.callback is not None:
            known = None if self.durable is None else self.durable.replayed_callback()
            if known is not None:
                return known
            try:
                self.callback(outcome)
            except StopIteration:
                if self.durable is not None:
                    self.durable.stop()
                return False
        return True

    def _finished(self, outcome: Any) -> Any:
        """Adds what is only known, or asked for, at the end."""
        if self.durable is not None:
            self.durable.end()
        if self.box is not None:
            outcome["active_set"] = self.client.active_set(self.session)
            if self.objective.estimates:
                # As in SciPy: nothing was evaluated beside these.
                outcome["jac"] = np.where(self.box.fixed, np.nan, outcome["jac"])
        if self.options.disp:
            counts = f"{outcome.nit} iterations, {outcome.nfev} evaluations"
            print(f"{outcome.message}\n  loss {outcome.fun:.12g}, {counts}")
        return outcome

    def _all_fixed(self, x: Floats) -> Any:
        loss = self.objective.loss(x)
        return OptimizeResult(
            x=x,
            fun=loss,
            jac=np.full_like(x, np.nan),
            nfev=self.objective.nfev,
            njev=0,
            nit=0,
            status=CONVERGED,
            success=True,
            message=FIXED,
            reason="fixed",
            session=None,
        )

    def _evaluations_left(self) -> int:
        calls = self.options.evaluations - self.objective.nfev
        return max(0, calls // self.calls if self.options.robust else calls)

    def _set_options(self) -> None:
        # Without reuse every step but the first begins with an evaluation that is cached here, and
        # costs no call of the function.
        spare = 1 if self.nit > 0 and not self.session_options["reuse_evaluation"] else 0
        left = self._evaluations_left() + spare
        iterations = self.options.iterations - self.nit
        wanted = self.options.step_options(iterations, left)
        if self.stalled:
            # Give the step enough iterations to restart before it reports a failed line search.
            least = min(ITERATIONS_WITH_RESTARTS, iterations)
            wanted["max_iter"] = max(wanted["max_iter"], least)
        changed = {k: v for k, v in wanted.items() if self.session_options.get(k) != v}
        if changed:
            updated = self.client.update_session(self.session, options=changed)
            self.session_options = dict(updated.options)

    def _verdict(self, x: Floats, result: StepResult) -> str | None:
        """The reason why the run is over; None if it goes on."""
        if self.options.robust:
            return self._robust_verdict(x, result)
        return self._torch_verdict(result)

    def _robust_verdict(self, x: Floats, result: StepResult) -> str | None:
        if result.reason not in ("max_iterations", "max_evaluations"):
            return result.reason
        if self.nit >= self.options.iterations:
            return "max_iterations"
        if self._evaluations_left() == 0:
            return "max_evaluations"
        before, self.ended = self.ended, x.tobytes()
        self.stalled = self.stalled + 1 if self.ended == before else 0
        return "no_progress" if self.stalled > 1 else None

    def _torch_verdict(self, result: StepResult) -> str | None:
        before, loss, norm = result.loss_before, result.loss, result.gradient_norm_inf
        if norm is not None and norm <= self.options.gtol:
            return "gradient_tolerance"
        searched = self.session_options["line_search_fn"] is not None
        if result.converged:
            # A failed line search takes a step of length 0, which meets any step tolerance.
            failed = searched and before is not None and loss is not None and loss >= before
            return "no_progress" if failed else result.reason
        if result.reason in ("stopped", "non_finite"):
            return result.reason
        if result.reason == "not_a_descent_direction":
            # The directional derivative is above -ftol: a further step would gain less than that.
            return "slope_tolerance"
        if searched and before is not None and loss is not None:
            if not math.isfinite(loss):
                return "non_finite"
            if loss >= before:
                return "no_progress"
            if before - loss <= self.options.ftol * max(abs(before), abs(loss), 1.0):
                return "loss_tolerance"
        if self.nit >= self.options.iterations:
            return "max_iterations"
        if self.objective.nfev >= self.options.evaluations:
            return "max_evaluations"
        return None

    def _outcome(self, x: Floats, result: StepResult, reason: str) -> Any:
        known = self.objective.at(x)
        # The loss that the session reports has its L1 term.
        loss = known.loss + self._l1_term(x) if known else result.loss
        message = MESSAGES.get(reason, reason)
        more: dict[str, Any] = {}
        if result.failure is not None:
            message = f"{message}: {result.failure}"
            more["failure"] = result.failure
        if reason in GRADIENT_SUSPECTED:
            message = f"{message}; {CHECK}"
        if result.projected_gradient_norm_inf is not None:
            more["projected_gradient_norm_inf"] = result.projected_gradient_norm_inf
        return self._result(x, loss, reason, message, **more)

    def _intermediate(self, x: Floats, loss: float) -> Any:
        """What a callback gets in the middle of a step."""
        return self._result(x.astype(np.float64), loss, "max_iterations", "the run goes on")

    def _l1_term(self, x: Floats) -> float:
        return float(self.l1 @ np.abs(x)) if self.l1.size == x.size and self.l1.any() else 0.0

    def _result(self, x: Floats, loss: float | None, reason: str, message: str, **more: Any) -> Any:
        known, status = self.objective.at(x), STATUSES.get(reason, FAILED)
        return OptimizeResult(
            x=x,
            fun=math.nan if loss is None else loss,
            jac=known.gradient.copy() if known else np.full_like(x, np.nan),
            nfev=self.objective.nfev,
            njev=self.objective.njev,
            nit=self.nit,
            status=status,
            success=status == CONVERGED,
            message=message,
            reason=reason,
            session=self.session,
            **more,
        )


def _shortened(values: Floats) -> float | Floats:
    """One number, if all are the same."""
    return float(values[0]) if (values == values[0]).all() else values


def _adapted(callback: Callable[..., Any] | None) -> Callable[[Any], Any] | None:
    """Makes one form of SciPy's two forms of callbacks: one that takes the result so far."""
    if callback is None:
        return None
    try:
        names = set(inspect.signature(callback).parameters)
    except (TypeError, ValueError):
        names = set()
    if names == {"intermediate_result"}:
        return lambda result: callback(intermediate_result=result)
    return lambda result: callback(np.copy(result.x))
