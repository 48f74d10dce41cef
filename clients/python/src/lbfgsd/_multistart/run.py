"""One call of `multistart`: a pool that is kept busy, and the result of all."""

from __future__ import annotations

import concurrent.futures
import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .._client import Client
from .._client.clients import with_retry
from .._errors import AlreadyTold, Error, EvaluationClosed, NotFound, ProblemError
from .._minimize.result import CONVERGED, EXHAUSTED, FAILED, MESSAGES, STATUSES, OptimizeResult
from .._model import Member, MemberEvaluation, Tell
from .._progress import Progress
from .._stepping import STOP_SECONDS
from .evaluation import Pool, Value

AHEAD = 3
"""How many points there are for each worker at least: the one that it evaluates, and two that wait
in the pool's queue, so that no worker waits for a round trip of up to two evaluations' time."""
ROUND_SECONDS = 0.02
"""How much work there is for each worker, if evaluations are quick: one request then tells and asks
for many."""
ASK_MAX = 256
"""The most points that the service gives at once."""

REASONS = {
    "all_ended": "every run has ended",
    "target": "a run has reached the target",
    "evaluations": "max_evaluations evaluations are done",
    "stopped": "the ensemble was stopped",
}


class MultistartRun:
    WORKER = "multistart"

    def __init__(
        self,
        client: Client,
        ensemble: str,
        pool: Pool,
        progress: Progress,
        callback: Callable[[Any], Any] | None,
        lease: float,
    ) -> None:
        self.client, self.ensemble, self.pool = client, ensemble, pool
        self.progress, self.callback, self.lease = progress, callback, lease
        self.pending: dict[concurrent.futures.Future[Value], MemberEvaluation] = {}
        self.nfev = self.njev = 0
        self.evaluations, self.seconds = 0, 0.0
        self.best: tuple[float, Any] = (math.inf, None)

    def run(self) -> Any:
        return self._result(self._run())

    def _run(self) -> str:
        """Runs to the end, and returns why it is the end."""
        try:
            return self._loop()
        except BaseException as error:
            self._stop_interrupted(error)
            raise
        finally:
            for future in self.pending:
                future.cancel()

    def _loop(self) -> str:
        turn = self._ask(wait=None)
        while turn.state == "running":
            self._submit(turn.evaluations)
            if not self.pending:
                # Other workers have the points that are left.
                turn = self._ask(wait=20)
                continue
            turn = self._tell(self._finished())
        return str(turn.reason)

    @property
    def _free(self) -> int:
        """How many more points the pool should have."""
        wanted = AHEAD
        if self.evaluations > 0:
            mean = max(self.seconds / self.evaluations, 1e-6)
            wanted = max(AHEAD, math.ceil(ROUND_SECONDS / mean))
        return max(0, min(wanted * self.pool.size, ASK_MAX) - len(self.pending))

    def _ask(self, wait: float | None) -> Any:
        return self.client.ask_ensemble(
            self.ensemble, max(1, self._free), worker=self.WORKER, seconds=self.lease, wait=wait
        )

    def _submit(self, evaluations: tuple[MemberEvaluation, ...]) -> None:
        # A server that was restarted has forgotten its leases.
        known = {(item.session, item.number) for item in self.pending.values()}
        for evaluation in evaluations:
            if (evaluation.session, evaluation.number) not in known:
                self.pending[self.pool.submit(evaluation.x)] = evaluation

    def _finished(self) -> list[tuple[MemberEvaluation, Value]]:
        """Waits for an evaluation, and returns all that are finished then."""
        done, _ = concurrent.futures.wait(
            self.pending, return_when=concurrent.futures.FIRST_COMPLETED
        )
        finished = []
        for future in done:
            evaluation = self.pending.pop(future)
            finished.append((evaluation, future.result()))
        return finished

    def _tell(self, finished: list[tuple[MemberEvaluation, Value]]) -> Any:
        tells = []
        for evaluation, value in finished:
            self._count(evaluation, value)
            at = (evaluation.session, evaluation.number)
            if value.failed is not None:
                tells.append(Tell(*at, failed=value.failed))
                continue
            assert value.gradient is not None
            tells.append(Tell(*at, loss=value.loss, gradient=value.gradient))
            self._note(evaluation, value)
            self.progress.update(self.best[0], value.gradient)
        answers, turn = self.client.tell_ensemble(
            self.ensemble,
            tells,
            ask=self._free,
            worker=self.WORKER,
            seconds=self.lease,
        )
        for answer in answers:
            # Another client has told the point, or a rule has ended the run meanwhile.
            expected = (AlreadyTold, EvaluationClosed, NotFound)
            if isinstance(answer, ProblemError) and not isinstance(answer, expected):
                raise answer
        if self.callback is not None and self.best[1] is not None:
            loss, x = self.best
            try:
                self.callback(OptimizeResult(x=x.copy(), fun=loss, nfev=self.nfev, njev=self.njev))
            except StopIteration:
                self.client.stop_ensemble(self.ensemble)
                return replace(turn, state="finished", reason="stopped", evaluations=())
        return turn

    def _count(self, evaluation: MemberEvaluation, value: Value) -> None:
        """Counts an evaluation."""
        self.nfev += value.nfev
        self.njev += value.njev
        self.evaluations += 1
        self.seconds += value.seconds

    def _note(self, evaluation: MemberEvaluation, value: Value) -> None:
        """Takes note of an evaluation that has not failed."""
        if value.loss < self.best[0]:
            self.best = (value.loss, evaluation.x)

    def _stop_interrupted(self, error: BaseException) -> None:
        """Stops the ensemble that `error` interrupted, if the server can be reached soon."""
        hurried = with_retry(self.client, replace(self.client.retry, deadline=STOP_SECONDS))
        with contextlib.suppress(Error):
            hurried.stop_ensemble(self.ensemble)
        with contextlib.suppress(Exception):
            note = f"lbfgsd ensemble {self.ensemble} was stopped, its runs at their best points."
            notes = [*getattr(error, "__notes__", []), note]
            vars(error).update(lbfgsd_ensemble=self.ensemble, __notes__=notes)

    def _result(self, reason: str) -> Any:
        runs = [run_result(member) for member in self.client.members(self.ensemble, points=True)]
        best = runs[0]
        success = best.status == CONVERGED or reason == "target"
        status = CONVERGED if success else FAILED if reason == "all_ended" else EXHAUSTED
        return OptimizeResult(
            x=best.x,
            fun=best.fun,
            nfev=self.nfev,
            njev=self.njev,
            nit=sum(run.nit for run in runs),
            status=status,
            success=success,
            message=f"{REASONS.get(reason, reason)}; the best run: {best.message}",
            reason=reason,
            ensemble=self.ensemble,
            session=best.session,
            runs=runs,
        )


def run_result(member: Member) -> Any:
    """A member in SciPy's form. `fun` and `x` are those of its newest accepted point."""
    result = member.result
    reason = result.reason if result is not None else member.state
    status = STATUSES.get(reason, FAILED)
    message = MESSAGES.get(reason, reason)
    if member.abandoned is not None:
        other = member.abandoned.other
        reason, status = member.abandoned.reason, EXHAUSTED
        message = "STOP: the loss does not fall any more"
        if reason == "same_basin":
            message = f"STOP: in the basin of run {other}"
    return OptimizeResult(
        x=member.x,
        fun=math.nan if member.loss is None else member.loss,
        nfev=member.evaluations,
        nit=0 if result is None else result.iterations,
        status=status,
        success=status == CONVERGED,
        message=message,
        reason=reason,
        member=member.member,
        session=member.session,
    )
