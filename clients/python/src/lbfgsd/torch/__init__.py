"""torch.optim.LBFGS with its state in the service: change the import, keep the rest."""

from __future__ import annotations

from ._files import (
    as_torch,
    load_pt,
    save_pt,
    state_dict_from_safetensors,
    state_dict_to_safetensors,
)
from ._optimizer import LBFGS

__all__ = [
    "LBFGS",
    "as_torch",
    "load_pt",
    "save_pt",
    "state_dict_from_safetensors",
    "state_dict_to_safetensors",
]
