"""A progress bar, drawn by tqdm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._model import Floats


class Progress:
    """Shows the number of evaluations and the newest loss and gradient norm, if `wanted`."""

    def __init__(self, wanted: bool, label: str) -> None:
        self._bar: Any = None
        if wanted:
            try:
                from tqdm.auto import tqdm
            except ImportError as error:
                message = 'progress=True needs tqdm: install "lbfgsd[progress]"'
                raise ImportError(message) from error
            self._bar = tqdm(desc=label, unit=" evaluations")

    @property
    def is_shown(self) -> bool:
        return self._bar is not None

    def update(self, loss: float, gradient: Floats) -> None:
        if self._bar is not None:
            norm = float(np.max(np.abs(gradient), initial=0.0))
            self._bar.set_postfix_str(f"loss {loss:.6g}, max|g| {norm:.2e}", refresh=False)
            self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
