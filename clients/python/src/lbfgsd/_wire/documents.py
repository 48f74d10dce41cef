"""JSON documents of replies, read into values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from .._errors import BadReply, ProblemError, problem_error
from .._model import (
    ActiveSet,
    Best,
    Checkpoint,
    Delivery,
    Evaluation,
    Floats,
    Hook,
    HookCall,
    Lease,
    LineSearchFailure,
    Origin,
    Parameter,
    Parameters,
    ParameterSpec,
    ParamGroup,
    Purge,
    Session,
    SessionBounds,
    SessionSummary,
    Shards,
    StateDict,
    Step,
    StepResult,
    TracePoint,
    Turn,
)
from . import json_text, options, safetensors, state_dict_file, state_dict_json
from .messages import Reply, media_type

T = TypeVar("T")

# Replies as a whole. Readers that need no more than the document are below; `one`, `listed` and
# `page` make readers of replies from them.


def one(read: Callable[[Mapping[str, Any]], T]) -> Callable[[Reply], T]:
    """Reads a reply whose document is the value."""
    return lambda reply: read(reply.json())


def listed(key: str, read: Callable[[Mapping[str, Any]], T]) -> Callable[[Reply], list[T]]:
    """Reads a reply whose document has the values in the list `key`."""
    return lambda reply: [read(item) for item in reply.json()[key]]


def page(
    key: str, read: Callable[[Mapping[str, Any]], T], next_key: str = "next_page_token"
) -> Callable[[Reply], tuple[list[T], Any]]:
    """Reads a page of the list `key`, and the token of the next page; None if it is the last."""

    def read_page(reply: Reply) -> tuple[list[T], Any]:
        document = reply.json()
        return [read(item) for item in document[key]], document[next_key]

    return read_page


def nothing(reply: Reply) -> None:
    """Reads a reply without content."""


def session(reply: Reply) -> Session:
    document = reply.json()
    specs = tuple(ParameterSpec(p["name"], tuple(p["shape"])) for p in document["params"])
    return Session(
        **_summary(document),
        params=specs,
        options=options.read(document["options"]),
        shards=document.get("shards"),
        param_groups=tuple(param_group(group) for group in document.get("param_groups", ())),
        memory_bytes_estimate=document["memory_bytes_estimate"],
        disk_bytes=document["disk_bytes"],
        etag=reply.etag,
        bounded=document.get("bounded", False),
        l1=document.get("l1", False),
        projected=document.get("projected", 0),
    )


def turn(reply: Reply, dtype: str | None) -> Turn:
    """`dtype` is the session's if it is known: JSON does not tell it."""
    return _turn(reply.json(), dtype, reply.etag, reply.replayed)


def _turn(document: Mapping[str, Any], dtype: str | None, etag: str | None, replayed: bool) -> Turn:
    x, ended = document.get("x"), document.get("result")
    return Turn(
        session=document["session"],
        state=document["state"],
        step=document["step"],
        evaluation=_evaluation(document.get("evaluation"), dtype),
        x=None if x is None else _vector(x, dtype),
        result=step_result(ended),
        etag=etag,
        replayed=replayed,
        hook_call=hook_call(document.get("hook_call")),
        iterations=document.get("iterations"),
        loss=json_text.read_optional(document.get("loss")),
    )


def batch_results(reply: Reply) -> list[Turn | ProblemError]:
    return [
        problem_error(result["status"], result["problem"])
        if "problem" in result
        else _turn(result["turn"], None, None, result.get("replayed", False))
        for result in reply.json()["results"]
    ]


def lease(reply: Reply, dtype: str | None) -> Lease:
    document = reply.json()
    keys = ("session", "evaluation", "shard", "shards", "worker", "expires_at")
    return Lease(**{key: document[key] for key in keys}, x=_vector(document["x"], dtype))


def parameters(reply: Reply) -> Parameters:
    document = reply.json()
    dtype = document["dtype"]
    params = tuple(
        Parameter(item["name"], _vector(item["values"], dtype).reshape(item["shape"]))
        for item in document["params"]
    )
    return Parameters(dtype, params, reply.etag)


def bounds(reply: Reply, n: int) -> SessionBounds:
    """The bounds of a session with n numbers."""
    document = reply.json()

    def filled(name: str, missing: float) -> Floats:
        value = document[name]
        if isinstance(value, list):
            return _vector(value, document["dtype"])
        number = missing if value is None else json_text.read_number(value)
        return np.full(n, number, dtype=document["dtype"])

    return SessionBounds(
        lower=filled("lower", -np.inf),
        upper=filled("upper", np.inf),
        l1=filled("l1", 0.0),
        projected=document.get("projected"),
        etag=reply.etag,
    )


active_page = page("active", lambda item: item, next_key="next")
"""Reads a page of an active set, and the index that the next one is from."""


def active_set(items: list[Mapping[str, Any]]) -> ActiveSet:
    """The entries of all pages."""
    multipliers = [json_text.read_optional(item["multiplier"]) for item in items]
    return ActiveSet(
        index=np.array([item["index"] for item in items], dtype=np.int64),
        side=np.array([item["side"] for item in items], dtype="U5"),
        value=json_text.read_vector([item["value"] for item in items]),
        multiplier=np.array([np.nan if m is None else m for m in multipliers], dtype=np.float64),
    )


def state_dict(reply: Reply) -> StateDict:
    """A state dict in either format. Its vectors are Float64 in both."""
    if media_type(reply.headers) != safetensors.MEDIA_TYPE:
        return state_dict_json.read(reply.json())
    loaded = state_dict_file.load(reply.content)
    for state in loaded["state"].values():
        for key in state_dict_json.VECTORS:
            if key in state:
                state[key] = state[key].astype(np.float64)
        for key in state_dict_json.LISTS_OF_VECTORS:
            if key in state:
                state[key] = [item.astype(np.float64) for item in state[key]]
    return loaded


def limits(reply: Reply) -> dict[str, Any]:
    document = reply.json()
    if not isinstance(document, dict):
        raise BadReply("limits are not an object")
    return document


# Documents


def session_summary(document: Mapping[str, Any]) -> SessionSummary:
    return SessionSummary(**_summary(document))


def _summary(document: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("id", "name", "labels", "state", "dtype", "n", "step", "evaluation")
    origin = document["origin"]
    return {
        **{key: document[key] for key in keys},
        "loss": json_text.read_optional(document["loss"]),
        "origin": origin and Origin(origin["session"], origin["checkpoint"]),
        "created_at": document["created_at"],
        "updated_at": document["updated_at"],
        "best": _best(document.get("best")),
        "mode": document.get("mode"),
        "gradient_norm_inf": json_text.read_optional(document.get("gradient_norm_inf")),
        "ensemble": document.get("ensemble"),
    }


def _best(document: Mapping[str, Any] | None) -> Best | None:
    if document is None:
        return None
    return Best(json_text.read_number(document["loss"]), document["evaluation"])


def param_group(document: Mapping[str, Any]) -> ParamGroup:
    names = document["param_names"]
    keys = ("index", "name", "frozen", "count")
    return ParamGroup(
        **{key: document[key] for key in keys},
        params=tuple(document["params"]),
        param_names=None if names is None else tuple(names),
    )


def step(document: Mapping[str, Any]) -> Step:
    keys = ("session", "step", "state", "started_at", "ended_at")
    return Step(
        **{key: document[key] for key in keys},
        first_evaluation=document["first_evaluation"],
        last_evaluation=document["last_evaluation"],
        result=step_result(document["result"]),
    )


def step_result(document: Mapping[str, Any] | None) -> StepResult | None:
    if document is None:
        return None
    return StepResult(
        reason=document["reason"],
        converged=document["converged"],
        loss_before=json_text.read_optional(document["loss_before"]),
        loss=json_text.read_optional(document["loss"]),
        iterations=document["iterations"],
        evaluations=document["evaluations"],
        gradient_norm_inf=json_text.read_optional(document["gradient_norm_inf"]),
        failure=_failure(document.get("failure")),
        projected_gradient_norm_inf=json_text.read_optional(
            document.get("projected_gradient_norm_inf")
        ),
        active_bounds=document.get("active_bounds"),
    )


def _failure(document: Mapping[str, Any] | None) -> LineSearchFailure | None:
    if document is None:
        return None
    numbers = ("step_length_lower", "step_length_upper", "slope", "loss_noise")
    return LineSearchFailure(
        **{key: json_text.read_number(document[key]) for key in (*numbers, "direction_norm_inf")},
        loss_change=json_text.read_optional(document["loss_change"]),
        trials=document["trials"],
    )


def _evaluation(document: Mapping[str, Any] | None, dtype: str | None) -> Evaluation | None:
    if document is None:
        return None
    shards = document.get("shards")
    return Evaluation(
        document["number"],
        _vector(document["x"], dtype),
        shards and Shards(shards["count"], tuple(shards["delivered"])),
    )


def _vector(values: list[Any], dtype: str | None) -> Floats:
    return json_text.read_vector(values).astype(dtype or np.float64, copy=False)


def checkpoint(document: Mapping[str, Any]) -> Checkpoint:
    keys = ("id", "session", "name", "state", "step", "evaluation", "created_at")
    loss = json_text.read_optional(document["loss"])
    return Checkpoint(**{key: document[key] for key in keys}, loss=loss)


def hook_call(document: Mapping[str, Any] | None) -> HookCall | None:
    if document is None:
        return None
    keys = ("number", "event", "deadline", "default")
    step_options, loaded = document.get("options"), document.get("state_dict")
    return HookCall(
        **{key: document[key] for key in keys},
        hook=str(document["hook"]),
        options=None if step_options is None else options.read(step_options),
        state_dict=None if loaded is None else state_dict_json.read(loaded),
        result=step_result(document.get("result")),
    )


def hook(document: Mapping[str, Any]) -> Hook:
    optional = ("deadline_seconds", "default", "url", "secret", "created_at")
    return Hook(
        id=str(document["id"]),
        event=document["event"],
        kind=document["kind"],
        **{key: document.get(key) for key in optional},
    )


def delivery(document: Mapping[str, Any]) -> Delivery:
    keys = ("event", "url", "status", "attempts", "created_at")
    later = ("next_attempt_at", "last_attempt_at", "last_outcome")
    return Delivery(
        id=str(document["id"]),
        hook=str(document["hook"]),
        **{key: document[key] for key in (*keys, *later)},
    )


def trace_point(document: Mapping[str, Any]) -> TracePoint:
    return TracePoint(
        evaluation=document["evaluation"],
        step=document["step"],
        iteration=document["iteration"],
        loss=json_text.read_optional(document["loss"]),
        gradient_norm_inf=json_text.read_optional(document["gradient_norm_inf"]),
        step_length=json_text.read_number(document["step_length"]),
        time=document["time"],
        **{key: json_text.read_optional(document.get(key)) for key in _SEARCH},
        accepted=document.get("accepted"),
    )


_SEARCH = ("slope", "start_loss", "start_slope", "accepted_step_length")


def purge(document: Mapping[str, Any]) -> Purge:
    return Purge(
        count=document["count"],
        sessions=tuple(document["sessions"]),
        deleted=document.get("deleted"),
        more=document.get("more", False),
    )
