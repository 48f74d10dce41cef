"""Session files (docs/design/session-file.md) of the library's snapshots, and the other way round.

Both formats have the same scalars, vectors and pairs; only their containers differ."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._model import Floats
from .snapshots import Pair, Snapshot

_INTEGERS = frozenset(
    {
        *("activeBounds", "best", "evaluation", "evaluationCount", "evaluations"),
        *("extraTrialsMax", "failures", "feasibleTrials", "first", "frozenRanges", "historySize"),
        *("iterationCount", "iterations", "low", "maxEvaluations", "maxIterations", "numerics"),
        *("pairsMade", "second", "trial", "trials", "trialsMax"),
    }
)
"""The engine's scalars that are integers. JSON does not tell 1 from 1.0."""

OPTION_NAMES = {
    "mode": "mode",
    "lr": "lr",
    "maxIterations": "max_iter",
    "maxEvaluations": "max_eval",
    "historySize": "history_size",
    "historyDType": "history_dtype",
    "lineSearch": "line_search_fn",
    "noise": "noise",
    "toleranceGradient": "tolerance_grad",
    "toleranceGradientRelative": "tolerance_grad_relative",
    "toleranceChange": "tolerance_change",
    "toleranceLossRelative": "tolerance_loss_relative",
    "reuseEvaluation": "reuse_evaluation",
}
"""The names of options, by those in the engine's scalars."""

_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TYPES = {8: "F64", 4: "F32", 2: "BF16", 1: "U8"}
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Position:
    """A session: its engine, the numbers of its newest step and evaluation, and the point that it
    waits for an evaluation at, if it does."""

    snapshot: Snapshot
    steps: int
    evaluations: int
    trial: Floats | None

    def options(self) -> dict[str, Any]:
        """The options, as sessions have them."""
        theirs = self.snapshot.scalars["engine"]["options"]
        known = {name: theirs.get(own) for own, name in OPTION_NAMES.items()}
        # Absent where options were stored before there were these.
        return {**known, "mode": known["mode"] or "torch"}


def session_file(position: Position) -> bytes:
    """The content of a session file."""
    snapshot, engine = position.snapshot, position.snapshot.scalars["engine"]
    is_stepping = position.trial is not None
    made = engine["progress"]["evaluations"]
    session: dict[str, Any] = {
        "dtype": snapshot.dtype.name,
        "labels": {},
        "step": position.steps,
        "stepsBegun": position.steps,
        "evaluationsAsked": position.evaluations,
        "stepStartedAt": time.time(),
        "stepFirstEvaluation": position.evaluations - made + (0 if is_stepping else 1),
        "layout": {
            "parameters": [{"shape": [snapshot.n]}],
            "groups": [{"isFrozen": False, "parameters": [0, 1]}],
        },
        "isMaximizing": False,
        "shards": {},
    }
    if snapshot.scalars.get("result") is not None:
        session["lastResult"] = snapshot.scalars["result"]
    own = snapshot.dtype.itemsize
    tensors = [(name, own, _octets(vector)) for name, vector in sorted(snapshot.vectors.items())]
    if position.trial is not None:
        tensors.append(("trial_point", own, _octets(position.trial)))
    for pair in snapshot.pairs:
        s, y = pair.halves
        tensors += [
            (f"s/{pair.number}", pair.item_size, s),
            (f"y/{pair.number}", pair.item_size, y),
        ]
        tensors += [(f"sy/{pair.number}", 8, _octets(pair.sy))]
        tensors += [(f"yy/{pair.number}", 8, _octets(pair.yy))]
    # Stable: the widest numbers come first.
    tensors.sort(key=lambda tensor: -tensor[1])
    tensors.append(("sha256", 1, bytes(_DIGEST_BYTES)))
    header: dict[str, Any] = {
        "__metadata__": {
            "format": "lbfgsd-session",
            "version": "1",
            "session": _json(session),
            "engine": _json({snapshot.dtype.name: {"_0": engine}}),
        }
    }
    begin = 0
    for name, size, octets in tensors:
        end = begin + len(octets)
        shape, offsets = [len(octets) // size], [begin, end]
        header[name] = {"dtype": _TYPES[size], "shape": shape, "data_offsets": offsets}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    parts = [len(text).to_bytes(8, "little"), text, *(octets for *_, octets in tensors[:-1])]
    content = b"".join(parts)
    return content + hashlib.sha256(content).digest()


def read_session_file(content: bytes) -> Position:
    """The session in a file. Raises ValueError for what is no such file, and for a session that
    has what a run in this process has not."""
    start = 8 + int.from_bytes(content[:8], "little")
    if len(content) < start + _DIGEST_BYTES:
        raise ValueError("it is no session file")
    if hashlib.sha256(content[:-_DIGEST_BYTES]).digest() != content[-_DIGEST_BYTES:]:
        raise ValueError("it is damaged: its digest differs")
    try:
        header = json.loads(content[8:start])
        metadata = header.pop("__metadata__")
        session = json.loads(metadata["session"])
        ((name, whole),) = json.loads(metadata["engine"]).items()
        octets = {
            key: content[start + begin : start + end]
            for key, tensor in header.items()
            for begin, end in [tensor["data_offsets"]]
        }
        sizes = {key: tensor["dtype"] for key, tensor in header.items()}
        engine, dtype = _typed(whole["_0"]), np.dtype(name)
        return _position(session, engine, dtype, octets, sizes)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no session file: {error!r}") from error


def _position(
    session: dict[str, Any],
    engine: dict[str, Any],
    dtype: Any,
    octets: dict[str, bytes],
    types: dict[str, str],
) -> Position:
    if session["isMaximizing"]:
        raise ValueError("its session maximizes")
    if session["shards"]:
        raise ValueError("shards of its evaluation were told")

    def numbers(key: str, kind: Any) -> Floats:
        read: Floats = np.frombuffer(octets[key], np.dtype(kind).newbyteorder("<")).astype(kind)
        return read

    widths = {kind: size for size, kind in _TYPES.items()}
    pairs = [
        Pair(
            number,
            widths[types[f"s/{number}"]],
            numbers(f"sy/{number}", np.float64),
            numbers(f"yy/{number}", np.float64),
            octets[f"s/{number}"] + octets[f"y/{number}"],
        )
        for number in sorted(int(key[2:]) for key in octets if key.startswith("s/"))
    ]
    apart = ("s/", "y/", "sy/", "yy/", "shard/", "trial_point", "sha256")
    vectors = {key: numbers(key, dtype) for key in octets if not key.startswith(apart)}
    trial = numbers("trial_point", dtype) if "trial_point" in octets else None
    progress, is_at_start = engine["progress"], "evaluatingStart" in engine["phase"]
    scalars: dict[str, Any] = {"engine": engine}
    if session.get("lastResult") is not None:
        scalars["result"] = _typed(session["lastResult"])
    scalars["countsBefore"] = {
        "iterations": engine["iterationCount"] - progress["iterations"],
        "evaluations": engine["evaluationCount"] - progress["evaluations"],
    }
    scalars["pendingIteration"] = 0 if is_at_start else progress["iterations"]
    snapshot = Snapshot(dtype, vectors["x"].size, scalars, vectors, tuple(pairs))
    return Position(snapshot, session["step"], session["evaluationsAsked"], trial)


def _typed(value: Any, key: str = "") -> Any:
    """A value of JSON with its integers and floating-point numbers told apart."""
    if isinstance(value, dict):
        return {name: _typed(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, key) for item in value]
    if isinstance(value, str):
        return _SPECIAL.get(value, value)
    if isinstance(value, bool) or value is None or key in _INTEGERS:
        return value
    return float(value)


def _json(value: Any) -> str:
    return json.dumps(_finite(value), sort_keys=True, allow_nan=False, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """The value with names for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _octets(vector: Floats) -> bytes:
    return vector.astype(vector.dtype.newbyteorder("<"), copy=False).tobytes()
