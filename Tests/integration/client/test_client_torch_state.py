"""The state of lbfgsd.torch.LBFGS: files, parameter groups, options as tensors, and hooks of the
service."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import Daemon

torch = pytest.importorskip("torch", reason="torch is not installed")

from test_client_torch import WOLFE, Fit, close

import lbfgsd
import lbfgsd.torch

DTYPES = [torch.float32, torch.float64]


@pytest.fixture
def api(shared_daemon: Daemon) -> Iterator[lbfgsd.Client]:
    with lbfgsd.Client(shared_daemon.url) as client:
        yield client


@pytest.fixture
def ours(api: lbfgsd.Client) -> Any:
    return lambda params, **options: lbfgsd.torch.LBFGS(params, client=api, **options)


def relative(dtype: Any) -> Any:
    return 1e-9 if dtype == torch.float64 else 1e-3


def parameter(*values: Any, dtype: Any = torch.float64) -> Any:
    return torch.nn.Parameter(torch.tensor(values, dtype=dtype))


# Files


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pt_file_goes_into_a_session(api: lbfgsd.Client, tmp_path: Path, dtype: Any) -> None:
    """From torch by a file into the client alone; then both torch and the session go on."""
    fit = Fit(torch.optim.LBFGS, dtype, max_iter=4, **WOLFE)
    fit.steps(2)
    model = [p.detach().clone() for p in fit.model.parameters()]
    whole, part = tmp_path / "checkpoint.pt", tmp_path / "optimizer.pt"
    torch.save({"model": fit.model.state_dict(), "optimizer": fit.optimizer.state_dict()}, whole)
    torch.save(fit.optimizer.state_dict(), part)
    session = api.create_session(
        params=[p.numpy() for p in model], dtype=str(dtype).removeprefix("torch.")
    )
    for path in (whole, part):
        api.load_state_dict(session, lbfgsd.torch.load_pt(path))
        assert api.get_state_dict(session)["state"][0]["n_iter"] == 8
    resumed = Fit(lambda p: lbfgsd.torch.LBFGS(p, client=api, session=session), dtype)
    assert close(resumed.steps(3), fit.steps(3), relative(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_session_goes_into_a_pt_file(
    ours: Any, api: lbfgsd.Client, tmp_path: Path, dtype: Any
) -> None:
    mine = Fit(ours, dtype, max_iter=4, **WOLFE)
    mine.steps(2)
    path = tmp_path / "optimizer.pt"
    lbfgsd.torch.save_pt(api.get_state_dict(mine.optimizer.session), path, dtype)
    theirs = Fit(torch.optim.LBFGS, dtype)
    theirs.model.load_state_dict(mine.model.state_dict())
    theirs.optimizer.load_state_dict(torch.load(path, weights_only=True))
    assert close(mine.steps(3), theirs.steps(3), relative(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_safetensors_files(ours: Any, api: lbfgsd.Client, dtype: Any) -> None:
    """From torch to the service and from the service to torch, by safetensors."""
    theirs = Fit(torch.optim.LBFGS, dtype, named=True, max_iter=4, **WOLFE)
    theirs.steps(2)
    content = lbfgsd.torch.state_dict_to_safetensors(theirs.optimizer.state_dict())
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["state.0.d"]["dtype"] == ("F32" if dtype == torch.float32 else "F64")
    mine = Fit(ours, dtype, named=True)
    mine.model.load_state_dict(theirs.model.state_dict())
    mine.optimizer.load_state_dict(lbfgsd.torch.state_dict_from_safetensors(content))
    back = Fit(torch.optim.LBFGS, dtype, named=True)
    back.model.load_state_dict(theirs.model.state_dict())
    fetched = api.get_state_dict(mine.optimizer.session, format="safetensors")
    back.optimizer.load_state_dict(
        lbfgsd.torch.state_dict_from_safetensors(lbfgsd.torch.state_dict_to_safetensors(fetched))
    )
    losses = theirs.steps(3)
    assert close(mine.steps(3), losses, relative(dtype))
    assert close(back.steps(3), losses, relative(dtype))
    assert back.optimizer.state_dict()["param_groups"][0]["param_names"][0] == "0.weight"


def test_a_file_with_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="key"):
        lbfgsd.torch.load_pt(path)
    torch.save({"opt": {"state": {}, "param_groups": []}}, path)
    assert lbfgsd.torch.load_pt(path, key="opt") == {"state": {}, "param_groups": []}
    with pytest.raises(ValueError, match="key"):
        lbfgsd.torch.load_pt(path, key="optimizer")

    class Evil:
        def __reduce__(self) -> tuple[Any, Any]:
            return (print, ("run",))

    torch.save({"state": Evil(), "param_groups": []}, path)
    with pytest.raises(Exception, match=r"[Ww]eights"):
        lbfgsd.torch.load_pt(path)


@pytest.mark.parametrize("size", [2, 30])
def test_another_history_size(ours: Any, size: int) -> None:
    """As torch does when the history size is edited between steps."""

    def run(make: Any, further: Any) -> Any:
        first = Fit(make, max_iter=9, history_size=12, **WOLFE)
        first.steps(1)
        second = Fit(further)
        second.model.load_state_dict(first.model.state_dict())
        state = copy.deepcopy(first.optimizer.state_dict())
        state["param_groups"][0]["history_size"] = size
        if make is torch.optim.LBFGS:
            # It has the old size, beyond which torch would write.
            del state["state"][0]["al"]
        second.optimizer.load_state_dict(state)
        return second.steps(3)

    assert all(loss > 0 for loss in run(ours, ours))
    if size > 12:
        assert close(run(ours, ours), run(torch.optim.LBFGS, torch.optim.LBFGS))


def test_a_scheduled_optimizer(ours: Any, api: lbfgsd.Client) -> None:
    """Schedulers add keys to the group that the service doesn't know."""
    fit = Fit(torch.optim.LBFGS, max_iter=3, lr=0.5)
    torch.optim.lr_scheduler.StepLR(fit.optimizer, 2)
    fit.steps(1)
    state = fit.optimizer.state_dict()
    assert "initial_lr" in state["param_groups"][0]
    session = api.create_session(params=[p.detach().numpy() for p in fit.model.parameters()])
    assert api.load_state_dict(session, state)["param_groups"][0]["lr"] == 0.5


def test_the_learning_rate_as_a_tensor(ours: Any, api: lbfgsd.Client) -> None:
    def run(make: Any) -> tuple[Any, Any, Any]:
        fit = Fit(make, max_iter=3, lr=torch.tensor(0.3))
        losses = fit.steps(2)
        # In place it would also change torch's last step length, which is the same tensor.
        fit.optimizer.param_groups[0]["lr"] = torch.tensor(0.2)
        losses += fit.steps(2)
        state = copy.deepcopy(fit.optimizer.state_dict())
        assert isinstance(state["param_groups"][0]["lr"], torch.Tensor)
        other = Fit(make)
        other.model.load_state_dict(fit.model.state_dict())
        other.optimizer.load_state_dict(state)
        return fit, state, losses + other.steps(2)

    (mine, state, a), (_, theirs, b) = run(ours), run(torch.optim.LBFGS)
    assert close(a, b, 1e-6)
    session = mine.optimizer.session
    assert api.get_session(session).options["lr"] == pytest.approx(0.2)
    for dict_ in (state, theirs):
        assert api.load_state_dict(session, dict_)["param_groups"][0]["lr"] == pytest.approx(0.2)


def test_maximize(ours: Any) -> None:
    """Maximizing -f gives the path of torch minimizing f."""

    def run(make: Any, sign: Any, **more: Any) -> tuple[Any, Any]:
        x = parameter(-1.2, 1.0)
        optimizer, losses = make([x], max_iter=8, **WOLFE, **more), []

        def closure() -> Any:
            optimizer.zero_grad()
            loss = sign * ((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)
            loss.backward()
            return loss

        for _ in range(4):
            losses.append(sign * float(optimizer.step(closure).detach()))
        return losses, x.detach()

    mine, x = run(ours, -1, maximize=True)
    theirs, at = run(torch.optim.LBFGS, 1)
    assert close(mine, theirs) and torch.allclose(x, at, rtol=1e-7)


# Parameter groups


def bowl(x: Any) -> Any:
    """A quadratic that couples all groups; its minimum is 0 at (1, ..., 1)."""
    rest = x - 1
    return (rest**2 * torch.arange(1, x.numel() + 1, dtype=x.dtype)).sum() + rest.sum() ** 2


class Bowl:
    def __init__(self, make: Any, groups: Any, **options: Any) -> None:
        self.groups = groups
        options = {"max_iter": 3, "tolerance_grad": 1e-10, "tolerance_change": 1e-15, **options}
        self.optimizer = make(groups[0], **WOLFE, **options)

    def closure(self) -> Any:
        self.optimizer.zero_grad()
        loss = bowl(torch.cat([p.reshape(-1) for group in self.groups for p in group]))
        loss.backward()
        return loss

    def steps(self, count: int) -> list[Any]:
        return [float(self.optimizer.step(self.closure).detach()) for _ in range(count)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_group_joins_a_run(ours: Any, api: lbfgsd.Client, dtype: Any) -> None:
    """Groups may be added during a run, which torch's optimizer refuses."""
    old, new = (
        [parameter(3, -4, dtype=dtype), parameter(5, dtype=dtype)],
        [parameter(-2, 7, dtype=dtype)],
    )
    run = Bowl(ours, [old])
    run.steps(1)
    before = copy.deepcopy(run.optimizer.state_dict())["state"][0]
    run.groups.append(new)
    run.optimizer.add_param_group({"params": new, "name": "head"})
    state = run.optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    after, known = state["state"][0], len(before["old_dirs"])
    # The last step's pair is complete: its gradients do not have the new parameters.
    assert 0 < known <= len(after["old_dirs"]) <= known + 1
    zeros = torch.zeros(2, dtype=dtype)
    for key in ("old_dirs", "old_stps"):
        assert all(torch.equal(vector[-2:], zeros) for vector in after[key])
        for mine, was in zip(after[key], before[key], strict=False):
            assert torch.equal(mine[:-2], was)
    losses = run.steps(12)
    assert losses[-1] < 1e-4 * losses[0]
    flat = torch.cat([*old, *new]).detach()
    assert (flat - 1).abs().max() < (1e-2 if dtype == torch.float32 else 1e-6)
    group = api.get_param_group(run.optimizer.session, 1)
    assert (group.name, group.params, group.count) == ("head", (2,), 2)


def test_a_group_that_joins_before_the_first_step(ours: Any, api: lbfgsd.Client) -> None:
    first, second = [parameter(3, -4)], [parameter(-2, 7), parameter(0.5)]
    late = Bowl(ours, [first, second])
    late.optimizer.add_param_group({"params": second})
    whole = Bowl(ours, [[parameter(3, -4), parameter(-2, 7), parameter(0.5)]])
    assert close(late.steps(4), whole.steps(4))
    assert [g.params for g in api.param_groups(late.optimizer.session)] == [(0,), (1, 2)]


def test_a_frozen_group(ours: Any, api: lbfgsd.Client) -> None:
    run = Bowl(ours, [[parameter(3, -4)], [parameter(-2, 7)]])
    run.optimizer.add_param_group({"params": run.groups[1]})
    run.steps(1)
    at = run.groups[0][0].detach().clone()
    run.optimizer.param_groups[0]["frozen"] = True
    run.steps(2)
    assert torch.equal(run.groups[0][0], at)
    assert api.get_param_group(run.optimizer.session, 0).frozen
    assert run.optimizer.state_dict()["param_groups"][0]["frozen"] is True
    run.optimizer.param_groups[0]["frozen"] = False
    run.steps(12)
    assert not torch.equal(run.groups[0][0], at)
    assert all((p - 1).abs().max() < 1e-6 for group in run.groups for p in group)


def test_groups_are_taken_up_and_loaded(ours: Any) -> None:
    """A process that has only the parameters goes on, and so does one that has the groups."""
    run = Bowl(ours, [[parameter(3, -4)], [parameter(-2, 7)]])
    run.optimizer.add_param_group({"params": run.groups[1], "name": "head"})
    run.steps(1)
    state = copy.deepcopy(run.optimizer.state_dict())
    at = [p.detach().clone() for group in run.groups for p in group]
    loaded = Bowl(ours, [[torch.nn.Parameter(at[0])], [torch.nn.Parameter(at[1])]])
    loaded.optimizer.add_param_group({"params": loaded.groups[1]})
    loaded.optimizer.load_state_dict(state)
    expected = run.steps(2)
    assert loaded.steps(2) == expected
    taken = Bowl(ours, [[parameter(0, 0), parameter(0, 0)]], session=run.optimizer.session)
    assert [len(group["params"]) for group in taken.optimizer.param_groups] == [1, 1]
    assert taken.optimizer.param_groups[1]["name"] == "head"
    assert taken.steps(2) == loaded.steps(2)


def test_what_a_group_can_not_be(ours: Any) -> None:
    run = Bowl(ours, [[parameter(3, -4)]])
    run.steps(1)
    optimizer = run.optimizer
    for wrong, message in (
        ({"params": [parameter(1)], "lr": 0.5}, "per-parameter options"),
        ({"params": [parameter(1, dtype=torch.float32)]}, "Parameters must be real"),
        ({"params": [parameter(1j, dtype=torch.complex128)]}, "Parameters must be real"),
        ({"params": [run.groups[0][0]]}, "more than one parameter group"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.add_param_group(wrong)
        assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [more := parameter(2)]})
    run.groups.append([more])
    optimizer.param_groups[0]["lr"] = 0.5
    run.steps(1)
    assert optimizer.param_groups[1]["lr"] == 0.5
    optimizer.param_groups[1]["lr"] = 0.25
    with pytest.raises(ValueError, match="per-parameter options"):
        run.steps(1)


def test_schedulers_with_groups(ours: Any, api: lbfgsd.Client) -> None:
    run = Bowl(ours, [[parameter(3, -4)], [parameter(2)]])
    run.optimizer.add_param_group({"params": run.groups[1]})
    scheduler = torch.optim.lr_scheduler.StepLR(run.optimizer, 1, gamma=0.5)
    for _ in range(3):
        run.steps(1)
        scheduler.step()
    run.steps(1)
    assert api.get_session(run.optimizer.session).options["lr"] == 0.125


# Hooks of the service


class Stop(Exception):
    pass


def test_hooks_of_the_service(ours: Any, api: lbfgsd.Client) -> None:
    calls = []

    def on_hook(call: Any) -> Any:
        calls.append(call.event)
        return {"max_iter": 1} if call.event == "step.pre" else None

    run = Bowl(ours, [[parameter(3, -4)]], on_hook=on_hook)
    run.steps(1)
    api.create_hook(run.optimizer.session, "step.pre", deadline_seconds=60)
    api.create_hook(run.optimizer.session, "step.post", deadline_seconds=60)
    before = run.optimizer.state_dict()["state"][0]["n_iter"]
    run.steps(2)
    assert run.optimizer.state_dict()["state"][0]["n_iter"] == before + 2
    assert calls == ["step.pre", "step.post"] * 2
    assert run.optimizer.param_groups[0]["max_iter"] == 3


def test_hooks_on_the_state_dict(ours: Any, api: lbfgsd.Client) -> None:
    """One process both makes the call that waits for the hook, and answers the hook."""
    calls: list[Any] = []
    fail: list[bool] = []

    def on_hook(call: Any) -> Any:
        calls.append(call.event)
        if fail:
            raise Stop
        if call.event != "state_dict.post":
            return None
        call.state_dict["state"][0]["t"] = 0.125
        return call.state_dict

    run = Bowl(ours, [[parameter(3, -4)]], on_hook=on_hook)
    run.steps(1)
    session = run.optimizer.session
    for event in ("state_dict.post", "load_state_dict.pre", "load_state_dict.post"):
        api.create_hook(session, event, deadline_seconds=5)
    state = run.optimizer.state_dict()
    assert state["state"][0]["t"] == 0.125
    run.optimizer.load_state_dict(state)
    assert calls == ["state_dict.post", "load_state_dict.pre", "load_state_dict.post"]
    run.steps(1)
    fail.append(True)
    with pytest.raises(Stop):
        run.optimizer.state_dict()


def test_hooks_that_somebody_else_answers(ours: Any, api: lbfgsd.Client) -> None:
    run = Bowl(ours, [[parameter(3, -4)]])
    plain = Bowl(ours, [[parameter(3, -4)]])
    run.steps(1), plain.steps(1)
    session = run.optimizer.session
    hook = api.create_hook(session, "step.pre", deadline_seconds=60)

    def answer() -> None:
        with lbfgsd.Client(api.url) as other:
            for _ in range(2):
                while (call := other.ask(session).hook_call) is None:
                    time.sleep(0.01)
                other.answer_hook(session, call.number)
            other.delete_hook(session, hook)

    watcher = threading.Thread(target=answer)
    watcher.start()
    losses = run.steps(3)
    watcher.join(20)
    assert not watcher.is_alive() and losses == plain.steps(3)


def test_a_step_that_a_hook_aborts(ours: Any, api: lbfgsd.Client) -> None:
    run = Bowl(ours, [[parameter(3, -4)]])
    run.steps(1)
    at = run.groups[0][0].detach().clone()
    hook = api.create_hook(run.optimizer.session, "step.pre", deadline_seconds=0.2, default="abort")
    loss = run.optimizer.step(run.closure)
    assert loss != loss and torch.equal(run.groups[0][0], at)
    api.delete_hook(run.optimizer.session, hook)
    assert run.steps(1)[0] > 0
