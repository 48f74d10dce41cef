"""What one rank of test_distributed_torch.py does: trains a model for some iterations, and writes
the loss of each closure to a file.

    python ranks.py KIND RANK SIZE STORE OUT [MODE]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from lbfgsd.distributed.torch import DistributedLBFGS

ITERATIONS = 30
EXAMPLES = 64


def model() -> nn.Module:
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Linear(4, 20), nn.Tanh(), nn.Linear(20, 3))
    return layers.double()


def data() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(4)
    inputs = torch.randn(EXAMPLES, 4, generator=generator, dtype=torch.float64)
    targets = torch.randn(EXAMPLES, 3, generator=generator, dtype=torch.float64)
    return inputs, targets


OPTIONS: dict[str, dict[str, Any]] = {
    "torch": {"line_search_fn": "strong_wolfe", "history_size": 10},
    "fixed": {"lr": 0.3, "history_size": 5},
    "robust": {"mode": "robust", "history_size": 10, "tolerance_change": 0},
}


def sharded(kind: str, net: nn.Module) -> nn.Module:
    if kind == "ddp":
        return nn.parallel.DistributedDataParallel(net)
    if kind == "fsdp2":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for layer in net.children():
            if isinstance(layer, nn.Linear):
                fully_shard(layer, mesh=mesh)
        fully_shard(net, mesh=mesh)
        return net
    from torch.distributed.fsdp import FullyShardedDataParallel

    return FullyShardedDataParallel(
        net, device_id=torch.device("cpu"), use_orig_params=kind == "fsdp1-original"
    )


def train(net: nn.Module, optimizer: Any, inputs: Any, targets: Any, steps: int) -> list[float]:
    losses: list[float] = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(inputs), targets)
        loss.backward()
        total = loss.detach().clone()
        if dist.is_initialized():
            dist.all_reduce(total)
            total /= dist.get_world_size()
        losses.append(float(total))
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return losses


def main() -> None:
    kind, rank, size, store, out = sys.argv[1:6]
    options = OPTIONS[sys.argv[6]]
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(size)
    )
    torch.set_num_threads(1)
    net = sharded(kind, model())
    share = EXAMPLES // int(size)
    part = slice(int(rank) * share, (int(rank) + 1) * share)
    inputs, targets = data()
    optimizer = DistributedLBFGS(net.parameters(), max_iter=ITERATIONS // 3, **options)
    losses = train(net, optimizer, inputs[part], targets[part], steps=2)
    # A state that is saved and loaded goes on as if nothing had happened.
    state = optimizer.state_dict()
    optimizer = DistributedLBFGS(net.parameters(), max_iter=ITERATIONS // 3, **options)
    optimizer.load_state_dict(state)
    losses += train(net, optimizer, inputs[part], targets[part], steps=1)
    Path(f"{out}.{rank}").write_text(json.dumps(losses))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
