"""Type aliases for numbers and for torch's dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""An array of Float64, or of Float32 if the session's dtype is float32."""
StateDict = dict[str, Any]
"""What `torch.optim.LBFGS.state_dict()` returns, with arrays in place of tensors."""
Options = Mapping[str, Any]
