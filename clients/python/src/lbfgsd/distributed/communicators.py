"""How ranks talk: four functions, and adapters for what is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .._model import Floats

if TYPE_CHECKING:
    from collections.abc import Sequence


class Communicator(Protocol):
    """Ranks 0, 1 ... of one group. All ranks call `broadcast` and `gather` in the same order."""

    def rank(self) -> int:
        """The number of this rank."""

    def size(self) -> int:
        """How many ranks there are."""

    def broadcast(self, numbers: Floats | None) -> Floats:
        """The numbers of rank 0, on every rank; others pass None. Their count may differ from call
        to call."""

    def gather(self, numbers: Floats) -> Sequence[Floats] | None:
        """On rank 0 the numbers of all ranks, in their order; None elsewhere. All have as many."""


class LocalCommunicator:
    """One process."""

    def rank(self) -> int:
        return 0

    def size(self) -> int:
        return 1

    def broadcast(self, numbers: Floats | None) -> Floats:
        assert numbers is not None
        return numbers

    def gather(self, numbers: Floats) -> Sequence[Floats] | None:
        return [numbers]


class MPICommunicator:
    """The ranks of an MPI communicator, by mpi4py: `COMM_WORLD` unless another is given."""

    def __init__(self, comm: Any = None) -> None:
        from mpi4py import MPI

        self._comm = MPI.COMM_WORLD if comm is None else comm

    def rank(self) -> int:
        return int(self._comm.Get_rank())

    def size(self) -> int:
        return int(self._comm.Get_size())

    def broadcast(self, numbers: Floats | None) -> Floats:
        count = self._comm.bcast(None if numbers is None else numbers.size)
        memory = np.empty(count) if numbers is None else np.ascontiguousarray(numbers)
        self._comm.Bcast(memory)
        return memory

    def gather(self, numbers: Floats) -> Sequence[Floats] | None:
        memory = np.empty((self.size(), numbers.size)) if self.rank() == 0 else None
        self._comm.Gather(np.ascontiguousarray(numbers), memory)
        return None if memory is None else list(memory)


class TorchCommunicator:
    """The ranks of a process group of `torch.distributed`: the default one unless another is given.

    Messages go through the CPU where the backend can, as gloo does, and else through the current
    device.
    """

    def __init__(self, group: Any = None) -> None:
        import torch
        import torch.distributed as distributed

        self._torch, self._distributed, self._group = torch, distributed, group
        backend = distributed.get_backend(group)
        self._device = "cpu" if backend != "nccl" else torch.device("cuda")

    def rank(self) -> int:
        return int(self._distributed.get_rank(self._group))

    def size(self) -> int:
        return int(self._distributed.get_world_size(self._group))

    def _first(self) -> int:
        if self._group is None:
            return 0
        return int(self._distributed.get_global_rank(self._group, 0))

    def broadcast(self, numbers: Floats | None) -> Floats:
        count = self._torch.tensor([0 if numbers is None else numbers.size], device=self._device)
        self._distributed.broadcast(count, self._first(), group=self._group)
        memory = self._torch.empty(int(count), dtype=self._torch.float64, device=self._device)
        if numbers is not None:
            memory.copy_(self._torch.from_numpy(np.ascontiguousarray(numbers)))
        self._distributed.broadcast(memory, self._first(), group=self._group)
        received: Floats = memory.cpu().numpy()
        return received

    def gather(self, numbers: Floats) -> Sequence[Floats] | None:
        own = self._torch.from_numpy(np.ascontiguousarray(numbers)).to(self._device)
        # Not `gather`, which nccl had not for long.
        parts = [self._torch.empty_like(own) for _ in range(self.size())]
        self._distributed.all_gather(parts, own, group=self._group)
        return [part.cpu().numpy() for part in parts] if self.rank() == 0 else None
