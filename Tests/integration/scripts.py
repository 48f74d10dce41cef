"""Lives of sessions for the crash test: each a deterministic script of a seed and an index.

A script says what a client does and when, counted in results told. Whatever happens to the daemon
in between, carrying it out must show the same numbers each time: `Life` lists them as observations.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import numpy as np
from daemon import encode, flat, numbers, trace_points
from problems import Perceptron, Quadratic, rosenbrock, rosenbrock_start

TRACE_COLUMNS = ("evaluation", "step", "iteration", "loss", "gradient_norm_inf", "step_length")
SIZES = (2, 3, 10, 50, 200, 1000, 2000)
TELLS = (30, 90)
# What may happen while an evaluation is pending, and what has to wait until none is.
ACTIONS = (
    "checkpoint",
    "checkpoint",
    "restore",
    "fork",
    "learning rate",
    "stop",
    "failed",
    "not a number",
)
IDLE_ACTIONS = ("parameters", "state dict", "checkpoint", "fork")
IDLE_ACTION_SHARE = 0.3
ACTION_SHARE = 0.15
FORK_TELLS = 8


class Api(Protocol):
    """Requests that are repeated until they are answered; `told` notes a result that got a 2xx."""

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        key: str | None = None,
        allowed: tuple[int, ...] = (),
    ): ...
    def told(self, session: str, number: int, body: bytes) -> None: ...
    def begun(self, session: str, role: str) -> None: ...
    def ending(self, session: str) -> None: ...


class Script:
    def __init__(self, seed: int, index: int):
        self.name = f"{seed}/{index}"
        chance = random.Random(self.name)
        n = chance.choice(SIZES)
        kind = chance.choice(["rosenbrock", "quadratic", "perceptron"])
        if kind == "rosenbrock":
            self.fun, self.start = rosenbrock, rosenbrock_start(n)
        else:
            self.fun = Quadratic(n, 1e4) if kind == "quadratic" else Perceptron(seed=index)
            self.start = self.fun.start
        search = chance.choice(["strong_wolfe", None])
        self.dtype = chance.choice(["float64", "float32"])
        self.options = {
            "lr": 1.0 if search else 1e-2,
            "line_search_fn": search,
            "max_iter": chance.randint(2, 12),
            "max_eval": chance.randint(3, 20),
            "history_size": chance.choice([1, 3, 10, 100]),
            "tolerance_change": 0,
        }
        self.tells = chance.randint(*TELLS)
        self.actions = {
            count: chance.choice(ACTIONS)
            for count in range(1, self.tells)
            if chance.random() < ACTION_SHARE
        }
        self.rates = [
            chance.choice([0.5, 0.9, 1.0]) * self.options["lr"] for _ in range(self.tells)
        ]
        self.idle_actions = {
            count: chance.choice(IDLE_ACTIONS)
            for count in range(1, self.tells)
            if chance.random() < IDLE_ACTION_SHARE
        }
        self.deletes_forks = chance.random() < 0.3

    def __str__(self) -> str:
        return (
            f"script {self.name}: n {len(self.start)}, {self.dtype}, {self.options}, "
            f"{self.actions}, while idle {self.idle_actions}"
        )


class Life:
    """One run of a script. `observe(role, what, value)` gets every number that the daemon shows."""

    def __init__(self, script: Script, api: Api, observe: Callable[[str, str, object], None]):
        self.script, self.api, self.observe = script, api, observe
        self.session, self.role, self.count, self.posts = "", "original", 0, 0
        self.checkpoints: list[str] = []
        self.forks = self.forks_deleted = 0

    def run(self) -> None:
        created = self.post(
            "/v1/sessions",
            {
                "x0": self.script.start,
                "dtype": self.script.dtype,
                "options": self.script.options,
                "labels": {"script": self.script.name},
            },
        )
        self.session = created["id"]
        self.api.begun(self.session, self.role)
        turn = self.ask()
        while self.count < self.script.tells:
            if turn["state"] == "evaluating":
                turn = self.answer(turn)
                turn = self.act(self.script.actions, turn, "evaluating")
            else:
                turn = self.begin()
            turn = self.act(self.script.idle_actions, turn, "idle")
        self.look_back()

    # Requests

    def path(self, rest: str = "") -> str:
        return f"/v1/sessions/{self.session}{rest}"

    def post(self, path: str, body=None) -> dict:
        self.posts += 1
        key = f"{self.script.name}/{self.posts}"
        return self.api.call("POST", path, encode(body) if body is not None else None, key).json()

    def get(self, rest: str) -> dict:
        return self.api.call("GET", self.path(rest)).json()

    def seen(self, turn: dict) -> dict:
        self.observe(self.role, "turn", normal(turn))
        return turn

    def ask(self) -> dict:
        return self.seen(self.get("/evaluation"))

    def begin(self) -> dict:
        return self.seen(self.post(self.path("/steps")))

    def answer(self, turn: dict, told: dict | None = None) -> dict:
        self.count += 1
        if told is None:
            loss, gradient = self.script.fun(numbers(turn["evaluation"]["x"]))
            told = {"loss": loss, "gradient": np.asarray(gradient).tolist()}
        number, body = turn["evaluation"]["number"], encode(told)
        answer = self.api.call("PUT", self.path(f"/evaluations/{number}/result"), body)
        self.api.told(self.session, number, body)
        return self.seen(answer.json())

    # Actions

    def act(self, actions: dict[int, str], turn: dict, state: str) -> dict:
        """Does what the script wants at this count, once, if the session is in this state."""
        action = actions.pop(self.count, None) if turn["state"] == state else None
        if action == "checkpoint":
            self.checkpoints.append(self.post(self.path("/checkpoints"))["id"])
            self.observe(self.role, "checkpoint", self.checkpoints[-1])
        elif action == "restore" and self.checkpoints:
            number = self.checkpoints[self.count % len(self.checkpoints)]
            self.post(self.path(f"/checkpoints/{number}/restore"))
            return self.ask()
        elif action == "fork" and self.checkpoints:
            self.live_in_fork(self.checkpoints[self.count % len(self.checkpoints)])
        elif action == "learning rate":
            body = encode({"options": {"lr": self.script.rates[self.count]}})
            self.observe(
                self.role, "options", self.api.call("PATCH", self.path(), body).json()["options"]
            )
        elif action == "stop":
            return self.seen(self.post(self.path("/stop")))
        elif action == "failed":
            return self.answer(turn, {"failed": "as the script wants it"})
        elif action == "not a number":
            return self.answer(
                turn, {"loss": float("nan"), "gradient": [float("nan")] * len(self.script.start)}
            )
        elif action == "parameters":
            document = self.get("/params")
            document["params"][0]["values"] = self.script.start
            self.api.call("PUT", self.path("/params"), encode(document))
            return self.ask()
        elif action == "state dict":
            self.api.call("PUT", self.path("/state-dict"), encode(self.get("/state-dict")))
            return self.ask()
        return turn

    def live_in_fork(self, checkpoint: str) -> None:
        """A short life of the fork, then back to the original."""
        self.forks += 1
        original, count = (self.session, self.role), self.count
        fork = self.post(self.path(f"/checkpoints/{checkpoint}/fork"))["id"]
        self.session, self.role = fork, f"fork {self.forks}"
        self.api.begun(self.session, self.role)
        turn = self.ask()
        for _ in range(FORK_TELLS):
            turn = self.answer(turn) if turn["state"] == "evaluating" else self.begin()
        self.look_back()
        if self.script.deletes_forks:
            self.forks_deleted += 1
            self.api.ending(fork)
            self.api.call("DELETE", self.path(), allowed=(404,))
        (self.session, self.role), self.count = original, count

    def look_back(self) -> None:
        """What the session says about all that happened."""
        self.observe(self.role, "trace", normal_trace(self.get("/trace")))
        self.observe(self.role, "parameters", bits(flat(self.get("/params"))))
        self.observe(self.role, "state dict", self.get("/state-dict"))
        shown = self.get("")
        self.observe(
            self.role,
            "session",
            {name: shown[name] for name in ("state", "step", "evaluation", "loss", "options", "n")},
        )
        for number in range(1, shown["step"] + (shown["state"] == "idle")):
            self.observe(self.role, f"step {number}", self.get(f"/steps/{number}")["result"])


def bits(values) -> bytes:
    """The values bit for bit."""
    return np.array(values, dtype=float).tobytes()


def normal(turn: dict) -> tuple:
    """A turn without what differs between two daemons, its point bit for bit."""
    if turn["state"] == "evaluating":
        pending = turn["evaluation"]
        return "evaluating", turn["step"], pending["number"], bits(numbers(pending["x"]))
    return "idle", turn["step"], turn.get("result"), bits(numbers(turn["x"]))


def normal_trace(document: dict) -> list[tuple]:
    return [tuple(point[name] for name in TRACE_COLUMNS) for point in trace_points(document)]
