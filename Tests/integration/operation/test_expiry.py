"""Sessions that nothing changes for long end, unless a checkpoint keeps them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from command import serving
from daemon import Client, wait_until
from problems import rosenbrock


def is_gone(client: Client, session: str) -> bool:
    listed = client.ok("GET", "/v1/sessions?page_size=1000")["sessions"]
    return session not in {item["id"] for item in listed}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_an_idle_session_ends_and_one_that_is_kept_or_changes_stays(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        forever = client.create()
        idle = client.create(expires_after=2)
        kept = client.create(expires_after=2)
        busy = client.create(expires_after=12)
        extended = client.create(expires_after=3)
        view = client.get(idle)
        assert view["expires_after"] == 2
        expected = moment(view["updated_at"]) + timedelta(seconds=2)
        assert moment(view["expires_at"]) == expected
        assert client.get(forever)["expires_at"] is None
        path = f"/v1/sessions/{kept}/checkpoints"
        one = client.ok("POST", path, {"keep": True})
        two = client.ok("POST", path, {})
        assert one["keep"] is True and two["keep"] is False
        client.ok("PATCH", f"/v1/sessions/{extended}", {"expires_after": 1000})
        turn = client.begin(busy)
        wait_until(lambda: is_gone(client, idle))
        assert client.call("GET", f"/v1/sessions/{idle}").status_code == 404
        turn = client.answer(turn, rosenbrock)
        time.sleep(10.5)
        turn = client.answer(turn, rosenbrock)
        for session in (forever, kept, busy, extended):
            assert not is_gone(client, session)
        metrics = requests.get(f"{daemon.url}/metrics", timeout=30).text
        assert "\nlbfgsd_sessions_expired_total 1\n" in metrics
        # The pin goes with the checkpoint's mark; that is no change of the session.
        assert client.ok("PATCH", f"{path}/{one['id']}", {"keep": False})["keep"] is False
        wait_until(lambda: is_gone(client, kept))


def test_a_checkpoint_that_is_kept_later_keeps_the_session(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        session = client.create(expires_after=3)
        path = f"/v1/sessions/{session}/checkpoints"
        number = client.ok("POST", path, {})["id"]
        assert client.ok("PATCH", f"{path}/{number}", {"keep": True})["keep"] is True
        assert client.call("PATCH", f"{path}/{number}", {"keep": "yes"}).status_code == 422
        assert client.call("PATCH", f"{path}/{number}", {}).status_code == 422
        assert client.call("PATCH", f"{path}/99", {"keep": True}).status_code == 404
        # The mark is on disk.
        daemon.process.kill()
        daemon.process.wait()
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        time.sleep(9)
        assert client.ok("GET", f"{path}/{number}")["keep"] is True
        assert client.call("DELETE", f"{path}/{number}").status_code == 204
        wait_until(lambda: is_gone(client, session))


def test_the_operator_sets_a_default_and_a_maximum(tmp_path: Path) -> None:
    arguments = ("--session-expires-after-default", "60", "--session-expires-after-max", "100")
    with serving(tmp_path, *arguments) as daemon:
        client = Client(daemon.url)
        limits = client.ok("GET", "/v1/limits")
        assert (limits["expires_after_default"], limits["expires_after_max"]) == (60, 100)
        session = client.create()
        assert client.get(session)["expires_after"] == 60
        for wrong in (101, None, 0, -5, 1.5, "1d"):
            body: Any = {"x0": [1], "expires_after": wrong}
            problem = client.call("POST", "/v1/sessions", body)
            assert problem.status_code == 422, wrong
            assert problem.json()["errors"][0]["field"] == "expires_after"
            body = {"expires_after": wrong}
            assert client.call("PATCH", f"/v1/sessions/{session}", body).status_code == 422
        assert client.get(client.create(expires_after=100))["expires_after"] == 100
        checkpoint = client.ok("POST", f"/v1/sessions/{session}/checkpoints", {})["id"]
        fork = client.ok("POST", f"/v1/sessions/{session}/checkpoints/{checkpoint}/fork", {})
        assert fork["expires_after"] == 60
    (other := tmp_path / "other").mkdir()
    with serving(other, "--session-expires-after-max", "100") as daemon:
        client = Client(daemon.url)
        assert client.get(client.create())["expires_after"] == 100


def test_watchers_are_warned_when_half_the_time_is_over(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        session = client.create(expires_after=20)
        end = client.get(session)["expires_at"]
        url = f"{daemon.url}/v1/sessions/{session}/events"
        headers = {"Accept": "text/event-stream"}
        began = time.monotonic()
        with requests.get(url, headers=headers, stream=True, timeout=60) as stream:
            lines = stream.iter_lines(decode_unicode=True)
            assert next(line for line in lines if line.startswith("event:")) == "event: expiring"
            assert 9 < time.monotonic() - began < 18
            data = next(lines)
            assert f'"expires_at":"{end}"' in data.replace(" ", "") and session in data
        # One that connects later is warned at once; a change ends the warning.
        with requests.get(url, headers=headers, stream=True, timeout=60) as stream:
            lines = stream.iter_lines(decode_unicode=True)
            assert next(line for line in lines if line.startswith("event:")) == "event: expiring"
        client.begin(session)
        assert client.get(session)["expires_at"] > end
