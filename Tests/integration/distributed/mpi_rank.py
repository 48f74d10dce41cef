"""What one rank of test_distributed_mpi.py does.

mpirun -n 3 python mpi_rank.py OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from lbfgsd.distributed import MPICommunicator, minimize

COUNT = 1001


def main() -> None:
    comm = MPI.COMM_WORLD
    rank, size = comm.Get_rank(), comm.Get_size()
    first, last = rank * COUNT // size, (rank + 1) * COUNT // size

    def chain(x: Any) -> tuple[float, Any]:
        """sum_i (x_i - i / n)^2 + (x_{i+1} - x_i)^4: neighbours talk."""
        # The last number of the rank before, and the first of the next.
        before, after = np.zeros(1), np.zeros(1)
        left = rank - 1 if rank > 0 else MPI.PROC_NULL
        right = rank + 1 if rank < size - 1 else MPI.PROC_NULL
        comm.Sendrecv(x[-1:].copy(), right, recvbuf=before, source=left)
        comm.Sendrecv(x[:1].copy(), left, recvbuf=after, source=right)
        pulls = x - np.arange(first, last) / COUNT
        loss, gradient = float(pulls @ pulls), 2 * pulls
        steps = np.diff(x, append=after if right != MPI.PROC_NULL else x[-1:])
        loss += float((steps**4).sum())
        gradient -= 4 * steps**3
        gradient[1:] += 4 * steps[:-1] ** 3
        if left != MPI.PROC_NULL:
            gradient[0] += 4 * (x[0] - before[0]) ** 3
        return loss, gradient

    result = minimize(
        chain,
        np.full(last - first, 3.0),
        communicator=MPICommunicator(comm),
        history_size=7,
        tolerance_grad=1e-9,
    )
    whole = comm.gather(result.x)
    if whole is not None:
        found = {
            "x": np.concatenate(whole).tolist(),
            "fun": result.fun,
            "nfev": result.nfev,
            "reason": result.reason,
        }
        Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
