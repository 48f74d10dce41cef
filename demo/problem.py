"""The demo's problem: L2-regularised multinomial logistic regression on handwritten digits.

    f(W, b) = 1/N sum_i -log softmax(x_i W + b)[y_i] + 1/(2 C N) ||W||^2

which is what scikit-learn's LogisticRegression(C=C) minimises: the intercept b is not penalised.
Pixels are scaled to 0..1. There are 64 x 10 weights and 10 intercepts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

C = 1.0
PIXELS, CLASSES = 64, 10
SPLIT_SEED = 0
# scikit-learn and torch have no limit on iterations, and a tolerance that float64 can reach.
TOLERANCE_GRADIENT = 1e-9
ITERATIONS_MAX = 10_000


class Digits:
    def __init__(self) -> None:
        pixels, digits = load_digits(return_X_y=True)
        self.train_x, self.test_x, self.train_y, self.test_y = train_test_split(
            pixels / 16, digits, test_size=0.25, random_state=SPLIT_SEED, stratify=digits
        )
        self.one_hot = np.eye(CLASSES)[self.train_y]
        self.penalty = 1 / (C * len(self.train_y))

    def loss_and_gradients(self, weights: NDArray[Any], bias: NDArray[Any]) -> tuple[Any, Any, Any]:
        logits = self.train_x @ weights + bias
        logits -= logits.max(axis=1, keepdims=True)
        log_sums = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rows = len(logits)
        loss = -((logits - log_sums) * self.one_hot).sum() / rows
        loss += self.penalty / 2 * (weights**2).sum()
        errors = (np.exp(logits - log_sums) - self.one_hot) / rows
        return loss, self.train_x.T @ errors + self.penalty * weights, errors.sum(axis=0)

    def accuracy(self, weights: NDArray[Any], bias: NDArray[Any]) -> float:
        return float(((self.test_x @ weights + bias).argmax(axis=1) == self.test_y).mean())

    def by_scikit_learn(self) -> tuple[NDArray[Any], NDArray[Any]]:
        model = LogisticRegression(
            C=C, solver="lbfgs", tol=TOLERANCE_GRADIENT, max_iter=ITERATIONS_MAX
        )
        model.fit(self.train_x, self.train_y)
        return model.coef_.T, model.intercept_

    def by_torch(self) -> tuple[NDArray[Any], NDArray[Any], int]:
        """torch's solution and its number of evaluations. Raises ImportError without torch."""
        import torch

        weights = torch.zeros((PIXELS, CLASSES), dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(CLASSES, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [weights, bias],
            line_search_fn="strong_wolfe",
            tolerance_grad=TOLERANCE_GRADIENT,
            tolerance_change=0,
            max_iter=ITERATIONS_MAX,
        )

        def closure() -> Any:
            loss, *gradients = self.loss_and_gradients(
                weights.detach().numpy(), bias.detach().numpy()
            )
            weights.grad, bias.grad = map(torch.from_numpy, gradients)
            return torch.tensor(loss, dtype=torch.float64)

        optimizer.step(closure)
        evaluations = optimizer.state_dict()["state"][0]["func_evals"]
        return weights.detach().numpy(), bias.detach().numpy(), evaluations
