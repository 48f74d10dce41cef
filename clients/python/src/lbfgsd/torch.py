"""torch.optim.LBFGS with its state in the service: change the import, keep the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from ._client import Client
from ._core import SessionLike
from ._drive import Measured, carry_on, stop_after
from ._types import Floats, Parameters, StateDict, Turn

__all__ = ["LBFGS"]

OPTIONS = (
    "lr",
    "max_iter",
    "max_eval",
    "tolerance_grad",
    "tolerance_change",
    "history_size",
    "line_search_fn",
)
DTYPES = {torch.float32: "float32", torch.float64: "float64"}


class LBFGS(Optimizer):
    """L-BFGS, as torch.optim.LBFGS: its options, steps, state dict and hooks.

    Arguments beyond torch's: `client`, or the `url` of the service (else $LBFGSD_URL or
    http://127.0.0.1:8080), and `session`, the identifier of a session to take up: its parameters
    and options replace those given here, and a step that was running goes on with the next call of
    `step`. Without it the first step, or loading a state dict, makes a session; `session` is then
    its identifier.

    Parameters may be on several devices, and are all float32 or all float64. A closure may raise
    `lbfgsd.Infeasible` where there is no loss. Any other exception in it stops the step at the best
    point, which the parameters are then set to, and goes on to the caller.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        *,
        client: Client | None = None,
        url: str | None = None,
        session: SessionLike | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._all: list[Tensor] = self.param_groups[0]["params"]
        self._dtype = _common_dtype(self._all)
        # Empty parameters have nothing that could be sent.
        self._params = [p for p in self._all if p.numel() > 0]
        if not self._params:
            raise ValueError("the parameters have no elements")
        self._client = client if client is not None else Client(url)
        self._session: str | None = None
        self._at: Tensor | None = None
        """The parameters as the service has them."""
        self._options: dict[str, Any] = {}
        self._pending: Turn | None = None
        self._stale = False
        """Whether the service has newer state than `self.state`."""
        if session is not None:
            self._attach(session)

    @property
    def session(self) -> str | None:
        """The session's identifier; None before there is one."""
        return self._session

    @property
    def client(self) -> Client:
        return self._client

    # A step

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Performs a single optimization step, and returns the loss at its start.

        Args:
            closure: clears the gradients, computes the loss and its gradients, returns the loss.
        """
        if len(self.param_groups) != 1:
            raise AssertionError(
                f"Expected exactly one param_group, but got {len(self.param_groups)}"
            )
        closure = torch.enable_grad()(closure)
        session = self._ensure_session()
        resumed, self._pending = self._pending, None
        first: list[Any] = []

        def evaluate(x: Floats) -> Measured:
            self._set(x)
            loss = closure()
            if not first:
                first.append(loss)
            value = loss.detach() if isinstance(loss, Tensor) else loss
            return Measured(float(value), self._gather_gradient())

        turn = resumed if resumed is not None else self._begin(session)
        self._stale = True
        try:
            turn = carry_on(self._client, turn, evaluate)
        except BaseException as error:
            stopped = stop_after(self._client, session, error)
            if stopped is not None and stopped.x is not None:
                self._set(stopped.x)
                self._at = self._gather()
            else:
                self._lost = True
            raise
        assert turn.x is not None and turn.result is not None
        self._set(turn.x)
        self._at = self._gather()
        if resumed is None and first:
            return first[0]
        return self._loss_before(turn.result.loss_before, first)

    def _begin(self, session: str) -> Turn:
        self._send_options(session)
        self._send_params(session)
        try:
            return self._client.begin_step(session)
        except BaseException:
            # The step may have begun nevertheless.
            self._lost = True
            raise

    def _loss_before(self, loss: float | None, seen: list[Any]) -> Any:
        """The loss at the start of a step that this process has not begun."""
        value = math.nan if loss is None else loss
        if seen and isinstance(seen[0], Tensor):
            return torch.full_like(seen[0], value)
        return value

    # The session

    def _ensure_session(self) -> str:
        if self._session is not None:
            if self._lost:
                self._attach(self._session)
            return self._session
        options = self._own_options()
        names = self._names()
        arrays = [p.detach().cpu().numpy() for p in self._params]
        params = arrays if names is None else dict(zip(names, arrays, strict=True))
        created = self._client.create_session(
            params=cast(Any, params), options=options, dtype=DTYPES[self._dtype]
        )
        self._session, self._options = created.id, options
        self._at = self._gather()
        return created.id

    def _attach(self, session: SessionLike) -> None:
        """Takes up a session as it is."""
        found = self._client.get_session(session)
        shapes = [tuple(p.shape) for p in self._params]
        if [spec.shape for spec in found.params] != shapes:
            theirs = [spec.shape for spec in found.params]
            raise ValueError(f"session {found.id} has parameters of shapes {theirs}, not {shapes}")
        if found.dtype != DTYPES[self._dtype]:
            raise ValueError(f"session {found.id} is {found.dtype}, not {DTYPES[self._dtype]}")
        self._session = found.id
        self._take_options(found.options)
        self._take_params(self._client.get_params(found))
        turn = self._client.ask(found) if found.state == "evaluating" else None
        self._pending = turn if turn is not None and turn.evaluation is not None else None
        self._stale = True
        self._lost = False

    _lost = False
    """Whether an interrupted step could not be stopped."""

    def _own_options(self) -> dict[str, Any]:
        group = self.param_groups[0]
        options = {name: group[name] for name in OPTIONS}
        options["lr"] = float(options["lr"])
        return options

    def _send_options(self, session: str) -> None:
        options = self._own_options()
        changed = {k: v for k, v in options.items() if self._options.get(k) != v}
        if changed:
            self._client.update_session(session, options=changed)
            self._options = options

    def _take_options(self, options: Mapping[str, Any]) -> None:
        group = self.param_groups[0]
        for name in OPTIONS:
            if name == "lr" and isinstance(group["lr"], Tensor):
                group["lr"].fill_(options["lr"])
            else:
                group[name] = options[name]
        self._options = self._own_options()

    def _send_params(self, session: str) -> None:
        now = self._gather()
        if self._at is None or now.numpy().tobytes() != self._at.numpy().tobytes():
            self._client.set_params(session, now.numpy())
            self._at = now

    def _take_params(self, params: Parameters) -> None:
        with torch.no_grad():
            self._set(params.x)
        self._at = self._gather()

    # Vectors

    def _names(self) -> list[str] | None:
        names = self.param_groups[0].get("param_names")
        if names is None:
            return None
        return [n for n, p in zip(names, self._all, strict=True) if p.numel() > 0]

    def _gather(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1).cpu() for p in self._params])

    def _gather_gradient(self) -> Floats:
        pieces = []
        for p in self._params:
            if p.grad is None:
                pieces.append(np.zeros(p.numel()))
                continue
            grad = p.grad.to_dense() if p.grad.is_sparse else p.grad
            pieces.append(grad.detach().reshape(-1).cpu().numpy().astype(np.float64))
        return np.concatenate(pieces)

    def _set(self, x: Floats) -> None:
        flat, offset = torch.from_numpy(x).to(self._dtype), 0
        with torch.no_grad():
            for p in self._params:
                p.copy_(flat[offset : offset + p.numel()].view(p.shape))
                offset += p.numel()

    # The state dict

    def state_dict(self) -> dict[str, Any]:
        """As torch's; either optimizer loads the other's."""
        self._fetch_state()
        return super().state_dict()

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Loads a state dict of this optimizer or of torch.optim.LBFGS."""
        if self._session is not None and self._lost:
            self._attach(self._session)
        if self._session is not None and self._pending is not None:
            stopped = self._client.stop(self._session)
            self._pending = None
            if stopped.x is not None:
                self._set(stopped.x)
                self._at = self._gather()
        super().load_state_dict(state_dict)
        self._all = self.param_groups[0]["params"]
        session = self._ensure_session()
        self._send_params(session)
        options = self._own_options()
        positions = list(range(len(self._params)))
        state = dict(self.state.get(self._all[0], {}))
        self._client.load_state_dict(
            session,
            {
                "state": {0: _to_arrays(state)} if state else {},
                "param_groups": [{**options, "params": positions}],
            },
        )
        self._options = options
        self._stale = False

    def _fetch_state(self) -> None:
        if not self._stale or self._session is None:
            return
        fetched = self._client.get_state_dict(self._session)
        first = self._all[0]
        state = fetched["state"].get(0)
        if state is None:
            self.state.pop(first, None)
        else:
            self.state[first] = self._to_tensors(state)
        self._stale = False

    def _to_tensors(self, state: Mapping[str, Any]) -> dict[str, Any]:
        device = self._all[0].device

        def tensor(values: Any) -> Tensor:
            return torch.tensor(values, dtype=self._dtype, device=device)

        shaped = dict(state)
        for key in ("d", "prev_flat_grad"):
            if shaped.get(key) is not None:
                shaped[key] = tensor(shaped[key])
        for key in ("old_dirs", "old_stps", "ro", "al"):
            if shaped.get(key) is not None:
                shaped[key] = [None if item is None else tensor(item) for item in shaped[key]]
        return shaped

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("this optimizer can't be copied or pickled: its state_dict() can")


def _common_dtype(params: list[Tensor]) -> torch.dtype:
    for p in params:
        if torch.is_complex(p) or p.dtype not in DTYPES:
            raise ValueError(f"Parameters must be real, float32 or float64, not {p.dtype}")
    dtypes = {p.dtype for p in params}
    if len(dtypes) > 1:
        listed = " and ".join(sorted(str(dtype) for dtype in dtypes))
        raise ValueError(f"Parameters must be real and of one dtype, not {listed}")
    return dtypes.pop()


def _to_arrays(state: Mapping[str, Any]) -> dict[str, Any]:
    def array(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.detach().cpu().numpy()
        if isinstance(value, (list, tuple)):
            return [array(item) for item in value]
        return value

    return {key: array(value) for key, value in state.items()}
