"""Assertions on responses that many tests share."""

from __future__ import annotations

import json
from typing import Any

import requests

PROBLEM = "application/problem+json"


def assert_problem(
    response: requests.Response,
    status: int | tuple[Any, ...],
    slug: str | None = None,
    field: str | None = None,
) -> Any:
    """Asserts that the response is an RFC 9457 problem of this status, with `field` among its
    errors if one is given. `slug` is compared only where the contract fixes it."""
    statuses = status if isinstance(status, tuple) else (status,)
    assert response.status_code in statuses, (
        f"{response.status_code} instead of {status}: {response.text[:1000]}"
    )
    assert response.headers["Content-Type"].split(";")[0] == PROBLEM
    problem = response.json()
    assert problem["status"] == response.status_code
    for name in ("type", "title", "detail"):
        assert isinstance(problem[name], str) and problem[name], f"no {name} in {problem}"
    if slug:
        assert problem["type"].rstrip("/").endswith(slug), problem
    for error in problem.get("errors", []):
        assert isinstance(error["field"], str) and isinstance(error["reason"], str), problem
    if field is not None:
        fields = [error["field"] for error in problem.get("errors", [])]
        assert field in fields, f"{field} is not among {fields}: {problem}"
    return problem


def assert_turn(turn: dict[str, Any], session: str) -> dict[str, Any]:
    """Asserts that a turn has all fields of its state."""
    assert turn["session"] == session
    assert isinstance(turn["step"], int) and turn["step"] >= 0
    if turn["state"] == "evaluating":
        assert isinstance(turn["evaluation"]["number"], int)
        assert isinstance(turn["evaluation"]["x"], list)
        assert turn.get("result") is None and "x" not in turn
    else:
        assert turn["state"] == "idle"
        assert isinstance(turn["x"], list)
        assert turn.get("evaluation") is None
        if turn["step"] > 0:
            result = turn["result"]
            assert isinstance(result["reason"], str) and isinstance(result["converged"], bool)
            assert {
                "loss_before",
                "loss",
                "iterations",
                "evaluations",
                "gradient_norm_inf",
            } <= result.keys()
    return turn


def replayed(response: requests.Response) -> bool:
    return response.headers.get("Idempotent-Replayed") == "true"


def same_bits(a: Any, b: Any) -> bool:
    """Whether two JSON lists have the same numbers bit for bit, so that -0.0 differs from 0.0."""
    return json.dumps(list(map(float, a))) == json.dumps(list(map(float, b)))
