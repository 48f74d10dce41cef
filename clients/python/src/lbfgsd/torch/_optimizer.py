"""The optimizer: torch.optim.LBFGS with its state in a session of the service."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from .._client import Client, SessionLike
from .._client.exchange import given
from .._engine import Engine, LocalClient, engine_client
from .._model import Floats, Parameters, ParamGroup, StateDict, Turn
from .._naming import check_names, newest_session
from .._stepping import HookHandler, LossAndGradient, answering_hooks, run_step, stop_interrupted
from ._groups import (
    BOUNDS,
    OPTIONS,
    PER_PARAMETER,
    flat_bounds,
    has_bounds,
    regroup,
    session_positions,
    set_options,
    share_options,
    step_options,
)
from ._local import LocalSteps
from ._tensors import (
    DTYPES,
    common_dtype,
    gather,
    gather_gradient,
    named_values,
    same_bits,
    scatter,
    to_arrays,
    to_tensors,
    with_elements,
)


class LBFGS(Optimizer):
    """L-BFGS with the options, steps, state dict and hooks of torch.optim.LBFGS.

    Arguments beyond torch's:

    `engine`: "server", or "local" for the engine in this process, which is not stored anywhere, has
    the same bits, and needs a package with the engine's library. It has no sessions, hooks of the
    service and frozen groups, and refuses `add_param_group`, as torch does.
    `client`: a client of the service; or `url`, by default $LBFGSD_URL or http://127.0.0.1:8080.
    `session`: an existing session to go on with. Its parameters and options replace those given
    here, and a step that was running goes on in the next call of `step`. Without it, the first
    step or the first loading of a state dict creates a session, whose identifier is then `session`.
    `maximize`: maximizes the loss.
    `mode`: of the session, "torch" or "robust"; by default "robust" if a parameter group has
    bounds, which need it, and else "torch". Given with an existing session, it changes the
    session's mode, and so its line search unless `line_search_fn` names one.
    `noise`, `history_dtype`, `tolerance_grad_relative`, `tolerance_loss_relative` and
    `reuse_evaluation`: the session's other options, which the service documents.
    `name` and `labels`: those of the session that is created. With `resume=True` the newest session
    of that name goes on, if there is one, so that a script that is run again continues.
    `on_hook(call)`: answers hooks of the service that intercept. None lets a call pass; options
    replace those of the step, and a state dict as `Client` has it replaces the state. Without it
    the calls are left to other clients, or to the hook's default.

    Unlike torch's optimizer this one goes on after `add_param_group`, and keeps the history. The
    options of `param_groups[0]` apply to all groups. The parameters of a group whose entry "frozen"
    is true don't move.

    A parameter group may have bounds, `{"params": ..., "lower": 0.0, "upper": 1.0}`, and weights
    "l1" of a term sum(l1 * abs(p)) that is added to the loss, which the closure leaves out. Each is
    a number for all, a tensor of the shape of the group's only parameter, or a list with either for
    each parameter. Parameters outside are set to their bounds, and no trial point is outside. A
    group without has none; a change takes effect with the next step. The state dict of torch has no
    place for bounds: loading one keeps those of the groups. Where a group has bounds, the
    constructor takes several groups, whose options must be the same.

    The parameters may be on several devices, and are all float32 or all float64. The closure may
    raise `lbfgsd.Infeasible` where the loss is undefined. Any other exception in it stops the step
    at its best point, to which the parameters are set, and goes to the caller.
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
        mode: str | None = None,
        noise: str | float | None = None,
        history_dtype: str | None = None,
        tolerance_grad_relative: float | None = None,
        tolerance_loss_relative: float | None = None,
        reuse_evaluation: bool | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        resume: bool = False,
        on_hook: HookHandler | None = None,
        engine: Engine | None = None,
    ) -> None:
        check_names(session, name, labels, resume)
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
            if not has_bounds(self.param_groups):
                raise ValueError(PER_PARAMETER)
            share_options(self.param_groups, step_options(self.param_groups), {})
        self._dtype = common_dtype(self._all)
        if not self._params:
            raise ValueError("the parameters have no elements")
        local = engine_client(
            engine or "server",
            client=client,
            url=url,
            session=session,
            name=name,
            labels=labels,
            resume=resume,
            on_hook=on_hook,
        )
        self._client = local or client or Client(url)
        self._steps: LocalSteps | None = None
        self._maximize, self._on_hook = maximize, on_hook
        flat_bounds(self.param_groups)
        self._mode = mode or ("robust" if has_bounds(self.param_groups) else "torch")
        self._name, self._labels = name, labels
        self._others = given(
            noise=noise,
            history_dtype=history_dtype,
            tolerance_grad_relative=tolerance_grad_relative,
            tolerance_loss_relative=tolerance_loss_relative,
            reuse_evaluation=reuse_evaluation,
        )
        """Options that torch has not."""
        self._bounds: dict[str, Floats] = {}
        """Those that were sent."""
        self._session: str | None = None
        self._frozen: list[bool] = []
        """Of each group that the session has, which are those with elements."""
        self._sent: Tensor | None = None
        """The parameters as the session has them."""
        self._options: dict[str, Any] = {}
        self._pending: Turn | None = None
        self._stale = False
        """Whether the session has newer state than `self.state`."""
        self._is_complete = True
        if resume and name is not None:
            session = newest_session(self._client, name)
        if session is not None:
            self._attach(session)
            self._change_options(mode, line_search_fn)

    _is_complete = False
    """Whether the constructor has finished; torch's calls `add_param_group` before that."""

    _may_differ = False
    """Whether the session may be elsewhere than this optimizer: a step could not be stopped."""

    @property
    def _all(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    @property
    def _params(self) -> list[Tensor]:
        """The parameters that have elements. The session knows nothing of the others."""
        return [p for p in self._all if p.numel() > 0]

    @property
    def session(self) -> str | None:
        """The session's identifier, or None before there is a session, and with the engine in this
        process."""
        return None if self._local is not None else self._session

    @property
    def _local(self) -> LocalClient | None:
        return self._client if isinstance(self._client, LocalClient) else None

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
        if self._local is not None:
            return self._local_step(self._local, session, closure)
        resumed, self._pending = self._pending, None
        first: list[Any] = []

        def evaluate(x: Floats) -> LossAndGradient:
            scatter(self._params, x)
            loss = closure()
            if not first:
                first.append(loss)
            value = loss.detach() if isinstance(loss, Tensor) else loss
            return LossAndGradient(float(value), gather_gradient(self._params))

        turn = resumed if resumed is not None else self._begin(session)
        self._stale = True
        try:
            turn = run_step(self._client, turn, evaluate, self._on_hook)
        except BaseException as error:
            stopped = stop_interrupted(self._client, session, error)
            if stopped is not None and stopped.x is not None:
                scatter(self._params, stopped.x)
                self._sent = gather(self._params)
            else:
                self._may_differ = True
            raise
        assert turn.x is not None
        scatter(self._params, turn.x)
        self._sent = gather(self._params)
        if resumed is None and first:
            return first[0]
        return self._loss_before(turn.result.loss_before if turn.result else None, first)

    def _local_step(self, client: LocalClient, session: str, closure: Callable[[], Any]) -> Any:
        self._prepare(session)
        if self._steps is None:
            self._steps = LocalSteps(client, self._params)
        self._stale = True
        try:
            first, result = self._steps.run(closure)
        finally:
            self._sent = gather(self._params)
        return first[0] if first else self._loss_before(result.loss_before, first)

    def _prepare(self, session: str) -> None:
        """Sends what has changed since the last step."""
        self._send_options(session)
        self._send_frozen(session)
        has_moved = self._send_params(session)
        self._send_bounds(session, has_moved)

    def _begin(self, session: str) -> Turn:
        self._prepare(session)
        try:
            return self._client.begin_step(session)
        except BaseException:
            # The server may have begun the step all the same.
            self._may_differ = True
            raise

    def _loss_before(self, loss: float | None, seen: list[Any]) -> Any:
        """The loss at the start of a step that another process has begun."""
        value = math.nan if loss is None else loss
        if seen and isinstance(seen[0], Tensor):
            return torch.full_like(seen[0], value)
        return value

    # Parameter groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters, which are optimized from the next step on."""
        if not self._is_complete:
            super().add_param_group(param_group)
            return
        if self._local is not None:
            raise ValueError(PER_PARAMETER)
        shared = {name: self.param_groups[0][name] for name in OPTIONS}
        if any(name in param_group and param_group[name] != shared[name] for name in shared):
            raise ValueError(PER_PARAMETER)
        if self._session is not None and self._may_differ:
            self._attach(self._session)
        super().add_param_group({**param_group, **shared})
        try:
            if common_dtype(self._all) != self._dtype:
                raise ValueError(f"Parameters must be {self._dtype}, as those of the first group")
            if self._session is not None:
                self._join(self._session, self.param_groups[-1])
        except BaseException:
            self.param_groups.pop()
            raise

    def _join(self, session: str, group: Mapping[str, Any]) -> None:
        params = with_elements(group)
        if not params:
            return
        self._client.add_param_group(session, named_values(group), name=group.get("name"))
        self._frozen.append(False)
        if self._sent is not None:
            self._sent = torch.cat([self._sent, gather(params)])
        self._stale = True

    def _send_frozen(self, session: str) -> None:
        groups = [group for group in self.param_groups if with_elements(group)]
        for index, group in enumerate(groups):
            frozen = bool(group.get("frozen", False))
            if frozen != self._frozen[index]:
                if self._local is not None:
                    raise ValueError("only a server has frozen groups")
                self._client.update_param_group(session, index, frozen=frozen)
                self._frozen[index] = frozen

    def _take_groups(self, groups: tuple[ParamGroup, ...]) -> None:
        """Groups the parameters as the session does."""
        regroup(self.param_groups, groups)
        self._frozen = [group.frozen for group in groups]

    # The session

    def _ensure_session(self) -> str:
        if self._session is not None:
            if self._may_differ:
                self._attach(self._session)
            return self._session
        options = step_options(self.param_groups)
        first, *others = [group for group in self.param_groups if with_elements(group)]
        if self._local is not None:
            first, others = {"params": self._params}, []
        more = dict(self._others)
        if self._maximize:
            more["maximize"] = True
        if self._mode != "torch":
            more["mode"] = self._mode
        created = self._client.create_session(
            params=named_values(first),
            options={**options, **more},
            dtype=DTYPES[self._dtype],
            name=self._name,
            labels=self._labels,
        )
        self._session, self._options = created.id, options
        self._frozen = [False] * (len(self.param_groups) if self._local is not None else 1)
        self._sent = gather(with_elements(first))
        for group in others:
            self._join(created.id, group)
        return created.id

    def _attach(self, session: SessionLike) -> None:
        """Takes the parameters, groups and options of a session, and its pending step."""
        found = self._client.get_session(session)
        shapes = [tuple(p.shape) for p in self._params]
        if [spec.shape for spec in found.params] != shapes:
            theirs = [spec.shape for spec in found.params]
            raise ValueError(f"session {found.id} has parameters of shapes {theirs}, not {shapes}")
        if found.dtype != DTYPES[self._dtype]:
            raise ValueError(f"session {found.id} is {found.dtype}, not {DTYPES[self._dtype]}")
        self._session = found.id
        self._take_groups(found.param_groups)
        set_options(self.param_groups, found.options)
        self._options = step_options(self.param_groups)
        self._take_params(self._client.get_params(found))
        turn = self._client.ask(found) if found.state != "idle" else None
        self._pending = turn if turn is not None and turn.state != "idle" else None
        self._stale = True
        self._may_differ = False

    def _change_options(self, mode: str | None, line_search_fn: str | None) -> None:
        """Gives the session that was attached the options that torch has not."""
        assert self._session is not None
        theirs = self._client.get_session(self._session).options
        wanted = dict(self._others)
        if mode is not None and mode != theirs["mode"]:
            # Each mode has line searches of its own.
            wanted |= {"mode": mode, "line_search_fn": line_search_fn}
        changed = {k: v for k, v in wanted.items() if theirs.get(k) != v}
        if changed:
            updated = self._client.update_session(self._session, options=changed)
            set_options(self.param_groups, updated.options)
            self._options = step_options(self.param_groups)
        self._mode = mode or theirs["mode"]

    def _send_options(self, session: str) -> None:
        options = step_options(self.param_groups)
        share_options(self.param_groups, options, self._options)
        changed = {k: v for k, v in options.items() if self._options.get(k) != v}
        if changed:
            self._client.update_session(session, options=changed)
            self._options = options

    def _send_params(self, session: str) -> bool:
        """Returns whether they had changed."""
        now = gather(self._params)
        has_moved = self._sent is None or not same_bits(now, self._sent)
        if has_moved:
            self._client.set_params(session, now.numpy())
            self._sent = now
        return has_moved

    def _send_bounds(self, session: str, has_moved: bool = False) -> None:
        """Sends bounds that have changed, and takes the parameters that were projected onto them,
        now or when they were sent."""
        bounds = flat_bounds(self.param_groups)
        same = bounds.keys() == self._bounds.keys() and all(
            np.array_equal(bounds[key], self._bounds[key]) for key in bounds
        )
        if not same:
            lower, upper, l1 = (bounds.get(key) for key in BOUNDS)
            self._client.set_bounds(session, lower, upper, l1)
            self._bounds = bounds
        if bounds and (has_moved or not same):
            self._take_params(self._client.get_params(session))

    def _take_params(self, params: Parameters) -> None:
        with torch.no_grad():
            scatter(self._params, params.x)
        self._sent = gather(self._params)

    # The state dict

    def state_dict(self) -> dict[str, Any]:
        """Returns the state as torch's optimizer does; either loads the other's."""
        self._fetch_state()
        state_dict: StateDict = super().state_dict()
        return state_dict

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Loads a state dict of this optimizer or of torch.optim.LBFGS."""
        if self._session is not None and self._may_differ:
            self._attach(self._session)
        if self._session is not None and self._pending is not None:
            stopped = self._client.stop(self._session)
            self._pending = None
            if stopped.x is not None:
                scatter(self._params, stopped.x)
                self._sent = gather(self._params)
        own = [{k: group[k] for k in BOUNDS if k in group} for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, bounds in zip(self.param_groups, own, strict=True):
            for key in BOUNDS:
                group.pop(key, None)
            group.update(bounds)
        session = self._ensure_session()
        self._send_frozen(session)
        self._send_params(session)
        options = step_options(self.param_groups)
        state = dict(self.state.get(self._all[0], {}))
        groups = [
            {**options, "params": positions} for positions in session_positions(self.param_groups)
        ]
        loaded = {"state": {0: to_arrays(state)} if state else {}, "param_groups": groups}
        with answering_hooks(self._client, session, self._on_hook):
            self._client.load_state_dict(session, loaded, format="safetensors")
        self._options = options
        self._stale = False

    def _fetch_state(self) -> None:
        if not self._stale or self._session is None:
            return
        with answering_hooks(self._client, self._session, self._on_hook):
            fetched = self._client.get_state_dict(self._session, format="safetensors")
        first = self._all[0]
        state = fetched["state"].get(0)
        if state is None:
            self.state.pop(first, None)
        else:
            self.state[first] = to_tensors(state, self._dtype, first.device)
        self._stale = False

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("this optimizer can't be copied or pickled: its state_dict() can")
