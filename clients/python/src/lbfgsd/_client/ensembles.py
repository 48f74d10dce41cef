"""Operations on ensembles: sessions of one problem from several starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from .._errors import ProblemError
from .._model import (
    Ensemble,
    EnsembleSummary,
    EnsembleTurn,
    Member,
    MemberTracePoint,
    Options,
    Tell,
    Told,
)
from .._wire import bodies, documents, ensembles
from .._wire.messages import json_content
from .._wire.options import write as write_options
from .binding import operation, stream
from .exchange import Exchange, given
from .identifiers import EnsembleLike, ensemble_path
from .transport.effects import Emit, Operation, Stream


class EnsembleOperations(Exchange):
    @operation
    def create_ensemble(
        self,
        starts: Mapping[str, Any] | ArrayLike,
        *,
        n: int | None = None,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        options: Options | None = None,
        stop: Mapping[str, Any] | None = None,
        abandon: Mapping[str, Any] | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        dtype: str = "float64",
        expires_after: int | None = None,
    ) -> Operation[Ensemble]:
        """Creates an ensemble: a session from each start, all of them or none.

        `starts` has a start in each row, or says how to choose them in the box `lower` to `upper`:
        {"method": "sobol", "count": 50, "seed": 7}, or "latin_hypercube" or "uniform"; `n` is then
        the number of parameters. `stop` may have "target" and "evaluations", `abandon` "stagnation"
        ({"evaluations", "tolerance"}) and "same_basin" ({"distance", "loss"}).
        """
        document: dict[str, Any] = {"dtype": dtype, "starts": ensembles.starts(starts)}
        document |= given(name=name, n=n, expires_after=expires_after)
        for key, value in (("lower", lower), ("upper", upper)):
            if value is not None:
                document[key] = ensembles.bound(value)
        for key, rules in (("labels", labels), ("stop", stop), ("abandon", abandon)):
            if rules is not None:
                document[key] = dict(rules)
        if options:
            document["options"] = write_options(options)
        request = self._post("/v1/ensembles", json_content(document))
        return self._exchange(request, ensembles.ensemble)

    @stream
    def ensembles(self, *, page_size: int | None = None) -> Stream[EnsembleSummary]:
        """Iterates over all ensembles, newest first."""
        read = documents.page("ensembles", ensembles.summary)
        return self._pages("/v1/ensembles", read, page_size=page_size)

    @operation
    def get_ensemble(self, ensemble: EnsembleLike) -> Operation[Ensemble]:
        """Returns an ensemble with its best member."""
        return self._exchange(self._get(ensemble_path(ensemble)), ensembles.ensemble)

    @operation
    def members(self, ensemble: EnsembleLike, *, points: bool = False) -> Operation[list[Member]]:
        """Returns the members by rank, with `points` with their newest accepted points."""
        request = self._get(ensemble_path(ensemble, "members"), points="true" if points else None)
        return self._exchange(request, documents.listed("members", ensembles.member))

    @operation
    def ask_ensemble(
        self,
        ensemble: EnsembleLike,
        count: int = 1,
        *,
        worker: str | None = None,
        seconds: float | None = None,
        wait: float | None = None,
    ) -> Operation[EnsembleTurn]:
        """Returns up to `count` points, which are offered to nobody else for so many seconds. With
        `wait`, the server answers when there is one, or after that many seconds (at most 30)."""
        content = json_content(given(count=count, worker=worker, seconds=seconds))
        # No Idempotency-Key: a lease whose reply was lost ends by itself.
        request = self._write("POST", ensemble_path(ensemble, "evaluations"), content)
        return self._exchange(self._waiting(request, wait), ensembles.turn)

    @operation
    def tell_ensemble(
        self,
        ensemble: EnsembleLike,
        results: Iterable[Tell],
        *,
        ask: int = 0,
        worker: str | None = None,
        seconds: float | None = None,
        wait: float | None = None,
    ) -> Operation[tuple[list[Told | ProblemError], EnsembleTurn]]:
        """Tells results of members and asks for `ask` points in one request. Returns, in the order
        of the results, what became of each, or the error that its own call would have raised; and
        the points. May be repeated as a whole."""
        document: dict[str, Any] = {
            "results": [bodies.batch_item(str(tell.session), tell) for tell in results]
        }
        if ask:
            document["ask"] = given(count=ask, worker=worker, seconds=seconds)
        request = self._write("POST", ensemble_path(ensemble, "results"), json_content(document))
        return self._exchange(self._waiting(request, wait if ask else None), ensembles.answers)

    @operation
    def stop_ensemble(self, ensemble: EnsembleLike) -> Operation[Ensemble]:
        """Finishes an ensemble: steps that run end at their best points. May be repeated."""
        request = self._write("POST", ensemble_path(ensemble, "stop"), json_content({}))
        return self._exchange(request, ensembles.ensemble)

    @operation
    def delete_ensemble(
        self, ensemble: EnsembleLike, *, if_match: str | None = None
    ) -> Operation[None]:
        """Deletes an ensemble and the sessions of its members, for good."""
        request = self._write("DELETE", ensemble_path(ensemble), None, if_match)
        return self._exchange(request, documents.nothing)

    @stream
    def ensemble_trace(self, ensemble: EnsembleLike) -> Stream[MemberTracePoint]:
        """Iterates over the evaluations of all members, by member and evaluation."""
        path = ensemble_path(ensemble, "trace")
        position: dict[str, int] = {}
        while True:
            request = self._get(path, **position)
            points, following = yield from self._exchange(request, ensembles.trace_page)
            for point in points:
                yield Emit(point)
            if following is None:
                return
            position = {"member": following["member"], "from": following["evaluation"]}
