"""Reads a data directory of lbfgsd without lbfgsd, by docs/design/storage-format.md alone.

    python Tests/integration/store_reader.py DIRECTORY

Prints a line of JSON for each session: where it stands, and the trial point that is pending, as the
hexadecimal digits of its bytes. Where only a replay of the journal's tail could tell the point, the
line says from which entry on, and which digest the last point had that was answered. Nothing in the
directory is changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import plistlib
import shutil
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

APPLICATION, SCHEMAS, FORMATS, NUMERICS = 0x4C424647, (1, 2, 3), (1, 2), (1, 2, 3)
CHUNK, HEADER, MAGIC = 1 << 20, 40, b"lbfgslog"
STEP_BEGUN, STOPPED, OPTIONS_CHANGED = 2, 5, 6
EVENT = (
    "session, sequence, kind, time, closed_evaluation, result_digest, point_digest, "
    "standing_phase, standing_step, standing_evaluation, standing_loss, payload, k, step, "
    "iteration, loss, gradient_norm, step_length, evaluated_at"
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


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 if byte & 1 else byte >> 1
    return byte


CRC_TABLE = [_crc_of(byte) for byte in range(256)]


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def unpacked(data: bytes, dtype: str) -> tuple[float, ...]:
    code, size = ("d", 8) if dtype == "float64" else ("f", 4)
    return struct.unpack(f"<{len(data) // size}{code}", data)


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
        if tag == b"\0":
            yield None
            continue
        (word,) = struct.unpack("<q", stream.read(8))
        if tag == b"\1":
            yield word
        else:
            piece = stream.read(word)
            yield piece.decode() if tag == b"\3" else piece


def checked(row: Sequence[Any], table: str) -> list[Any]:
    """The sealed values of a row that has them and then its checksum."""
    if crc32c(b"".join(map(sealed, row[:-1]))) != row[-1]:
        raise Damaged(f"a row of {table} doesn't match its checksum")
    return list(row[:-1])


def record_at(data: bytes, at: int) -> tuple[int, int, int, bytes] | None:
    """Epoch, number, former records and entries of the record at `at`, if a whole one is."""
    if data[at : at + 8] != MAGIC or at + HEADER > len(data):
        return None
    crc, size, epoch, number, former = struct.unpack_from("<IIQQQ", data, at + 8)
    end = at + HEADER + size
    if end > len(data) or crc32c(data[at + 12 : end]) != crc:
        return None
    return epoch, number, former, data[at + HEADER : end]


def taken(stream: io.BytesIO) -> bytes:
    """What follows its length."""
    (size,) = struct.unpack("<I", stream.read(4))
    return stream.read(size)


def entries_of(data: bytes) -> Iterator[tuple[str, Entry]]:
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        written = io.BytesIO(taken(stream))
        session = taken(written).decode()
        entry = dict(zip(EVENT.split(", "), unsealed(taken(written)), strict=True))
        yield session, {**entry, "payload": written.read()}


def logged(journal: Path, moved: int) -> list[tuple[str, Entry]]:
    """The entries of both files, each with its session's identifier, in their order."""
    found: list[tuple[int, int, int, list[tuple[str, Entry]]]] = []
    for path in sorted(journal.glob("*.log")):
        data, at, count, epoch, former = path.read_bytes(), 0, 0, 0, 0
        entries: list[tuple[str, Entry]] = []
        while record := record_at(data, at):
            if record[0] <= moved or record[1] != count or (count and record[0] != epoch):
                break
            epoch, former, count = record[0], record[2], count + 1
            entries += entries_of(record[3])
            at += HEADER + len(record[3])
        end = at
        while (at := data.find(MAGIC, at)) >= 0:
            if (record := record_at(data, at)) and record[0] > moved:
                raise Damaged(f"{path} is wrong at byte {end}, and goes on after it")
            at += 1
        if count:
            found.append((epoch, count, former, entries))
    found.sort(key=lambda item: item[0])
    if len(found) == 2 and (found[0][0] + 1, found[0][1]) != (found[1][0], found[1][2]):
        raise Damaged("records of the write-ahead log are missing")
    return [pair for *_, entries in found for pair in entries]


def trial_point(engine: dict[str, Any], dtype: str, x: bytes, d: bytes) -> bytes | None:
    """Where the evaluation is wanted that is pending in a snapshot; None if none is."""
    ((phase, values),) = engine["phase"].items()
    if phase in ("idle", "opening"):
        return x if phase == "opening" else None
    t = values["stepLength"] if phase == "moving" else values["_0"]["pendingStepLength"]
    options = engine["progress"]["options"]
    is_fused = (
        dtype == "float64"
        and options.get("mode") != "robust"
        and options.get("historyDType", "float64") == "float64"
        and engine.get("numerics", 1) >= 2
        and len(x) <= 1024 * 8
    )
    pairs = zip(unpacked(x, dtype), unpacked(d, dtype), strict=True)
    point = [fused(a, t, b) if is_fused else a + t * b for a, b in pairs]
    return struct.pack(f"<{len(point)}{'d' if dtype == 'float64' else 'f'}", *point)


def fused(x: float, t: float, d: float) -> float:
    exact = Fraction(x) + Fraction(t) * Fraction(d)
    return float(exact) if exact else x + t * d  # A zero has a sign.


class Store:
    def __init__(self, directory: Path, database: sqlite3.Connection):
        self.directory, self.database = directory, database
        ((application,),) = self.rows("PRAGMA application_id")
        ((schema,),) = self.rows("PRAGMA user_version")
        if application != APPLICATION or schema not in SCHEMAS:
            raise Damaged(f"no store of lbfgsd, or one of schema {schema}")
        moved = self.rows("SELECT moved FROM store")[0][0] if schema > 1 else 0
        self.log = logged(directory / "journal", moved)

    def rows(self, sql: str, *arguments: Any) -> list[Any]:
        return self.database.execute(sql, arguments).fetchall()

    def blob(self, identifier: int) -> bytes:
        sql = "SELECT length, crcs, bytes, segment, offset FROM blob WHERE id = ?"
        ((length, crcs, data, segment, offset),) = self.rows(sql, identifier)
        if segment is not None:
            name = f"{abs(segment):06}.{'seg' if segment > 0 else 'vec'}"
            with (self.directory / "segments" / name).open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        sums = [crc32c(data[at : at + CHUNK]) for at in range(0, length, CHUNK)]
        if len(data) != length or crcs != struct.pack(f"<{len(sums)}I", *sums):
            raise Damaged(f"blob {identifier} doesn't match its checksums")
        return bytes(data)

    def sessions(self) -> Iterator[Session]:
        for number, *row in self.rows("SELECT * FROM session ORDER BY id"):
            public_id, _, name, _, dtype, *_ = checked(row, "session")
            yield self.session(number, public_id, name, dtype)

    def entries(self, session: int, public_id: str, snapshot: int) -> list[Entry]:
        """The newest entry, and all after the snapshot; what the log has laid over the tables."""
        sql = f"SELECT {EVENT}, crc FROM event WHERE session = ? AND sequence >= ?"
        rows = self.rows(sql + " ORDER BY sequence", session, snapshot)
        entries = [dict(zip(EVENT.split(", "), checked(row, "event"), strict=True)) for row in rows]
        for owner, entry in self.log:
            if owner == public_id and entry["sequence"] > entries[-1]["sequence"]:
                entries.append(entry)
        tail = [entry["sequence"] for entry in entries if entry["sequence"] > snapshot]
        if tail != list(range(snapshot + 1, snapshot + 1 + len(tail))):
            raise Damaged(f"entries of {public_id} are missing")
        return entries

    def session(self, number: int, public_id: str, name: str | None, dtype: str) -> Session:
        sql = "SELECT * FROM snapshot WHERE session = ? ORDER BY sequence DESC, id DESC LIMIT 1"
        ((_, *row),) = self.rows(sql, number)
        _, sequence, version, _, scalars, vectors = checked(row, "snapshot")
        engine = plistlib.loads(self.blob(scalars))["engine"][dtype]["_0"]
        if version not in FORMATS or engine.get("numerics", 1) not in NUMERICS:
            raise Damaged(f"{public_id}: a snapshot of format {version}, or of newer numerics")
        blobs = vector_list(vectors)
        x, d = self.blob(blobs["x"]), self.blob(blobs["d"]) if "d" in blobs else b""
        point, entries = trial_point(engine, dtype, x, d), self.entries(number, public_id, sequence)
        newest = entries[-1]
        session = Session(public_id, name, dtype, newest["standing_phase"])
        session.step, session.evaluation = newest["standing_step"], newest["standing_evaluation"]
        session.is_pending, session.point = point is not None, point
        for entry in entries:
            if entry["sequence"] > sequence:
                self.follow(session, entry, engine, x)
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
            if session.point is not None and answered and digest(session.point) != answered:
                raise Damaged(f"entry {entry['sequence']} of {session.id} answers another point")
            session.last_point_digest = answered or session.last_point_digest
            session.replay_from = session.replay_from or entry["sequence"]
            session.is_pending, session.point = is_pending, None


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
            return list(Store(directory, database).sessions())


if __name__ == "__main__":
    for session in read(Path(sys.argv[1])):
        print(json.dumps(asdict(session), default=bytes.hex))
