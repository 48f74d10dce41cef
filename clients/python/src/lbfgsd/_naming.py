"""How a run finds its session by name."""

from __future__ import annotations

from collections.abc import Mapping

from ._client import Client, SessionLike


def check_names(
    session: SessionLike | None, name: str | None, labels: Mapping[str, str] | None, resume: bool
) -> None:
    """Raises ValueError for arguments that contradict each other."""
    if session is not None and (name is not None or labels is not None):
        raise ValueError("a session has its own name and labels, which update_session changes")
    if resume and session is not None:
        raise ValueError("resume finds the session by its name; without it, session goes on")
    if resume and name is None:
        raise ValueError("resume needs the name of the session")


def newest_session(client: Client, name: str) -> str | None:
    """The identifier of the newest session of that name; None if there is none."""
    for found in client.sessions(name=name, page_size=1):
        return found.id
    return None
