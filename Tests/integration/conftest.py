"""Fixtures: the real daemon on a free port and a fresh data directory, and clients for it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon import ROOT, Client, Daemon

# The tests are of the client beside them, whether or not one is installed.
sys.path.insert(0, str(ROOT / "clients" / "python" / "src"))

LIVE: list[Daemon] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts the end of each running daemon's log into the report of a test that failed."""
    report = yield
    if report.failed:
        for daemon in LIVE:
            report.sections.append((f"log of the daemon at {daemon.url}", daemon.tail()))
    return report


@contextmanager
def running(home: Path):
    daemon = Daemon(home / "data", home / "log")
    LIVE.append(daemon)
    try:
        yield daemon.start()
    finally:
        daemon.close()
        LIVE.remove(daemon)


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory):
    """One daemon for a module's tests that neither stop it nor count what it holds."""
    with running(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon


@pytest.fixture
def daemon(tmp_path):
    """A daemon of the test's own, to be stopped, killed and restarted at will."""
    with running(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def client(shared_daemon) -> Client:
    """A client of the shared daemon; the test fails if the daemon doesn't survive it."""
    pid = shared_daemon.pid
    yield Client(shared_daemon.url)
    assert shared_daemon.alive and shared_daemon.pid == pid, "the daemon died"


@pytest.fixture
def own_client(daemon) -> Client:
    """A client of the test's own daemon."""
    return Client(daemon.url)
