"""Reads a data directory of lbfgsd without lbfgsd, by docs/design/storage-format.md alone.

    python Tests/integration/store_reader.py DIRECTORY

Prints a line of JSON a session: where it stands, and the bytes of the pending trial point, or from
which entry on a replay would tell it, and the last answered point's digest. Changes nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import math
import plistlib
import shutil
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

APPLICATION, SCHEMA, FORMATS, NUMERICS = 0x4C424647, 6, (1, 2, 3, 4), (1, 2, 3, 4)
CHUNK, HEADER, MAGIC = 1 << 20, 64, b"lbfgswal"
STEP_BEGUN, STOPPED, OPTIONS_CHANGED = 2, 5, 6
CODES, SIZES = {"float64": "d", "float32": "f"}, {"float64": 8, "float32": 4}
VECTORS = {"x", "d", "lower", "upper", "l1"}
UNSEALED = {"event": "id", "chapter": "id", "snapshot": "id", "delivery": "id", "blob": "bytes"}
EVENT = (
    "session, sequence, kind, time, closed_evaluation, result_digest, point_digest, "
    "standing_phase, standing_step, standing_evaluation, standing_loss, payload, k, step, "
    "iteration, loss, gradient_norm, step_length, evaluated_at, details"
)

Entry = dict[str, Any]  # A row of `event`; in an entry of the log `payload` is bytes.


class Damaged(Exception):
    """The store is not what the page says."""


@dataclass
class Session:
    """What is known of a session. `point` is its bytes, in `dtype`."""

    id: str
    name: str | None
    dtype: str
    state: str
    step: int = 0
    evaluation: int = 0
    is_pending: bool = False
    point: bytes | None = None
    replay_from: int | None = None
    last_point_digest: bytes | None = None


CRC_TABLE = list(range(256))
for _ in range(8):
    CRC_TABLE = [crc >> 1 ^ 0x82F63B78 * (crc & 1) for crc in CRC_TABLE]


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def unpacked(data: bytes, dtype: str) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // SIZES[dtype]}{CODES[dtype]}", data)


def packed(numbers: list[float], dtype: str) -> bytes:
    return struct.pack(f"<{len(numbers)}{CODES[dtype]}", *numbers)


def sealed(value: Any) -> bytes:
    if value is None:
        return b"\0"
    if isinstance(value, int):
        return struct.pack("<Bq", 1, value)
    tag, data = (3, value.encode()) if isinstance(value, str) else (4, value)
    return struct.pack("<Bq", tag, len(data)) + bytes(data)


def unsealed(data: bytes) -> Iterator[Any]:
    stream = io.BytesIO(data)
    while tag := stream.read(1):
        word = struct.unpack("<q", stream.read(8))[0] if tag != b"\0" else None
        piece = stream.read(word) if word is not None and tag != b"\1" else b""
        yield word if not piece and tag < b"\3" else piece.decode() if tag == b"\3" else piece


def record_at(data: bytes, at: int, start: bytes) -> tuple[int, int, int, bytes] | None:
    """Epoch, number, former records and entries of the record at `at`, if a whole one is."""
    if data[at : at + 24] != start or at + HEADER > len(data):
        return None
    crc, size, _, epoch, number, former = struct.unpack_from("<IIQQQQ", data, at + 24)
    end = at + HEADER + size
    if end > len(data) or crc32c(start + data[at + 28 : end]) != crc:
        return None
    return epoch, number, former, data[at + HEADER : end]


def taken(stream: io.BytesIO) -> bytes:
    return stream.read(*struct.unpack("<I", stream.read(4)))


def entries_of(data: bytes) -> Iterator[tuple[str, Entry]]:
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        written = io.BytesIO(taken(stream))
        if session := taken(written).decode():  # else it is a trail
            entry = dict(zip(EVENT.split(", "), unsealed(taken(written)), strict=False))
            yield session, {**entry, "payload": written.read()}


def logged(journal: Path, moved: int, start: bytes) -> list[tuple[str, Entry]]:
    """The entries of both files, each with its session's identifier."""
    found: list[tuple[int, int, int, list[tuple[str, Entry]]]] = []
    for path in sorted(journal.glob("*.log")):
        data, at, count, epoch, former = path.read_bytes(), 0, 0, 0, 0
        entries: list[tuple[str, Entry]] = []
        while record := record_at(data, at, start):
            if record[0] <= moved or record[1] != count or (count and record[0] != epoch):
                break
            epoch, former, count = record[0], record[2], count + 1
            entries += entries_of(record[3])
            at += HEADER + len(record[3])
        end = at
        while (at := data.find(start, at)) >= 0:
            if (record := record_at(data, at, start)) and record[0] > moved:
                raise Damaged(f"{path} is wrong at byte {end}, and goes on after it")
            at += 1
        if count:
            found.append((epoch, count, former, entries))
    found.sort(key=lambda item: item[0])
    if len(found) == 2 and (found[0][0] + 1, found[0][1]) != (found[1][0], found[1][2]):
        raise Damaged("records of the write-ahead log are missing")
    return [pair for *_, entries in found for pair in entries]


def trial_point(engine: dict[str, Any], dtype: str, found: dict[str, bytes]) -> bytes | None:
    """Where the evaluation is wanted that is pending in a snapshot; None if none is."""
    x, d = found["x"], found.get("d", b"")
    ((phase, values),) = engine["phase"].items()
    if phase in ("idle", "opening"):
        return x if phase == "opening" else None
    t = values["stepLength"] if phase == "moving" else values["_0"]["pendingStepLength"]
    options = engine["progress"]["options"]
    is_wide = dtype == options.get("historyDType", "float64") == "float64"
    is_torch = options.get("mode") != "robust" and engine.get("numerics", 1) >= 2
    is_fused = is_wide and is_torch and len(x) <= 1024 * 8
    pairs = list(zip(unpacked(x, dtype), unpacked(d, dtype), strict=True))
    if "bounds" not in engine:
        # A zero has a sign, which fractions have not.
        exact = [is_fused and float(Fraction(a) + Fraction(t) * Fraction(b)) for a, b in pairs]
        return packed([e or a + t * b for e, (a, b) in zip(exact, pairs, strict=True)], dtype)
    missing = {"lower": -math.inf, "upper": math.inf, "l1": 0.0}
    columns = [
        unpacked(found[k], dtype) if k in found else [engine["bounds"].get(k, v)] * len(pairs)
        for k, v in missing.items()
    ]
    boxed = zip(pairs, zip(*columns, strict=True), strict=True)
    return packed([bent(dtype, a, t, b, *box) for (a, b), box in boxed], dtype)


def bent(dtype: str, x: float, t: float, d: float, low: float, up: float, weight: float) -> float:
    """x + t d within the bounds, and within its orthant where there is a weight."""
    low = 0.0 if weight > 0 and x > 0 > low else low
    up = 0.0 if weight > 0 and x < 0 < up else up
    step = d * t
    moved, down, rise = unpacked(packed([x + step, low - x, up - x], dtype), dtype)
    if moved <= low or (d < 0 and step <= down):
        moved = low
    return up if moved >= up or (d > 0 and step >= rise) else moved


class Store:
    def __init__(self, directory: Path, database: sqlite3.Connection):
        self.directory, self.database = directory, database
        pragmas = "SELECT * FROM pragma_application_id, pragma_user_version"
        if (found := database.execute(pragmas).fetchone()) != (APPLICATION, SCHEMA):
            raise Damaged(f"no store of lbfgsd, or one of schema {found[1]}")
        (row,) = self.table("store")
        self.log = logged(directory / "journal", row["moved"], MAGIC + row["log_salt"])

    def table(self, name: str, clauses: str = "", *arguments: Any) -> Iterator[dict[str, Any]]:
        """Rows of a table, checked."""
        cursor = self.database.execute(f"SELECT * FROM {name} {clauses}", arguments)
        for values in cursor.fetchall():
            row = dict(zip((column for column, *_ in cursor.description), values, strict=True))
            omitted = ("crc", UNSEALED.get(name), row.get("details", 0) is None and "details")
            covered = [row[key] for key in row if key not in omitted]
            if crc32c(b"".join(map(sealed, covered))) != row["crc"]:
                raise Damaged(f"a row of {name} doesn't match its checksum")
            yield row

    def blob(self, identifier: int) -> bytes:
        (row,) = self.table("blob", "WHERE id = ?", identifier)
        length, data, segment = row["length"], row["bytes"], row["segment"]
        if segment is not None:
            name = f"{abs(segment):06}.{'seg' if segment > 0 else 'vec'}"
            with (self.directory / "segments" / name).open("rb") as file:
                file.seek(row["offset"])
                data = file.read(length)
        sums = [crc32c(data[at : at + CHUNK]) for at in range(0, length, CHUNK)]
        if len(data) != length or row["crcs"] != struct.pack(f"<{len(sums)}I", *sums):
            raise Damaged(f"blob {identifier} doesn't match its checksums")
        return bytes(data)

    def entries(self, session: int, public_id: str, snapshot: int) -> list[Entry]:
        """The newest entry, and all after the snapshot; what the log has laid over the tables."""
        clauses = "WHERE session = ? AND sequence >= ? ORDER BY sequence"
        entries = list(self.table("event", clauses, session, snapshot))
        newest = entries[-1]["sequence"]
        entries += [e for owner, e in self.log if owner == public_id and e["sequence"] > newest]
        tail = [entry["sequence"] for entry in entries if entry["sequence"] > snapshot]
        if tail != list(range(snapshot + 1, snapshot + 1 + len(tail))):
            raise Damaged(f"entries of {public_id} are missing")
        return entries

    def session(self, number: int, public_id: str, name: str | None, dtype: str) -> Session:
        clauses = "WHERE session = ? ORDER BY sequence DESC, id DESC LIMIT 1"
        (row,) = self.table("snapshot", clauses, number)
        sequence, state = row["sequence"], plistlib.loads(self.blob(row["scalars"]))
        engine = state["engine"][dtype]["_0"]
        if row["format_version"] not in FORMATS or engine.get("numerics", 1) not in NUMERICS:
            raise Damaged(f"{public_id}: a snapshot of unknown format or numerics")
        found = {name: expanded(runs, dtype) for name, runs in state.get("runs", {}).items()}
        blobs = vector_list(row["vectors"])
        found |= {name: self.blob(blobs[name]) for name in blobs.keys() & VECTORS}
        point = trial_point(engine, dtype, found)
        entries = self.entries(number, public_id, sequence)
        phase, step, asked = (entries[-1][f"standing_{k}"] for k in ("phase", "step", "evaluation"))
        session = Session(public_id, name, dtype, phase, step, asked, point is not None, point)
        for entry in (entry for entry in entries if entry["sequence"] > sequence):
            self.follow(session, entry, engine, found["x"])
        return session

    def follow(self, session: Session, entry: Entry, engine: dict[str, Any], x: bytes) -> None:
        """What an entry of the tail does to the point."""
        is_pending = entry["standing_phase"] == "evaluating"
        if entry["kind"] == OPTIONS_CHANGED:
            payload = entry["payload"]
            data = payload if isinstance(payload, bytes) else self.blob(payload)
            engine["options"] = plistlib.loads(data)
        elif entry["kind"] == STEP_BEGUN:
            options = engine["options"]
            reuses = options.get("reuseEvaluation", options.get("mode") == "robust")
            is_known = "loss" in engine and engine.get("memory", {}).get("isEvaluated", False)
            if reuses and is_known and session.replay_from is None:
                session.replay_from = entry["sequence"]
            session.is_pending = is_pending
            session.point = x if is_pending and session.replay_from is None else None
        elif entry["kind"] == STOPPED or entry["k"] is not None:
            answered = entry["point_digest"]
            own = session.point and hashlib.sha256(session.point).digest()[:16]
            if own and answered and own != answered:
                raise Damaged(f"entry {entry['sequence']} of {session.id} answers another point")
            session.last_point_digest = answered or session.last_point_digest
            session.replay_from = session.replay_from or entry["sequence"]
            session.is_pending, session.point = is_pending, None


def expanded(runs: bytes, dtype: str) -> bytes:
    return b"".join(n * count for count, n in struct.iter_unpack(f"<Q{SIZES[dtype]}s", runs))


def vector_list(data: bytes) -> dict[str, int]:
    stream, blobs = io.BytesIO(data[4:]), {}
    while head := stream.read(10):
        identifier, size = struct.unpack("<qH", head)
        blobs[stream.read(size).decode()] = identifier
    return blobs


def read(directory: Path) -> list[Session]:
    """All sessions, oldest first. Nobody writes meanwhile, and SQLite recovers a copy."""
    with (directory / "lock").open("rb") as lock, tempfile.TemporaryDirectory() as copy:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        for name in ("lbfgsd.sqlite", "lbfgsd.sqlite-wal"):
            if (directory / name).exists():
                shutil.copy(directory / name, copy)
        with closing(sqlite3.connect(Path(copy) / "lbfgsd.sqlite")) as database:
            store, names = Store(directory, database), ("id", "public_id", "name", "dtype")
            rows = store.table("session", "ORDER BY id")
            return [store.session(*(row[name] for name in names)) for row in rows]


if __name__ == "__main__":
    for session in read(Path(sys.argv[1])):
        print(json.dumps(asdict(session), default=bytes.hex))
