"""Hooks for Schemathesis that direct generated requests to sessions that exist.

Schemathesis loads this file through SCHEMATHESIS_HOOKS. $LBFGSD_FUZZ_TARGETS names a JSON file:
`{"sessions": {id: [numbers of evaluations, pending last]}, "doomed": [ids that may be deleted],
"ensembles": {"kept": [ids], "doomed": [ids that may be deleted]}}`.
Only values that fit the schema are replaced, with others that fit it, so that requests that are
invalid on purpose stay invalid. The replacement is a function of the value, so that a seed replays
the same requests.

At the end, the file that $LBFGSD_FUZZ_COUNTS names has the answers by operation and status:
`{"POST /v1/sessions": {"201": 3, ..}, ..}`.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import threading
import zlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import schemathesis

TARGETS = json.loads(Path(os.environ["LBFGSD_FUZZ_TARGETS"]).read_text())
SESSIONS = TARGETS["sessions"]
SESSION = re.compile(r"s[0-9a-hjkmnp-tv-z]{20}")
ENSEMBLES = TARGETS["ensembles"]
PROBLEM = re.compile(r"(?!None)[a-z]+(-[a-z]+)*")
ENTITY_TAGS = re.compile(r'\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*')
EXAMPLE = "s6c1k2m9zq4w8x0v3b7n1"
PARAMETERS = 2
COUNTS: defaultdict[str, Counter[int]] = defaultdict(Counter)
COUNTING = threading.Lock()


@schemathesis.serializer("application/vnd.lbfgsd.session")
def session_file(context: Any, value: Any) -> bytes:
    """A file is any bytes."""
    return bytes(value) if isinstance(value, bytes) else str(value).encode(errors="replace")


@atexit.register
def write_counts() -> None:
    Path(os.environ["LBFGSD_FUZZ_COUNTS"]).write_text(json.dumps(COUNTS))


def chosen(items: Any, value: Any) -> Any:
    return items[zlib.crc32(repr(value).encode()) % len(items)]


def is_number(value: Any) -> bool:
    return str(value).isdecimal() and 1 <= int(value) < 10**15


def is_duration(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 604800


def an_ensemble(context: Any, value: str) -> str:
    """Mostly one that exists."""
    if zlib.crc32(value.encode()) % 8 == 0:
        return value
    operation = context.operation
    deletes = operation is not None and operation.method.lower() == "delete"
    return str(chosen(ENSEMBLES["doomed" if deletes else "kept"], value))


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Makes most sessions and problems existing ones, and most numbers small."""
    if not path_parameters:
        return path_parameters
    if PROBLEM.fullmatch(problem := str(path_parameters.get("problem"))):
        return {**path_parameters, "problem": chosen(["busy", "not-found", problem], problem)}
    if SESSION.fullmatch(str(path_parameters.get("ensemble")).replace("e", "s", 1)):
        return {**path_parameters, "ensemble": an_ensemble(context, path_parameters["ensemble"])}
    known, session = dict(path_parameters), path_parameters.get("session")
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        return path_parameters
    if zlib.crc32(session.encode()) % 8 == 0:
        return path_parameters
    operation = context.operation
    deletes = (
        operation is not None and operation.method.lower() == "delete" and "checkpoint" not in known
    )
    known["session"] = chosen(TARGETS["doomed"] if deletes else list(SESSIONS), session)
    numbers = SESSIONS.get(known["session"], [1])
    for name, values in (
        ("evaluation", numbers),
        ("step", [1, 2]),
        ("checkpoint", [1, 2, 3]),
        ("hook", [1, 2]),
        ("call", [1, 2]),
    ):
        if is_number(known.get(name)):
            value = chosen(values, known[name])
            known[name] = type(known[name])(value)
    return known


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Makes long polls short; replaces the session of the document's examples, which does not
    exist; and replaces most entity tags, since generated ones never match."""
    headers = case.headers or {}
    if "wait" in str(headers.get("Prefer", "")):
        headers["Prefer"] = "wait=0"
    if case.path_parameters.get("session") == EXAMPLE:
        case.path_parameters["session"] = next(iter(SESSIONS))
    if case.path_parameters.get("ensemble") == EXAMPLE.replace("s", "e", 1):
        case.path_parameters["ensemble"] = ENSEMBLES["kept"][0]
    wrong_on_purpose = case.meta is not None and case.meta.generation.mode.is_negative
    if "If-Match" in headers and not wrong_on_purpose:
        tags = str(headers["If-Match"])
        if not ENTITY_TAGS.fullmatch(tags) or zlib.crc32(tags.encode()) % 4:
            headers["If-Match"] = "*"


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    with COUNTING:
        COUNTS[case.operation.label][response.status_code] += 1


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Gives vectors the length of the existing sessions, and hooks a short deadline."""
    if isinstance(body, dict):
        items = body.get("results")
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and isinstance(item.get("session"), str):
                item["session"] = chosen(ENSEMBLES["members"], item["session"])
        for name in ("gradient", "x"):
            values = body.get(name)
            if isinstance(values, list) and values and all(type(v) in (int, float) for v in values):
                body[name] = (values * PARAMETERS)[:PARAMETERS]
        if "x0" not in body and "params" not in body:
            for name in ("lower", "upper", "l1"):
                if isinstance(values := body.get(name), list) and values:
                    body[name] = (values * PARAMETERS)[:PARAMETERS]
        # Reading a state dict waits for hooks that an earlier request has registered.
        deadline = body.get("deadline_seconds", 1)
        if body.get("kind") == "intercept" and (deadline is None or is_duration(deadline)):
            body["deadline_seconds"] = 0.05
    return body
