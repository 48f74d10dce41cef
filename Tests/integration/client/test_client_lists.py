"""The Python client on many sessions: lists, purges, events of many, and traces for pictures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import lbfgsd
from daemon import Daemon
from problems import rosenbrock

WOLFE = {"line_search_fn": "strong_wolfe"}


@pytest.fixture
def api(daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(daemon.url) as client:
        yield client


def told(api: lbfgsd.Client, count: int, name: str | None = None) -> lbfgsd.Session:
    session = api.create_session([-1.2, 1.0], name=name, options=WOLFE)
    turn = api.begin_step(session) if count else None
    for _ in range(count):
        assert turn is not None and turn.evaluation is not None
        turn = api.tell(session, turn.evaluation.number, *rosenbrock(turn.evaluation.x))
    return api.get_session(session)


def test_lists_are_ordered_and_filtered(api: lbfgsd.Client) -> None:
    sessions = [told(api, count, name) for count, name in [(6, "b"), (0, "a"), (2, None)]]
    by_loss = list(api.sessions(order_by="best_loss", page_size=2))
    assert [session.id for session in by_loss] == [sessions[i].id for i in (0, 2, 1)]
    assert by_loss[0].best == sessions[0].best and by_loss[2].best is None
    assert by_loss[0].gradient_norm_inf == sessions[0].gradient_norm_inf
    assert {session.mode for session in by_loss} == {"torch"}
    assert [s.name for s in api.sessions(order_by="name", descending=True)] == ["b", "a", None]
    assert [s.id for s in api.sessions(q="B", state="evaluating")] == [sessions[0].id]
    assert not list(api.sessions(mode="robust")) and sessions[0].ensemble is None


def test_a_purge_first_says_what_it_would_delete(api: lbfgsd.Client) -> None:
    kept, gone = told(api, 0, "kept"), told(api, 0)
    assert api.purge(unnamed=True) == lbfgsd.Purge(1, (gone.id,))
    assert api.purge(unnamed=True, force=True) == lbfgsd.Purge(1, (gone.id,), 1, False)
    assert [session.id for session in api.sessions()] == [kept.id]
    with pytest.raises(lbfgsd.InvalidRequest):
        api.purge(force=True)


def test_a_trace_has_what_a_line_search_is_drawn_from(api: lbfgsd.Client) -> None:
    session = told(api, 20)
    trace = api.trace(session)
    assert trace.accepted[0] and np.isnan(trace.slope[0])
    one = api.trace(session, iteration=1)
    assert set(one.iteration) == {1} and one.accepted.sum() == 1
    assert (one.start_loss == trace.loss[0]).all() and (one.start_slope < 0).all()
    few = api.trace(session, points=4)
    assert len(few) <= 4 and few.loss.min() == trace.loss.min()
    assert few.loss.max() == trace.loss.max()
    with pytest.raises(TypeError):
        api.trace(session, points=4, limit=2)


def test_events_of_many_sessions_say_whose_they_are(api: lbfgsd.Client, daemon: Daemon) -> None:
    first = told(api, 0)
    seen: list[tuple[str, str | None]] = []
    ready, over = threading.Event(), threading.Event()

    def watch() -> None:
        with lbfgsd.Client(daemon.url) as other:
            events = other.events()
            ready.set()
            for event in events:
                seen.append((event.kind, event.session))
                if event.kind == "deleted" and event.session == first.id:
                    over.set()
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    assert ready.wait(30)
    # The stream may begin a little later.
    made = []
    while not over.wait(0.2):
        made.append(told(api, 1).id)
        if len(seen) > 2:
            api.delete_session(first)
    thread.join()
    assert seen[-1] == ("deleted", first.id)
    assert {session for _, session in seen[:-1]} <= set(made)
    assert {"created", "evaluation"} <= {kind for kind, _ in seen}


def test_the_asynchronous_client_has_the_same(daemon: Daemon) -> None:
    async def run() -> None:
        async with lbfgsd.AsyncClient(daemon.url) as api:
            session = await api.create_session([1.0, 2.0], name="a")
            other = await api.create_session([1.0, 2.0])
            assert [s.id async for s in api.sessions(order_by="name")] == [session.id, other.id]
            assert (await api.purge(unnamed=True)).sessions == (other.id,)
            seen: list[str] = []

            async def watch() -> None:
                async for event in api.events([session, other]):
                    seen.append(event.kind)
                    if event.kind == "deleted":
                        return

            task = asyncio.create_task(watch())
            turn = await api.begin_step(session)
            while not seen:
                assert turn.evaluation is not None
                turn = await api.tell(session, turn.evaluation.number, 1.0, [1e-3, 1e-3])
                if turn.evaluation is None:
                    turn = await api.begin_step(session)
                await asyncio.sleep(0.05)
            await api.purge(unnamed=True, force=True)
            await asyncio.wait_for(task, 30)
            assert seen[-1] == "deleted"
            assert len(await api.trace(session, points=2)) <= 2

    asyncio.run(run())
