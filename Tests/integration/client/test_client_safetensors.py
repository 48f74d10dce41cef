"""State dicts as safetensors files: over HTTP, between clients, and against the safetensors
package."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest

import lbfgsd
from daemon import Client, Daemon
from problems import Perceptron, rosenbrock

MEDIA_TYPE = "application/vnd.safetensors"
OPTIONS = {"line_search_fn": "strong_wolfe", "max_iter": 4}


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


def step(api: lbfgsd.Client, session: lbfgsd.Session, fun: Any = rosenbrock) -> Any:
    turn = api.begin_step(session)
    while turn.evaluation is not None:
        turn = api.tell(turn.session, turn.evaluation.number, *fun(turn.evaluation.x))
    return turn


def same(a: Any, b: Any) -> Any:
    """Whether two state dicts are the same bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.asarray(a, np.float64).tobytes() == np.asarray(b, np.float64).tobytes()
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b and str(a) == str(b)


def file(tensors: Any, text: str = "", **more: Any) -> Any:
    """A file with this header and data, valid or not."""
    header = {"__metadata__": {"state_dict": text}, **tensors, **more}
    content = json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_both_forms_say_the_same(api: lbfgsd.Client, dtype: str, steps: int) -> None:
    fun = Perceptron()
    session = api.create_session(fun.start, options={**OPTIONS, "history_size": 5}, dtype=dtype)
    for _ in range(steps):
        step(api, session, fun)
    as_json = api.get_state_dict(session)
    as_file = api.get_state_dict(session, format="safetensors")
    assert same(as_json, as_file)
    checkpoint = api.create_checkpoint(session)
    assert same(api.get_checkpoint_state_dict(session, checkpoint, format="safetensors"), as_json)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_another_session_goes_on_the_same(
    api: lbfgsd.Client, dtype: str, format: Literal["json", "safetensors"]
) -> None:
    fun = Perceptron()
    session = api.create_session(fun.start, options=OPTIONS, dtype=dtype)
    step(api, session, fun), step(api, session, fun)
    other = api.create_session(api.get_params(session).x, dtype=dtype)
    loaded = api.load_state_dict(other, api.get_state_dict(session, format=format), format=format)
    assert same(loaded, api.get_state_dict(session))
    for _ in range(3):
        mine, theirs = step(api, session, fun), step(api, other, fun)
        assert mine.x.tobytes() == theirs.x.tobytes() and mine.result == theirs.result


def test_another_history_size(api: lbfgsd.Client) -> None:
    """A shorter history keeps the newest pairs; a longer one has room for more."""
    fun = Perceptron()
    long = {**OPTIONS, "history_size": 12, "max_iter": 9}
    session = api.create_session(fun.start, options=long)
    step(api, session, fun)
    state = api.get_state_dict(session, format="safetensors")
    x = api.get_params(session).x
    results = {}
    for size in (3, 12, 50):
        other = api.create_session(x)
        state["param_groups"][0]["history_size"] = size
        api.load_state_dict(other, state, format="safetensors")
        turn = step(api, other, fun)
        results[size] = turn.x
        pairs = api.get_state_dict(other)["state"][0]["old_dirs"]
        assert len(pairs) <= size and turn.result.loss < turn.result.loss_before
    assert np.array_equal(results[12], step(api, session, fun).x)
    assert not np.array_equal(results[3], results[12])


def test_over_http(client: Client) -> None:
    session = client.create(options=OPTIONS)
    client.step(session, rosenbrock)
    path = f"/v1/sessions/{session}/state-dict"
    got = client.call("GET", path, headers={"Accept": MEDIA_TYPE})
    assert got.status_code == 200 and got.headers["Content-Type"] == MEDIA_TYPE
    assert int.from_bytes(got.content[:8], "little") % 8 == 0
    put = client.call("PUT", path, got.content, headers={"Content-Type": MEDIA_TYPE})
    assert put.status_code == 200, put.text
    assert client.call("GET", path, headers={"Accept": MEDIA_TYPE}).content == got.content
    assert client.call("PUT", path, b"x", headers={"Content-Type": "text/plain"}).status_code == 415


COUNTS = '{"state": {"0": {"func_evals": 1, "n_iter": 1}}, "param_groups": [{"params": [0]}]}'


def tensor(begin: Any, end: Any, dtype: str = "F64", shape: Any = None) -> dict[str, Any]:
    shape = [(end - begin) // 8] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


REFUSED = {
    "overlap": (
        file({"state.0.d": tensor(0, 16), "state.0.prev_flat_grad": tensor(8, 24)}, COUNTS)
        + bytes(24),
        "state.0.prev_flat_grad",
    ),
    "gap": (
        file({"state.0.d": tensor(0, 16), "state.0.prev_flat_grad": tensor(24, 40)}, COUNTS)
        + bytes(40),
        "state.0.prev_flat_grad",
    ),
    "trailing bytes": (file({"state.0.d": tensor(0, 16)}, COUNTS) + bytes(17), "body"),
    "integers": (
        file({"state.0.d": tensor(0, 16, "I64")}, COUNTS) + bytes(16),
        "state.0.d.dtype",
    ),
    "too short for its shape": (
        file({"state.0.d": tensor(0, 16, "F64", [3])}, COUNTS) + bytes(16),
        "state.0.d.data_offsets",
    ),
    "overflow": (
        file({"state.0.d": tensor(0, 16, "F64", [2**62, 2**62])}, COUNTS) + bytes(16),
        "state.0.d.shape",
    ),
    "oversize header": (struct.pack("<Q", 2**40) + b"{}", "header"),
    "unknown tensor": (file({"state.0.e": tensor(0, 16)}, COUNTS) + bytes(16), "state.0.e"),
    "no string": (file({}, __metadata__={}), "__metadata__.state_dict"),
    "wrong length": (
        file({"state.0.d": tensor(0, 24)}, COUNTS) + bytes(24),
        "state.0.d",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(client: Client, case: Any) -> None:
    content, field = REFUSED[case]
    session = client.create(options=OPTIONS)
    client.step(session, rosenbrock)
    path = f"/v1/sessions/{session}/state-dict"
    before = client.call("GET", path).content
    answer = client.call("PUT", path, content, headers={"Content-Type": MEDIA_TYPE})
    assert answer.status_code == 422, answer.text
    assert any(error["field"].startswith(field) for error in answer.json()["errors"])
    assert client.call("GET", path).content == before


@pytest.mark.parametrize(
    "content", [b"", b"{}", struct.pack("<Q", 9) + b"{}", struct.pack("<Q", 2) + b"[]"]
)
def test_what_is_malformed(client: Client, content: Any) -> None:
    session = client.create(options=OPTIONS)
    path = f"/v1/sessions/{session}/state-dict"
    answer = client.call("PUT", path, content, headers={"Content-Type": MEDIA_TYPE})
    assert answer.status_code == 400, answer.text


def test_a_mismatch_lists_all_that_is_wrong(api: lbfgsd.Client) -> None:
    session = api.create_session([-1.2, 1.0], options=OPTIONS)
    step(api, session)
    state = api.get_state_dict(session)
    before = api.get_state_dict(session)
    state["state"][0]["d"] = np.zeros(3)
    state["state"][0]["old_dirs"][0] = np.zeros(1)
    del state["state"][0]["prev_flat_grad"]
    for format in ("json", "safetensors"):
        with pytest.raises(lbfgsd.InvalidRequest) as caught:
            api.load_state_dict(session, state, format=format)
        fields = " ".join(error["field"] for error in caught.value.errors)
        assert all(key in fields for key in ("d", "old_dirs", "prev_flat_grad")), fields
    assert same(api.get_state_dict(session), before)


def test_matching_by_name(api: lbfgsd.Client) -> None:
    """The state dict has the parameters in another order than the session."""

    def fun(x: Any, weights: Any) -> tuple[Any, Any]:
        return float((weights * (x - 1) ** 4).sum()), 4 * weights * (x - 1) ** 3

    weights = {"a": np.array([1.0]), "b": np.array([2.0, 3.0])}
    first = api.create_session(params={"a": [5.0], "b": [-3.0, 2.0]}, options=OPTIONS)
    flat = np.concatenate([weights["a"], weights["b"]])
    step(api, first, lambda x: fun(x, flat))
    state, params = api.get_state_dict(first), api.get_params(first)
    swapped = api.create_session(params={"b": params["b"], "a": params["a"]}, options=OPTIONS)
    with pytest.raises(lbfgsd.InvalidRequest):
        other = api.create_session(params={"b": params["b"], "c": params["a"]}, options=OPTIONS)
        api.load_state_dict(other, state, match="name")
    loaded = api.load_state_dict(swapped, state, match="name", format="safetensors")
    assert loaded["param_groups"][0]["param_names"] == ["b", "a"]
    d = state["state"][0]["d"]
    assert np.array_equal(loaded["state"][0]["d"], d[[1, 2, 0]])
    back = np.concatenate([weights["b"], weights["a"]])
    mine, theirs = (
        step(api, first, lambda x: fun(x, flat)),
        step(api, swapped, lambda x: fun(x, back)),
    )
    assert np.allclose(mine.x[[1, 2, 0]], theirs.x, rtol=1e-12)


STATE = {
    "state": {
        0: {
            "func_evals": 7,
            "n_iter": 3,
            "d": np.array([0.1, -0.0]),
            "t": 0.1,
            "old_dirs": [np.array([1.0, 2.0]), np.array([5e-324, 1e300])],
            "old_stps": [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
            "ro": np.array([0.1, 0.5]),
            "H_diag": 0.3,
            "prev_flat_grad": np.array([np.nan, np.inf]),
            "prev_loss": float("-inf"),
            "al": [0.1, None, None],
        }
    },
    "param_groups": [{"lr": 0.1, "line_search_fn": None, "params": [0]}],
}


class TestFiles:
    def test_there_and_back(self) -> None:
        content = lbfgsd.state_dict_to_safetensors(STATE)
        assert same(lbfgsd.state_dict_from_safetensors(content), STATE)
        empty = {"state": {}, "param_groups": [{"params": [0]}]}
        content = lbfgsd.state_dict_to_safetensors(empty)
        assert lbfgsd.state_dict_from_safetensors(content) == empty
        young = {"func_evals": 1, "n_iter": 1, "old_dirs": [], "old_stps": [], "ro": []}
        content = lbfgsd.state_dict_to_safetensors({**empty, "state": {0: young}})
        read = lbfgsd.state_dict_from_safetensors(content)["state"][0]
        assert read["old_dirs"] == [] and len(read["ro"]) == 0

    def test_the_safetensors_package_reads_and_writes_them(self, api: lbfgsd.Client) -> None:
        safetensors = pytest.importorskip("safetensors.numpy")
        session = api.create_session([-1.2, 1.0], options=OPTIONS)
        step(api, session)
        state = api.get_state_dict(session)
        ours = lbfgsd.state_dict_to_safetensors(state)
        tensors = safetensors.load(ours)
        assert np.array_equal(tensors["state.0.d"], state["state"][0]["d"])
        assert np.array_equal(tensors["state.0.old_dirs.0"], state["state"][0]["old_dirs"][0])
        header = json.loads(ours[8 : 8 + int.from_bytes(ours[:8], "little")])
        theirs = safetensors.save(tensors, header["__metadata__"])
        assert same(lbfgsd.state_dict_from_safetensors(theirs), state)
        assert safetensors.load(theirs).keys() == tensors.keys()

    def test_the_package_and_the_daemon(self, client: Client) -> None:
        safetensors = pytest.importorskip("safetensors.numpy")
        session = client.create(options=OPTIONS)
        client.step(session, rosenbrock)
        path = f"/v1/sessions/{session}/state-dict"
        content = client.call("GET", path, headers={"Accept": MEDIA_TYPE}).content
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        rewritten = safetensors.save(safetensors.load(content), header["__metadata__"])
        put = client.call("PUT", path, rewritten, headers={"Content-Type": MEDIA_TYPE})
        assert put.status_code == 200, put.text
        assert client.call("GET", path, headers={"Accept": MEDIA_TYPE}).content == content

    def test_what_is_no_file(self) -> None:
        content = lbfgsd.state_dict_to_safetensors(STATE)
        for count in range(len(content)):
            with pytest.raises(ValueError):
                lbfgsd.state_dict_from_safetensors(content[:count])
        with pytest.raises(ValueError, match="no state"):
            lbfgsd.state_dict_to_safetensors({"state": {0: {"exp_avg": 1}}, "param_groups": []})

    def test_the_form_has_a_name(self, api: lbfgsd.Client) -> None:
        with pytest.raises(ValueError, match="safetensors"):
            api.get_state_dict("s", format="pickle")  # type: ignore[arg-type]
