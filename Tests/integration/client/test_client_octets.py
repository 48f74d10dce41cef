"""The Python client where vectors travel as octets: the same bits as in JSON, without copies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

import lbfgsd
from daemon import ROOT, Daemon, free_port
from lbfgsd._wire import octets as wire_octets
from lbfgsd._wire.messages import BLOCK_BYTES, OctetBody
from problems import rosenbrock, rosenbrock_start
from unreliable import fake

ALWAYS, NEVER = 0, 1 << 62
WOLFE = {"line_search_fn": "strong_wolfe", "max_iter": 15}
FAST = lbfgsd.Retry(deadline=60, first_deadline=60, initial=0.01, maximum=0.2)
FILL = "fill:" in (ROOT / "openapi.yaml").read_text()


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


@pytest.fixture
def form(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the length from which on vectors travel as octets."""
    return lambda least: monkeypatch.setattr(wire_octets, "OCTETS_FROM", least)


def told(x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    loss, gradient = rosenbrock(x.astype(np.float64))
    return float(loss), np.asarray(gradient).astype(x.dtype)


def step(api: lbfgsd.Client, session: Any, shards: int | None = None) -> list[Any]:
    """All points of a step, and its last turn."""
    seen = []
    turn = api.begin_step(session)
    while turn.evaluation is not None:
        x, k = turn.evaluation.x, turn.evaluation.number
        loss, gradient = told(x)
        seen.append((k, x.dtype.name, x.tobytes()))
        for shard in range(shards or 0):
            assert turn.evaluation.shards.count == shards
            assert turn.evaluation.shards.delivered == tuple(range(shard))
            part = gradient if shard == 0 else np.zeros_like(gradient)
            turn = api.tell(session, k, loss if shard == 0 else 0.0, part, shard=shard)
        if shards is None:
            turn = api.tell(session, k, loss, gradient)
    return [*seen, (turn.x.dtype.name, turn.x.tobytes()), turn.result]


@pytest.mark.parametrize("shards", [None, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_bits_as_in_json(
    api: lbfgsd.Client, form: Callable[[int], None], dtype: str, shards: int | None
) -> None:
    ways = []
    for least in (NEVER, ALWAYS):
        form(least)
        created = api.create_session(
            rosenbrock_start(200), options=WOLFE, dtype=dtype, shards=shards
        )
        ways.append(step(api, created.id, shards))
    assert ways[0] == ways[1]
    assert len(ways[0]) > 10 and ways[0][0][1] == dtype


def test_the_same_bits_in_both_clients(
    api: lbfgsd.Client, form: Callable[[int], None], shared_daemon: Daemon
) -> None:
    form(ALWAYS)
    expected = step(api, api.create_session(rosenbrock_start(200), options=WOLFE).id)

    async def run() -> list[Any]:
        seen = []
        async with lbfgsd.AsyncClient(shared_daemon.url, content_digest=True) as client:
            session = await client.create_session(rosenbrock_start(200), options=WOLFE)
            turn = await client.begin_step(session)
            while turn.evaluation is not None:
                x, k = turn.evaluation.x, turn.evaluation.number
                seen.append((k, x.dtype.name, x.tobytes()))
                turn = await client.tell(session, k, *told(x))
            params = await client.get_params(session)
            assert params.x.tobytes() == turn.x.tobytes()
        return [*seen, (turn.x.dtype.name, turn.x.tobytes()), turn.result]

    assert asyncio.run(run()) == expected


@pytest.mark.parametrize("kind", [np.float32, np.int64, ">f8", "strided", list])
def test_any_numbers_can_be_told(api: lbfgsd.Client, kind: Any) -> None:
    session = api.create_session(np.zeros(300)).id
    turn = api.begin_step(session)
    values = np.arange(300) % 7 - 3.0
    if kind == "strided":
        given = np.repeat(values, 2)[::2]
    else:
        given = values.tolist() if kind is list else values.astype(kind)
    turn = api.tell(session, turn.evaluation.number, 1.0, given)
    # torch's first step without a line search.
    assert turn.evaluation.x == pytest.approx(-values * min(1, 1 / abs(values).sum()))


def test_a_client_that_knows_nothing_of_the_session(
    api: lbfgsd.Client, shared_daemon: Daemon
) -> None:
    created = api.create_session(rosenbrock_start(300), options=WOLFE, dtype="float32")
    turn = api.begin_step(created)
    loss, gradient = told(turn.evaluation.x)
    with lbfgsd.Client(shared_daemon.url) as other:
        mine = other.tell(created.id, 1, loss, gradient.astype(np.float64))
        assert mine.evaluation.x.dtype == np.float32 and not mine.replayed
        assert api.tell(created.id, 1, loss, gradient).replayed
    with lbfgsd.Client(shared_daemon.url) as other:
        params = other.get_params(created.id)
        assert params.dtype == "float32" and params[0].dtype == np.float32
        assert params.x.tobytes() == created_bytes(300)


def created_bytes(n: int) -> bytes:
    return np.asarray(rosenbrock_start(n), np.float32).tobytes()


def test_parameters_by_name(api: lbfgsd.Client) -> None:
    w, b = np.arange(200.0).reshape(10, 20), np.full(150, -0.0)
    session = api.create_session(params={"w": w, "b": b, "c": np.float64(2)}).id
    params = api.get_params(session)
    assert [p.values.shape for p in params] == [(10, 20), (150,), ()]
    assert params["w"].tobytes() == w.tobytes() and params["b"].tobytes() == b.tobytes()
    assert np.shares_memory(params["w"], params.x)
    changed = api.set_params(session, {"b": w[0].repeat(8)[:150], "c": 3.0, "w": w[::-1]})
    assert changed["w"].tolist() == w[::-1].tolist() and changed["c"] == 3
    turn = api.begin_step(session)
    turn = api.tell(session, 1, 1.0, gradients={"b": np.ones(150), "w": None})
    moved = turn.evaluation.x - changed.x
    assert not moved[:200].any() and (moved[200:350] < 0).all() and moved[350] == 0
    wrongs: list[dict[str, Any]] = [
        {"w": w, "b": b},
        {"w": w.T, "b": b, "c": 1.0},
        {"w": w, "b": b, "d": 1.0},
    ]
    for wrong in wrongs:
        with pytest.raises(lbfgsd.ProblemError):
            api.set_params(session, wrong)
    with pytest.raises(lbfgsd.InvalidRequest, match="gradients"):
        api.tell(session, 2, 1.0, gradients={"b": np.ones(149)})


def test_parameters_that_join_while_another_client_does_not_look(
    api: lbfgsd.Client, shared_daemon: Daemon
) -> None:
    session = api.create_session(params={"w": np.zeros(200)}).id
    api.get_params(session)
    with lbfgsd.Client(shared_daemon.url) as other:
        other.add_param_group(session, {"v": np.ones(300)})
    assert [p.name for p in api.get_params(session)] == ["w", "v"]
    assert api.begin_step(session).evaluation.x.size == 500


def test_errors_are_problems_with_octets_too(api: lbfgsd.Client) -> None:
    session = api.create_session(np.zeros(300)).id
    turn = api.begin_step(session)
    with pytest.raises(lbfgsd.InvalidRequest) as caught:
        api.tell(session, 1, 1.0, np.ones(299))
    assert caught.value.errors[0]["field"] == "body"
    with pytest.raises(lbfgsd.EvaluationNotReached):
        api.tell(session, 2, 1.0, np.ones(300))
    api.tell(session, turn.evaluation.number, 1.0, np.ones(300))
    with pytest.raises(lbfgsd.AlreadyTold):
        api.tell(session, 1, 1.0, np.zeros(300))


def test_entity_tags_of_octets_are_preconditions(
    api: lbfgsd.Client, form: Callable[[int], None]
) -> None:
    form(ALWAYS)
    session = api.create_session(np.zeros(3)).id
    first = api.begin_step(session)
    turn = api.tell(session, 1, 1.0, np.ones(3), if_match=first.etag)
    assert turn.etag != first.etag and turn.evaluation.number == 2
    with pytest.raises(lbfgsd.PreconditionFailed):
        api.tell(session, 2, 0.5, np.ones(3), if_match=first.etag)
    api.set_params(api.stop(session, if_match=turn.etag).session, np.ones(3))
    params = api.get_params(session)
    assert api.set_params(session, np.zeros(3), if_match=params.etag).x.tolist() == [0, 0, 0]


def test_what_has_no_place_in_header_fields(
    api: lbfgsd.Client, form: Callable[[int], None]
) -> None:
    form(ALWAYS)
    options = {"mode": "robust", "max_iter": 100, "max_eval": 1000}
    session = api.create_session([1.0, 1.0], options=options).id
    api.create_hook(session, "step.pre", deadline_seconds=60, default="continue")
    turn = api.begin_step(session)
    assert turn.hook_call is not None and turn.hook_call.options is not None
    assert turn.hook_call.event == "step.pre" and turn.hook_call.options["mode"] == "robust"
    turn = api.answer_hook(session, turn.hook_call.number)
    while turn.evaluation is not None:
        # The gradient has the wrong sign, so that no search finds a lower point.
        x = turn.evaluation.x
        turn = api.tell(session, turn.evaluation.number, float(x @ x), -2 * x)
    assert turn.result.reason == "line_search_failed"
    assert turn.result.failure.trials > 0
    assert turn.result == api.get_step(session, 1).result


def test_minimize_and_torch_do_not_notice(
    shared_daemon: Daemon, form: Callable[[int], None]
) -> None:
    torch = pytest.importorskip("torch")
    from lbfgsd.torch import LBFGS

    ways = []
    for least in (NEVER, ALWAYS):
        form(least)
        found = lbfgsd.minimize(rosenbrock, rosenbrock_start(150), jac=True, url=shared_daemon.url)
        assert found.success and found.x.dtype == np.float64
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 40), torch.nn.Tanh(), torch.nn.Linear(40, 1))
        x = torch.randn(50, 4)
        optimizer = LBFGS(model.parameters(), max_iter=5, url=shared_daemon.url)

        def closure() -> Any:
            optimizer.zero_grad()  # noqa: B023
            loss = (model(x) - x[:, :1].sin()).square().mean()  # noqa: B023
            loss.backward()
            return loss

        losses = [float(optimizer.step(closure).detach()) for _ in range(3)]
        ways.append((found.x.tobytes(), found.nfev, losses))
    assert ways[0] == ways[1]


LARGE = 100_000
ENDLESS = {
    "lr": 1e-3,
    "history_size": 3,
    "max_iter": 1000,
    "tolerance_grad": 0,
    "tolerance_change": 0,
}


def test_no_list_of_numbers_is_made(api: lbfgsd.Client) -> None:
    session = api.create_session(np.zeros(LARGE), options=ENDLESS)
    generator = np.random.default_rng(1)
    gradients = generator.uniform(-1, 1, (5, LARGE))
    turn = api.begin_step(session)
    tracemalloc.start()
    try:
        for gradient in gradients:
            assert turn.evaluation.x.nbytes == 8 * LARGE
            turn = api.tell(session, turn.evaluation.number, 1.0, gradient)
        api.set_params(api.stop(session).session, gradients[0])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The received point, the one before it, and blocks in transit. A list would take 32 bytes per
    # number, JSON about 20.
    assert peak < 2 * 8 * LARGE + 8 * BLOCK_BYTES


@pytest.mark.skipif(not FILL, reason="this server's sessions are created from JSON alone")
def test_no_list_is_made_to_create(api: lbfgsd.Client) -> None:
    start = np.random.default_rng(1).uniform(-1, 1, LARGE)
    tracemalloc.start()
    try:
        session = api.create_session(start)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 8 * LARGE + 8 * BLOCK_BYTES
    assert api.get_session(session).etag == session.etag
    assert api.get_params(session).x.tobytes() == start.tobytes()


def test_large_sessions_are_created_with_zeros(api: lbfgsd.Client, shared_daemon: Daemon) -> None:
    n = wire_octets.CREATED_WITH_ZEROS_FROM
    path = f"{shared_daemon.url}/v1/sessions/{api.create_session([0.0]).id}"
    document = requests.get(path, timeout=20).json() | {"n": n, "dtype": "float32"}
    document["params"] = [{"name": "w", "shape": [n // 2, 2]}]
    params = {"dtype": "float32", "params": [{**document["params"][0], "values": [1.0] * n}]}
    start = {"w": np.linspace(-1, 1, n).reshape(n // 2, 2)}
    refused = {"type": "/problems/storage-full", "status": 507, "title": "The disk is full"}
    created: tuple[Any, ...] = (201, {}, document)
    told: tuple[Any, ...] = (200, {}, params)
    with (
        fake(created, told, (200, {"ETag": '"2.0"'}, document), created) as (url, asked),
        lbfgsd.Client(url) as client,
    ):
        assert client.create_session(params=start, dtype="float32").etag == '"2.0"'
        client.create_session(params={"w": np.zeros((n // 2, 2))}, dtype="float32")
    sent = [(command, body) for _, command, _, _, body in asked]
    wanted = b'{"dtype":"float32","params":[{"name":"w","shape":[%d,2],"fill":0}]}' % (n // 2)
    assert sent[0] == sent[3] == ("POST", wanted) and len(sent) == 4
    assert sent[1:3] == [("PUT", start["w"].astype("<f4").tobytes()), ("GET", b"")]
    with (
        fake(created, (507, {}, refused), (204, {}, {})) as (url, asked),
        lbfgsd.Client(url) as client,
    ):
        with pytest.raises(lbfgsd.StorageFull):
            client.create_session(params=start, dtype="float32")
        assert [command for _, command, *_ in asked] == ["POST", "PUT", "DELETE"]


def test_large_parameters_that_are_not_finite(api: lbfgsd.Client) -> None:
    count = len(list(api.sessions()))
    for bad, dtype in ((np.nan, "float64"), (1e300, "float32")):
        start = np.zeros(wire_octets.CREATED_WITH_ZEROS_FROM)
        start[-1] = bad
        with pytest.raises(ValueError, match="finite"):
            api.create_session(start, dtype=dtype)
    assert len(list(api.sessions())) == count


def test_bodies_are_the_arrays_themselves() -> None:
    gradient = np.random.default_rng(1).uniform(size=3 * BLOCK_BYTES // 8 + 1)
    body = OctetBody([gradient, np.zeros(0), gradient[:2]])
    assert body.size == gradient.nbytes + 16
    for _ in range(2):
        blocks = list(body.blocks())
        assert all(np.shares_memory(np.frombuffer(block, np.uint8), gradient) for block in blocks)
        assert b"".join(blocks) == gradient.tobytes() + gradient[:2].tobytes()


@contextmanager
def cut(port: int, *limits: tuple[int, int]) -> Iterator[Any]:
    """A proxy to a daemon. The first connections are cut, each after its limit of bytes to or from
    the daemon; later ones are not."""
    listener = socket.create_server(("127.0.0.1", free_port()))
    left = list(limits)

    def pump(source: socket.socket, target: socket.socket, most: float, both: Any) -> None:
        with suppress(OSError):
            while most > 0 and (piece := source.recv(int(min(most, 65536)))):
                target.sendall(piece)
                most -= len(piece)
        for end in both:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", port))
            there, back = left.pop(0) if left else (NEVER, NEVER)
            for source, target, most in ((near, far, there), (far, near, back)):
                arguments = (source, target, most, (near, far))
                threading.Thread(target=pump, args=arguments, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(("there", "back"), [(500_000, NEVER), (NEVER, 500_000), (NEVER, 1)])
def test_a_connection_that_is_cut_in_the_middle_of_a_vector(
    api: lbfgsd.Client, shared_daemon: Daemon, there: Any, back: Any
) -> None:
    session = api.create_session(np.zeros(LARGE), options={"history_size": 3}).id
    turn = api.begin_step(session)
    gradient = np.random.default_rng(1).uniform(-1, 1, LARGE)
    with (
        cut(shared_daemon.port, (there, back)) as url,
        lbfgsd.Client(url, retry=FAST) as client,
    ):
        layout = api._layouts.get(session)
        assert layout is not None
        client._layouts.put(session, layout)
        turn = client.tell(session, 1, 1.0, gradient)
        assert turn.replayed == (there == NEVER)
        assert turn.evaluation.number == 2
        assert turn.evaluation.x.tobytes() == api.ask(session).evaluation.x.tobytes()
    assert len(api.trace(session)) == 1


def test_a_digest_goes_with_every_body_when_it_is_wanted() -> None:
    created = {"session": "s", "state": "idle", "step": 0, "x": [1.0], "result": None}
    with fake((200, {}, created)) as (url, asked):
        with lbfgsd.Client(url, content_digest=True) as client:
            client._layouts.note("s", "float64", 500)
            client.tell("s", 1, 1.0, np.arange(500.0))
            client.tell_failed("s", 1, "no")
            client.ask("s")
        with lbfgsd.Client(url) as client:
            client.tell_failed("s", 1, "no")
    for _, _, _, headers, body in asked[:2]:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert headers["Content-Digest"] == f"sha-256=:{digest}:"
        assert int(headers["Content-Length"]) == len(body)
    assert asked[0][4] == np.arange(500.0).tobytes() and asked[0][2].endswith("?loss=1.0")
    assert all("Content-Digest" not in headers for _, _, _, headers, _ in asked[2:])


def test_octets_that_are_not_what_they_say() -> None:
    head = b"Lbfgsd-Session: s\r\nLbfgsd-State: idle\r\nLbfgsd-Step: 0\r\nLbfgsd-Dtype: float64\r\n"
    for more in (b"Lbfgsd-Count: 3\r\n", b"Lbfgsd-Count: -2\r\n", b"Lbfgsd-Count: x\r\n", b""):
        with raw(head + more, bytes(16)) as url, lbfgsd.Client(url) as client:
            with pytest.raises(lbfgsd.BadReply, match="octets"):
                client.ask("s")
    with raw(head + b"Lbfgsd-Count: 2\r\n", bytes(16)) as url, lbfgsd.Client(url) as client:
        assert client.ask("s").x.tolist() == [0, 0]


@contextmanager
def raw(fields: bytes, body: bytes) -> Iterator[Any]:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        near, _ = listener.accept()
        with near:
            near.recv(65536)
            near.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                + b"Content-Length: %d\r\n" % len(body)
                + fields
                + b"\r\n"
                + body
            )

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join()
        listener.close()
