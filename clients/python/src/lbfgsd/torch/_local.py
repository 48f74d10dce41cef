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
        self._gradient = torch.empty_like(trial)
        self._numbers = self._gradient.numpy()
        self._views, self._gradient_views = self._parts(trial), self._parts(self._gradient)

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """The parts of a flat tensor, in the parameters' shapes."""
        sizes = [p.numel() for p in self._params]
        return [part.view(p.shape) for part, p in zip(flat.split(sizes), self._params, strict=True)]

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
        """The gradient times the sign, flat."""
        gradients: list[Any] = [p.grad for p in self._params]
        if any(g is None or g.layout is not torch.strided for g in gradients):
            gradients = [
                torch.zeros_like(p) if g is None else g.to_dense() if g.is_sparse else g
                for p, g in zip(self._params, gradients, strict=True)
            ]
        only = gradients[0]
        if len(gradients) == 1 and sign > 0 and only.is_cpu and only.is_contiguous():
            return only.detach().view(-1).numpy()
        torch._foreach_copy_(self._gradient_views, gradients)
        if sign < 0:
            self._gradient.neg_()
        return self._numbers
