"""Operations on sessions as a whole."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from .._errors import BadReply, ProblemError
from .._model import Options, Purge, Session, SessionSummary
from .._wire import bodies, documents, octets
from .._wire.bodies import BoundsLike, NewParameter, ParamsLike
from .._wire.messages import (
    BLOCK_BYTES,
    OCTETS_TYPE,
    SESSION_FILE_TYPE,
    Content,
    FileBody,
    json_content,
    octet_content,
)
from .._wire.options import write as write_options
from .binding import operation, stream
from .exchange import UNSET, _Unset, changes, given, with_headers
from .identifiers import SessionLike, session_path
from .transport.effects import Operation, Stream
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
        lower: BoundsLike | None = None,
        upper: BoundsLike | None = None,
        l1: BoundsLike | None = None,
    ) -> Operation[Session]:
        """Creates a session from one vector `x0`, or from `params`: arrays by name, or a sequence
        of arrays. `options` are torch's; those left out have torch's defaults. With `shards` every
        evaluation is told in that many parts, and its result is their sum.

        `lower` and `upper` bound the parameters, and `l1` weighs a term sum(l1 * abs(x)) that is
        added to the loss; both need the option mode "robust". Each is a number for all parameters,
        or for `x0` an array, and for `params` something for each of them, by name or in order. A
        start outside its bounds is projected onto them: `projected` of the session says how many
        numbers were."""
        if (x0 is None) == (params is None):
            raise TypeError("either x0 or params")
        document: dict[str, Any] = {"dtype": dtype, **given(name=name)}
        if labels is not None:
            document["labels"] = dict(labels)
        if options:
            document["options"] = write_options(options)
        document |= given(shards=shards)
        bounds: dict[str, Any] = {"lower": lower, "upper": upper, "l1": l1}
        if x0 is not None:
            bounds = {k: None if b is None else [b] for k, b in bounds.items()}
        new = bodies.new_parameters([x0] if x0 is not None else params or [], bounds)
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
        # Numbers for all go with the request; vectors of bounds follow, as the values do.
        bare = [
            replace(param, bounds={k: b for k, b in param.bounds.items() if b.ndim == 0})
            for param in new
        ]
        has_vectors = any(b.ndim > 0 for param in new for b in param.bounds.values())
        content = bodies.with_parameters(document, bare, with_values=False)
        created = yield from self._session(self._post("/v1/sessions", content))
        # With bounds the zeros may not be where the session is.
        bounded = any(param.bounds for param in new)
        if not bounded and all(octets.is_zero(array) for array in arrays):
            return created
        accepting = {"Accept": OCTETS_TYPE}
        put = partial(self._write, "PUT")
        try:
            if has_vectors:
                bounds = bodies.joined_bounds(new)
                vectors = octets.bounds_in_order(bounds, created.n, created.dtype)
                request = put(session_path(created, "bounds"), octet_content(vectors))
                yield from self._exchange(with_headers(request, accepting), documents.nothing)
            request = put(session_path(created, "params"), octet_content(arrays))
            request = with_headers(request, accepting)
            yield from self._exchange(request, partial(self._read_parameters, created))
        except ProblemError:
            path = session_path(created)
            yield from self._exchange(self._write("DELETE", path, None), documents.nothing)
            raise
        return (yield from self._find_session(created))

    @stream
    def sessions(
        self,
        *,
        label: str | None = None,
        name: str | None = None,
        page_size: int | None = None,
        state: str | None = None,
        mode: str | None = None,
        q: str | None = None,
        ensemble: str | None = None,
        order_by: str | None = None,
        descending: bool | None = None,
    ) -> Stream[SessionSummary]:
        """Iterates over all sessions, or those with the label "key:value", of a name, in a state
        ("idle", "evaluating" or "awaiting_hook"), of a mode or an ensemble, or with the text `q` in
        name, identifier or a label, without regard to case.

        They are ordered by "created" (newest first), "updated" (likewise), "best_loss" (smallest
        first) or "name" (a to z), or the other way round by `descending`. A session that changes
        its place meanwhile may be missed, or come twice."""
        read = documents.page("sessions", documents.session_summary)
        return self._pages(
            "/v1/sessions",
            read,
            label=label,
            name=name,
            page_size=page_size,
            state=state,
            mode=mode,
            q=q,
            ensemble=ensemble,
            order_by=order_by,
            descending=None if descending is None else str(descending).lower(),
        )

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
    def export_session(self, session: SessionLike, path: str | os.PathLike[str]) -> Operation[None]:
        """Writes a session to a file: its whole state, the middle of a line search included, but
        for hooks, checkpoints and the trace. A file that is there is replaced when the new one is
        complete."""
        target = Path(path)
        part = target.with_name(f"{target.name}.part-{uuid.uuid4().hex[:8]}")
        try:
            with part.open("w+b") as file:
                request = replace(
                    self._get(session_path(session, "export")),
                    headers={"Accept": SESSION_FILE_TYPE},
                    file=file,
                )
                yield from self._exchange(request, documents.nothing)
                check_session_file(file)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    @operation
    def import_session(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | _Unset | None = UNSET,
        labels: Mapping[str, str] | _Unset = UNSET,
    ) -> Operation[Session]:
        """Creates a session from a file of `export_session`, of this or another server. It asks for
        the point that the exported session asked for. The name and the labels are the file's unless
        they are given; None is no name."""
        query: dict[str, str] = {}
        if not isinstance(name, _Unset):
            query["name"] = name or ""
        if not isinstance(labels, _Unset):
            query["labels"] = json.dumps(dict(labels))
        content = Content(FileBody(Path(path)), SESSION_FILE_TYPE, query)
        return self._session(self._post("/v1/sessions:import", content))

    @operation
    def purge(
        self,
        *,
        label: str | None = None,
        name: str | None = None,
        unnamed: bool = False,
        state: str | None = None,
        mode: str | None = None,
        inactive_seconds: int | None = None,
        force: bool = False,
    ) -> Operation[Purge]:
        """Deletes the sessions that meet all criteria, of which there must be at least one; without
        `force` only says which they are. `inactive_seconds` is for how long they have not changed.

        One call deletes at most 1000: repeat it while the result has `more` and `deleted` is not
        0."""
        document = given(
            label=label, name=name, state=state, mode=mode, inactive_seconds=inactive_seconds
        )
        document |= {
            key: True for key, value in {"unnamed": unnamed, "force": force}.items() if value
        }
        request = self._write("POST", "/v1/sessions:purge", json_content(document))
        return self._exchange(request, documents.one(documents.purge))

    @operation
    def delete_session(
        self, session: SessionLike, *, if_match: str | None = None
    ) -> Operation[None]:
        """Deletes a session with its trace and its checkpoints, for good. Its forks stay."""
        request = self._write("DELETE", session_path(session), None, if_match)
        return self._exchange(request, documents.nothing)


def check_session_file(file: BinaryIO) -> None:
    """Raises `BadReply` unless the file ends with the SHA-256 of what precedes it."""
    file.flush()
    left = file.seek(0, os.SEEK_END) - 32
    file.seek(0)
    sha = hashlib.sha256()
    while left > 0 and (block := file.read(min(BLOCK_BYTES, left))):
        sha.update(block)
        left -= len(block)
    if left != 0 or file.read() != sha.digest():
        raise BadReply("a session file whose digest is not that of its bytes")
