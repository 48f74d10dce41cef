"""`lbfgsd.torch.LBFGS(engine="local")`: the bits of a server, and what only a server has.

`Tests/integration/client/test_client_torch.py` compares both engines with torch's own optimizer."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from daemon import Daemon
from engine_files import library

torch = pytest.importorskip("torch", reason="torch is not installed")

import lbfgsd
import lbfgsd.torch

torch.set_num_threads(1)

OPTIONS: dict[str, dict[str, Any]] = {
    "wolfe": {"line_search_fn": "strong_wolfe", "max_iter": 8},
    "moves": {"lr": 0.1, "max_iter": 6},
    "short history": {"line_search_fn": "strong_wolfe", "history_size": 3},
    "robust": {"mode": "robust", "max_iter": 9},
    "search": {"mode": "robust", "line_search_fn": "more_thuente", "noise": "float32"},
    "many options": {
        "mode": "robust",
        "history_dtype": "bfloat16",
        "tolerance_grad_relative": 1e-3,
        "tolerance_loss_relative": 1e-6,
        "reuse_evaluation": False,
    },
    "upwards": {"maximize": True, "line_search_fn": "strong_wolfe", "max_iter": 5},
}
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@pytest.fixture(autouse=True)
def engine_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBFGSD_LIBRARY", str(library()))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lbfgsd.Client]:
    home = tmp_path_factory.mktemp("daemon")
    daemon = Daemon(home / "data", home / "log").start()
    try:
        with lbfgsd.Client(daemon.url) as client:
            yield client
    finally:
        daemon.close()


class Run:
    """Parameters of several shapes, and a smooth function of them, which `sign` turns over."""

    def __init__(self, dtype: Any, sign: float = 1, **options: Any) -> None:
        torch.manual_seed(3)
        self.params = [
            torch.nn.Parameter(torch.randn(*shape, dtype=dtype)) for shape in [(3, 4), (5,), (1,)]
        ]
        # Not contiguous, and one without elements.
        self.params.append(torch.nn.Parameter(torch.randn(2, 3, dtype=dtype).t()))
        self.params.append(torch.nn.Parameter(torch.zeros(0, dtype=dtype)))
        self.scale = torch.linspace(1, 9, 24, dtype=dtype)
        self.sign = sign
        self.losses: list[float] = []
        groups = options.pop("groups", None) or self.params
        self.optimizer = lbfgsd.torch.LBFGS(
            groups(self.params) if callable(groups) else groups, **options
        )

    def flat(self) -> Any:
        return torch.cat([p.detach().reshape(-1) for p in self.params])

    def closure(self) -> Any:
        self.optimizer.zero_grad()
        x = torch.cat([p.reshape(-1) for p in self.params])
        loss = (self.scale * (x - 0.5) ** 2).sum() + (x.sin() * x.roll(1)).sum() ** 2 / 10
        (self.sign * loss).backward()
        self.losses.append(self.sign * float(loss.detach()))
        return self.sign * loss

    def steps(self, count: int) -> list[float]:
        return [float(self.optimizer.step(self.closure).detach()) for _ in range(count)]


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


def pair(client: lbfgsd.Client, dtype: Any, **more: Any) -> tuple[Run, Run]:
    sign = -1.0 if more.get("maximize") else 1.0
    local = Run(dtype, sign, engine="local", **more)
    return local, Run(dtype, sign, client=client, **more)


@pytest.mark.parametrize(("options", "dtype"), [*itertools.product(OPTIONS, DTYPES)])
def test_both_engines_give_the_same_bits(client: lbfgsd.Client, options: str, dtype: str) -> None:
    local, served = pair(client, DTYPES[dtype], **OPTIONS[options])
    for count in (1, 2, 3):
        assert local.steps(count) == served.steps(count)
        assert torch.equal(local.flat(), served.flat()) and local.losses == served.losses
        assert_same(local.optimizer.state_dict(), served.optimizer.state_dict())
    assert len(local.losses) > 12 and local.optimizer.session is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_give_the_same_bits(client: lbfgsd.Client, dtype: str) -> None:
    def groups(params: Any) -> Any:
        first, *others = params
        lower = torch.full((3, 4), 0.25)
        return [{"params": [first], "lower": lower, "l1": 0.5}, {"params": others, "upper": 0.3}]

    local, served = pair(client, DTYPES[dtype], groups=groups)
    assert local.steps(2) == served.steps(2)
    for run in (local, served):
        run.optimizer.param_groups[0]["lower"] = 0.375
        run.optimizer.param_groups[1]["upper"] = None
    assert local.steps(2) == served.steps(2)
    assert torch.equal(local.flat(), served.flat()) and local.losses == served.losses
    assert float(local.params[0].detach().min()) == 0.375


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", ["wolfe", "robust"])
def test_loaded_states_give_the_same_bits(client: lbfgsd.Client, options: str, dtype: str) -> None:
    first, _ = pair(client, DTYPES[dtype], **OPTIONS[options])
    first.steps(2)
    state, at = copy.deepcopy(first.optimizer.state_dict()), copy.deepcopy(first.params)
    local, served = pair(client, DTYPES[dtype], **OPTIONS[options])
    for run in (local, served):
        with torch.no_grad():
            for p, value in zip(run.params, at, strict=True):
                p.copy_(value)
        run.optimizer.load_state_dict(copy.deepcopy(state))
    assert_same(local.optimizer.state_dict(), served.optimizer.state_dict())
    assert local.steps(3) == served.steps(3)
    assert torch.equal(local.flat(), served.flat())
    for run in (local, served):
        run.optimizer.load_state_dict({**state, "state": {}})
        run.optimizer.param_groups[0]["lr"] = 0.5
    assert local.steps(2) == served.steps(2)


def test_wrong_states_are_refused() -> None:
    run = Run(torch.float64, engine="local", line_search_fn="strong_wolfe")
    run.steps(1)
    state = copy.deepcopy(run.optimizer.state_dict())
    state["state"][0]["old_stps"][0] = -state["state"][0]["old_stps"][0]
    with pytest.raises(ValueError, match=r"old_stps\[0\] must have a positive dot product"):
        run.optimizer.load_state_dict(state)
    state["state"][0]["d"] = torch.ones(3)
    with pytest.raises(ValueError, match="d has 3 numbers, x has 24"):
        run.optimizer.load_state_dict(state)


def test_a_single_parameter_shares_its_memory() -> None:
    weight = torch.nn.Parameter(torch.full((2000,), 3.0))
    optimizer = lbfgsd.torch.LBFGS([weight], engine="local", line_search_fn="strong_wolfe")
    address = weight.data_ptr()

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((weight - 1) ** 2).sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) == 8000
    assert weight.data_ptr() == address and torch.allclose(weight, torch.ones(2000))


def test_an_exception_leaves_the_best_point() -> None:
    run = Run(torch.float64, engine="local", line_search_fn="strong_wolfe", max_iter=40)

    def closure() -> Any:
        if len(run.losses) == 9:
            raise KeyboardInterrupt
        return run.closure()

    with pytest.raises(KeyboardInterrupt):
        run.optimizer.step(closure)
    best = min(run.losses)
    assert float(run.closure().detach()) == best
    assert run.steps(1) == [best]


def test_what_only_a_server_has() -> None:
    run = Run(torch.float64, engine="local")
    with pytest.raises(ValueError, match="parameter groups"):
        run.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    assert len(run.optimizer.param_groups) == 1
    run.optimizer.param_groups[0]["frozen"] = True
    with pytest.raises(ValueError, match="frozen"):
        run.steps(1)
    wrong: list[dict[str, Any]]
    wrong = [{"session": "s1"}, {"name": "kept"}, {"url": "http://127.0.0.1:1"}]
    for more in wrong:
        with pytest.raises(TypeError, match=f"has no {next(iter(more))}"):
            Run(torch.float64, engine="local", **more)
    with pytest.raises(ValueError, match="must be 'local' or 'server'"):
        Run(torch.float64, engine="remote")
