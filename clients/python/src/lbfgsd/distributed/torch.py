"""An optimizer of torch for parameters that are spread over ranks, or copied to all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import torch
from torch.optim import Optimizer

from .._engine.library import library_path
from .._model import Floats, StepResult
from .communicators import Communicator, LocalCommunicator, TorchCommunicator
from .coordinator import Coordinator
from .run import new_coordinator, run_step
from .worker import BLOCK, Worker

__all__ = ["DistributedLBFGS"]


class _TensorVectors:
    """Slices that are flat tensors of one device. The first `count` numbers count in sums: what is
    after them are copies of numbers that another rank counts."""

    def __init__(self, count: int) -> None:
        self.count = count

    def copy(self, vector: Any) -> Any:
        return vector.clone()

    def difference(self, one: Any, other: Any) -> Any:
        return one - other

    def combination(self, vectors: list[Any], coefficients: list[float]) -> Any:
        total = vectors[0].double() * coefficients[0]
        for vector, coefficient in zip(vectors[1:], coefficients[1:], strict=True):
            total.add_(vector.double() * coefficient)
        return total.to(vectors[0].dtype)

    def dots(self, rows: list[Any], columns: list[Any]) -> Floats:
        total = torch.zeros(len(rows), len(columns), dtype=torch.float64)
        if rows:
            total = total.to(rows[0].device)
        for start in range(0, self.count, BLOCK * 64):
            part = slice(start, min(start + BLOCK * 64, self.count))
            wide = [column[part].double() for column in columns]
            for index, row in enumerate(rows):
                numbers = row[part].double()
                for other, column in enumerate(wide):
                    total[index, other] += (numbers * column).sum()
        found: Floats = total.cpu().numpy()
        return found

    def norms(self, vector: Any) -> tuple[float, float]:
        counted = vector[: self.count]
        if counted.numel() == 0:
            return 0.0, 0.0
        absolute = counted.abs()
        return float(absolute.max()), float(absolute.double().sum())


class DistributedLBFGS(Optimizer):
    """L-BFGS for a model under DDP, FSDP, FSDP2, with DTensors, or in one process.

    Every rank makes one with its parameters, and calls `step(closure)` as with torch.optim.LBFGS:
    the closure clears the gradients, computes the loss, calls `backward` and returns the loss. The
    options are those of `torch.optim.LBFGS`, and those of a session beside them: `mode="robust"`,
    `tolerance_grad_relative`, `noise` and so on. The loss of the ranks is averaged, as DDP and FSDP
    average the gradients (`loss_reduction="sum"` adds).

    Parameters that are shards (of FSDP, FSDP2 or DTensors) are counted where they are. Parameters
    that each rank has a copy of, as under DDP, are counted on rank 0; all ranks move theirs alike.

    `state_dict()` is the state of this rank: the engine's (some KB, the same on all ranks), and the
    rank's slices of the direction, the gradients and the pairs. It can be loaded where the ranks
    have the same slices.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        *,
        communicator: Communicator | None = None,
        process_group: Any = None,
        loss_reduction: Literal["mean", "sum"] = "mean",
        **options: Any,
    ) -> None:
        named = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        self._options = {"mode": "torch", **named, **options}
        super().__init__(params, dict(named))
        if len(self.param_groups) != 1:
            raise ValueError("DistributedLBFGS doesn't support per-parameter options")
        if loss_reduction not in ("mean", "sum"):
            raise ValueError(f"loss_reduction must be 'mean' or 'sum', not {loss_reduction!r}")
        if communicator is None:
            initialized = torch.distributed.is_available() and torch.distributed.is_initialized()
            communicator = TorchCommunicator(process_group) if initialized else LocalCommunicator()
        self._communicator = communicator
        self._share = 1 / communicator.size() if loss_reduction == "mean" else 1.0
        rank = communicator.rank()
        parameters = self.param_groups[0]["params"]
        # Those that count come first.
        counted = [p for p in parameters if _is_counted(p, rank)]
        self._parameters = counted + [p for p in parameters if not _is_counted(p, rank)]
        count = sum(_local(p).numel() for p in counted)
        dtypes = {p.dtype for p in parameters}
        if dtypes - {torch.float32, torch.float64} or len(dtypes) > 1:
            raise TypeError(f"parameters must be all float32 or all float64, not {dtypes}")
        dtype = "float64" if dtypes == {torch.float64} else "float32"
        self._coordinator = new_coordinator(dtype, self._options) if rank == 0 else None
        self._worker = Worker(self._gathered(), _TensorVectors(count))
        self.last_result: StepResult | None = None
        """The result of the last step."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Runs one step: up to `max_iter` iterations.

        Returns the loss where it began, averaged over the ranks. An exception of the closure ends
        the step at its best point and is raised; other ranks raise `RuntimeError`.
        """
        # Parameters may have been changed between two steps.
        self._worker.x = self._gathered()

        def evaluate(point: Any) -> tuple[float, Any]:
            self._scatter(point)
            with torch.enable_grad():
                loss = closure()
            return float(loss) * self._share, self._gathered(gradients=True)

        try:
            self.last_result = run_step(
                self._coordinator, self._worker, self._communicator, evaluate
            )
        finally:
            self._scatter(self._worker.x)
        return self.last_result.loss_before

    def state_dict(self) -> dict[str, Any]:
        """The state of this rank. All ranks call it."""
        snapshot = None
        if self._coordinator is not None:
            octets = np.frombuffer(self._coordinator.snapshot(), dtype=np.uint8)
            snapshot = octets.astype(np.float64)
        shared = self._communicator.broadcast(snapshot).astype(np.uint8)
        worker = self._worker
        state = {
            "engine": torch.from_numpy(shared.copy()),
            "command": worker.number,
            "step_length": worker.step_length,
            "direction": worker.direction,
            "gradient": worker.gradient,
            "start_gradient": worker.start_gradient,
            "steps": list(worker.steps),
            "changes": list(worker.changes),
        }
        group = {k: v for k, v in self.param_groups[0].items() if k != "params"}
        return {
            "state": {0: state},
            "param_groups": [{**group, "params": list(range(len(self.param_groups[0]["params"])))}],
        }

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads the state of this rank. All ranks call it, with the state of the same moment."""
        state = state_dict["state"][0]
        like = self._worker.x

        def slice_of(name: str, tensor: Any) -> Any:
            if tensor is None:
                return None
            if tensor.shape != like.shape:
                raise ValueError(
                    f"{name} has {tensor.numel()} numbers, and this rank has {like.numel()}: "
                    "the state is that of another layout"
                )
            return tensor.to(like).clone()

        worker = Worker(like, self._worker.vectors)
        worker.number = int(state["command"])
        worker.step_length = float(state["step_length"])
        for name in ("direction", "gradient", "start_gradient"):
            setattr(worker, name, slice_of(name, state[name]))
        worker.steps = [slice_of("steps", s) for s in state["steps"]]
        worker.changes = [slice_of("changes", y) for y in state["changes"]]
        if self._coordinator is not None:
            path = library_path()
            assert path is not None
            self._coordinator = Coordinator.restored(path, state["engine"].numpy().tobytes())
        self._worker = worker

    def _gathered(self, *, gradients: bool = False) -> Any:
        parts = []
        for parameter in self._parameters:
            local = _local(parameter)
            if gradients:
                gradient = parameter.grad
                local = torch.zeros_like(local) if gradient is None else _local(gradient)
            parts.append(local.detach().reshape(-1))
        return torch.cat(parts)

    def _scatter(self, vector: Any) -> None:
        offset = 0
        for parameter in self._parameters:
            local = _local(parameter)
            count = local.numel()
            local.copy_(vector[offset : offset + count].view_as(local))
            offset += count


def _local(tensor: Any) -> Any:
    """The part of a tensor that is here: the shard of a DTensor, or the tensor itself."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor.data


def _is_counted(parameter: Any, rank: int) -> bool:
    """Whether this rank's numbers of a parameter enter sums: each number has to, once."""
    if hasattr(parameter, "placements"):
        coordinate = parameter.device_mesh.get_coordinate() or []
        return all(
            place.is_shard() or here == 0
            for place, here in zip(parameter.placements, coordinate, strict=True)
        )
    # What FSDP1 says of its flat parameters, and of views to them.
    is_shard = hasattr(parameter, "_is_flat_param") or getattr(parameter, "_fsdp_flattened", False)
    return is_shard or rank == 0
