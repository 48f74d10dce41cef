"""Between values and what goes over the wire: JSON here, vectors as octets in `_octets`. State
dicts have a second form besides, safetensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from . import _json, _safetensors, _state
from ._errors import BadReply, ProblemError, problem_error
from ._json import number
from ._transfer import Body, Reply
from ._types import (
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
    Session,
    SessionSummary,
    Shards,
    StateDict,
    Step,
    StepResult,
    Tell,
    TracePoint,
    Turn,
)

ParamsLike = Mapping[str, ArrayLike] | Sequence[ArrayLike]
JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Content:
    """A request's body, with what belongs to it in the query."""

    body: bytes | Body
    media_type: str
    query: Mapping[str, str] = field(default_factory=dict)


def create(document: Mapping[str, Any], params: list[dict[str, Any]]) -> Content:
    return json_content({**document, "params": _params(params)})


def result(loss: float, gradient: Floats) -> Content:
    return json_content({"loss": number(loss), "gradient": _json.vector(gradient)})


def named_result(loss: float, gradients: Mapping[str, Floats | None]) -> Content:
    named = {k: None if g is None else _json.vector(g) for k, g in gradients.items()}
    return json_content({"loss": number(loss), "gradients": named})


def turn(reply: Reply, dtype: str | None) -> Turn:
    """`dtype` is that of the session, if it is known: JSON doesn't say."""
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
    )


def batch_item(session: str, tell: Tell | None, flat: Callable[[ArrayLike], Any]) -> dict[str, Any]:
    """An ask, or a tell."""
    if tell is None:
        return {"session": session}
    item: dict[str, Any] = {"session": session, "number": tell.number}
    if tell.failed is not None:
        return {**item, "failed": tell.failed}
    item["loss"] = number(float(tell.loss))
    if tell.gradient is not None:
        item["gradient"] = _json.vector(flat(tell.gradient))
    if tell.gradients is not None:
        item["gradients"] = {
            name: None if gradient is None else _json.vector(flat(gradient))
            for name, gradient in tell.gradients.items()
        }
    return item


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


def flat_parameters(x: Floats) -> Content:
    return json_content({"x": _json.vector(x)})


def named_parameters(params: list[dict[str, Any]]) -> Content:
    return json_content({"params": _params(params)})


def parameters(reply: Reply) -> Parameters:
    document = reply.json()
    dtype = document["dtype"]
    params = tuple(
        Parameter(item["name"], _vector(item["values"], dtype).reshape(item["shape"]))
        for item in document["params"]
    )
    return Parameters(dtype, params, reply.etag)


def _params(params: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def one(param: dict[str, Any]) -> dict[str, Any]:
        values = param["values"]
        written = {} if values is None else {"values": _json.vector(values)}
        return {**{k: v for k, v in param.items() if k != "values"}, **written}

    return [one(param) for param in params]


def _vector(values: list[Any], dtype: str | None) -> Floats:
    return _json.read_vector(values).astype(dtype or np.float64, copy=False)


def _evaluation(document: Mapping[str, Any] | None, dtype: str | None) -> Evaluation | None:
    if document is None:
        return None
    shards = document.get("shards")
    return Evaluation(
        document["number"],
        _vector(document["x"], dtype),
        shards and Shards(shards["count"], tuple(shards["delivered"])),
    )


StateDictFormat = Literal["json", "safetensors"]


def state_dict_media_type(format: StateDictFormat) -> str:
    if format not in ("json", "safetensors"):
        raise ValueError(f'a state dict travels as "json" or "safetensors", not {format!r}')
    return JSON_TYPE if format == "json" else _safetensors.MEDIA_TYPE


def write_state_dict(state_dict: Mapping[str, Any], format: StateDictFormat) -> Content:
    media_type = state_dict_media_type(format)
    if format == "safetensors":
        return Content(_safetensors.dump(state_dict), media_type)
    return json_content(_state.write(state_dict))


def read_state_dict(reply: Reply) -> StateDict:
    """In whatever form it came; the vectors are Float64 in both."""
    if reply.headers.get("Content-Type", "").split(";")[0].strip() != _safetensors.MEDIA_TYPE:
        return _state.read(reply.json())
    state_dict = _safetensors.load(reply.content)
    for state in state_dict["state"].values():
        for key in _state.VECTORS:
            if key in state:
                state[key] = state[key].astype(np.float64)
        for key in _state.LISTS_OF_VECTORS:
            if key in state:
                state[key] = [item.astype(np.float64) for item in state[key]]
    return state_dict


def json_content(document: Mapping[str, Any]) -> Content:
    return Content(_json.encode(document), JSON_TYPE)


def create_params(params: ParamsLike) -> list[dict[str, Any]]:
    """A list of parameters with name, shape and values."""

    def one(name: str | None, values: ArrayLike) -> dict[str, Any]:
        array = np.asarray(values)
        if np.iscomplexobj(array):
            raise ValueError("Parameters must be real")
        named = {} if name is None else {"name": name}
        return {**named, "shape": list(array.shape), "values": array}

    if isinstance(params, Mapping):
        return [one(name, values) for name, values in params.items()]
    return [one(None, values) for values in params]


def count(params: list[dict[str, Any]]) -> int:
    return sum(param["values"].size for param in params)


def session(reply: Reply) -> Session:
    document = reply.json()
    specs = tuple(ParameterSpec(p["name"], tuple(p["shape"])) for p in document["params"])
    return Session(
        **_summary(document),
        params=specs,
        options=_state.read_options(document["options"]),
        shards=document.get("shards"),
        param_groups=tuple(param_group(group) for group in document.get("param_groups", ())),
        memory_bytes_estimate=document["memory_bytes_estimate"],
        disk_bytes=document["disk_bytes"],
        best=_best(document.get("best")),
        etag=reply.etag,
    )


def _best(document: Mapping[str, Any] | None) -> Best | None:
    if document is None:
        return None
    return Best(_json.read_number(document["loss"]), document["evaluation"])


def session_page(reply: Reply) -> tuple[list[SessionSummary], str | None]:
    document = reply.json()
    listed = [SessionSummary(**_summary(item)) for item in document["sessions"]]
    return listed, document["next_page_token"]


def _summary(document: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("id", "name", "labels", "state", "dtype", "n", "step", "evaluation")
    origin = document["origin"]
    return {
        **{key: document[key] for key in keys},
        "loss": _json.read_optional(document["loss"]),
        "origin": origin and Origin(origin["session"], origin["checkpoint"]),
        "created_at": document["created_at"],
        "updated_at": document["updated_at"],
    }


def step_result(document: Mapping[str, Any] | None) -> StepResult | None:
    if document is None:
        return None
    return StepResult(
        reason=document["reason"],
        converged=document["converged"],
        loss_before=_json.read_optional(document["loss_before"]),
        loss=_json.read_optional(document["loss"]),
        iterations=document["iterations"],
        evaluations=document["evaluations"],
        gradient_norm_inf=_json.read_optional(document["gradient_norm_inf"]),
        failure=_failure(document.get("failure")),
    )


def _failure(document: Mapping[str, Any] | None) -> LineSearchFailure | None:
    if document is None:
        return None
    numbers = ("step_length_lower", "step_length_upper", "slope", "loss_noise")
    return LineSearchFailure(
        **{key: _json.read_number(document[key]) for key in (*numbers, "direction_norm_inf")},
        loss_change=_json.read_optional(document["loss_change"]),
        trials=document["trials"],
    )


def step(document: Mapping[str, Any]) -> Step:
    keys = ("session", "step", "state", "started_at", "ended_at")
    return Step(
        **{key: document[key] for key in keys},
        first_evaluation=document["first_evaluation"],
        last_evaluation=document["last_evaluation"],
        result=step_result(document["result"]),
    )


def checkpoint(document: Mapping[str, Any]) -> Checkpoint:
    keys = ("id", "session", "name", "state", "step", "evaluation", "created_at")
    loss = _json.read_optional(document["loss"])
    return Checkpoint(**{key: document[key] for key in keys}, loss=loss)


def checkpoint_page(reply: Reply) -> tuple[list[Checkpoint], str | None]:
    document = reply.json()
    return [checkpoint(item) for item in document["checkpoints"]], document["next_page_token"]


def param_group(document: Mapping[str, Any]) -> ParamGroup:
    names = document["param_names"]
    keys = ("index", "name", "frozen", "count")
    return ParamGroup(
        **{key: document[key] for key in keys},
        params=tuple(document["params"]),
        param_names=None if names is None else tuple(names),
    )


def hook_call(document: Mapping[str, Any] | None) -> HookCall | None:
    if document is None:
        return None
    keys = ("number", "event", "deadline", "default")
    options, state_dict = document.get("options"), document.get("state_dict")
    return HookCall(
        **{key: document[key] for key in keys},
        hook=str(document["hook"]),
        options=None if options is None else _state.read_options(options),
        state_dict=None if state_dict is None else _state.read(state_dict),
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


def delivery_page(reply: Reply) -> tuple[list[Delivery], str | None]:
    document = reply.json()
    return [delivery(item) for item in document["deliveries"]], document["next_page_token"]


def trace_point(document: Mapping[str, Any]) -> TracePoint:
    return TracePoint(
        evaluation=document["evaluation"],
        step=document["step"],
        iteration=document["iteration"],
        loss=_json.read_optional(document["loss"]),
        gradient_norm_inf=_json.read_optional(document["gradient_norm_inf"]),
        step_length=_json.read_number(document["step_length"]),
        time=document["time"],
    )


def trace_page(reply: Reply) -> tuple[list[TracePoint], int | None]:
    document = reply.json()
    return [trace_point(item) for item in document["trace"]], document["next"]


def limits(reply: Reply) -> dict[str, Any]:
    document = reply.json()
    if not isinstance(document, dict):
        raise BadReply("limits are not an object")
    return document
