"""Benchmarks/service/scale.py in small: what must hold on any machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from daemon import ROOT, Client, Daemon

sys.path.insert(0, str(ROOT / "Benchmarks" / "service"))

import scale

SESSIONS = 2_000
BUDGET = 8 << 20


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("scale")
    daemon = Daemon(home / "data", home / "log", ("--max-resident-bytes", str(BUDGET)))
    try:
        daemon.start()
        yield daemon, scale.create(daemon, SESSIONS)
    finally:
        daemon.close()


def test_memory_stays_within_its_budget_however_many_are_touched(crowded: Any) -> None:
    daemon, sessions = crowded
    client = Client(daemon.url)
    assert scale.gauges(client)["lbfgsd_sessions_resident_bytes"] <= BUDGET
    _, most = scale.touch(daemon, sessions)
    assert 0 < most <= BUDGET
    assert scale.gauges(client)["lbfgsd_sessions_resident"] < SESSIONS / 2
    for session in sessions[::100]:
        assert client.ask(session)["evaluation"]["number"] == 1
        assert client.ok("POST", f"/v1/sessions/{session}/stop")["state"] == "idle"


def test_clients_that_vanish_at_once_leave_nothing(crowded: Any) -> None:
    daemon, _ = crowded
    client = Client(daemon.url)
    # All fit into the budget, so that none is refused: the inner products of 100 pairs would not.
    small = {"history_size": 5}
    idle = [client.create(x0=[1.0, 2.0], options=small) for _ in range(200)]
    seen = []
    before, during, after, _ = scale.long_poll(
        daemon, idle, lambda client: seen.append(client.ok("GET", "/v1/sessions?page_size=3"))
    )
    assert len(seen[0]["sessions"]) == 3
    assert during >= before + len(idle)
    assert after <= before
    now = scale.gauges(client)
    assert now["lbfgsd_waiters"] == 0 and now["lbfgsd_http_exchanges_in_flight"] <= 1
    for session in idle:
        client.ok("DELETE", f"/v1/sessions/{session}")


def test_each_session_is_listed_once_also_by_label_and_after_a_restart(crowded: Any) -> None:
    daemon, sessions = crowded
    for _ in range(2):
        client = Client(daemon.url)
        listed, _ = scale.list_all(client, size=73)
        assert len(listed) == SESSIONS and set(listed) == set(sessions)
        labelled, _ = scale.list_all(client, "&label=group:7", size=7)
        assert set(labelled) == set(sessions[7 :: scale.LABEL_VALUES])
        assert len(labelled) == SESSIONS // scale.LABEL_VALUES
        daemon.restart()
    # Listing and waiting load no session into memory.
    assert scale.gauges(Client(daemon.url))["lbfgsd_sessions_resident"] == 0
