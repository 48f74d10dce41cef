"""Fits handwritten digits through the daemon over HTTP, and kills the daemon half-way.

The client is the loop in `fit`: it asks for a point, computes loss and gradient here, and tells
them. `Http.call` retries whatever fails, so that a restart of the daemon costs it nothing but time.
"""

from __future__ import annotations

import argparse
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray
from tqdm import tqdm

from daemon import DemoDaemon
from problem import CLASSES, ITERATIONS_MAX, PIXELS, TOLERANCE_GRADIENT, Digits

ITERATIONS_PER_STEP = 30
KILL_AT_EVALUATION = 75
DOWN_SECONDS = 0.5
RETRY_SECONDS = 0.1
RETRIES_MAX = 600


class Http:
    """Repeats requests until they are answered, which is safe for every request."""

    def __init__(self, url: str) -> None:
        self.url, self.session, self.retries = url, requests.Session(), 0

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        for _ in range(RETRIES_MAX):
            try:
                response = self.session.request(
                    method, self.url + path, json=body, headers=headers, timeout=30
                )
                if response.status_code not in (429, 503):
                    break
            except requests.ConnectionError:
                pass
            self.retries += 1
            time.sleep(RETRY_SECONDS)
        else:
            raise SystemExit(f"demo: {self.url} is gone for good")
        if not response.ok:
            raise SystemExit(f"demo: {method} {path}: {response.status_code} {response.text}")
        return response.json()


def split(x: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Splits a flat point into its two parameters."""
    x = np.array(x)
    return x[: PIXELS * CLASSES].reshape(PIXELS, CLASSES), x[PIXELS * CLASSES :]


def create(http: Http) -> str:
    return http.call(
        "POST",
        "/v1/sessions",
        {
            "name": "digits",
            "labels": {"made-by": "demo"},
            "dtype": "float64",
            "params": [
                {"name": "W", "shape": [PIXELS, CLASSES], "values": [0.0] * (PIXELS * CLASSES)},
                {"name": "b", "shape": [CLASSES], "values": [0.0] * CLASSES},
            ],
            "options": {
                "line_search_fn": "strong_wolfe",
                "max_iter": ITERATIONS_PER_STEP,
                "max_eval": 2 * ITERATIONS_PER_STEP,
                "tolerance_grad": TOLERANCE_GRADIENT,
                "tolerance_change": 0,
            },
        },
    )["id"]


def fit(http: Http, session: str, digits: Digits, at_evaluation: Any) -> dict[str, Any]:
    """Runs steps until one converges, and returns its turn. `at_evaluation` is called with each
    turn before its evaluation."""
    with tqdm(unit=" evaluations", mininterval=0.5, dynamic_ncols=True) as bar:
        for _ in range(ITERATIONS_MAX // ITERATIONS_PER_STEP):
            turn = http.call("POST", f"/v1/sessions/{session}/steps")
            while turn["state"] == "evaluating":
                at_evaluation(turn)
                number = turn["evaluation"]["number"]
                weights, biases = split(turn["evaluation"]["x"])
                loss, by_weight, by_bias = digits.loss_and_gradients(weights, biases)
                gradients = {"W": by_weight.ravel().tolist(), "b": by_bias.tolist()}
                turn = http.call(
                    "PUT",
                    f"/v1/sessions/{session}/evaluations/{number}/result",
                    {"loss": loss, "gradients": gradients},
                )
                slope = max(abs(by_weight).max(), abs(by_bias).max())
                bar.set_postfix_str(
                    f"step {turn['step']}, loss {loss:.9f}, |g|inf {slope:.1e}", refresh=False
                )
                bar.update()
            if turn["result"]["reason"] != "max_iterations":
                break
    return turn


class Crash:
    """Kills the daemon once, while an evaluation is pending, and starts it on the same data."""

    def __init__(self, daemon: DemoDaemon, http: Http, session: str) -> None:
        self.daemon, self.http, self.session, self.done = daemon, http, session, False

    def __call__(self, turn: dict[str, Any]) -> None:
        number = turn["evaluation"]["number"]
        if self.done or number < KILL_AT_EVALUATION:
            return
        self.done = True
        self.daemon.kill()
        tqdm.write(f"Killed the daemon with SIGKILL while evaluation {number} was pending.")
        restart = threading.Timer(DOWN_SECONDS, self.daemon.start)
        restart.start()
        again = self.http.call("GET", f"/v1/sessions/{self.session}/evaluation")
        restart.join()
        tqdm.write(
            f"Started it again on the same data; the client asked {self.http.retries} times "
            "in vain, and then:"
        )
        before, after = (np.array(t["evaluation"]["x"]).tobytes() for t in (turn, again))
        if again["evaluation"]["number"] != number or before != after:
            raise SystemExit("demo: the pending evaluation came back changed")
        tqdm.write(f"    evaluation {number} came back with bit-identical x ({len(before)} bytes)")


def report(digits: Digits, turn: dict[str, Any]) -> None:
    rows = [("lbfgsd, over HTTP", *split(turn["x"]), turn["evaluation_count"])]
    rows.append(("scikit-learn lbfgs", *digits.by_scikit_learn(), "-"))
    try:
        rows.append(("torch.optim.LBFGS", *digits.by_torch()))
    except ImportError:
        print("torch is not installed: left out")
    print(f"\n{'':20} {'loss':>18} {'|g|inf':>9} {'test accuracy':>14} {'evaluations':>12}")
    for name, weights, bias, evaluations in rows:
        loss, *gradients = digits.loss_and_gradients(weights, bias)
        slope = max(abs(g).max() for g in gradients)
        accuracy = digits.accuracy(weights, bias)
        print(f"{name:20} {loss:18.15f} {slope:9.1e} {accuracy:14.4f} {evaluations:>12}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("demo-data"))
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)

    daemon = DemoDaemon(arguments.binary.resolve(), data)
    if pid := daemon.stop_left_over():
        print(f"Stopped the daemon that an earlier demo left (pid {pid}).")
    daemon.choose_port(arguments.port)
    pid = daemon.start()
    print(f"The daemon listens on {daemon.url} (pid {pid}); its data is in {data}.")

    digits, http = Digits(), Http(daemon.url)
    session = create(http)
    print(
        f"Session {session}: {PIXELS * CLASSES + CLASSES} parameters, "
        f"{len(digits.train_y)} images to learn from, {len(digits.test_y)} to test with."
    )
    crash = Crash(daemon, http, session)
    turn = fit(http, session, digits, crash)
    if not crash.done:
        raise SystemExit(f"demo: it converged before evaluation {KILL_AT_EVALUATION}")
    turn["evaluation_count"] = http.call("GET", f"/v1/sessions/{session}")["evaluation"]
    print(f"Step {turn['step']} ended: {turn['result']['reason']}.")
    report(digits, turn)

    print(f"""
The daemon goes on running (pid {daemon.pid_file.read_text().strip()}) on {daemon.url}. Look at it:
    curl {daemon.url}/v1/sessions/{session}
    curl -H 'Accept: text/csv' {daemon.url}/v1/sessions/{session}/trace
    curl {daemon.url}/metrics
Stop it, or run the demo again, which does:
    kill {daemon.pid_file.read_text().strip()}""")


if __name__ == "__main__":
    main()
