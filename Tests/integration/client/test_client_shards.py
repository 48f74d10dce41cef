"""Evaluations in shards in the Python client: shared between workers, leased, dropped."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import Daemon
from problems import Logistic

OPTIONS = {"line_search_fn": "strong_wolfe", "max_iter": 6}
COUNT = 5


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


class Batches:
    """A loss that is a sum over micro-batches, of which a worker computes one at a time."""

    def __init__(self) -> None:
        self.parts = [Logistic(n=8, rows=20, seed=seed) for seed in range(COUNT)]
        self.start = [0.1] * 8

    def part(self, shard: int, x: Any) -> Any:
        return self.parts[shard](x)

    def __call__(self, x: Any) -> tuple[Any, Any]:
        losses, gradients = zip(*(part(x) for part in self.parts), strict=True)
        loss, gradient = losses[0], gradients[0]
        for i in range(1, COUNT):
            loss, gradient = loss + losses[i], gradient + gradients[i]
        return loss, gradient


def in_order(api: lbfgsd.Client, session: lbfgsd.Session, order: Any) -> Any:
    """Runs a step, telling the shards in the order that `order(missing)` gives."""
    batches, turn = Batches(), api.begin_step(session)
    while (evaluation := turn.evaluation) is not None:
        for shard in order(list(evaluation.shards.missing)):
            turn = api.tell(
                session, evaluation.number, *batches.part(shard, evaluation.x), shard=shard
            )
    return turn


def shuffled(shards: list[int]) -> list[int]:
    random.shuffle(shards)
    return shards


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_order_of_arrival_changes_no_bit(api: lbfgsd.Client, dtype: str) -> None:
    turns = []
    for order in (lambda shards: shards, lambda shards: shards[::-1], shuffled, shuffled):
        session = api.create_session(Batches().start, options=OPTIONS, dtype=dtype, shards=COUNT)
        assert session.shards == COUNT
        turns.append(in_order(api, session, order))
    assert len({turn.x.tobytes() for turn in turns}) == 1
    assert all(turn.result == turns[0].result for turn in turns)


def test_the_sum_is_what_one_client_would_tell(api: lbfgsd.Client) -> None:
    batches = Batches()
    whole = api.create_session(batches.start, options=OPTIONS)
    turn = api.begin_step(whole)
    while turn.evaluation is not None:
        turn = api.tell(whole, turn.evaluation.number, *batches(turn.evaluation.x))
    session = api.create_session(batches.start, options=OPTIONS)
    begun = api.begin_step(session, shards=COUNT)
    assert begun.evaluation.shards == lbfgsd.Shards(COUNT, ())
    api.stop(session)
    session = api.create_session(batches.start, options=OPTIONS, shards=COUNT)
    assert in_order(api, session, shuffled).x.tobytes() == turn.x.tobytes()


def test_each_shard_is_told_once(api: lbfgsd.Client) -> None:
    batches = Batches()
    session = api.create_session(batches.start, options=OPTIONS, shards=COUNT)
    turn = api.begin_step(session)
    x = turn.evaluation.x
    turn = api.tell(session, 1, *batches.part(3, x), shard=3)
    assert turn.evaluation.number == 1 and turn.evaluation.shards.delivered == (3,)
    assert turn.evaluation.shards.missing == (0, 1, 2, 4)
    again = api.tell(session, 1, *batches.part(3, x), shard=3)
    assert again.replayed and again.evaluation.shards.delivered == (3,)
    with pytest.raises(lbfgsd.AlreadyTold):
        api.tell(session, 1, *batches.part(2, x), shard=3)
    with pytest.raises(lbfgsd.ProblemError):
        api.tell(session, 1, *batches.part(2, x), shard=COUNT)
    with pytest.raises(lbfgsd.ProblemError):
        api.tell(session, 1, *batches(x))
    for shard in (0, 1, 2):
        turn = api.tell(session, 1, *batches.part(shard, x), shard=shard)
    assert turn.evaluation.number == 1
    turn = api.tell(session, 1, *batches.part(4, x), shard=4)
    assert turn.evaluation.number == 2 and turn.evaluation.shards.delivered == ()
    assert api.tell(session, 1, *batches.part(0, x), shard=0).replayed


def test_one_shard_that_fails_is_enough(api: lbfgsd.Client) -> None:
    batches = Batches()
    session = api.create_session(batches.start, options=OPTIONS, shards=2)
    turn = api.begin_step(session)
    for shard in range(2):
        turn = api.tell(session, 1, *batches.part(shard, turn.evaluation.x), shard=shard)
    api.tell(session, 2, *batches.part(0, turn.evaluation.x), shard=0)
    api.tell_failed(session, 2, "out of memory", shard=1)
    assert api.trace(session).failed.tolist() == [False, True]


def test_zero_grad(api: lbfgsd.Client) -> None:
    batches = Batches()
    session = api.create_session(batches.start, options=OPTIONS, shards=COUNT)
    x = api.begin_step(session).evaluation.x
    for shard in (0, 2):
        api.tell(session, 1, *batches.part(shard, x), shard=shard)
    turn = api.zero_grad(session)
    assert turn.evaluation.number == 1 and turn.evaluation.shards.delivered == ()
    # A dropped shard may be told again, also with another result.
    turn = api.tell(session, 1, *batches.part(1, x), shard=0)
    assert turn.evaluation.shards.delivered == (0,)
    turn = api.zero_grad(session, set_to_none=False)
    # The told shards stay told, with zeros; the others are still missing.
    assert turn.evaluation.shards.delivered == (0,)
    for shard in range(1, COUNT):
        turn = api.tell(session, 1, *batches.part(shard, x), shard=shard)
    rest = [batches.part(shard, x)[0] for shard in range(1, COUNT)]
    assert api.trace(session).loss[0] == sum(rest, 0.0)
    api.stop(session)
    assert api.zero_grad(session).state == "idle"


def test_leases(api: lbfgsd.Client) -> None:
    session = api.create_session(Batches().start, options=OPTIONS, shards=2)
    turn = api.begin_step(session)
    first = api.lease(session, 1, "gpu-1", seconds=60)
    assert (first.evaluation, first.shard, first.shards, first.worker) == (1, 0, 2, "gpu-1")
    assert first.session == session.id and np.array_equal(first.x, turn.evaluation.x)
    assert api.lease(session, 1, "gpu-1", seconds=60).shard == 0
    second = api.lease(session, 1, "gpu-2", seconds=1)
    assert second.shard == 1
    with pytest.raises(lbfgsd.NoShardFree) as caught:
        api.lease(session, 1, "gpu-3", seconds=60)
    assert caught.value.status == 409 and 1 <= caught.value.retry_after <= 60
    assert isinstance(caught.value, lbfgsd.Conflict)
    time.sleep(1.1)
    assert api.lease(session, 1, "gpu-3", seconds=60).shard == 1
    # A late result is accepted nevertheless.
    late = api.tell(session, 1, *Batches().part(1, second.x), shard=1)
    assert late.evaluation.shards.delivered == (1,)
    with pytest.raises(lbfgsd.NoShardFree):
        api.lease(session, 1, "gpu-3")
    with pytest.raises(lbfgsd.EvaluationNotReached):
        api.lease(session, 2, "gpu-3")


def work(url: str, session: lbfgsd.Session, name: str, failures: Any) -> None:
    """Runs a worker: lease, compute, tell, until the session is idle."""
    batches, generator = Batches(), random.Random(name)
    try:
        with lbfgsd.Client(url) as api:
            while (evaluation := api.ask(session).evaluation) is not None:
                try:
                    lease = api.lease(session, evaluation.number, name, seconds=30)
                    time.sleep(generator.uniform(0, 0.004))
                    told = batches.part(lease.shard, lease.x)
                    api.tell(session, lease.evaluation, *told, shard=lease.shard)
                except lbfgsd.NoShardFree:
                    time.sleep(0.002)
                except (lbfgsd.EvaluationClosed, lbfgsd.NotFound, lbfgsd.Conflict):
                    continue
    except Exception as error:
        failures.append(error)


def together(url: str, session: lbfgsd.Session, count: int = 4) -> None:
    failures: list[Exception] = []
    workers = [
        threading.Thread(target=work, args=(url, session, f"worker {i}", failures))
        for i in range(count)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not failures and not any(worker.is_alive() for worker in workers)


def test_concurrent_workers(api: lbfgsd.Client) -> None:
    results = []
    for _ in range(3):
        session = api.create_session(Batches().start, options=OPTIONS, shards=COUNT)
        api.begin_step(session)
        together(api.url, session)
        results.append(api.ask(session).x.tobytes())
    assert len(set(results)) == 1
    alone = api.create_session(Batches().start, options=OPTIONS, shards=COUNT)
    assert in_order(api, alone, lambda shards: shards).x.tobytes() == results[0]


def test_shards_survive_a_kill(daemon: Daemon) -> None:
    batches = Batches()
    with lbfgsd.Client(daemon.url) as api:
        alone = api.create_session(batches.start, options=OPTIONS, shards=COUNT)
        expected = in_order(api, alone, lambda shards: shards).x.tobytes()
        session = api.create_session(batches.start, options=OPTIONS, shards=COUNT)
        turn, told = api.begin_step(session), 0
        while (evaluation := turn.evaluation) is not None:
            for shard in shuffled(list(evaluation.shards.missing)):
                part = batches.part(shard, evaluation.x)
                turn = api.tell(session, evaluation.number, *part, shard=shard)
                told += 1
                if told % 9 == 4:
                    daemon.restart()
                    asked = api.ask(session)
                    assert (asked.evaluation is None) == (turn.evaluation is None)
                    if turn.evaluation is not None:
                        assert asked.evaluation.shards == turn.evaluation.shards
                        assert asked.evaluation.x.tobytes() == turn.evaluation.x.tobytes()
        assert turn.x.tobytes() == expected
