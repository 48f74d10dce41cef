"""The Python client: every call against the daemon, what it sends, and its exceptions."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lbfgsd
from daemon import ROOT, Daemon
from engine_files import library
from problems import rosenbrock

SOURCE = ROOT / "clients" / "python" / "src"

WOLFE = {"line_search_fn": "strong_wolfe"}


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


@pytest.fixture
def session(api: lbfgsd.Client) -> lbfgsd.Session:
    return api.create_session([-1.2, 1.0], options=WOLFE)


def carry_on(api: lbfgsd.Client, turn: lbfgsd.Turn, fun: Any = rosenbrock) -> lbfgsd.Turn:
    while turn.evaluation is not None:
        turn = api.tell(turn.session, turn.evaluation.number, *fun(turn.evaluation.x))
    return turn


def test_create_named_parameters(api: lbfgsd.Client) -> None:
    created = api.create_session(
        params={"w": np.arange(6.0).reshape(2, 3), "b": np.zeros(3), "s": 1.5},
        options={"lr": np.float32(0.5), "max_iter": np.int64(7), "tolerance_grad": float("inf")},
        name="pinn-42",
        labels={"team": "flow"},
        dtype="float32",
    )
    assert created.n == 10 and created.dtype == "float32" and created.state == "idle"
    assert [(p.name, p.shape) for p in created.params] == [("w", (2, 3)), ("b", (3,)), ("s", ())]
    assert created.options["lr"] == 0.5 and created.options["max_iter"] == 7
    assert created.options["tolerance_grad"] == float("inf")
    assert created.labels == {"team": "flow"} and created.etag
    params = api.get_params(created)
    assert params["w"].shape == (2, 3) and params["s"].shape == () and len(params) == 3
    assert np.array_equal(params.x, [*range(6), 0, 0, 0, 1.5])


def test_create_takes_one_of_x0_and_params(api: lbfgsd.Client) -> None:
    with pytest.raises(TypeError):
        api.create_session()
    with pytest.raises(TypeError):
        api.create_session([1.0], params=[[1.0]])


def test_list_get_update_delete(api: lbfgsd.Client) -> None:
    made = [api.create_session([1.0], labels={"test": "listing"}).id for _ in range(5)]
    listed = list(api.sessions(label="test:listing", page_size=2))
    assert [one.id for one in listed] == made[::-1]
    assert api.get_session(listed[0]).id == made[-1]
    changed = api.update_session(made[0], name="first", options={"lr": 0.25})
    assert changed.name == "first" and changed.options["lr"] == 0.25
    assert changed.labels == {"test": "listing"}
    assert api.update_session(made[0], name=None, labels={}).name is None
    assert api.get_session(made[0]).labels == {}
    assert api.delete_session(made[0]) is None
    with pytest.raises(lbfgsd.NotFound) as caught:
        api.get_session(made[0])
    assert caught.value.resource == "session" and caught.value.status == 404


def test_a_step_from_ask_to_result(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    idle = api.ask(session)
    assert idle.state == "idle" and idle.evaluation is None and idle.result is None
    turn = api.begin_step(session)
    assert turn.state == "evaluating" and turn.x is None and turn.evaluation.number == 1
    assert turn.evaluation.x.dtype == np.float64
    assert np.array_equal(api.ask(session).evaluation.x, [-1.2, 1.0])
    turn = carry_on(api, turn)
    assert turn.state == "idle" and turn.x.shape == (2,)
    assert turn.result is not None
    loss, loss_before = turn.result.loss, turn.result.loss_before
    assert loss is not None and loss_before is not None and loss < loss_before
    step = api.get_step(session, 1)
    assert step.state == "ended" and step.result == turn.result


def test_telling_twice(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    turn = api.begin_step(session)
    loss, gradient = rosenbrock(turn.evaluation.x)
    first = api.tell(session, 1, loss, gradient)
    again = api.tell(session, 1, loss, gradient)
    assert not first.replayed and again.replayed
    assert np.array_equal(first.evaluation.x, again.evaluation.x)
    with pytest.raises(lbfgsd.AlreadyTold) as caught:
        api.tell(session, 1, loss + 1, gradient)
    assert isinstance(caught.value, lbfgsd.Conflict) and caught.value.status == 409
    with pytest.raises(lbfgsd.EvaluationNotReached):
        api.tell(session, 99, loss, gradient)


def test_gradients_by_name(api: lbfgsd.Client) -> None:
    start = {"w": [1.0, 2.0], "b": [3.0]}
    session = api.create_session(params=start, options=WOLFE)
    api.begin_step(session)
    turn = api.tell(session, 1, 2.5, gradients={"w": [1.0, 2.0], "b": None})
    assert turn.evaluation.x[2] == 3.0 and turn.evaluation.x[0] != 1.0
    with pytest.raises(TypeError):
        api.tell(session, 2, 1.0)


def test_failed_and_not_finite_results(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    api.begin_step(session)
    turn = api.tell(session, 1, *rosenbrock([-1.2, 1.0]))
    turn = api.tell_failed(session, 2, "mesh inverted")
    turn = api.tell(session, 3, float("nan"), [float("inf"), -float("inf")])
    turn = api.tell(session, 4, np.float32("inf"), np.array([np.nan, 0.0]))
    turn = carry_on(api, turn)
    assert turn.result is not None and turn.result.loss is not None
    assert turn.result.loss < 24.2
    trace = api.trace(session)
    assert trace.failed.tolist()[:4] == [False, True, False, False]
    assert np.isnan(trace.loss[1:3]).all() and trace.loss[3] == np.inf
    assert trace.gradient_norm_inf[2] == np.inf


def test_stop_closes_the_evaluation(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    with pytest.raises(lbfgsd.NoStepRunning):
        api.stop(session)
    turn = api.begin_step(session)
    with pytest.raises(lbfgsd.StepRunning):
        api.begin_step(session)
    for _ in range(3):
        turn = api.tell(session, turn.evaluation.number, *rosenbrock(turn.evaluation.x))
    stopped = api.stop(session)
    assert stopped.state == "idle" and stopped.result.reason == "stopped"
    with pytest.raises(lbfgsd.EvaluationClosed):
        api.tell(session, turn.evaluation.number, 0.0, [0.0, 0.0])


def test_params(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    x = np.array([0.1, 1e-300])
    assert np.array_equal(api.set_params(session, x).x, x)
    assert np.array_equal(api.get_params(session).x, x)
    named = api.create_session(params={"a": [1.0], "b": [2.0, 3.0]})
    api.set_params(named, {"b": [5.0, 6.0], "a": [4.0]})
    assert np.array_equal(api.get_params(named).x, [4, 5, 6])
    with pytest.raises(KeyError):
        api.get_params(named)["c"]


def test_numbers_come_back_bit_for_bit(api: lbfgsd.Client) -> None:
    values = np.random.default_rng(0).standard_normal(1000) * 10.0 ** np.arange(-300, 300, 0.6)
    assert api.get_params(api.create_session(values)).x.tobytes() == values.tobytes()


def test_if_match(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    api.update_session(session, name="changed")
    with pytest.raises(lbfgsd.PreconditionFailed) as caught:
        api.begin_step(session, if_match=session.etag)
    assert api.begin_step(session, if_match=caught.value.current).state == "evaluating"


def test_state_dict_there_and_back(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    carry_on(api, api.begin_step(session))
    first = api.get_state_dict(session)
    state = first["state"][0]
    assert state["d"].shape == (2,) and isinstance(state["t"], float)
    assert all(isinstance(pair, np.ndarray) for pair in state["old_dirs"] + state["old_stps"])
    other = api.create_session(api.get_params(session).x, options=WOLFE)
    api.load_state_dict(other, first)
    mine = carry_on(api, api.begin_step(session))
    theirs = carry_on(api, api.begin_step(other))
    assert mine.x.tobytes() == theirs.x.tobytes() and mine.result == theirs.result


def test_checkpoints(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    turn = api.begin_step(session)
    for _ in range(4):
        turn = api.tell(session, turn.evaluation.number, *rosenbrock(turn.evaluation.x))
    made = api.create_checkpoint(session, "middle")
    second = api.create_checkpoint(session)
    assert made.name == "middle" and made.state == "evaluating"
    assert [one.id for one in api.checkpoints(session, page_size=1)] == [second.id, made.id]
    assert api.get_checkpoint(session, made) == made
    assert api.get_checkpoint_state_dict(session, made)["param_groups"][0]["max_iter"] == 20
    carry_on(api, turn)
    restored = api.restore(session, made)
    assert np.array_equal(restored.evaluation.x, turn.evaluation.x)
    assert restored.evaluation.number > turn.evaluation.number
    forked = api.fork(session, made, name="branch", labels={"a": "b"})
    assert (forked.origin.session, forked.origin.checkpoint) == (session.id, made.id)
    assert forked.name == "branch" and forked.labels == {"a": "b"}
    assert np.array_equal(api.ask(forked).evaluation.x, turn.evaluation.x)
    api.delete_checkpoint(session, made)
    with pytest.raises(lbfgsd.NotFound):
        api.get_checkpoint(session, made.id)


def test_trace(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    turn = carry_on(api, api.begin_step(session))
    trace = api.trace(session)
    assert len(trace) == turn.result.evaluations
    assert trace.evaluation.tolist() == list(range(1, len(trace) + 1))
    assert trace.loss[0] == turn.result.loss_before and not trace.failed.any()
    assert trace.time.dtype == np.dtype("datetime64[us]")
    assert (trace.time[1:] >= trace.time[:-1]).all()
    assert api.trace(session, start=3, limit=2).evaluation.tolist() == [3, 4]
    assert len(api.trace(api.create_session([1.0]))) == 0


def test_plot(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    carry_on(api, api.begin_step(session))
    axes = api.trace(session).plot()
    assert axes.get_yscale() == "log" and len(axes.lines) == 2
    negative = api.create_session([1.0], options=WOLFE)
    carry_on(api, api.begin_step(negative), lambda x: (float(x[0] ** 2) - 5, 2 * x))
    assert api.trace(negative).plot().get_yscale() == "linear"


def test_several_runs_are_drawn_on_given_axes(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    carry_on(api, api.begin_step(session))
    trace = api.trace(session)
    left, right = plt.figure().subplots(1, 2)
    assert trace.plot(ax=left, color="k", label="first", linewidth=3) is left
    trace.plot(ax=left, label="second", gradient_label=None)
    trace.plot(ax=right)
    first, _, second = left.lines
    assert first.get_color() == "k" and first.get_linewidth() == 3 and second.get_color() != "k"
    shown = [text.get_text() for text in left.get_legend().get_texts()]
    assert shown == ["first", "max|gradient|", "second"]
    assert len(right.lines) == 2 and len({line.get_color() for line in right.lines}) == 2
    plt.close("all")


def test_a_trace_as_a_frame(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    pytest.importorskip("pandas")
    carry_on(api, api.begin_step(session))
    trace = api.trace(session)
    frame = trace.to_frame()
    assert frame.index.name == "evaluation" and frame.index.tolist() == trace.evaluation.tolist()
    assert frame.loss.tolist() == trace.loss.tolist() and not frame.failed.any()
    assert frame.groupby("iteration").size().sum() == len(trace)


def test_events_live_and_from_the_past(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    seen, ready = [], threading.Event()

    def watch() -> None:
        with lbfgsd.Client(api.url) as other:
            stream = other.events(session.id, last_event_id=0)
            ready.set()
            for event in stream:
                seen.append(event)
                if event.kind == "step":
                    return

    watcher = threading.Thread(target=watch)
    watcher.start()
    ready.wait(10)
    turn = carry_on(api, api.begin_step(session))
    watcher.join(20)
    assert not watcher.is_alive()
    told = [event for event in seen if event.kind == "evaluation"]
    assert [event.id for event in told] == list(range(1, turn.result.evaluations + 1))
    assert seen[-1].data.result == turn.result
    again = islice(api.events(session, last_event_id=2), 3)
    assert [event.data.evaluation for event in again] == [3, 4, 5]


def test_events_end_with_the_session(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    api.begin_step(session)
    events = api.events(session, last_event_id=0)
    api.tell(session, 1, *rosenbrock([-1.2, 1.0]))
    assert next(events).data.loss == rosenbrock([-1.2, 1.0])[0]
    api.delete_session(session)
    assert list(events) == []
    with pytest.raises(lbfgsd.NotFound):
        next(api.events(session, last_event_id=0))


def test_long_poll(api: lbfgsd.Client, session: lbfgsd.Session) -> None:
    timer = threading.Timer(0.5, lambda: api.begin_step(session))
    timer.start()
    turn = api.ask(session, wait=20)
    timer.join()
    assert turn.evaluation.number == 1


def test_limits_and_ready(api: lbfgsd.Client) -> None:
    assert api.limits()["wait_seconds_max"] == 30
    assert api.ready() is None


def test_invalid_request_names_the_fields(api: lbfgsd.Client) -> None:
    with pytest.raises(lbfgsd.InvalidRequest) as caught:
        api.create_session([1.0], options={"lr": -1, "max_iter": 0})
    error = caught.value
    assert {item["field"] for item in error.errors} >= {"options.lr"}
    assert error.problem["status"] == error.status == 422 and error.title and str(error)
    assert error.type == "/problems/invalid-request"
    assert pickle.loads(pickle.dumps(error)).errors == error.errors
    with pytest.raises(lbfgsd.InvalidRequest):
        api.create_session([float("nan")])


def test_parameters_must_be_real(api: lbfgsd.Client) -> None:
    for wrong in ({"x0": [1j]}, {"params": {"w": np.ones(2, dtype=np.complex64)}}):
        with pytest.raises(ValueError, match="Parameters must be real"):
            api.create_session(**wrong)
    with pytest.raises(lbfgsd.InvalidRequest) as caught:
        api.create_session([1.0], dtype="complex64")
    assert "Parameters must be real" in caught.value.errors[0]["reason"]
    session = api.create_session([1.0])
    with pytest.raises(ValueError, match="must be real"):
        api.tell(session, 1, 1.0, [1j])
    with pytest.raises(ValueError, match="must be real"):
        api.set_params(session, [1j])


def test_maximize(api: lbfgsd.Client) -> None:
    def run(sign: Any, **options: Any) -> tuple[Any, Any]:
        session = api.create_session([-1.2, 1.0], options={**WOLFE, **options})
        turn = api.begin_step(session)
        while turn.evaluation is not None:
            loss, gradient = rosenbrock(turn.evaluation.x)
            turn = api.tell(session, turn.evaluation.number, sign * loss, sign * gradient)
        return session, turn

    _, down = run(1)
    session, up = run(-1, maximize=True)
    assert session.options["maximize"] is True
    assert up.x.tobytes() == down.x.tobytes() and up.result.loss == -down.result.loss
    assert api.trace(session).loss[0] == -rosenbrock([-1.2, 1.0])[0]
    with pytest.raises(lbfgsd.InvalidRequest):
        api.update_session(session, options={"maximize": False})


def test_identifiers_are_escaped(api: lbfgsd.Client) -> None:
    with pytest.raises(lbfgsd.ProblemError) as caught:
        api.get_session("../limits?x=1")
    assert caught.value.status == 404


def test_every_problem_type_has_its_exception() -> None:
    text = (SOURCE.parents[2] / "openapi.yaml").read_text()
    start = text.index("- /problems/malformed")
    types = [line.strip(" -") for line in text[start:].split("title:")[0].splitlines()]
    from lbfgsd._errors import _BY_TYPE

    assert {name for name in types if name} == set(_BY_TYPE)


def test_token(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("a-token-of-24-characters\n")
    daemon = Daemon(tmp_path / "data", tmp_path / "log", ("--token-file", str(tmp_path / "tokens")))
    try:
        daemon.start()
        with lbfgsd.Client(daemon.url) as client, pytest.raises(lbfgsd.Unauthorized):
            client.limits()
        with lbfgsd.Client(daemon.url, token="a-token-of-24-characters") as client:
            assert client.create_session([1.0]).n == 1
    finally:
        daemon.close()


def test_surroundings(shared_daemon: Daemon) -> None:
    """The URL may come from the environment. Importing the package does not import torch."""
    script = (
        "import sys, lbfgsd\n"
        "assert not {'torch', 'tqdm', 'matplotlib'} & set(sys.modules)\n"
        "print(lbfgsd.Client().create_session([1.0]).id)"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "LBFGSD_URL": shared_daemon.url}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("s"), done.stderr


def test_without_optional_packages(shared_daemon: Daemon) -> None:
    """With neither SciPy nor torch nor tqdm nor matplotlib installed."""
    script = f"""
import sys
for name in ("scipy", "scipy.optimize", "torch", "tqdm", "tqdm.auto", "matplotlib"):
    sys.modules[name] = None
import lbfgsd
def fun(x):
    return (x - 3) @ (x - 3), 2 * (x - 3)
result = lbfgsd.minimize(fun, [0.0, 1.0], jac=True, url={shared_daemon.url!r})
assert result.success and abs(result.x - 3).max() < 1e-6 and result["fun"] == result.fun
assert type(result).__module__.startswith("lbfgsd.")
for what in (lambda: lbfgsd.torch, lambda: lbfgsd.minimize(fun, [0.0], jac=True, progress=True)):
    try:
        what()
    except ImportError:
        continue
    raise SystemExit("no ImportError")
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_json_never_has_bare_nan() -> None:
    from lbfgsd._wire import json_text

    text = json_text.encode({"v": json_text.write_vector([1, np.nan, np.inf, -np.inf])})
    assert json.loads(text) == {"v": [1.0, "NaN", "Infinity", "-Infinity"]}
    with pytest.raises(ValueError):
        json_text.encode({"v": float("nan")})
    read = json_text.read_vector([1, "NaN", "Infinity", "-Infinity"])
    assert read.dtype == np.float64 and np.array_equal(read, [1, np.nan, np.inf, -np.inf], True)


BLOCKS = (SOURCE.parent / "README.md").read_text().split("```python\n")[1:]
BLOCKS = [block.split("```")[0] for block in BLOCKS]


@pytest.mark.parametrize("block", BLOCKS, ids=[f"{i + 1}" for i in range(len(BLOCKS))])
def test_the_readme_as_printed(
    shared_daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    block: Any,
) -> None:
    for name in ("torch", "scipy"):
        if name in block:
            pytest.importorskip(name)
    monkeypatch.setenv("LBFGSD_URL", shared_daemon.url)
    # Some run in process.
    monkeypatch.setenv("LBFGSD_LIBRARY", str(library()))
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out
