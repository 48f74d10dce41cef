"""Between values and what goes over the wire.

Vectors pass through a `Representation` alone. There is one, JSON; another, such as raw octets,
needs nothing but a second class here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import numpy as np
from numpy.typing import ArrayLike

from . import _json
from ._errors import BadReply
from ._types import (
    Checkpoint,
    Evaluation,
    Floats,
    Origin,
    Parameter,
    Parameters,
    ParameterSpec,
    Session,
    SessionSummary,
    StateDict,
    Step,
    StepResult,
    TracePoint,
    Turn,
)

ParamsLike = Mapping[str, ArrayLike] | Sequence[ArrayLike]


@dataclass(frozen=True)
class Content:
    """A request's body, with what belongs to it in the query."""

    body: bytes
    media_type: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def etag(self) -> str | None:
        etag = self.headers.get("ETag")
        return None if etag is None else str(etag)

    @property
    def replayed(self) -> bool:
        return bool(self.headers.get("Idempotent-Replayed") == "true")

    def json(self) -> Any:
        return _json.decode(self.content)


class Representation(Protocol):
    """How vectors are written and read."""

    accept: str

    def create(self, document: Mapping[str, Any], params: list[dict[str, Any]]) -> Content: ...

    def result(self, loss: float, gradient: Floats) -> Content: ...

    def named_result(self, loss: float, gradients: Mapping[str, Floats | None]) -> Content: ...

    def turn(self, reply: Reply) -> Turn: ...

    def flat_parameters(self, x: Floats) -> Content: ...

    def named_parameters(self, params: list[dict[str, Any]]) -> Content: ...

    def parameters(self, reply: Reply) -> Parameters: ...

    def write_state_dict(self, state_dict: Mapping[str, Any]) -> Content: ...

    def read_state_dict(self, reply: Reply) -> StateDict: ...


class JSON:
    accept = "application/json"

    def create(self, document: Mapping[str, Any], params: list[dict[str, Any]]) -> Content:
        return json_content({**document, "params": self._params(params)})

    def result(self, loss: float, gradient: Floats) -> Content:
        return json_content({"loss": _json.number(loss), "gradient": _json.vector(gradient)})

    def named_result(self, loss: float, gradients: Mapping[str, Floats | None]) -> Content:
        named = {k: None if g is None else _json.vector(g) for k, g in gradients.items()}
        return json_content({"loss": _json.number(loss), "gradients": named})

    def turn(self, reply: Reply) -> Turn:
        document = reply.json()
        pending, x, result = (document.get(key) for key in ("evaluation", "x", "result"))
        return Turn(
            session=document["session"],
            state=document["state"],
            step=document["step"],
            evaluation=pending and Evaluation(pending["number"], _json.read_vector(pending["x"])),
            x=None if x is None else _json.read_vector(x),
            result=step_result(result),
            etag=reply.etag,
            replayed=reply.replayed,
        )

    def flat_parameters(self, x: Floats) -> Content:
        return json_content({"x": _json.vector(x)})

    def named_parameters(self, params: list[dict[str, Any]]) -> Content:
        return json_content({"params": self._params(params)})

    def parameters(self, reply: Reply) -> Parameters:
        document = reply.json()
        params = tuple(
            Parameter(item["name"], _json.read_vector(item["values"]).reshape(item["shape"]))
            for item in document["params"]
        )
        return Parameters(document["dtype"], params, reply.etag)

    def write_state_dict(self, state_dict: Mapping[str, Any]) -> Content:
        state = {str(key): _write_state(value) for key, value in state_dict["state"].items()}
        groups = [_write_group(group) for group in state_dict["param_groups"]]
        return json_content({"state": state, "param_groups": groups})

    def read_state_dict(self, reply: Reply) -> StateDict:
        document = reply.json()
        state = {int(key): _read_state(value) for key, value in document["state"].items()}
        return {"state": state, "param_groups": document["param_groups"]}

    @staticmethod
    def _params(params: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**param, "values": _json.vector(param["values"])} for param in params]


_STATE_COUNTS = ("func_evals", "n_iter")
_STATE_NUMBERS = ("t", "H_diag", "prev_loss")
_STATE_VECTORS = ("d", "prev_flat_grad", "ro")
_STATE_LISTS = ("old_dirs", "old_stps")


def _write_state(state: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for key, value in state.items():
        if value is None:
            written[key] = None
        elif key in _STATE_COUNTS:
            written[key] = int(value)
        elif key in _STATE_NUMBERS:
            written[key] = _json.number(value)
        elif key == "al":
            written[key] = [None if item is None else _json.number(item) for item in value]
        elif key == "ro":
            written[key] = [_json.number(item) for item in value]
        elif key in _STATE_LISTS:
            written[key] = [_json.vector(item) for item in value]
        elif key in _STATE_VECTORS:
            written[key] = _json.vector(value)
        else:
            written[key] = value
    return written


def _read_state(state: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in state.items():
        if value is None:
            read[key] = None
        elif key in _STATE_NUMBERS:
            read[key] = _json.read_number(value)
        elif key == "al":
            read[key] = [_json.read_optional(item) for item in value]
        elif key in _STATE_LISTS:
            read[key] = [_json.read_vector(item) for item in value]
        elif key in _STATE_VECTORS:
            read[key] = _json.read_vector(value)
        else:
            read[key] = value
    return read


def _write_group(group: Mapping[str, Any]) -> dict[str, Any]:
    return {**group, **write_options({k: v for k, v in group.items() if k in _OPTION_KINDS})}


_OPTION_KINDS: dict[str, type] = {
    "lr": float,
    "max_iter": int,
    "max_eval": int,
    "tolerance_grad": float,
    "tolerance_change": float,
    "history_size": int,
}


def write_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them: numbers may be NumPy's, and tensors of one element."""

    def written(key: str, value: Any) -> Any:
        kind = _OPTION_KINDS.get(key)
        if value is None or kind is None or isinstance(value, str):
            return value
        number = float(value)
        if kind is int and number.is_integer():
            return int(value)
        return _json.number(number)

    return {key: written(key, value) for key, value in options.items()}


def json_content(document: Mapping[str, Any]) -> Content:
    return Content(_json.encode(document), "application/json")


def create_params(params: ParamsLike) -> list[dict[str, Any]]:
    """A list of parameters with name, shape and values."""

    def one(name: str | None, values: ArrayLike) -> dict[str, Any]:
        array = np.asarray(values)
        named = {} if name is None else {"name": name}
        return {**named, "shape": list(array.shape), "values": array}

    if isinstance(params, Mapping):
        return [one(name, values) for name, values in params.items()]
    return [one(None, values) for values in params]


def session(reply: Reply) -> Session:
    document = reply.json()
    specs = tuple(ParameterSpec(p["name"], tuple(p["shape"])) for p in document["params"])
    options = {
        key: _json.read_number(value) if value in ("Infinity", "NaN") else value
        for key, value in document["options"].items()
    }
    return Session(
        **_summary(document),
        params=specs,
        options=options,
        memory_bytes_estimate=document["memory_bytes_estimate"],
        etag=reply.etag,
    )


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
