"""The asynchronous Python client: several sessions at once, and the same calls."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Daemon
from problems import rosenbrock, rosenbrock_start

WOLFE = {"line_search_fn": "strong_wolfe", "max_iter": 60, "max_eval": 1000}


async def carry_on(api: lbfgsd.AsyncClient, turn: lbfgsd.Turn) -> lbfgsd.Turn:
    while turn.evaluation is not None:
        turn = await api.tell(turn.session, turn.evaluation.number, *rosenbrock(turn.evaluation.x))
    return turn


def test_it_has_the_same_calls() -> None:
    def public(cls: type) -> dict[str, Any]:
        return {
            name: inspect.signature(call).parameters
            for name, call in inspect.getmembers(cls, inspect.isfunction)
            if not name.startswith("_") and name not in ("close", "aclose")
        }

    assert public(lbfgsd.Client) == public(lbfgsd.AsyncClient)


def test_many_sessions_at_once(shared_daemon: Daemon) -> None:
    async def one(api: lbfgsd.AsyncClient, n: int) -> Any:
        session = await api.create_session(rosenbrock_start(n), options=WOLFE)
        return await carry_on(api, await api.begin_step(session))

    async def all_of_them() -> tuple[Any, Any]:
        async with lbfgsd.AsyncClient(shared_daemon.url) as api:
            together = await asyncio.gather(*(one(api, 2 + i % 3) for i in range(12)))
            alone = [await one(api, n) for n in (2, 3, 4)]
            return together, alone

    together, alone = asyncio.run(all_of_them())
    for i, turn in enumerate(together):
        assert turn.x.tobytes() == alone[i % 3].x.tobytes()
        assert turn.result == alone[i % 3].result


def test_every_call(shared_daemon: Daemon) -> None:
    async def calls() -> None:
        async with lbfgsd.AsyncClient(shared_daemon.url) as api:
            session = await api.create_session(
                params={"x": [-1.2, 1.0]}, options=WOLFE, labels={"kind": "async"}
            )
            assert (await api.get_session(session)).id == session.id
            assert (await api.update_session(session, name="n")).name == "n"
            assert [s.id async for s in api.sessions(label="kind:async", page_size=1)] == [
                session.id
            ]
            turn = await api.begin_step(session)
            assert (await api.ask(session, wait=1)).evaluation.number == 1
            turn = await api.tell_failed(session, 1, "no") if turn.evaluation is None else turn
            turn = await api.tell(session, 1, *rosenbrock(turn.evaluation.x))
            made = await api.create_checkpoint(session, "here")
            assert (await api.get_checkpoint(session, made)) == made
            assert [c.id async for c in api.checkpoints(session)] == [made.id]
            await api.get_checkpoint_state_dict(session, made)
            turn = await api.tell_failed(session, 2, "mesh inverted")
            assert (await api.stop(session)).result.reason == "stopped"
            turn = await api.restore(session, made)
            forked = await api.fork(session, made)
            await api.delete_session(forked)
            await api.delete_checkpoint(session, made)
            turn = await carry_on(api, turn)
            assert (await api.get_step(session, turn.step)).result == turn.result
            await api.set_params(session, [3.0, 4.0])
            assert np.array_equal((await api.get_params(session)).x, [3, 4])
            await api.load_state_dict(session, await api.get_state_dict(session))
            assert len(await api.trace(session)) >= turn.result.evaluations
            assert (await api.limits())["page_size_max"] == 1000
            await api.ready()
            await api.delete_session(session)
            with pytest.raises(lbfgsd.NotFound):
                await api.get_session(session)

    asyncio.run(calls())


def test_parts_and_hooks(shared_daemon: Daemon) -> None:
    async def calls() -> None:
        async with lbfgsd.AsyncClient(shared_daemon.url) as api:
            session = await api.create_session([-1.2, 1.0], options=WOLFE, shards=2)
            added = await api.add_param_group(session, [[0.5]], name="more")
            assert [g.index for g in await api.param_groups(session)] == [0, added.index]
            assert (await api.update_param_group(session, 1, frozen=True)).frozen
            assert (await api.get_param_group(session, 1)).name == "more"
            hook = await api.create_hook(session, "step.pre", deadline_seconds=60)
            assert await api.hooks(session) == [hook] and await api.get_hook(session, hook) == hook
            call = (await api.begin_step(session)).hook_call
            turn = await api.answer_hook(session, call.number, options={"max_iter": 1})
            assert [d async for d in api.deliveries(session, hook)] == []
            await api.delete_hook(session, hook)

            async def work(name: str) -> Any:
                lease = await api.lease(session, 1, name, seconds=30)
                loss, gradient = rosenbrock(lease.x[:2])
                return await api.tell(
                    session, 1, loss / 2, [*(gradient / 2), 0.0], shard=lease.shard
                )

            await work("one")
            assert (await api.zero_grad(session)).evaluation.shards.delivered == ()
            await work("one")
            turn = await work("two")
            assert turn.evaluation.number == 2
            await api.tell_failed(session, 2, "no", shard=0)
            await api.stop(session)
            state = await api.get_state_dict(session, format="safetensors")
            await api.load_state_dict(session, state, format="safetensors")
            with pytest.raises(lbfgsd.NotFound):
                await api.redeliver(session, "1", "msg_x")
            with pytest.raises(lbfgsd.NotFound):
                async for _ in api.deliveries(session, hook):
                    pass

    asyncio.run(calls())


def test_events_over_a_restart(daemon: Daemon) -> None:
    async def watch(api: lbfgsd.AsyncClient, session: lbfgsd.Session) -> Any:
        seen = []
        async for event in api.events(session, last_event_id=0):
            seen.append(event)
            if event.kind == "step":
                break
        return seen

    async def run() -> tuple[Any, Any]:
        retry = lbfgsd.Retry(initial=0.01, maximum=0.1)
        async with lbfgsd.AsyncClient(daemon.url, retry=retry) as api:
            session = await api.create_session([-1.2, 1.0], options=WOLFE)
            watching = asyncio.create_task(watch(api, session))
            turn = await api.begin_step(session)
            for _ in range(5):
                loss, gradient = rosenbrock(turn.evaluation.x)
                turn = await api.tell(session, turn.evaluation.number, loss, gradient)
            await asyncio.to_thread(daemon.restart)
            await asyncio.sleep(0.5)
            turn = await carry_on(api, turn)
            return turn, await asyncio.wait_for(watching, 20)

    turn, seen = asyncio.run(run())
    ids = [event.id for event in seen if event.kind == "evaluation"]
    assert ids == list(range(1, turn.result.evaluations + 1))
