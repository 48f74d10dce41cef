"""Fixtures: the real daemon on a free port and a fresh data directory, and clients for it."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon import ROOT, Client, Daemon
from engine_files import library

# The tests test the client of this checkout, even if another one is installed.
sys.path.insert(0, str(ROOT / "clients" / "python" / "src"))

LIVE: list[Daemon] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the end of each running daemon's log to the report of a failed test."""
    report = yield
    if report.failed:
        for daemon in LIVE:
            report.sections.append((f"log of the daemon at {daemon.url}", daemon.tail()))
    return report


@contextmanager
def running(home: Path) -> Iterator[Daemon]:
    daemon = Daemon(home / "data", home / "log")
    LIVE.append(daemon)
    try:
        yield daemon.start()
    finally:
        daemon.close()
        LIVE.remove(daemon)


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for those tests of a module that neither stop it nor depend on what it holds."""
    with running(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of the test's own, which the test may stop, kill and restart."""
    with running(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def client(shared_daemon: Daemon) -> Iterator[Client]:
    """A client of the shared daemon. The test fails if the daemon does not survive it."""
    pid = shared_daemon.pid
    yield Client(shared_daemon.url)
    assert shared_daemon.alive and shared_daemon.pid == pid, "the daemon died"


@pytest.fixture
def own_client(daemon: Daemon) -> Client:
    """A client of the test's own daemon."""
    return Client(daemon.url)


@pytest.fixture
def engine_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package has its engine, and nothing names a server: runs are in this process."""
    monkeypatch.setenv("LBFGSD_LIBRARY", str(library()))
    monkeypatch.delenv("LBFGSD_URL", raising=False)
