"""Operations on a session's state: parameters, the state dict, parameter groups, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from numpy.typing import ArrayLike

from .._model import (
    ActiveSet,
    Checkpoint,
    Parameters,
    ParamGroup,
    Session,
    SessionBounds,
    StateDict,
    Turn,
)
from .._wire import bodies, documents, octets
from .._wire.bodies import BoundLike, BoundsLike, ParamsLike, StateDictFormat
from .._wire.messages import json_content, octet_content
from .binding import operation, stream
from .exchange import UNSET, _Unset, changes, given, with_headers
from .identifiers import CheckpointLike, SessionLike, session_path
from .transport.effects import Operation, Request, Stream
from .vectors import Vectors

ACTIVE_SET_PAGE = 1_000
"""The active bounds that are asked for at once: the least that every daemon allows."""


class StateOperations(Vectors):
    @operation
    def get_params(self, session: SessionLike) -> Operation[Parameters]:
        """Returns the parameters at the newest accepted point."""
        return self._parameters(session, self._get(session_path(session, "params")))

    @operation
    def set_params(
        self,
        session: SessionLike,
        params: ArrayLike | Mapping[str, ArrayLike],
        *,
        if_match: str | None = None,
    ) -> Operation[Parameters]:
        """Replaces all parameters, by one flat vector or by name. The history stays."""
        if isinstance(params, Mapping):
            content = yield from self._named_parameters(session, params)
        else:
            content = yield from self._flat_parameters(session, bodies.flat_real(params))
        request = self._write("PUT", session_path(session, "params"), content, if_match)
        return (yield from self._parameters(session, request))

    # Bounds

    @operation
    def get_bounds(self, session: SessionLike) -> Operation[SessionBounds]:
        """Returns the bounds and L1 weights of all parameters."""
        layout = yield from self._layout(session)
        read = partial(documents.bounds, n=layout.n)
        return (yield from self._exchange(self._get(session_path(session, "bounds")), read))

    @operation
    def set_bounds(
        self,
        session: SessionLike,
        lower: BoundLike | None = None,
        upper: BoundLike | None = None,
        l1: BoundLike | None = None,
        *,
        if_match: str | None = None,
    ) -> Operation[SessionBounds]:
        """Replaces all bounds and L1 weights, between steps: each a number for all parameters, a
        flat vector, or None for none. x is projected onto the bounds; the history stays."""
        layout = yield from self._layout(session)
        named = {"lower": lower, "upper": upper, "l1": l1}
        bounds = {k: bodies.as_bound(k, b) for k, b in named.items() if b is not None}
        content = json_content(bodies.written_bounds(bounds))
        if layout.n >= octets.OCTETS_FROM and any(b.ndim > 0 for b in bounds.values()):
            content = octet_content(octets.bounds_in_order(bounds, layout.n, layout.dtype))
        request = self._write("PUT", session_path(session, "bounds"), content, if_match)
        return (yield from self._exchange(request, partial(documents.bounds, n=layout.n)))

    @operation
    def active_set(self, session: SessionLike) -> Operation[ActiveSet]:
        """Returns the parameters that are at a bound, with their multipliers."""
        items: list[Any] = []
        first: int | None = 0
        while first is not None:
            page_of = {"from": first, "limit": ACTIVE_SET_PAGE}
            request = self._get(session_path(session, "active-set"), **page_of)
            page, first = yield from self._exchange(request, documents.active_page)
            items += page
        return documents.active_set(items)

    # The state dict

    @operation
    def get_state_dict(
        self, session: SessionLike, *, format: StateDictFormat = "json"
    ) -> Operation[StateDict]:
        """Returns what `torch.optim.LBFGS.state_dict()` has, with arrays for tensors. `format` is
        the wire format, "json" or "safetensors", which is smaller; the numbers are the same."""
        return self._state_dict(self._get(session_path(session, "state-dict")), format)

    @operation
    def load_state_dict(
        self,
        session: SessionLike,
        state_dict: Mapping[str, Any],
        *,
        match: Literal["position", "name"] = "position",
        format: StateDictFormat = "json",
        if_match: str | None = None,
    ) -> Operation[StateDict]:
        """Loads a state dict with arrays or CPU tensors. Options that it leaves out stay as they
        are. Parameters are matched by position, as in torch, or by name."""
        content = bodies.state_dict(state_dict, format)
        if match != "position":
            content = replace(content, query={"match": match})
        request = self._write("PUT", session_path(session, "state-dict"), content, if_match)
        return self._state_dict(request, format)

    def _state_dict(self, request: Request, format: StateDictFormat) -> Operation[StateDict]:
        accepted = {"Accept": bodies.state_dict_media_type(format)}
        return self._exchange(with_headers(request, accepted), documents.state_dict)

    # Parameter groups

    @operation
    def add_param_group(
        self,
        session: SessionLike,
        params: ParamsLike,
        *,
        name: str | None = None,
        lower: BoundsLike | None = None,
        upper: BoundsLike | None = None,
        l1: BoundsLike | None = None,
        if_match: str | None = None,
    ) -> Operation[ParamGroup]:
        """Adds parameters between steps: arrays by name, or a sequence of arrays. The history of
        the others stays in use; the options are those of the session. `lower`, `upper` and `l1` are
        of the new parameters, as for `create_session`."""
        new = bodies.new_parameters(params, {"lower": lower, "upper": upper, "l1": l1})
        content = bodies.with_parameters(given(name=name), new)
        request = self._post(session_path(session, "param-groups"), content, if_match)
        return self._exchange(request, documents.one(documents.param_group))

    @operation
    def param_groups(self, session: SessionLike) -> Operation[list[ParamGroup]]:
        """Returns the parameter groups, in order. A new session has one."""
        request = self._get(session_path(session, "param-groups"))
        return self._exchange(request, documents.listed("param_groups", documents.param_group))

    @operation
    def get_param_group(self, session: SessionLike, index: int) -> Operation[ParamGroup]:
        """Returns a parameter group; groups are numbered 0, 1, 2 ..."""
        request = self._get(session_path(session, "param-groups", index))
        return self._exchange(request, documents.one(documents.param_group))

    @operation
    def update_param_group(
        self,
        session: SessionLike,
        index: int,
        *,
        name: str | _Unset | None = UNSET,
        frozen: bool | _Unset = UNSET,
        if_match: str | None = None,
    ) -> Operation[ParamGroup]:
        """Names a group, or freezes it, so that its parameters stay where they are. Between
        steps."""
        content = json_content(changes(name=name, frozen=frozen))
        path = session_path(session, "param-groups", index)
        request = self._write("PATCH", path, content, if_match)
        return self._exchange(request, documents.one(documents.param_group))

    # Checkpoints

    @operation
    def create_checkpoint(
        self, session: SessionLike, name: str | None = None, *, if_match: str | None = None
    ) -> Operation[Checkpoint]:
        """Saves the session as it is, even in the middle of a line search."""
        content = json_content(given(name=name))
        request = self._post(session_path(session, "checkpoints"), content, if_match)
        return self._exchange(request, documents.one(documents.checkpoint))

    @stream
    def checkpoints(
        self, session: SessionLike, *, page_size: int | None = None
    ) -> Stream[Checkpoint]:
        """Iterates over a session's checkpoints, newest first."""
        read = documents.page("checkpoints", documents.checkpoint)
        return self._pages(session_path(session, "checkpoints"), read, page_size=page_size)

    @operation
    def get_checkpoint(
        self, session: SessionLike, checkpoint: CheckpointLike
    ) -> Operation[Checkpoint]:
        """Returns a checkpoint."""
        request = self._get(session_path(session, "checkpoints", checkpoint))
        return self._exchange(request, documents.one(documents.checkpoint))

    @operation
    def delete_checkpoint(
        self, session: SessionLike, checkpoint: CheckpointLike, *, if_match: str | None = None
    ) -> Operation[None]:
        """Deletes a checkpoint."""
        path = session_path(session, "checkpoints", checkpoint)
        return self._exchange(self._write("DELETE", path, None, if_match), documents.nothing)

    @operation
    def get_checkpoint_state_dict(
        self,
        session: SessionLike,
        checkpoint: CheckpointLike,
        *,
        format: StateDictFormat = "json",
    ) -> Operation[StateDict]:
        """Returns the state dict as it was when the checkpoint was created."""
        path = session_path(session, "checkpoints", checkpoint, "state-dict")
        return self._state_dict(self._get(path), format)

    @operation
    def restore(
        self, session: SessionLike, checkpoint: CheckpointLike, *, if_match: str | None = None
    ) -> Operation[Turn]:
        """Returns the session to a checkpoint, bit for bit."""
        path = session_path(session, "checkpoints", checkpoint, "restore")
        return self._turn(session, self._post(path, None, if_match))

    @operation
    def fork(
        self,
        session: SessionLike,
        checkpoint: CheckpointLike,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> Operation[Session]:
        """Creates a session that starts from the checkpoint of another."""
        document = given(name=name, labels=None if labels is None else dict(labels))
        path = session_path(session, "checkpoints", checkpoint, "fork")
        return self._session(self._post(path, json_content(document), if_match))
