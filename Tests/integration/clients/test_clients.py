"""The clients in C, Fortran, R and JavaScript: one suite for all of them, against the daemon.

What they get is compared bit for bit with what the Python client gets for the same session.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lbfgsd
from client_programs import LANGUAGES, Program, Refused, Toolchain, digits, rosenbrock, vector
from daemon import START_SECONDS, Client, Daemon, binary, free_port, inherited
from problems import rosenbrock_start
from unreliable import busy, fake, losing_replies

pytestmark = pytest.mark.timeout(180)

SECONDS = 60
ROBUST = '{"mode":"robust","max_iter":6,"max_eval":60}'
OCTETS = "application/octet-stream"
IDLE_FIELDS = {
    "Content-Type": OCTETS,
    "Lbfgsd-Session": "s0",
    "Lbfgsd-State": "idle",
    "Lbfgsd-Step": "0",
    "Lbfgsd-Dtype": "float64",
    "Lbfgsd-Count": "1",
}
IDLE = (200, IDLE_FIELDS, bytes(8))


@pytest.fixture(scope="session", params=LANGUAGES)
def program(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    language = request.param
    program = Toolchain(language, tmp_path_factory.mktemp(language)).contract()
    yield program
    # The sanitizers report leaks when the program ends.
    assert program.close() == 0


@pytest.fixture
def calls(program: Program, shared_daemon: Daemon) -> Program:
    """The program with a client of the shared daemon."""
    connect(program, shared_daemon.url)
    return program


@pytest.fixture
def python(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


def connect(
    program: Program,
    url: str,
    token: str = "-",
    socket: str = "-",
    deadline: float = SECONDS,
    first_deadline: float = SECONDS,
    timeout: float = SECONDS,
) -> None:
    program("open", url, token, socket, deadline, first_deadline, timeout)


def create(calls: Program, x: Any, dtype: str = "float64", options: str = ROBUST) -> str:
    return calls("create", dtype, "-", "-", options, "-", "-", digits(x))["session"]


def start(n: int) -> list[float]:
    """Numbers with all their digits."""
    return [x + 0.1 * i / 3 for i, x in enumerate(rosenbrock_start(n))]


def assert_same_turn(answer: dict[str, str], turn: Any) -> None:
    point = turn.x if turn.evaluation is None else turn.evaluation.x
    number = 0 if turn.evaluation is None else turn.evaluation.number
    assert answer["x"] == digits(point)
    assert (answer["state"], int(answer["step"])) == (turn.state, turn.step)
    assert (answer["dtype"], int(answer["evaluation"])) == (point.dtype.name, number)
    if turn.result is None:
        assert "reason" not in answer
    else:
        assert_same_result(answer, turn.result)


def assert_same_result(answer: dict[str, str], result: Any) -> None:
    assert answer["reason"] == result.reason and bool(int(answer["converged"])) == result.converged
    counts = int(answer["iterations"]), int(answer["evaluations"])
    assert counts == (result.iterations, result.evaluations)
    assert answer["loss"] == digits([np.nan if result.loss is None else result.loss])


# Sessions


def test_a_session_is_created_as_it_was_asked_for(calls: Program, client: Client) -> None:
    bounds = digits([-np.inf, -1.5]), digits([0.5, np.inf])
    options = '{"mode":"robust","lr":0.5,"max_iter":7}'
    created = calls("create", "float64", "n-1", "team:flow", options, *bounds, digits([-1.2, 1]))
    found = client.get(created["session"])
    assert (found["name"], found["labels"], found["n"]) == ("n-1", {"team": "flow"}, 2)
    assert (found["options"]["mode"], found["options"]["lr"]) == ("robust", 0.5)
    assert found["options"]["max_iter"] == 7 and found["bounded"]
    theirs = client.ok("GET", f"/v1/sessions/{found['id']}/bounds")
    assert theirs["lower"] == ["-Infinity", -1.5] and theirs["upper"] == [0.5, "Infinity"]
    assert client.x(found["id"]) == [-1.2, 1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_start_arrives_to_the_last_bit(calls: Program, dtype: str) -> None:
    for n in (5, 16_385):
        x = np.array([0.1, -0.0, 1e-300, -1 / 3, *start(n - 4)]).astype(dtype).astype(float)
        session = create(calls, x, dtype)
        assert calls("parameters", session, n)["x"] == digits(x)
        asked = calls("begin", session)
        assert (asked["x"], asked["dtype"], asked["evaluation"]) == (digits(x), dtype, "1")
        calls("delete", session)


def test_one_number_makes_a_session(calls: Program) -> None:
    session = create(calls, [3.0])
    assert calls("begin", session)["x"] == digits([3.0])


def test_parameters_are_replaced(calls: Program, client: Client) -> None:
    session = create(calls, [1, 2])
    x = digits([0.1, -0.0])
    assert calls("parameters", session, 2, "float64", x)["x"] == x
    assert digits(client.x(session)) == x
    session = create(calls, [1, 2], "float32")
    rounded = np.array([0.1, 2.5], dtype=np.float32)
    assert calls("parameters", session, 2, "float32", digits([0.1, 2.5]))["x"] == digits(rounded)


def test_a_deleted_session_is_gone(calls: Program, client: Client) -> None:
    session = create(calls, [1, 2])
    calls("delete", session)
    assert client.call("GET", f"/v1/sessions/{session}").status_code == 404
    with pytest.raises(Refused) as caught:
        calls("delete", session)
    assert (caught.value.status, caught.value.type) == (404, "/problems/not-found")


def test_any_other_operation(calls: Program, client: Client) -> None:
    found = json.loads(calls("request", "GET", "/v1/limits")["reply"])
    assert found["parameters_max"] == client.ok("GET", "/v1/limits")["parameters_max"]


# Evaluations


@pytest.mark.parametrize(("n", "dtype"), [(2, "float64"), (3, "float32"), (300, "float64")])
def test_a_step_evaluation_by_evaluation(
    calls: Program, python: lbfgsd.Client, n: int, dtype: str
) -> None:
    session = create(calls, start(n), dtype)
    theirs = python.create_session(start(n), dtype=dtype, options=json.loads(ROBUST))
    answer, turn = calls("begin", session), python.begin_step(theirs)
    for _ in range(40):
        assert_same_turn(answer, turn)
        assert answer["session"] == session and answer["replayed"] == "0"
        assert_same_turn(calls("ask", session), turn)
        if turn.evaluation is None:
            break
        number = turn.evaluation.number
        answer, turn = calls("next"), python.tell(theirs, number, *rosenbrock(turn.evaluation.x))
    assert answer["state"] == "idle" and answer["reason"] == "max_iterations"


def test_octets_of_float32(calls: Program, python: lbfgsd.Client) -> None:
    """Gradients are rounded to the nearest number, also beyond the range."""
    n = 300
    x, gradient = np.linspace(-1, 1, n), np.geomspace(1e-47, 1e37, n) / 3
    session = create(calls, x, "float32")
    theirs = python.create_session(x, dtype="float32", options=json.loads(ROBUST))
    calls("begin", session)
    python.begin_step(theirs)
    answer = calls("tell", session, 1, digits([1.0]), digits(gradient))
    assert_same_turn(answer, python.tell(theirs, 1, 1.0, gradient))


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf, 1e300, -1.2345678901234567e-5, 5e-324])
def test_any_loss_can_be_told(calls: Program, client: Client, loss: float) -> None:
    session = create(calls, [1, 2])
    calls("begin", session)
    answer = calls("tell", session, 1, digits([loss]), digits([0.5, np.nan]))
    assert answer["state"] in ("evaluating", "idle")
    (point,) = client.trace(session)
    assert digits([float(point["loss"])]) == digits([loss])


def test_a_failed_evaluation_contracts(calls: Program, python: lbfgsd.Client) -> None:
    session = create(calls, [-1.2, 1.0])
    theirs = python.create_session([-1.2, 1.0], options=json.loads(ROBUST))
    turn = python.begin_step(theirs)
    calls("begin", session)
    assert turn.evaluation is not None
    python.tell(theirs, 1, *rosenbrock(turn.evaluation.x))
    calls("next")
    reason = 'the mesh "left" \\ is invertiert, größer'
    assert_same_turn(calls("fail", session, 2, reason), python.tell_failed(theirs, 2, reason))


def test_telling_again_changes_nothing(calls: Program, client: Client) -> None:
    session = create(calls, [-1.2, 1.0])
    calls("begin", session)
    result = digits([2.5]), digits([1.0, 0.1])
    told = calls("tell", session, 1, *result)
    again = calls("tell", session, 1, *result)
    assert (told.pop("replayed"), again.pop("replayed")) == ("0", "1") and again == told
    assert len(client.trace(session)) == 1
    with pytest.raises(Refused) as caught:
        calls("tell", session, 1, digits([2.25]), result[1])
    assert (caught.value.status, caught.value.type) == (409, "/problems/already-told")
    assert calls("ask", session)["x"] == told["x"]


def test_a_step_is_stopped(calls: Program, client: Client) -> None:
    session = create(calls, [-1.2, 1.0])
    for command in (("begin", session), ("next",), ("next",)):
        calls(*command)
    stopped = calls("stop", session)
    assert (stopped["state"], stopped["reason"], stopped["evaluation"]) == ("idle", "stopped", "0")
    assert stopped["x"] == digits(client.x(session))


# Checkpoints


def test_a_checkpoint_in_the_middle_of_a_search(calls: Program, client: Client) -> None:
    session = create(calls, start(3))
    calls("begin", session)
    for _ in range(3):
        pending = calls("next")
    checkpoint = calls("checkpoint", session)["checkpoint"]
    later = [calls("next")["x"] for _ in range(3)]
    restored = calls("restore", session, checkpoint)
    assert restored["x"] == pending["x"]
    assert int(restored["evaluation"]) == int(pending["evaluation"]) + 4
    assert [calls("next")["x"] for _ in range(3)] == later
    fork = calls("fork", session, checkpoint)["session"]
    assert calls("ask", fork)["x"] == pending["x"]
    (kept,) = client.ok("GET", f"/v1/sessions/{session}/checkpoints")["checkpoints"]
    assert kept["id"] == checkpoint and kept["name"] == 'a "name"'


# Errors


def test_an_error_names_the_field(calls: Program) -> None:
    with pytest.raises(Refused) as caught:
        create(calls, [1, 2], options='{"lr":-1}')
    error = caught.value
    assert (error.kind, error.status, error.field) == ("problem", 422, "options.lr")
    assert error.type == "/problems/invalid-request" and "options.lr" in error.message


def test_a_long_start_that_is_refused_leaves_no_session(calls: Program, client: Client) -> None:
    before = client.ok("GET", "/v1/sessions?page_size=1")["sessions"]
    with pytest.raises(Refused) as caught:
        create(calls, [np.inf, *start(16_384)])
    assert caught.value.status in (0, 422)
    assert client.ok("GET", "/v1/sessions?page_size=1")["sessions"] == before


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b"<html>"),
        (200, {"Content-Type": "application/json"}, {"hello": "world"}),
        (200, {**IDLE_FIELDS, "Lbfgsd-Count": "2"}, bytes(8)),
        (200, {**IDLE_FIELDS, "Lbfgsd-Count": "-1"}, bytes(8)),
        (200, {**IDLE_FIELDS, "Lbfgsd-Count": "1000000000000"}, bytes(8)),
        (200, {**IDLE_FIELDS, "Lbfgsd-Dtype": "float16"}, bytes(8)),
        (200, {**IDLE_FIELDS, "Lbfgsd-State": "lost"}, bytes(8)),
        (200, {"Content-Type": OCTETS}, bytes(8)),
        (302, {"Location": "/elsewhere"}, b""),
    ],
)
def test_a_server_of_another_kind(program: Program, status: int, headers: Any, body: Any) -> None:
    with fake((status, headers, body)) as (url, asked):
        connect(program, url)
        with pytest.raises(Refused) as caught:
            program("ask", "s0")
    assert caught.value.kind == "bad-reply" and len(asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"teapot",
        b'{"title"',
        b'{"title": "\\ud800", "detail": 7, "errors": [{"field": null}]}',
        b'{"errors": [], "x": ' + b"[" * 10_000,
        b'["title"]',
    ],
)
def test_problems_that_are_no_documents(program: Program, body: bytes) -> None:
    with fake((418, {"Content-Type": "application/problem+json"}, body)) as (url, _):
        connect(program, url)
        with pytest.raises(Refused) as caught:
            program("ask", "s0")
    assert (caught.value.kind, caught.value.status, caught.value.type) == ("problem", 418, "")


# Whole runs

REFERENCES: dict[int, Any] = {}


# The other clients leave the number of pairs to the daemon; the Python client keeps 10, as SciPy.
PAIRS = {"maxcor": 100}


def minimized(python: lbfgsd.Client, n: int) -> Any:
    """The Python client's result, computed once for all languages."""
    if n not in REFERENCES:
        found = lbfgsd.minimize(
            rosenbrock, rosenbrock_start(n), jac=True, client=python, options=PAIRS
        )
        found["options"] = dict(python.get_session(found.session).options)
        REFERENCES[n] = found
    return REFERENCES[n]


@pytest.mark.parametrize("n", [2, 100])
def test_minimize_does_what_the_python_client_does(
    calls: Program, python: lbfgsd.Client, client: Client, n: int
) -> None:
    found = calls("minimize", "float64", "-", "-", "-", digits(rosenbrock_start(n)))
    theirs = minimized(python, n)
    assert found["x"] == digits(theirs.x) and found["loss"] == digits([theirs.fun])
    assert (found["reason"], int(found["calls"])) == (theirs.reason, theirs.nfev)
    assert theirs.success and np.allclose(vector(found["x"]), 1, atol=1e-3)
    assert client.get(found["session"])["options"] == theirs["options"]


def test_minimize_in_float32(calls: Program, python: lbfgsd.Client, client: Client) -> None:
    x0 = rosenbrock_start(4)
    found = calls("minimize", "float32", "-", "-", "-", digits(x0))
    options = client.get(found["session"])["options"]
    session = python.create_session(x0, dtype="float32", options=options)
    turn = python.begin_step(session)
    while turn.evaluation is not None:
        point = turn.evaluation.x.astype(np.float64)
        turn = python.tell(session, turn.evaluation.number, *rosenbrock(point))
    assert turn.x is not None and found["x"] == digits(turn.x)
    assert_same_result(found, turn.result)


def test_minimize_within_bounds(calls: Program, python: lbfgsd.Client) -> None:
    lower, upper = [-2.0, -np.inf], [0.5, np.inf]
    x0 = rosenbrock_start(2)
    found = calls("minimize", "float64", "-", digits(lower), digits(upper), digits(x0))
    pairs = list(zip(lower, upper, strict=True))
    theirs = lbfgsd.minimize(rosenbrock, x0, jac=True, client=python, bounds=pairs)
    assert found["x"] == digits(theirs.x) and theirs.success
    assert int(found["calls"]) == theirs.nfev and vector(found["x"])[0] == 0.5


def test_minimize_where_the_loss_is_undefined_in_parts(
    calls: Program, python: lbfgsd.Client
) -> None:
    evaluated = []

    def limited(x: Any) -> Any:
        evaluated.append(x[0])
        if x[0] > 1.05:
            raise lbfgsd.Infeasible("infeasible")
        return rosenbrock(x)

    x0 = rosenbrock_start(2)
    found = calls("minimize", "float64", digits([1.05]), "-", "-", digits(x0))
    theirs = lbfgsd.minimize(limited, x0, jac=True, client=python, options=PAIRS)
    assert found["x"] == digits(theirs.x) and theirs.success
    assert int(found["calls"]) == len(evaluated) and max(evaluated) > 1.05


def test_a_run_that_its_function_ends_goes_on_later(calls: Program, client: Client) -> None:
    x0 = digits(rosenbrock_start(4))
    ended = calls("interrupt", 9, x0)
    assert (ended["reason"], ended["calls"]) == ("stopped", "10")
    assert ended["x"] == digits(client.x(ended["session"]))
    resumed = calls("resume", ended["session"], 4)
    assert resumed["session"] == ended["session"] and resumed["converged"] == "1"
    assert client.get(ended["session"])["step"] == 2


def test_resuming_takes_up_a_step(calls: Program) -> None:
    options = json.dumps({"mode": "robust", "max_iter": 500}, separators=(",", ":"))
    sessions = [create(calls, start(4), options=options) for _ in range(2)]
    whole = calls("resume", sessions[0], 4)
    calls("begin", sessions[1])
    for _ in range(7):
        calls("next")
    resumed = calls("resume", sessions[1], 4)
    assert resumed["x"] == whole["x"] and resumed["evaluations"] == whole["evaluations"]
    assert int(resumed["calls"]) == int(whole["calls"]) - 7


def test_a_hook_is_left_to_others(calls: Program, client: Client) -> None:
    """A run waits until another client, or the hook's deadline, has answered."""
    session = create(calls, start(2))
    hook = {"event": "step.pre", "kind": "intercept", "deadline_seconds": 0.3}
    client.ok("POST", f"/v1/sessions/{session}/hooks", hook, status=201)
    began = time.monotonic()
    found = calls("resume", session, 2)
    assert found["reason"] == "max_iterations" and time.monotonic() - began >= 0.3
    asked = calls("begin", session)
    assert (asked["state"], asked["evaluation"]) == ("awaiting_hook", "0")


# Access


def test_a_token(program: Program, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("a-secret-of-24-characters\n")
    daemon = Daemon(tmp_path / "data", tmp_path / "log", ("--token-file", str(tokens)))
    try:
        daemon.start()
        connect(program, daemon.url, token="another-secret-of-no-use")
        with pytest.raises(Refused) as caught:
            create(program, [1, 2])
        assert (caught.value.status, caught.value.type) == (401, "/problems/unauthorized")
        assert "secret" not in caught.value.message
        connect(program, daemon.url, token="a-secret-of-24-characters")
        assert program("begin", create(program, [1, 2]))["state"] == "evaluating"
    finally:
        daemon.close()


@contextmanager
def listening_on_socket(folder: Path) -> Iterator[Path]:
    """A daemon on a Unix socket."""
    path = folder / "socket"
    command = [binary(), "serve", "--listen", f"unix:{path}", "--data", folder / "data"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=log, env=inherited()
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not path.exists():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        yield path
    finally:
        process.kill()
        process.wait()


def test_a_unix_socket(program: Program, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if "js" in request.node.callspec.params.values():
        # fetch() has no option for it, and an address of that kind is refused.
        with pytest.raises(Refused):
            connect(program, "http://localhost", socket=str(tmp_path / "socket"))
        return
    with listening_on_socket(tmp_path) as path:
        connect(program, "http://localhost", socket=str(path))
        found = program("minimize", "float64", "-", "-", "-", digits([-1.2, 1.0]))
    assert found["converged"] == "1"


# Outages


def test_a_run_survives_kill_9(program: Program, daemon: Daemon) -> None:
    """Before a request, and at any time."""
    connect(program, daemon.url)
    x0 = digits(rosenbrock_start(10))
    whole = program("minimize", "float64", "-", "-", "-", x0)
    options = Client(daemon.url).get(whole["session"])["options"]
    session = create(program, vector(x0), options=json.dumps(options, separators=(",", ":")))
    program("begin", session)
    for _ in range(5):
        program("next")
    daemon.kill()
    restart = threading.Timer(0.3, daemon.start)
    restart.start()
    program("next")
    restart.join()
    program.send("resume", session, 10)
    for _ in range(3):
        time.sleep(0.05)
        daemon.restart()
    broken = program.receive()
    assert broken["x"] == whole["x"] and broken["reason"] == whole["reason"]
    assert broken["evaluations"] == whole["evaluations"] and broken["loss"] == whole["loss"]
    # Each was applied once.
    assert len(Client(daemon.url).trace(session)) == len(Client(daemon.url).trace(whole["session"]))


def test_a_connection_that_the_daemon_has_closed(program: Program, daemon: Daemon) -> None:
    connect(program, daemon.url)
    session = create(program, start(3))
    program("begin", session)
    daemon.restart(cleanly=True)
    assert program("next")["evaluation"] == "2"


def test_replies_that_are_lost(program: Program, daemon: Daemon) -> None:
    """Every request is carried out once, whichever replies are lost."""
    connect(program, daemon.url)
    whole = program("minimize", "float64", "-", "-", "-", digits(rosenbrock_start(4)))
    with losing_replies(daemon, 2) as (url, lost):
        connect(program, url)
        broken = program("minimize", "float64", "-", "-", "-", digits(rosenbrock_start(4)))
        checkpoint = program("checkpoint", broken["session"])["checkpoint"]
        forks = [program("fork", broken["session"], checkpoint)["session"] for _ in range(2)]
        program("delete", forks[0])
        program("delete", forks[1])
        connect(program, daemon.url)
    client = Client(daemon.url)
    assert broken["x"] == whole["x"] and broken["evaluations"] == whole["evaluations"]
    assert client.get(broken["session"])["step"] == 1
    sessions = {found["id"] for found in client.ok("GET", "/v1/sessions")["sessions"]}
    assert sessions == {whole["session"], broken["session"]}
    kept = client.ok("GET", f"/v1/sessions/{broken['session']}/checkpoints")["checkpoints"]
    assert [one["id"] for one in kept] == [checkpoint]
    assert {"PUT result", "POST steps"} & set(lost) and len(lost) > 20


def test_retry_after_is_heeded(program: Program) -> None:
    with fake(busy(429, "busy"), busy(503, "overloaded", Retry_After="1"), IDLE) as (url, asked):
        connect(program, url)
        assert program("ask", "s0")["state"] == "idle"
    assert len(asked) == 3 and asked[2][0] - asked[1][0] >= 1


def test_posts_repeat_under_one_key_and_others_get_another(program: Program) -> None:
    begun = (201, IDLE_FIELDS, bytes(8))
    with fake(None, busy(503, "overloaded"), begun, begun) as (url, asked):
        connect(program, url)
        program("begin", "s0")
        program("begin", "s0")
    keys = [headers["Idempotency-Key"] for _, _, _, headers, _ in asked]
    assert len(set(keys[:3])) == 1 and keys[3] not in keys[:3] and len(keys[0]) >= 32


def test_tells_repeat_the_same_bytes(program: Program) -> None:
    evaluating = {**IDLE_FIELDS, "Lbfgsd-State": "evaluating", "Lbfgsd-Evaluation": "3"}
    with fake((200, evaluating, bytes(8)), None, None, IDLE) as (url, asked):
        connect(program, url)
        program("tell", "s0", 3, digits([0.1]), digits([1 / 3]))
    bodies = {(command, path, body) for _, command, path, _, body in asked[1:]}
    assert len(asked) == 4
    ((command, path, body),) = bodies
    assert command == "PUT" and path.startswith("/v1/sessions/s0/evaluations/3/result?loss=0.1")
    assert np.frombuffer(body, "<f8").tolist() == [1 / 3]


def test_a_server_that_is_silent_is_asked_again(program: Program) -> None:
    with fake(4.0, IDLE) as (url, asked):
        connect(program, url, timeout=1)
        assert program("ask", "s0")["state"] == "idle"
    assert len(asked) == 2 and 0.5 < asked[1][0] - asked[0][0] < 3.9


def test_other_refusals_are_not_repeated(program: Program) -> None:
    for status in (400, 409, 500, 507):
        with fake(busy(status, "internal", Retry_After="1")) as (url, asked):
            connect(program, url)
            with pytest.raises(Refused) as caught:
                program("ask", "s0")
        assert caught.value.status == status and len(asked) == 1


def test_a_call_ends_at_its_deadline(program: Program) -> None:
    with fake(IDLE, busy(503, "overloaded")) as (url, asked):
        connect(program, url, deadline=0.6)
        program("ask", "s0")
        began = time.monotonic()
        with pytest.raises(Refused) as caught:
            program("ask", "s0")
    assert caught.value.status == 503 and len(asked) > 2 and time.monotonic() - began < 5
    # The server asks for more than is left.
    with fake(busy(503, "overloaded", Retry_After="600")) as (url, asked):
        connect(program, url)
        with pytest.raises(Refused):
            program("ask", "s0")
    assert len(asked) == 1


def test_a_wrong_address_is_noticed_at_once(program: Program) -> None:
    connect(program, f"http://127.0.0.1:{free_port()}", first_deadline=0)
    began = time.monotonic()
    with pytest.raises(Refused) as caught:
        program("ask", "s0")
    assert (caught.value.kind, caught.value.status) == ("connection", 0)
    assert time.monotonic() - began < 2


def test_a_server_that_comes_later_is_waited_for(program: Program, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "data", tmp_path / "log")
    later = threading.Timer(0.3, daemon.start)
    try:
        later.start()
        connect(program, daemon.url)
        assert program("begin", create(program, [1, 2]))["evaluation"] == "1"
    finally:
        later.join()
        daemon.close()
