"""As scipy.optimize.minimize, with a run that survives the server's restarts and one's own.

Needs a server at $LBFGSD_URL, or at http://127.0.0.1:8080.
"""

import numpy as np

import lbfgsd


def rosenbrock(x):
    rises, rests = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * x[:-1] * rises - 2 * rests
    gradient[1:] += 200 * rises
    return (100 * rises**2 + rests**2).sum(), gradient


def interrupted(x):
    interrupted.calls += 1
    if interrupted.calls == 20:
        raise KeyboardInterrupt
    return rosenbrock(x)


interrupted.calls = 0

try:
    lbfgsd.minimize(interrupted, np.zeros(10), jac=True)
except KeyboardInterrupt as interrupt:
    session = interrupt.lbfgsd_session

result = lbfgsd.minimize(rosenbrock, jac=True, session=session, options={"gtol": 1e-8})
print(result.message, result.fun, result.x)
