"""The Python client during outages: kills, restarts, broken connections, busy servers."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Daemon, free_port
from lbfgsd._wire.events import EventParser
from problems import rosenbrock, rosenbrock_start
from unreliable import busy, fake, losing_replies

FAST = lbfgsd.Retry(deadline=60, first_deadline=60, initial=0.01, maximum=0.2)
IDLE = {"session": "s", "state": "idle", "step": 0, "x": [1.0], "result": None}


@pytest.mark.parametrize(("status", "kind"), [(429, "busy"), (503, "overloaded")])
def test_retry_after_is_heeded(status: int, kind: str) -> None:
    with fake(busy(status, kind, Retry_After="1"), (200, {}, IDLE)) as (url, asked):
        assert lbfgsd.Client(url, retry=FAST).ask("s").state == "idle"
    assert len(asked) == 2 and asked[1][0] - asked[0][0] >= 1


def test_retry_after_as_a_date() -> None:
    when = formatdate(time.time() + 2, usegmt=True)
    with fake(busy(503, "not-ready", Retry_After=when), (200, {}, IDLE)) as (url, asked):
        lbfgsd.Client(url, retry=FAST).ask("s")
    assert 0.5 < asked[1][0] - asked[0][0] < 3


def test_posts_repeat_under_one_key_and_others_get_another() -> None:
    refused = busy(503, "overloaded")
    with fake(None, refused, (201, {}, IDLE), (201, {}, IDLE)) as (url, asked):
        client = lbfgsd.Client(url, retry=FAST)
        client.begin_step("s")
        client.begin_step("s")
    keys = [headers["Idempotency-Key"] for _, _, _, headers, _ in asked]
    assert len(set(keys[:3])) == 1 and keys[3] not in keys[:3]


def test_tells_repeat_the_same_bytes() -> None:
    with fake(None, None, (200, {}, IDLE)) as (url, asked):
        lbfgsd.Client(url, retry=FAST).tell("s", 3, float("nan"), np.array([0.1, np.inf]))
    assert len({body for *_, body in asked}) == 1 and len(asked) == 3
    assert json.loads(asked[0][4]) == {"loss": "NaN", "gradient": [0.1, "Infinity"]}


def test_delete_that_had_worked() -> None:
    gone = busy(404, "not-found")
    with fake(None, gone) as (url, _):
        assert lbfgsd.Client(url, retry=FAST).delete_session("s") is None
    with fake(gone) as (url, _), pytest.raises(lbfgsd.NotFound):
        lbfgsd.Client(url, retry=FAST).delete_session("s")


def test_the_deadline_ends_it() -> None:
    retry = lbfgsd.Retry(deadline=0.5, first_deadline=0.5, initial=0.05)
    began = time.monotonic()
    with fake(busy(429, "busy")) as (url, asked), pytest.raises(lbfgsd.Busy):
        lbfgsd.Client(url, retry=retry).ask("s")
    with pytest.raises(lbfgsd.ConnectionFailed):
        lbfgsd.Client(f"http://127.0.0.1:{free_port()}", retry=retry).ask("s")
    assert time.monotonic() - began < 5 and len(asked) > 2
    with fake(busy(503, "overloaded", Retry_After="600")) as (url, asked):
        with pytest.raises(lbfgsd.Overloaded):
            lbfgsd.Client(url, retry=retry).ask("s")
    assert len(asked) == 1


def test_no_retry() -> None:
    with fake(busy(503, "overloaded")) as (url, asked), pytest.raises(lbfgsd.Unavailable):
        lbfgsd.Client(url, retry=lbfgsd.Retry(deadline=0)).ask("s")
    assert len(asked) == 1


def test_a_wrong_address_is_noticed_sooner_than_an_outage() -> None:
    retry = lbfgsd.Retry(deadline=600, first_deadline=0.3, initial=0.05)
    began = time.monotonic()
    with pytest.raises(lbfgsd.ConnectionFailed):
        lbfgsd.Client(f"http://127.0.0.1:{free_port()}", retry=retry).limits()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("body", [b"<html>", {"hello": "world"}, [1]])
def test_a_server_of_another_kind(body: Any) -> None:
    with fake((200, {}, body)) as (url, _), pytest.raises(lbfgsd.BadReply):
        lbfgsd.Client(url, retry=FAST).ask("s")


def test_problems_that_are_no_documents() -> None:
    with fake((418, {}, b"teapot")) as (url, _), pytest.raises(lbfgsd.ProblemError) as caught:
        lbfgsd.Client(url, retry=FAST).ask("s")
    assert caught.value.status == 418
    with fake((500, {}, b"")) as (url, _), pytest.raises(lbfgsd.ServerError):
        lbfgsd.Client(url, retry=FAST).ask("s")


def test_minimize_survives_kill_9(daemon: Daemon) -> None:
    """The daemon is killed repeatedly; the run has the same bits as without kills."""

    def undisturbed(x: Any) -> Any:
        return rosenbrock(x)

    calls: list[int] = []

    def disturbed(x: Any) -> Any:
        calls.append(len(calls))
        if len(calls) % 15 == 7:
            daemon.kill()
            threading.Timer(0.4, daemon.start).start()
        return rosenbrock(x)

    start, options = rosenbrock_start(10), {"gtol": 1e-8}
    with lbfgsd.Client(daemon.url, retry=FAST) as client:
        whole = lbfgsd.minimize(undisturbed, start, jac=True, client=client, options=options)
        broken = lbfgsd.minimize(disturbed, start, jac=True, client=client, options=options)
    assert len(calls) > 30 and whole.success and broken.success
    assert broken.x.tobytes() == whole.x.tobytes() and broken.nfev == whole.nfev == len(calls)


def test_minimize_survives_kills_at_any_time(daemon: Daemon) -> None:
    """Kills may hit requests too."""
    done = threading.Event()
    kills = 0

    def kill_now_and_then() -> None:
        nonlocal kills
        while not done.wait(0.25):
            daemon.restart()
            kills += 1

    start, options = rosenbrock_start(10), {"gtol": 1e-8}

    def slowly(x: Any) -> Any:
        time.sleep(0.02)
        return rosenbrock(x)

    with lbfgsd.Client(daemon.url, retry=FAST) as client:
        whole = lbfgsd.minimize(rosenbrock, start, jac=True, client=client, options=options)
        killer = threading.Thread(target=kill_now_and_then)
        killer.start()
        try:
            broken = lbfgsd.minimize(slowly, start, jac=True, client=client, options=options)
        finally:
            done.set()
            killer.join()
    assert kills > 1 and broken.x.tobytes() == whole.x.tobytes() and broken.nfev == whole.nfev


def test_events_go_on_after_a_restart(daemon: Daemon) -> None:
    seen: list[lbfgsd.Event] = []
    up = threading.Event()

    def watch() -> None:
        with lbfgsd.Client(daemon.url, retry=FAST) as other:
            for event in other.events(session.id, last_event_id=0):
                seen.append(event)
                up.set()
                if event.kind == "step":
                    return

    with lbfgsd.Client(daemon.url, retry=FAST) as client:
        session = client.create_session([-1.2, 1.0], options={"line_search_fn": "strong_wolfe"})
        watcher = threading.Thread(target=watch)
        watcher.start()
        turn = client.begin_step(session)
        while turn.evaluation is not None:
            number = turn.evaluation.number
            turn = client.tell(session, number, *rosenbrock(turn.evaluation.x))
            if number == 5:
                up.wait(10)
                daemon.restart()
            if number in (5, 12):
                time.sleep(0.5)
        watcher.join(20)
    assert not watcher.is_alive()
    ids = [event.id for event in seen if event.kind == "evaluation"]
    assert ids == list(range(1, turn.result.evaluations + 1))


def test_event_parser() -> None:
    point = {
        "evaluation": 7,
        "step": 1,
        "iteration": 0,
        "loss": "NaN",
        "gradient_norm_inf": None,
        "step_length": 1.0,
        "time": "2026-03-01T09:30:00.123456Z",
    }
    event = f"event: evaluation\r\nid: 7\r\ndata:{json.dumps(point)}\r\n\r\n"
    stream = f"retry: 1000\n\n: still here\n\n{event}event: unknown\ndata: {{}}\n\n".encode()
    for size in (1, 3, len(stream)):
        parser = EventParser()
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
        events = [event for piece in pieces for event in parser.feed(piece)]
        assert [(one.kind, one.id) for one in events] == [("evaluation", 7)]
        point_read = events[0].data
        assert isinstance(point_read, lbfgsd.TracePoint) and point_read.loss is not None
        assert np.isnan(point_read.loss) and point_read.gradient_norm_inf is None


def test_replies_that_are_lost(daemon: Daemon) -> None:
    """Every request is carried out once, whichever replies are lost."""
    start, options = rosenbrock_start(4), {"max_iter": 2, "gtol": 1e-8}
    with lbfgsd.Client(daemon.url, retry=FAST) as client:
        whole = lbfgsd.minimize(rosenbrock, start, jac=True, client=client, options=options)
        expected = client.get_session(whole.session)
        with (
            losing_replies(daemon, 2) as (url, lost),
            lbfgsd.Client(url, retry=FAST) as other,
        ):
            broken = lbfgsd.minimize(rosenbrock, start, jac=True, client=other, options=options)
            checkpoints = [other.create_checkpoint(broken.session).id for _ in range(3)]
            forks = [other.fork(broken.session, checkpoints[0]).id for _ in range(2)]
            for checkpoint in checkpoints[1:]:
                other.delete_checkpoint(broken.session, checkpoint)
            other.delete_session(forks[1])
            kept = [one.id for one in other.checkpoints(broken.session)]
        found = client.get_session(broken.session)
        sessions = {session.id for session in client.sessions()}
    assert broken.x.tobytes() == whole.x.tobytes() and broken.nfev == whole.nfev
    assert (found.step, found.evaluation) == (expected.step, expected.evaluation)
    assert kept == checkpoints[:1] and sessions == {whole.session, broken.session, forks[0]}
    assert {"POST steps", "PUT result"} <= set(lost) and len(lost) > 20
