"""Ensembles in requests and replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._errors import ProblemError, problem_error
from .._model import (
    Abandoned,
    BestMember,
    Ensemble,
    EnsembleSummary,
    EnsembleTurn,
    Floats,
    Member,
    MemberEvaluation,
    MemberTracePoint,
    ParameterSpec,
    Told,
)
from . import documents, json_text
from .messages import Reply

# Requests


def bound(values: ArrayLike) -> Any:
    """A number for all parameters, or one for each."""
    array = np.asarray(values, dtype=np.float64)
    return float(array) if array.ndim == 0 else json_text.write_vector(array)


def starts(given: Mapping[str, Any] | ArrayLike) -> Any:
    """A design, or starts, one in each row."""
    if isinstance(given, Mapping):
        return dict(given)
    return [json_text.write_vector(row) for row in np.atleast_2d(np.asarray(given, dtype=float))]


# Replies


def ensemble(reply: Reply) -> Ensemble:
    document = reply.json()
    best = document["best"]
    copied = ("members", "leased", "evaluations", "starts", "stop", "abandon", "expires_after")
    return Ensemble(
        **_summary(document),
        **{key: document[key] for key in copied},
        best=best
        and BestMember(
            best["member"],
            best["session"],
            best["state"],
            json_text.read_number(best["loss"]),
            _vector(best["x"], document["dtype"]),
        ),
        lower=_bound(document["lower"]),
        upper=_bound(document["upper"]),
        etag=reply.etag,
    )


def summary(document: Mapping[str, Any]) -> EnsembleSummary:
    return EnsembleSummary(**_summary(document))


def _summary(document: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("id", "name", "labels", "state", "reason", "dtype", "n", "maximize")
    specs = tuple(ParameterSpec(p["name"], tuple(p["shape"])) for p in document["params"])
    times = {key: document[key] for key in ("created_at", "finished_at")}
    return {**{key: document[key] for key in keys}, **times, "params": specs}


def _bound(value: Any) -> float | Floats | None:
    if value is None:
        return None
    return _vector(value, None) if isinstance(value, list) else json_text.read_number(value)


def _vector(values: list[Any] | None, dtype: str | None) -> Floats | None:
    if values is None:
        return None
    return json_text.read_vector(values).astype(dtype or np.float64, copy=False)


def member(document: Mapping[str, Any]) -> Member:
    keys = ("member", "session", "state", "rank", "step", "evaluations", "worker")
    abandoned = document["abandoned"]
    return Member(
        **{key: document[key] for key in keys},
        loss=json_text.read_optional(document["loss"]),
        result=documents.step_result(document["result"]),
        abandoned=abandoned and Abandoned(abandoned["reason"], abandoned["for"]),
        lease_expires_at=document["lease_expires_at"],
        x=_vector(document.get("x"), None),
    )


def turn(reply: Reply) -> EnsembleTurn:
    return _turn(reply.json())


def _turn(document: Mapping[str, Any]) -> EnsembleTurn:
    return EnsembleTurn(
        document["ensemble"],
        document["state"],
        document["reason"],
        tuple(
            MemberEvaluation(
                item["member"],
                item["session"],
                item["number"],
                json_text.read_vector(item["x"]),
                item["lease_expires_at"],
            )
            for item in document["evaluations"]
        ),
        document["retry_after_seconds"],
    )


def answers(reply: Reply) -> tuple[list[Told | ProblemError], EnsembleTurn]:
    document = reply.json()
    told = [
        problem_error(item["status"], item["problem"])
        if "problem" in item
        else Told(item["member"], item["session"], item["state"], item.get("replayed", False))
        for item in document["results"]
    ]
    return told, _turn(document)


def trace_page(reply: Reply) -> tuple[list[MemberTracePoint], Any]:
    document = reply.json()
    points = [
        MemberTracePoint(item["member"], item["session"], documents.trace_point(item))
        for item in document["trace"]
    ]
    return points, document["next"]
