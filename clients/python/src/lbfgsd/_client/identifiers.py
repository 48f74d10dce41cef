"""What calls accept in place of an identifier, and how paths are made of identifiers."""

from __future__ import annotations

from urllib.parse import quote

from .._model import Checkpoint, Delivery, EnsembleSummary, Hook, SessionSummary

SessionLike = str | SessionSummary
EnsembleLike = str | EnsembleSummary
CheckpointLike = str | int | Checkpoint
HookLike = str | int | Hook
DeliveryLike = str | int | Delivery


def session_id(session: SessionLike) -> str:
    return session if isinstance(session, str) else session.id


def session_path(session: SessionLike, *rest: object) -> str:
    """The path of a session, or of a resource below it. Segments are escaped."""
    segments = (_escaped(str(part)) for part in (session_id(session), *rest))
    return "/".join(["/v1/sessions", *segments])


def _escaped(segment: str) -> str:
    # Most have nothing to escape.
    return segment if segment.isalnum() and segment.isascii() else quote(segment, safe="")


def ensemble_path(ensemble: EnsembleLike, *rest: str) -> str:
    """The path of an ensemble, or of a resource below it."""
    identifier = ensemble if isinstance(ensemble, str) else ensemble.id
    return "/".join(["/v1/ensembles", quote(identifier, safe=""), *rest])
