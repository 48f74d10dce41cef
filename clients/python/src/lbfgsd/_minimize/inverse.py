"""The approximation of the inverse Hessian that a session has, in SciPy's form."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._client import Client, SessionLike


def inverse_hessian(client: Client, session: SessionLike, n: int) -> Any:
    """SciPy's LbfgsInvHessProduct of the session's curvature pairs. Needs SciPy."""
    from scipy.optimize import LbfgsInvHessProduct

    state = client.get_state_dict(session, format="safetensors")["state"].get(0, {})
    # torch names the change of the gradient old_dirs, and the step old_stps.
    steps, changes = state.get("old_stps") or [], state.get("old_dirs") or []
    return LbfgsInvHessProduct(
        np.array(steps, dtype=np.float64).reshape(-1, n),
        np.array(changes, dtype=np.float64).reshape(-1, n),
    )
