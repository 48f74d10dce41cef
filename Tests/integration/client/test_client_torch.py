"""lbfgsd.torch.LBFGS against torch.optim.LBFGS: the same scripts, with the import changed."""

from __future__ import annotations

import copy
import io
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon import ROOT, Daemon
from engine_files import library

torch = pytest.importorskip("torch", reason="torch is not installed")

import lbfgsd
import lbfgsd.torch

# For problems of this size, further threads only cost time.
torch.set_num_threads(1)

EXAMPLES = ROOT / "clients" / "python" / "examples"

WOLFE: dict[str, Any] = {"line_search_fn": "strong_wolfe"}
SEARCHES = [{"line_search_fn": "strong_wolfe"}, {"lr": 0.1}]


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


class Fit:
    """A small network and its closure. All instances start the same."""

    def __init__(
        self,
        make: Any,
        dtype: Any = torch.float64,
        seed: int = 0,
        named: bool = False,
        **options: Any,
    ) -> None:
        torch.manual_seed(seed)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)
        ).to(dtype)
        self.x = torch.randn(30, 2, dtype=dtype)
        self.y = (self.x[:, :1] * 2 - self.x[:, 1:] ** 2).sin()
        self.calls = 0
        params = self.model.named_parameters() if named else self.model.parameters()
        self.optimizer = make(params, **options)

    def closure(self) -> Any:
        assert torch.is_grad_enabled()
        self.calls += 1
        self.optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(self.model(self.x), self.y)
        loss.backward()
        return loss

    def steps(self, count: int) -> list[Any]:
        return [float(self.optimizer.step(self.closure).detach()) for _ in range(count)]

    def flat(self) -> Any:
        return torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])


@pytest.fixture
def served(api: lbfgsd.Client) -> Any:
    return lambda params, **options: lbfgsd.torch.LBFGS(params, client=api, **options)


@pytest.fixture(params=["server", "local"])
def ours(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An optimizer of either engine."""
    if request.param == "server":
        return request.getfixturevalue("served")
    monkeypatch.setenv("LBFGSD_LIBRARY", str(library()))
    return lambda params, **options: lbfgsd.torch.LBFGS(params, engine="local", **options)


def close(a: Any, b: Any, relative: float = 1e-9) -> Any:
    a, b = (torch.as_tensor(v, dtype=torch.float64).numpy() for v in (a, b))
    return np.allclose(a, b, rtol=relative, atol=1e-13)


@pytest.mark.parametrize("options", SEARCHES)
def test_losses_of_each_step(ours: Any, options: Any) -> None:
    mine, theirs = Fit(ours, **options), Fit(torch.optim.LBFGS, **options)
    options = {"max_iter": 8}
    for fit in (mine, theirs):
        fit.optimizer.param_groups[0].update(options)
    a, b = mine.steps(6), theirs.steps(6)
    assert close(a, b), (a, b)
    assert mine.calls == theirs.calls
    assert torch.allclose(mine.flat(), theirs.flat(), rtol=1e-7, atol=1e-9)
    assert a[-1] < a[0]


@pytest.mark.parametrize("options", SEARCHES)
def test_float32(ours: Any, options: Any) -> None:
    mine = Fit(ours, torch.float32, max_iter=5, **options)
    theirs = Fit(torch.optim.LBFGS, torch.float32, max_iter=5, **options)
    assert close(mine.steps(3), theirs.steps(3), 1e-3)
    assert all(p.dtype == torch.float32 for p in mine.model.parameters())
    assert mine.optimizer.state_dict()["state"][0]["d"].dtype == torch.float32


def test_the_return_value_is_the_first_loss(ours: Any) -> None:
    fit = Fit(ours, **WOLFE)
    expected = float(fit.closure())
    loss = fit.optimizer.step(fit.closure)
    assert isinstance(loss, torch.Tensor) and float(loss) == expected
    single = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    optimizer = ours([single])

    def closure() -> Any:
        optimizer.zero_grad()
        (single**2).backward()
        return float(single.detach() ** 2)

    assert optimizer.step(closure) == 4.0 and abs(float(single)) < 2


def test_options_edited_mid_run(ours: Any) -> None:
    def run(make: Any) -> tuple[Any, Any]:
        fit = Fit(make, max_iter=3, **WOLFE)
        losses = fit.steps(2)
        group = fit.optimizer.param_groups[0]
        group["lr"], group["max_iter"], group["tolerance_change"] = 0.5, 5, 1e-12
        losses += fit.steps(2)
        group["lr"] = torch.tensor(0.7)
        group["history_size"] = 3
        return fit, losses + fit.steps(3)

    mine, a = run(ours)
    _, b = run(torch.optim.LBFGS)
    assert close(a[:5], b[:5])
    if mine.optimizer.session is None:
        return
    options = mine.optimizer.client.get_session(mine.optimizer.session).options
    assert options["lr"] == pytest.approx(0.7) and options["history_size"] == 3
    assert options["max_iter"] == 5 and options["tolerance_change"] == 1e-12
    assert options["mode"] == "torch"


def test_learning_rate_schedulers(ours: Any) -> None:
    def run(make: Any) -> Any:
        fit = Fit(make, max_iter=4, lr=0.2)
        scheduler = torch.optim.lr_scheduler.StepLR(fit.optimizer, 2, gamma=0.5)
        losses = []
        for _ in range(5):
            losses += fit.steps(1)
            scheduler.step()
        return losses

    assert close(run(ours), run(torch.optim.LBFGS))


def test_parameters_changed_between_steps(ours: Any) -> None:
    def run(make: Any) -> Any:
        fit = Fit(make, max_iter=4, **WOLFE)
        losses = fit.steps(2)
        with torch.no_grad():
            fit.model[0].bias.add_(0.1)
        return losses + fit.steps(3)

    assert close(run(ours), run(torch.optim.LBFGS))


def test_gradients_that_are_none(ours: Any) -> None:
    def run(make: Any) -> Any:
        used = torch.nn.Parameter(torch.tensor([[3.0, -1.0]], dtype=torch.float64))
        unused = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
        empty = torch.nn.Parameter(torch.ones(0, dtype=torch.float64))
        optimizer = make([unused, used, empty], **WOLFE)

        def closure() -> Any:
            optimizer.zero_grad()
            loss = ((used - 1) ** 4).sum()
            loss.backward()
            return loss

        losses = [float(optimizer.step(closure)) for _ in range(2)]
        assert torch.equal(unused, torch.ones(2, dtype=torch.float64))
        return losses

    assert close(run(ours), run(torch.optim.LBFGS))


def test_named_parameters(served: Any) -> None:
    fit = Fit(torch.optim.SGD)
    optimizer = served(fit.model.named_parameters(), **WOLFE)
    fit.optimizer = optimizer
    fit.steps(1)
    session = optimizer.client.get_session(optimizer.session)
    assert [spec.name for spec in session.params] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"][0] == "0.weight"


def test_what_is_refused(ours: Any) -> None:
    def parameter(dtype: Any) -> Any:
        return torch.nn.Parameter(torch.ones(2, dtype=dtype))

    for dtype in (torch.complex64, torch.complex128, torch.float16, torch.bfloat16):
        with pytest.raises(ValueError, match="Parameters must be real"):
            ours([parameter(dtype)])
    with pytest.raises(ValueError, match="Parameters must be real"):
        ours([parameter(torch.float32), parameter(torch.float64)])
    with pytest.raises(ValueError, match="parameter groups"):
        ours([{"params": [parameter(torch.float64)]}, {"params": [parameter(torch.float64)]}])
    with pytest.raises(ValueError, match="learning rate"):
        ours([parameter(torch.float64)], lr=-1)
    with pytest.raises(ValueError, match="1-element"):
        ours([parameter(torch.float64)], lr=torch.ones(2))
    with pytest.raises(TypeError, match="state_dict"):
        copy.deepcopy(ours([parameter(torch.float64)]))


def test_hooks(ours: Any) -> None:
    fit, order = Fit(ours, max_iter=2, **WOLFE), []
    optimizer = fit.optimizer
    optimizer.register_step_pre_hook(lambda *_: order.append("pre"))
    optimizer.register_step_post_hook(lambda *_: order.append("post"))
    optimizer.register_state_dict_pre_hook(lambda *_: order.append("state pre"))
    optimizer.register_state_dict_post_hook(lambda *_: order.append("state post"))
    optimizer.register_load_state_dict_pre_hook(lambda *_: order.append("load pre"))
    optimizer.register_load_state_dict_post_hook(lambda *_: order.append("load post"))
    fit.steps(1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert order == ["pre", "post", "state pre", "state post", "load pre", "load post"]


def shape(value: Any) -> Any:
    """The structure of a state dict, without its numbers."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shape(item) for item in value]
    if isinstance(value, torch.Tensor) and value.dim() > 0:
        return ("tensor", tuple(value.shape), value.dtype)
    return "number" if isinstance(value, (int, float, torch.Tensor)) else value


@pytest.mark.parametrize("options", SEARCHES)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_state_dicts_have_the_same_form(ours: Any, options: Any, steps: int) -> None:
    mine = Fit(ours, max_iter=4, history_size=6, **options)
    theirs = Fit(torch.optim.LBFGS, max_iter=4, history_size=6, **options)
    mine.steps(steps), theirs.steps(steps)
    a, b = mine.optimizer.state_dict(), theirs.optimizer.state_dict()
    assert shape(a) == shape(b)
    if steps:
        a, b = a["state"][0], b["state"][0]
        assert (a["func_evals"], a["n_iter"]) == (b["func_evals"], b["n_iter"])
        for key in ("d", "prev_flat_grad", "t", "H_diag", "prev_loss"):
            assert close(a[key], b[key], 1e-6), key
        for key in ("old_dirs", "old_stps", "ro"):
            for mine_, theirs_ in zip(a[key], b[key], strict=True):
                assert close(mine_, theirs_, 1e-6), key


@pytest.mark.parametrize("options", SEARCHES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("forward", [True, False], ids=["torch to lbfgsd", "lbfgsd to torch"])
def test_state_dicts_are_interchangeable(
    ours: Any, options: Any, dtype: Any, named: bool, forward: bool
) -> None:
    makes = (torch.optim.LBFGS, ours) if forward else (ours, torch.optim.LBFGS)
    options = {"max_iter": 4, **options}
    first = Fit(makes[0], dtype, named=named, **options)
    second = Fit(makes[1], dtype, named=named)
    first.steps(3)
    saved = io.BytesIO()
    state = {"model": first.model.state_dict(), "optimizer": first.optimizer.state_dict()}
    torch.save(state, saved)
    saved.seek(0)
    loaded = torch.load(saved)
    second.model.load_state_dict(loaded["model"])
    second.optimizer.load_state_dict(loaded["optimizer"])
    assert close(first.steps(4), second.steps(4), 1e-9 if dtype == torch.float64 else 1e-3)
    assert second.optimizer.param_groups[0]["max_iter"] == 4
    assert ("param_names" in second.optimizer.param_groups[0]) == named


def test_loading_replaces_the_state_of_a_session_that_has_run(ours: Any) -> None:
    mine = Fit(ours, max_iter=3, **WOLFE)
    mine.steps(2)
    model, state = copy.deepcopy(mine.model.state_dict()), mine.optimizer.state_dict()
    state = copy.deepcopy(state)
    first = mine.steps(3)
    mine.model.load_state_dict(model)
    mine.optimizer.load_state_dict(state)
    assert mine.steps(3) == first


class Stop(Exception):
    pass


def test_the_client_dies_and_another_takes_the_step_up(served: Any, api: lbfgsd.Client) -> None:
    whole = Fit(served, max_iter=10, **WOLFE)
    losses = whole.steps(2)
    session = api.create_session(
        params=[p.detach().numpy() for p in Fit(served).model.parameters()],
        options={"max_iter": 10, **WOLFE},
    ).id
    # This client gets to its seventh evaluation, and vanishes.
    gone = Fit(torch.optim.SGD)
    turn = api.begin_step(session)
    for _ in range(7):
        torch.nn.utils.vector_to_parameters(
            torch.from_numpy(turn.evaluation.x), gone.model.parameters()
        )
        loss = float(gone.closure())
        gradient = torch.cat([p.grad.reshape(-1) for p in gone.model.parameters()])
        turn = api.tell(session, turn.evaluation.number, loss, gradient.numpy())
    other = Fit(served, seed=0, session=session)
    assert other.optimizer.param_groups[0]["max_iter"] == 10
    resumed = other.steps(2)
    assert resumed == losses and torch.equal(other.flat(), whole.flat())
    assert other.calls == whole.calls - 7


def test_an_idle_session_is_taken_up(served: Any) -> None:
    first = Fit(served, max_iter=5, **WOLFE)
    first.steps(2)
    second = Fit(served, seed=1, session=first.optimizer.session)
    assert torch.equal(first.flat(), second.flat())
    a, b = first.optimizer.state_dict()["state"][0], second.optimizer.state_dict()["state"][0]
    assert a["n_iter"] == b["n_iter"] > 5 and torch.equal(a["d"], b["d"])
    with pytest.raises(ValueError, match="shapes"):
        served([torch.nn.Parameter(torch.ones(3))], session=first.optimizer.session)


def test_the_daemon_dies(daemon: Daemon, served: Any) -> None:
    whole = Fit(served, max_iter=6, **WOLFE)
    with lbfgsd.Client(daemon.url) as client:
        fit = Fit(lambda p: lbfgsd.torch.LBFGS(p, max_iter=6, client=client, **WOLFE))
        plain = fit.closure

        def closure() -> Any:
            if fit.calls in (3, 9):
                daemon.restart()
            return plain()

        fit.closure = closure  # type: ignore[method-assign]
        assert fit.steps(3) == whole.steps(3)


def test_an_exception_leaves_the_best_point(ours: Any) -> None:
    fit = Fit(ours, **WOLFE)
    losses: list[float] = []
    plain = fit.closure

    def closure() -> Any:
        if len(losses) == 9:
            raise Stop
        loss = plain()
        losses.append(float(loss))
        return loss

    with pytest.raises(Stop) as caught:
        fit.optimizer.step(closure)
    assert vars(caught.value).get("lbfgsd_session") == fit.optimizer.session
    assert float(fit.closure()) == min(losses)
    assert fit.steps(2)[0] == min(losses)


def test_infeasible_points(ours: Any) -> None:
    x = torch.nn.Parameter(torch.tensor([0.5], dtype=torch.float64))
    optimizer, failed = ours([x], **WOLFE), []

    def closure() -> Any:
        optimizer.zero_grad()
        if float(x) <= 0:
            failed.append(float(x))
            raise lbfgsd.Infeasible("no logarithm")
        loss = (x - 0.01 * torch.log(x)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert failed and abs(float(x) - 0.01) < 1e-4


def test_a_refused_option_can_be_mended(ours: Any) -> None:
    fit = Fit(ours, **WOLFE)
    fit.steps(1)
    fit.optimizer.param_groups[0]["lr"] = -1
    with pytest.raises((lbfgsd.InvalidRequest, ValueError)):
        fit.steps(1)
    fit.optimizer.param_groups[0]["lr"] = 0.5
    fit.steps(1)


def test_by_url(shared_daemon: Daemon) -> None:
    fit = Fit(lambda p: lbfgsd.torch.LBFGS(p, url=shared_daemon.url, **WOLFE))
    assert fit.optimizer.session is None
    fit.steps(1)
    assert fit.optimizer.client.get_session(fit.optimizer.session).step == 1


def test_the_usage_example_of_torch(shared_daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """From torch's documentation of optimizers that take a closure."""
    monkeypatch.setenv("LBFGSD_URL", shared_daemon.url)
    torch.manual_seed(0)
    model, loss_fn = torch.nn.Linear(3, 1), torch.nn.MSELoss()
    dataset = [(torch.randn(20, 3), torch.randn(20, 1))] * 3
    optimizer = lbfgsd.torch.LBFGS(model.parameters())
    before = float(loss_fn(model(dataset[0][0]), dataset[0][1]))

    for input, target in dataset:

        def closure(input: Any = input, target: str = target) -> Any:
            optimizer.zero_grad()
            output = model(input)
            loss = loss_fn(output, target)
            loss.backward()
            return loss

        optimizer.step(closure)

    assert float(loss_fn(model(dataset[0][0]), dataset[0][1])) < before


PINN = """
import torch
{optimizer}

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
net = torch.nn.Sequential(
    torch.nn.Linear(1, 12), torch.nn.Tanh(), torch.nn.Linear(12, 12), torch.nn.Tanh(),
    torch.nn.Linear(12, 1),
)
x = torch.linspace(0, 1, 40).reshape(-1, 1).requires_grad_()
ends = torch.tensor([[0.0], [1.0]])
optimizer = LBFGS(net.parameters(), lr=1, max_iter=20, line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    u = net(x)
    du = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
    d2u = torch.autograd.grad(du.sum(), x, create_graph=True)[0]
    source = torch.pi**2 * torch.sin(torch.pi * x)
    loss = ((d2u + source) ** 2).mean() + 100 * (net(ends) ** 2).mean()
    loss.backward()
    return loss


losses = [float(optimizer.step(closure)) for _ in range({steps})]
error = float((net(x) - torch.sin(torch.pi * x)).abs().max())
"""


def test_a_script_with_only_the_import_changed(
    shared_daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """-u'' = pi^2 sin(pi x) on (0, 1) by a network, the classical use of L-BFGS in torch."""
    monkeypatch.setenv("LBFGSD_URL", shared_daemon.url)
    dtype = torch.get_default_dtype()
    try:
        results = []
        for line in ("from torch.optim import LBFGS", "from lbfgsd.torch import LBFGS"):
            script = tmp_path / "pinn.py"
            script.write_text(PINN.format(optimizer=line, steps=10))
            results.append(runpy.run_path(str(script)))
    finally:
        torch.set_default_dtype(dtype)
    theirs, mine = results
    assert close(mine["losses"][:3], theirs["losses"][:3], 1e-7)
    assert mine["losses"][-1] < 1e-2 * mine["losses"][0] and mine["error"] < 0.1


def test_example(
    shared_daemon: Daemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setenv("LBFGSD_URL", shared_daemon.url)
    runpy.run_path(str(EXAMPLES / "torch_digits.py"), run_name="__main__")
    assert "accuracy" in capsys.readouterr().out
