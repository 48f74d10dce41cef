"""Operations on sessions as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._errors import ProblemError
from .._model import Options, Session, SessionSummary
from .._wire import bodies, documents, octets
from .._wire.bodies import NewParameter, ParamsLike
from .._wire.messages import OCTETS_TYPE, json_content, octet_content
from .._wire.options import write as write_options
from .binding import operation, stream
from .effects import Operation, Stream
from .exchange import UNSET, _Unset, changes, given, with_headers
from .identifiers import SessionLike, session_path
from .vectors import Vectors


class SessionOperations(Vectors):
    @operation
    def create_session(
        self,
        x0: ArrayLike | None = None,
        *,
        params: ParamsLike | None = None,
        options: Options | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        dtype: str = "float64",
        shards: int | None = None,
    ) -> Operation[Session]:
        """Creates a session from one vector `x0`, or from `params`: arrays by name, or a sequence
        of arrays. `options` are torch's; those left out have torch's defaults. With `shards` every
        evaluation is told in that many parts, and its result is their sum."""
        if (x0 is None) == (params is None):
            raise TypeError("either x0 or params")
        document: dict[str, Any] = {"dtype": dtype, **given(name=name)}
        if labels is not None:
            document["labels"] = dict(labels)
        if options:
            document["options"] = write_options(options)
        document |= given(shards=shards)
        new = bodies.new_parameters([x0] if x0 is not None else params or [])
        if sum(param.values.size for param in new) < octets.CREATED_WITH_ZEROS_FROM:
            content = bodies.with_parameters(document, new)
            return self._session(self._post("/v1/sessions", content))
        return self._create_large(document, new)

    def _create_large(
        self, document: Mapping[str, Any], new: Sequence[NewParameter]
    ) -> Operation[Session]:
        """Creates a session with zeros, then sends its parameters as octets."""
        arrays = [octets.as_dtype(param.values, document["dtype"]) for param in new]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(f"Parameters must be finite, in {document['dtype']} too")
        content = bodies.with_parameters(document, new, with_values=False)
        created = yield from self._session(self._post("/v1/sessions", content))
        if all(octets.is_zero(array) for array in arrays):
            return created
        request = self._write("PUT", session_path(created, "params"), octet_content(arrays))
        request = with_headers(request, {"Accept": OCTETS_TYPE})
        try:
            yield from self._exchange(request, partial(self._read_parameters, created))
        except ProblemError:
            path = session_path(created)
            yield from self._exchange(self._write("DELETE", path, None), documents.nothing)
            raise
        return (yield from self._find_session(created))

    @stream
    def sessions(
        self, *, label: str | None = None, page_size: int | None = None
    ) -> Stream[SessionSummary]:
        """Iterates over all sessions, or those with the label "key:value", newest first."""
        read = documents.page("sessions", documents.session_summary)
        return self._pages("/v1/sessions", read, label=label, page_size=page_size)

    @operation
    def get_session(self, session: SessionLike) -> Operation[Session]:
        """Returns a session, without its vectors."""
        return self._find_session(session)

    @operation
    def update_session(
        self,
        session: SessionLike,
        *,
        name: str | _Unset | None = UNSET,
        labels: Mapping[str, str] | _Unset | None = UNSET,
        options: Options | _Unset = UNSET,
        if_match: str | None = None,
    ) -> Operation[Session]:
        """Changes what is given. New options apply from the next step on; `labels` replaces all
        labels."""
        document = changes(name=name, labels=labels, options=options)
        if "options" in document:
            document["options"] = write_options(document["options"])
        content = json_content(document)
        return self._session(self._write("PATCH", session_path(session), content, if_match))

    @operation
    def delete_session(
        self, session: SessionLike, *, if_match: str | None = None
    ) -> Operation[None]:
        """Deletes a session with its trace and its checkpoints, for good. Its forks stay."""
        request = self._write("DELETE", session_path(session), None, if_match)
        return self._exchange(request, documents.nothing)
