"""Steps with the engine in this process: tensors and the engine's vectors share memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .._engine.client import LocalClient
from .._engine.library import EVALUATE
from .._errors import Infeasible
from .._model import StepResult


class LocalSteps:
    """The steps of one optimizer. The point that is to be evaluated is in memory that tensors have
    too, and is copied to the parameters once; a gradient that is one CPU tensor is read where it
    is."""

    def __init__(self, client: LocalClient, params: Sequence[Tensor]) -> None:
        self._client, self._params = client, params
        trial = torch.from_numpy(client.optimizer.trial)
        sizes = [p.numel() for p in params]
        self._views = [
            part.view(p.shape) for part, p in zip(trial.split(sizes), params, strict=True)
        ]
        self._sizes = sizes
        self._gradient = torch.empty_like(trial)
        self._numbers = self._gradient.numpy()

    def run(self, closure: Callable[[], Any]) -> tuple[list[Any], StepResult]:
        """Runs a step; the losses of its first evaluation, if there was one, and its result. After
        an exception of the closure the parameters are at the best point."""
        client = self._client
        first: list[Any] = []
        optimizer, sign = client.optimizer, client.sign
        status = client.begin()
        try:
            while status == EVALUATE:
                self._scatter()
                try:
                    loss = closure()
                    value = loss.item() if isinstance(loss, Tensor) else float(loss)
                except Infeasible:
                    status = optimizer.advance(math.nan, None)
                    continue
                if not first:
                    first.append(loss)
                status = optimizer.advance(sign * value, self._gathered(sign))
        except BaseException:
            optimizer.stop()
            self._scatter()
            raise
        self._scatter()
        return first, optimizer.result()

    def _scatter(self) -> None:
        torch._foreach_copy_(self._params, self._views)

    def _gathered(self, sign: float) -> Any:
        params = self._params
        gradients = [p.grad for p in params]
        if len(params) == 1 and sign > 0:
            gradient = gradients[0]
            if gradient is not None and gradient.layout is torch.strided and gradient.is_cpu:
                return gradient.detach().reshape(-1).numpy()
        pieces = [
            torch.zeros(size, dtype=p.dtype)
            if gradient is None
            else (gradient.to_dense() if gradient.is_sparse else gradient).detach().reshape(-1)
            for p, size, gradient in zip(params, self._sizes, gradients, strict=True)
        ]
        torch.cat([piece.cpu() for piece in pieces], out=self._gradient)
        if sign < 0:
            self._gradient.neg_()
        return self._numbers
