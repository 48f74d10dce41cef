"""torch.optim.LBFGS with its state in the service: change the import, keep the rest."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from . import _safetensors
from ._client import Client
from ._core import SessionLike
from ._drive import HookHandler, Measured, answering, carry_on, stop_after
from ._types import Floats, Parameters, ParamGroup, StateDict, Turn

__all__ = [
    "LBFGS",
    "as_torch",
    "load_pt",
    "save_pt",
    "state_dict_from_safetensors",
    "state_dict_to_safetensors",
]

OPTIONS = (
    "lr",
    "max_iter",
    "max_eval",
    "tolerance_grad",
    "tolerance_change",
    "history_size",
    "line_search_fn",
)
PER_PARAMETER = "LBFGS doesn't support per-parameter options (parameter groups)"
DTYPES = {torch.float32: "float32", torch.float64: "float64"}


class LBFGS(Optimizer):
    """L-BFGS, as torch.optim.LBFGS: its options, steps, state dict and hooks.

    Arguments beyond torch's: `client`, or the `url` of the service (else $LBFGSD_URL or
    http://127.0.0.1:8080), and `session`, the identifier of a session to take up: its parameters
    and options replace those given here, and a step that was running goes on with the next call of
    `step`. Without it the first step, or loading a state dict, makes a session; `session` is then
    its identifier. `maximize` climbs. `on_hook(call)` answers hooks of the service that intercept:
    None lets a call pass, and options of the step, or a state dict as `Client` has it, replace what
    there is; without it they are left to other clients, or to their default.

    Unlike torch's, it goes on after `add_param_group`: the history stays and counts. Options are
    those of `param_groups[0]`, for all groups. A group whose entry "frozen" is true doesn't move.

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
        maximize: bool = False,
        on_hook: HookHandler | None = None,
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
            raise ValueError(PER_PARAMETER)
        self._dtype = _common_dtype(self._all)
        if not self._params:
            raise ValueError("the parameters have no elements")
        self._client = client if client is not None else Client(url)
        self._maximize, self._on_hook = maximize, on_hook
        self._session: str | None = None
        self._frozen: list[bool] = []
        """Of the groups that the service knows: those with elements."""
        self._at: Tensor | None = None
        """The parameters as the service has them."""
        self._options: dict[str, Any] = {}
        self._pending: Turn | None = None
        self._stale = False
        """Whether the service has newer state than `self.state`."""
        self._ready = True
        if session is not None:
            self._attach(session)

    _ready = False
    """Whether groups that are added join a run."""

    @property
    def _all(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    @property
    def _params(self) -> list[Tensor]:
        """Those with elements: of the others there is nothing that could be sent."""
        return [p for p in self._all if p.numel() > 0]

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
            turn = carry_on(self._client, turn, evaluate, self._on_hook)
        except BaseException as error:
            stopped = stop_after(self._client, session, error)
            if stopped is not None and stopped.x is not None:
                self._set(stopped.x)
                self._at = self._gather()
            else:
                self._lost = True
            raise
        assert turn.x is not None
        self._set(turn.x)
        self._at = self._gather()
        if resumed is None and first:
            return first[0]
        return self._loss_before(turn.result.loss_before if turn.result else None, first)

    def _begin(self, session: str) -> Turn:
        self._send_options(session)
        self._send_frozen(session)
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

    # Parameter groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters, which take part from the next step on."""
        if not self._ready:
            super().add_param_group(param_group)
            return
        shared = {name: self.param_groups[0][name] for name in OPTIONS}
        if any(name in param_group and param_group[name] != shared[name] for name in shared):
            raise ValueError(PER_PARAMETER)
        if self._session is not None and self._lost:
            self._attach(self._session)
        super().add_param_group({**param_group, **shared})
        try:
            if _common_dtype(self._all) != self._dtype:
                raise ValueError(f"Parameters must be {self._dtype}, as those of the first group")
            if self._session is not None:
                self._join(self._session, self.param_groups[-1])
        except BaseException:
            self.param_groups.pop()
            raise

    def _join(self, session: str, group: Mapping[str, Any]) -> None:
        params = _with_elements(group)
        if not params:
            return
        self._client.add_param_group(session, _named(group), name=group.get("name"))
        self._frozen.append(False)
        if self._at is not None:
            self._at = torch.cat([self._at, *(p.detach().reshape(-1).cpu() for p in params)])
        self._stale = True

    def _send_frozen(self, session: str) -> None:
        groups = [group for group in self.param_groups if _with_elements(group)]
        for index, group in enumerate(groups):
            frozen = bool(group.get("frozen", False))
            if frozen != self._frozen[index]:
                self._client.update_param_group(session, index, frozen=frozen)
                self._frozen[index] = frozen

    def _take_groups(self, groups: tuple[ParamGroup, ...]) -> None:
        """Groups the parameters as the service does."""
        counts = [len(group.params) for group in groups]
        if [len(params) for g in self.param_groups if (params := _with_elements(g))] != counts:
            if len(self.param_groups) != 1:
                raise ValueError(f"the session has groups of {counts} parameters")
            whole = self.param_groups[0]
            starts = [i for i, p in enumerate(whole["params"]) if p.numel() > 0]
            cuts = [0, *(starts[group.params[0]] for group in groups[1:]), len(whole["params"])]
            listed = [key for key in ("params", "param_names") if key in whole]
            self.param_groups[:] = [
                {**whole, **{key: whole[key][begin:end] for key in listed}}
                for begin, end in itertools.pairwise(cuts)
            ]
        own = [group for group in self.param_groups if _with_elements(group)]
        for group, theirs in zip(own, groups, strict=True):
            if theirs.name is not None:
                group["name"] = theirs.name
            if theirs.frozen or "frozen" in group:
                group["frozen"] = theirs.frozen
        self._frozen = [group.frozen for group in groups]

    # The session

    def _ensure_session(self) -> str:
        if self._session is not None:
            if self._lost:
                self._attach(self._session)
            return self._session
        options = self._own_options()
        first, *others = [group for group in self.param_groups if _with_elements(group)]
        created = self._client.create_session(
            params=_named(first),
            options={**options, **({"maximize": True} if self._maximize else {})},
            dtype=DTYPES[self._dtype],
        )
        self._session, self._options, self._frozen = created.id, options, [False]
        self._at = torch.cat([p.detach().reshape(-1).cpu() for p in _with_elements(first)])
        for group in others:
            self._join(created.id, group)
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
        self._take_groups(found.param_groups)
        self._take_options(found.options)
        self._take_params(self._client.get_params(found))
        turn = self._client.ask(found) if found.state != "idle" else None
        self._pending = turn if turn is not None and turn.state != "idle" else None
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
        self._share_options(options)
        changed = {k: v for k, v in options.items() if self._options.get(k) != v}
        if changed:
            self._client.update_session(session, options=changed)
            self._options = options

    def _share_options(self, options: Mapping[str, Any]) -> None:
        """The other groups follow the first; an option that differs from what it was, in another
        way, is one that there can't be."""
        first, *others = self.param_groups
        for group in others:
            for name in OPTIONS:
                own = float(group[name]) if name == "lr" else group[name]
                if own not in (options[name], self._options.get(name, options[name])):
                    raise ValueError(PER_PARAMETER)
                group[name] = first[name]

    def _take_options(self, options: Mapping[str, Any]) -> None:
        for group in self.param_groups:
            for name in OPTIONS:
                if name == "lr" and isinstance(group["lr"], Tensor):
                    group["lr"].fill_(options["lr"])
                else:
                    group[name] = options[name]
        self._options = self._own_options()

    def _send_params(self, session: str) -> None:
        now = self._gather()
        if self._at is None or not _same_bits(now, self._at):
            self._client.set_params(session, now.numpy())
            self._at = now

    def _take_params(self, params: Parameters) -> None:
        with torch.no_grad():
            self._set(params.x)
        self._at = self._gather()

    # Vectors

    def _gather(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1).cpu() for p in self._params])

    def _gather_gradient(self) -> Floats:
        """In the parameters' dtype; of a single parameter it is the memory of its gradient."""
        pieces = []
        for p in self._params:
            grad = torch.zeros(p.numel(), dtype=p.dtype) if p.grad is None else p.grad
            grad = grad.to_dense() if grad.is_sparse else grad
            pieces.append(grad.detach().reshape(-1).cpu())
        whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        gathered: Floats = whole.numpy()
        return gathered

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
        session = self._ensure_session()
        self._send_frozen(session)
        self._send_params(session)
        options = self._own_options()
        state = dict(self.state.get(self._all[0], {}))
        groups = [{**options, "params": positions} for positions in self._positions]
        loaded = {"state": {0: _to_arrays(state)} if state else {}, "param_groups": groups}
        with answering(self._client, session, self._on_hook):
            self._client.load_state_dict(session, loaded, format="safetensors")
        self._options = options
        self._stale = False

    @property
    def _positions(self) -> list[list[int]]:
        """Of each group's parameters in the session."""
        positions, end = [], 0
        for group in self.param_groups:
            if params := _with_elements(group):
                positions.append(list(range(end, end + len(params))))
                end += len(params)
        return positions

    def _fetch_state(self) -> None:
        if not self._stale or self._session is None:
            return
        with answering(self._client, self._session, self._on_hook):
            fetched = self._client.get_state_dict(self._session, format="safetensors")
        first = self._all[0]
        state = fetched["state"].get(0)
        if state is None:
            self.state.pop(first, None)
        else:
            self.state[first] = _to_tensors(state, self._dtype, first.device)
        self._stale = False

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("this optimizer can't be copied or pickled: its state_dict() can")


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """-0.0 is not 0.0 here."""
    bits = torch.int32 if one.dtype == torch.float32 else torch.int64
    return one.shape == other.shape and torch.equal(one.view(bits), other.view(bits))


def _common_dtype(params: list[Tensor]) -> torch.dtype:
    for p in params:
        if torch.is_complex(p) or p.dtype not in DTYPES:
            raise ValueError(f"Parameters must be real, float32 or float64, not {p.dtype}")
    dtypes = {p.dtype for p in params}
    if len(dtypes) > 1:
        listed = " and ".join(sorted(str(dtype) for dtype in dtypes))
        raise ValueError(f"Parameters must be real and of one dtype, not {listed}")
    return dtypes.pop()


def _with_elements(group: Mapping[str, Any]) -> list[Tensor]:
    return [p for p in group["params"] if p.numel() > 0]


def _named(group: Mapping[str, Any]) -> Any:
    """The values of a group's parameters, by name if they have names."""
    arrays = [p.detach().cpu().numpy() for p in _with_elements(group)]
    names = group.get("param_names")
    if names is None:
        return arrays
    own = [name for name, p in zip(names, group["params"], strict=True) if p.numel() > 0]
    return dict(zip(own, arrays, strict=True))


def _to_arrays(state: Mapping[str, Any]) -> dict[str, Any]:
    def array(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.detach().cpu().numpy()
        if isinstance(value, (list, tuple)):
            return [array(item) for item in value]
        return value

    return {key: array(value) for key, value in state.items()}


def _to_tensors(
    state: Mapping[str, Any], dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    """Arrays as tensors, where torch has tensors."""

    def tensor(values: Any) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    shaped = dict(state)
    for key in ("d", "prev_flat_grad"):
        if shaped.get(key) is not None:
            shaped[key] = tensor(shaped[key])
    for key in ("old_dirs", "old_stps", "ro", "al"):
        if shaped.get(key) is not None:
            shaped[key] = [None if item is None else tensor(item) for item in shaped[key]]
    return shaped


def as_torch(state_dict: Mapping[str, Any], dtype: torch.dtype | None = None) -> dict[str, Any]:
    """A state dict of `Client` or of a file in the form that torch.optim.LBFGS loads, with CPU
    tensors of this type, or else as precise as they are given."""

    def converted(state: Mapping[str, Any]) -> dict[str, Any]:
        vector = state.get("d")
        own = torch.float64 if vector is None else torch.as_tensor(vector).dtype
        return _to_tensors(_to_arrays(state), dtype or own, torch.device("cpu"))

    states = {first: converted(state) for first, state in state_dict["state"].items()}
    return {"state": states, "param_groups": [dict(group) for group in state_dict["param_groups"]]}


def state_dict_to_safetensors(state_dict: Mapping[str, Any]) -> bytes:
    """A state dict, torch's or a client's, as the content of a safetensors file."""
    states = {first: _to_arrays(state) for first, state in state_dict["state"].items()}
    return _safetensors.dump({**state_dict, "state": states})


def state_dict_from_safetensors(content: bytes, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """The state dict in the content of a safetensors file, for torch.optim.LBFGS to load."""
    return as_torch(_safetensors.load(content), dtype)


def load_pt(path: str | os.PathLike[str], key: str | None = None) -> dict[str, Any]:
    """The optimizer's state dict in a file of torch.save. `key` says where it is in a checkpoint of
    several things; without it "optimizer" and "optimizer_state_dict" are tried. Nothing in the
    file is run: it is read with `weights_only=True`."""
    found = torch.load(path, map_location="cpu", weights_only=True)
    keys = (key,) if key is not None else ("optimizer", "optimizer_state_dict")
    if key is not None or not _is_state_dict(found):
        given = found if isinstance(found, Mapping) else {}
        found = next((given[key] for key in keys if key in given), None)
    if not _is_state_dict(found):
        raise ValueError(f"{os.fspath(path)} has no state dict of an optimizer; give its key")
    return cast("dict[str, Any]", found)


def save_pt(
    state_dict: Mapping[str, Any], path: str | os.PathLike[str], dtype: torch.dtype | None = None
) -> None:
    """Saves a state dict, torch's or a client's, to a file that torch.load reads."""
    torch.save(as_torch(state_dict, dtype), path)


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and "state" in value and "param_groups" in value
