"""A local run becomes a daemon's session, and the other way round."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np

from .._client import Client, SessionLike
from .._engine import LocalClient, engine_client
from .._engine.journal import Header, JournalFile, State
from .._engine.sessions import Position, read_session_file, session_file
from .._engine.snapshots import Snapshot
from .._errors import JournalError
from .._model import Session
from .._progress import Progress
from .differences import Steps
from .durable import Durable
from .objective import CountedObjective
from .run import Run


class _Exhausted(Exception):
    """The journal has no further evaluation."""


def _exhausted(*_: Any) -> Any:
    raise _Exhausted


def journal_to_session_file(journal: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Writes the run in a journal to a session file, as `Client.export_session` does. Imported, it
    asks for the point that the run would go on at."""
    Path(path).write_bytes(session_file(_position(journal)))


def session_file_to_journal(path: str | os.PathLike[str], journal: str | os.PathLike[str]) -> None:
    """Writes the session in a file of `Client.export_session` to a new journal, with which
    `minimize(fun, journal=...)` goes on, with the same bits."""
    target = Path(journal)
    position = read_session_file(Path(path).read_bytes())
    snapshot = position.snapshot
    content = snapshot.written()
    # The library checks it.
    client = _local()
    options = position.options()
    client.restore(content, options, position.steps, position.evaluations)
    if position.trial is not None:
        trial = client.optimizer.trial
        if trial.tobytes() != position.trial.tobytes():
            raise ValueError("its trial point does not follow from the rest")
    numerics = snapshot.scalars["engine"].get("numerics", 1)
    values = {"options": options, "steps": position.steps, "evaluations": position.evaluations}
    state = State(values, {"snapshot": np.frombuffer(content, np.uint8)})
    header = Header(numerics, snapshot.dtype.itemsize, snapshot.n, {"imported": True})
    if target.exists() and target.stat().st_size > 0:
        raise JournalError(target, "exists")
    JournalFile.created(target, header, state).close()


def import_journal(
    client: Client, journal: str | os.PathLike[str], *, name: str | None = None
) -> Session:
    """Makes a session of the run in a journal."""
    with _temporary() as path:
        journal_to_session_file(journal, path)
        return client.import_session(path, name=name)


def export_journal(client: Client, session: SessionLike, journal: str | os.PathLike[str]) -> None:
    """Writes a session to a new journal."""
    with _temporary() as path:
        client.export_session(session, path)
        session_file_to_journal(path, journal)


@contextlib.contextmanager
def _temporary() -> Any:
    with tempfile.TemporaryDirectory(prefix="lbfgsd-") as directory:
        yield Path(directory) / "session"


def _local() -> LocalClient:
    client = engine_client("local")
    assert isinstance(client, LocalClient)
    return client


def _position(journal: str | os.PathLike[str]) -> Position:
    """Runs through a journal to its end."""
    client = _local()
    with contextlib.closing(Durable(journal)) as durable:
        if durable.is_new:
            raise JournalError(journal, "does not exist")
        options, jac = durable.options()
        objective = CountedObjective(_exhausted, jac, (), Progress(False, ""), Steps())
        objective.make_lasting()
        run = Run(cast(Client, client), options, objective, _pass, None, durable)
        with contextlib.suppress(_Exhausted):
            run.replay()
    snapshot = Snapshot.read(client.snapshot())
    trial = client.optimizer.trial.copy() if client.is_stepping else None
    return Position(snapshot, client.steps, client.evaluations, trial)


def _pass(_: Any) -> None:
    """In place of the run's callback."""
