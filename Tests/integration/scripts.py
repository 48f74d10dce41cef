"""Scripts for the crash test. A seed and an index determine what each does.

A script says what a client does, and after how many results. Running it must show the same numbers
each time, whatever happens to the daemon; `Life` reports them as observations.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import requests
from numpy.typing import NDArray

from daemon import encode, flat, numbers, trace_points
from problems import Perceptron, Quadratic, rosenbrock, rosenbrock_start

TRACE_COLUMNS = ("evaluation", "step", "iteration", "loss", "gradient_norm_inf", "step_length")
SIZES = (2, 3, 10, 50, 200, 1000, 2000)
TELLS = (30, 90)
# Actions that may happen while an evaluation is pending, and those that have to wait until none is.
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
IDLE_ACTIONS = (
    "parameters",
    "state dict",
    "checkpoint",
    "fork",
    "group",
    "freeze",
    "hook",
    "unhook",
    "bounds",
)
# Long enough that no default applies while the daemon is down.
HOOK_SECONDS = 3600
IDLE_ACTION_SHARE = 0.3
BOUNDED_SHARE = 0.35
ACTION_SHARE = 0.15
FORK_TELLS = 8


class Api(Protocol):
    """Requests that are repeated until they are answered. `told` records an acknowledged result."""

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        key: str | None = None,
        allowed: tuple[int, ...] = (),
    ) -> requests.Response: ...
    def told(self, session: str, number: int, path: str, body: bytes) -> None: ...
    def begun(self, session: str, role: str) -> None: ...
    def ending(self, session: str) -> None: ...


class Script:
    def __init__(self, seed: int, index: int) -> None:
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
        rate = 1.0 if search else 1e-2
        self.options: dict[str, Any] = {
            "lr": rate,
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
        self.rates = [chance.choice([0.5, 0.9, 1.0]) * rate for _ in range(self.tells)]
        self.idle_actions = {
            count: chance.choice(IDLE_ACTIONS)
            for count in range(1, self.tells)
            if chance.random() < IDLE_ACTION_SHARE
        }
        self.shards = chance.choice([None, None, 2, 3])
        self.deletes_forks = chance.random() < 0.3
        self.bounds: dict[str, Any] | None = None
        if chance.random() < BOUNDED_SHARE:
            self.options |= {"mode": "robust", "lr": 1.0, "line_search_fn": None}
            self.rates = [1.0] * self.tells
            lower = [chance.choice([None, "-Infinity", -1, -0.5, 0.25]) for _ in self.start]
            self.bounds = {"lower": lower, "upper": chance.choice([0.5, 0.9, 2])}
            if chance.random() < 0.3:
                self.bounds["l1"] = 0.125
        self.boxes = [
            {"lower": chance.choice([-1, 0, None]), "upper": chance.choice([0.25, 0.75, None])}
            for _ in range(self.tells)
        ]

    def evaluate(self, x: Any) -> tuple[float, NDArray[Any]]:
        """The function, plus a quadratic in each parameter that was added."""
        x = np.asarray(x, dtype=float)
        loss, gradient = self.fun(x[: len(self.start)])
        joined = x[len(self.start) :] - 1
        return float(loss + 0.5 * (joined @ joined)), np.append(gradient, joined)

    def __str__(self) -> str:
        return (
            f"script {self.name}: n {len(self.start)}, {self.dtype}, {self.options}, "
            f"shards {self.shards}, bounds {self.bounds}, "
            f"{self.actions}, while idle {self.idle_actions}"
        )


class Life:
    """One run of a script. `observe(role, what, value)` receives every number that the daemon
    shows."""

    def __init__(
        self, script: Script, api: Api, observe: Callable[[str, str, object], None]
    ) -> None:
        self.script, self.api, self.observe = script, api, observe
        self.session, self.role, self.count, self.posts = "", "original", 0, 0
        self.checkpoints: list[str] = []
        self.forks = self.forks_deleted = 0
        self.hook: str | None = None

    def run(self) -> None:
        created = self.post(
            "/v1/sessions",
            {
                "x0": self.script.start,
                **(self.script.bounds or {}),
                "dtype": self.script.dtype,
                "options": self.script.options,
                "shards": self.script.shards,
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
            elif turn["state"] == "awaiting_hook":
                turn = self.answer_hook(turn)
            else:
                turn = self.begin()
            if turn["state"] == "idle" and turn["result"] and not turn["result"]["evaluations"]:
                # At a minimum within its bounds a step asks for nothing; an action may change that.
                self.count += 1
            turn = self.act(self.script.idle_actions, turn, "idle")
        self.look_back()

    # Requests

    def path(self, rest: str = "") -> str:
        return f"/v1/sessions/{self.session}{rest}"

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        self.posts += 1
        key = f"{self.script.name}/{self.posts}"
        return self.api.call("POST", path, encode(body) if body is not None else None, key).json()

    def get(self, rest: str) -> dict[str, Any]:
        return self.api.call("GET", self.path(rest)).json()

    def seen(self, turn: dict[str, Any]) -> dict[str, Any]:
        self.observe(self.role, "turn", normal(turn))
        return turn

    def ask(self) -> dict[str, Any]:
        return self.seen(self.get("/evaluation"))

    def begin(self) -> dict[str, Any]:
        return self.seen(self.post(self.path("/steps")))

    def answer(self, turn: dict[str, Any], told: dict[str, Any] | None = None) -> dict[str, Any]:
        self.count += 1
        if told is None:
            loss, gradient = self.script.evaluate(numbers(turn["evaluation"]["x"]))
            told = {"loss": loss, "gradient": gradient.tolist()}
        evaluation = turn["evaluation"]
        if "shards" in evaluation:
            return self.answer_in_shards(turn, told)
        return self.tell(evaluation["number"], "result", told)

    def tell(
        self, number: int, what: str, told: dict[str, Any], is_last: bool = True
    ) -> dict[str, Any]:
        path, body = self.path(f"/evaluations/{number}/{what}"), encode(told)
        answer = self.api.call("PUT", path, body)
        if is_last:
            self.api.told(self.session, number, path, body)
        return self.seen(answer.json())

    def answer_in_shards(self, turn: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
        """Tells equal parts in the script's order, sometimes after a part was dropped."""
        number, count = turn["evaluation"]["number"], turn["evaluation"]["shards"]["count"]
        chance = random.Random(f"{self.script.name}/{self.count}")
        if "gradient" in told:
            gradient = [v / count for v in told["gradient"]]
            told = {"loss": told["loss"] / count, "gradient": gradient}
        if chance.random() < 0.2:
            dropped = chance.randrange(count)
            if dropped not in turn["evaluation"]["shards"]["delivered"]:
                self.tell(number, f"shards/{dropped}", {"failed": "dropped"}, is_last=False)
            turn = self.seen(self.post(self.path("/zero-grad")))
        left = [i for i in range(count) if i not in turn["evaluation"]["shards"]["delivered"]]
        chance.shuffle(left)
        for shard in left:
            turn = self.tell(number, f"shards/{shard}", told, is_last=shard == left[-1])
        return turn

    def answer_hook(self, turn: dict[str, Any]) -> dict[str, Any]:
        iterations = 1 + self.count % 5
        number = turn["hook_call"]["number"]
        body = encode({"options": {"max_iter": iterations}})
        answer = self.api.call("PUT", self.path(f"/hook-calls/{number}/answer"), body)
        return self.seen(answer.json())

    # Actions

    def act(self, actions: dict[int, str], turn: dict[str, Any], state: str) -> dict[str, Any]:
        """Does the action that the script has for this count, once, if the session is in this
        state."""
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
                turn,
                {
                    "loss": float("nan"),
                    "gradient": [float("nan")] * len(turn["evaluation"]["x"]),
                },
            )
        elif action == "parameters":
            document = self.get("/params")
            document["params"][0]["values"] = self.script.start
            self.api.call("PUT", self.path("/params"), encode(document))
            return self.ask()
        elif action == "state dict":
            self.api.call("PUT", self.path("/state-dict"), encode(self.get("/state-dict")))
            return self.ask()
        elif action == "group":
            group: dict[str, Any] = {"params": [{"shape": [2], "values": [0.5, -0.5]}]}
            if self.script.bounds:
                group["params"][0]["lower"] = [0, -0.25]
            self.observe(self.role, "group", self.post(self.path("/param-groups"), group))
            return self.ask()
        elif action == "bounds" and self.script.bounds:
            body = encode(self.script.boxes[self.count])
            answer = self.api.call("PUT", self.path("/bounds"), body)
            self.observe(self.role, "bounds", answer.json())
            return self.ask()
        elif action == "freeze":
            is_frozen = not self.get("/param-groups/0")["frozen"]
            body = encode({"frozen": is_frozen})
            answer = self.api.call("PATCH", self.path("/param-groups/0"), body)
            self.observe(self.role, "freeze", answer.json())
            return self.ask()
        elif action == "hook" and self.role == "original" and not self.hook:
            hook = {"event": "step.pre", "kind": "intercept", "deadline_seconds": HOOK_SECONDS}
            self.hook = self.post(self.path("/hooks"), hook)["id"]
            self.observe(self.role, "hook", self.hook)
        elif action == "unhook" and self.role == "original" and self.hook:
            self.api.call("DELETE", self.path(f"/hooks/{self.hook}"), allowed=(404,))
            self.hook = None
        return turn

    def live_in_fork(self, checkpoint: str) -> None:
        """Runs the fork for a few results, then returns to the original."""
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
        """Observes the trace, the parameters, the state and all steps of the session."""
        self.observe(self.role, "trace", normal_trace(self.get("/trace")))
        self.observe(self.role, "parameters", bits(flat(self.get("/params"))))
        self.observe(self.role, "state dict", self.get("/state-dict"))
        self.observe(self.role, "bounds", self.get("/bounds"))
        active = self.get("/active-set")
        self.observe(self.role, "active set", (active["count"], active["active"]))
        shown = self.get("")
        self.observe(
            self.role,
            "session",
            {name: shown[name] for name in ("state", "step", "evaluation", "loss", "options", "n")},
        )
        for number in range(1, shown["step"] + (shown["state"] == "idle")):
            self.observe(self.role, f"step {number}", self.get(f"/steps/{number}")["result"])


def bits(values: Any) -> bytes:
    """The values bit for bit."""
    return np.array(values, dtype=float).tobytes()


def normal(turn: dict[str, Any]) -> tuple[Any, ...]:
    """A turn without what differs between two daemons, with its point bit for bit."""
    if turn["state"] == "evaluating":
        pending = turn["evaluation"]
        told = pending.get("shards")
        return "evaluating", turn["step"], pending["number"], told, bits(numbers(pending["x"]))
    if turn["state"] == "awaiting_hook":
        call = {name: v for name, v in turn["hook_call"].items() if name != "deadline"}
        return "awaiting_hook", turn["step"], call, bits(numbers(turn["x"]))
    return "idle", turn["step"], turn.get("result"), bits(numbers(turn["x"]))


def normal_trace(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [tuple(point[name] for name in TRACE_COLUMNS) for point in trace_points(document)]
