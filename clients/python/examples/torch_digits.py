"""A small network on scikit-learn's handwritten digits. Only the import differs from torch's.

Needs torch, scikit-learn, and a server at $LBFGSD_URL, or at http://127.0.0.1:8080.
"""

from __future__ import annotations

from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lbfgsd.torch import LBFGS

torch.manual_seed(0)
pixels, digits = load_digits(return_X_y=True)
split = train_test_split(pixels / 16, digits, random_state=0, stratify=digits)
train_x, test_x = (torch.tensor(part, dtype=torch.float32) for part in split[:2])
train_y, test_y = (torch.tensor(part) for part in split[2:])

model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10))
optimizer = LBFGS(model.parameters(), max_iter=20, line_search_fn="strong_wolfe")


def closure() -> Any:
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(train_x), train_y)
    loss += 1e-4 * sum((p**2).sum() for p in model.parameters())
    loss.backward()
    return loss


for step in range(5):
    loss = optimizer.step(closure)
    accuracy = (model(test_x).argmax(1) == test_y).float().mean()
    print(f"step {step}: loss {loss:.4f}, accuracy on unseen digits {accuracy:.3f}")
