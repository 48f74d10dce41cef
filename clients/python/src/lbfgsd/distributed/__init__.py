"""L-BFGS for vectors that are spread over processes: `torch.distributed`, MPI, or any communicator.

Each process (a rank) holds slices of the parameters, of the gradient and of the curvature pairs.
Rank 0 has the engine, which sees dot products only, and answers with commands of a few numbers:
2 m + 14 numbers down and 4 m + 11 up for each rank and evaluation, with m pairs, whatever n is.
Modes, line searches and options are those of `lbfgsd.minimize`; there are no bounds.

    from lbfgsd.distributed import MPICommunicator, minimize

    result = minimize(fun, x0_of_this_rank, communicator=MPICommunicator(), history_size=10)

`fun(x)` gets this rank's slice and returns its part of the loss, which are added up, and its slice
of the gradient. `lbfgsd.distributed.torch.DistributedLBFGS` is a `torch.optim.Optimizer` for models
under DDP, FSDP and FSDP2.

The engine runs in process: the package needs its library, as `lbfgsd.minimize(engine="local")`
does. With one layout (the same ranks and slices) a run has the same bits each time; another layout
adds in another order.
"""

from .communicators import Communicator, LocalCommunicator, MPICommunicator, TorchCommunicator
from .coordinator import Command, Coordinator
from .run import DistributedResult, minimize
from .worker import NumPyVectors, Vectors, Worker

__all__ = [
    "Command",
    "Communicator",
    "Coordinator",
    "DistributedResult",
    "LocalCommunicator",
    "MPICommunicator",
    "NumPyVectors",
    "TorchCommunicator",
    "Vectors",
    "Worker",
    "minimize",
]
