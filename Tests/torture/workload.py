"""What clients do, and what each session must look like after each request.

A plan is made once for a seed, in a daemon that nothing disturbs: the requests of a few clients,
one after the other, with what the session shows after each. The objective functions are
deterministic, so whoever plays the plan again must see the same bits.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torture.process import Answer, Client, Daemon

OCTETS, JSON = "application/octet-stream", "application/json"
LONG = 131_072 + 4096  # float64 numbers of more than 1 MiB: a segment file of its own

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """Where a session stands, and the digest of the bits of its point."""

    state: str
    step: int
    evaluation: int | None
    point: str


@dataclass(frozen=True)
class Step:
    """A request of one client, and what it must lead to. In `path`, `{NAME}` is the identifier of
    the session that the plan calls NAME."""

    session: str
    method: str
    path: str
    body: bytes
    headers: dict[str, str]
    view: View | None
    """None: the session is deleted."""
    told: int | None = None
    checkpoint: int | None = None
    """The checkpoint that it makes."""
    dropped: int | None = None
    """The checkpoint that it deletes."""
    creates: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({len(self.body)} bytes)"


@dataclass
class Plan:
    """The steps of each client; digests of checkpoints' state dicts by session and number."""

    seed: int
    clients: list[list[Step]] = field(default_factory=list)
    checkpoints: dict[tuple[str, int], str] = field(default_factory=dict)


def view_of(answer: Answer) -> View:
    """The view in a turn that came as octets."""
    headers = answer.headers
    evaluation = headers.get("lbfgsd-evaluation")
    return View(
        headers["lbfgsd-state"],
        int(headers["lbfgsd-step"]),
        int(evaluation) if evaluation else None,
        digest(answer.body),
    )


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def look(daemon: Client, identifier: str) -> Answer:
    """The turn of a session, as octets."""
    return daemon.request(
        "GET", f"/v1/sessions/{identifier}/evaluation", headers={"Accept": OCTETS}
    )


# Making a plan.


class Author:
    """Writes the steps of one client into a plan, by taking them."""

    def __init__(self, daemon: Daemon, plan: Plan, client: int) -> None:
        self.daemon, self.plan = daemon, plan
        self.steps: list[Step] = []
        self.chance = random.Random(f"{plan.seed}/{client}")
        self.client = client
        self.ids: dict[str, str] = {}
        self.points: dict[str, Vector] = {}
        self.views: dict[str, View] = {}
        self.goals: dict[str, tuple[Vector, Vector]] = {}
        plan.clients.append(self.steps)

    def send(
        self,
        session: str,
        method: str,
        path: str,
        body: Any = None,
        creates: bool = False,
        told: int | None = None,
        checkpoint: int | None = None,
        dropped: int | None = None,
    ) -> Answer:
        headers: dict[str, str] = {"Accept": OCTETS if "/result" in path else JSON}
        data = b""
        if isinstance(body, bytes):
            data, headers["Content-Type"] = body, OCTETS
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), JSON
        if method == "POST":
            headers["Idempotency-Key"] = f"{self.plan.seed}-{self.client}-{len(self.steps)}"
        path_now = path.format(**self.ids)
        answer = self.daemon.request(method, path_now, data, headers)
        assert answer.is_success, f"{method} {path_now}: {answer.status} {answer.body[:500]!r}"
        if creates:
            self.ids[session] = json.loads(answer.body)["id"]
        view: View | None = None
        if method != "DELETE" or dropped is not None:
            turn = look(self.daemon, self.ids[session])
            view = self.views[session] = view_of(turn)
            self.points[session] = np.frombuffer(turn.body, "<f8")
        self.steps.append(
            Step(session, method, path, data, headers, view, told, checkpoint, dropped, creates)
        )
        return answer

    def create(
        self, name: str, n: int, bounds: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self.goals[name] = (
            np.array([10 ** self.chance.uniform(0, 4) for _ in range(min(n, 64))]),
            np.array([self.chance.uniform(-1, 1) for _ in range(min(n, 64))]),
        )
        body: dict[str, Any] = {"name": name, "options": {"tolerance_change": 0, **options}}
        if n > 1000:
            body["params"] = [{"shape": [n], "fill": self.chance.uniform(-1, 1)}]
        else:
            body["x0"] = [self.chance.uniform(-2, 2) for _ in range(n)]
        if bounds is not None:
            body["options"]["mode"] = "robust"
            (body["params"][0] if "params" in body else body).update(bounds)
        self.send(name, "POST", "/v1/sessions", body, creates=True)

    def evaluate(self, session: str) -> tuple[float, Vector]:
        """A function whose minimum takes a while to find, and its gradient."""
        x = self.points[session]
        scales, centre = (np.resize(part, len(x)) for part in self.goals[session])
        away = x - centre
        loss = float(np.sum(scales * away * away + 0.25 * away * away * away * away))
        return loss, 2 * scales * away + away * away * away

    def advance(self, session: str, count: int = 1) -> None:
        """Tells `count` results, beginning steps where none runs."""
        while count:
            number = self.views[session].evaluation
            if number is None:
                self.send(session, "POST", f"/v1/sessions/{{{session}}}/steps", {})
                continue
            loss, gradient = self.evaluate(session)
            path = f"/v1/sessions/{{{session}}}/evaluations/{number}/result"
            if len(gradient) > 100:
                data = gradient.astype("<f8").tobytes()
                self.send(session, "PUT", f"{path}?loss={loss!r}", data, told=number)
            else:
                told = {"loss": loss, "gradient": gradient.tolist()}
                self.send(session, "PUT", path, told, told=number)
            count -= 1

    def checkpoint(self, session: str) -> int:
        path = f"/v1/sessions/{{{session}}}/checkpoints"
        number = 1 + sum(s.checkpoint is not None for s in self.steps if s.session == session)
        self.send(session, "POST", path, {"name": f"c{number}"}, checkpoint=number)
        answer = self.daemon.request(
            "GET",
            f"{path.format(**self.ids)}/{number}/state-dict",
            headers={"Accept": "application/vnd.safetensors"},
        )
        assert answer.status == 200, answer.body[:500]
        self.plan.checkpoints[session, number] = digest(answer.body)
        return number

    def restore(self, session: str, number: int) -> None:
        self.send(session, "POST", f"/v1/sessions/{{{session}}}/checkpoints/{number}/restore", {})

    def fork(self, session: str, number: int, name: str) -> None:
        path = f"/v1/sessions/{{{session}}}/checkpoints/{number}/fork"
        self.goals[name] = self.goals[session]
        self.send(name, "POST", path, {"name": name}, creates=True)

    def drop(self, session: str, number: int) -> None:
        path = f"/v1/sessions/{{{session}}}/checkpoints/{number}"
        self.send(session, "DELETE", path, dropped=number)

    def patch(self, session: str, **options: Any) -> None:
        self.send(session, "PATCH", f"/v1/sessions/{{{session}}}", {"options": options})

    def bound(self, session: str, **bounds: Any) -> None:
        """Replaces the bounds. A running step is stopped first."""
        if self.views[session].evaluation is not None:
            self.send(session, "POST", f"/v1/sessions/{{{session}}}/stop", {})
        self.send(session, "PUT", f"/v1/sessions/{{{session}}}/bounds", bounds)

    def delete(self, session: str) -> None:
        self.send(session, "DELETE", f"/v1/sessions/{{{session}}}")


def small(author: Author) -> None:
    """A session in the write-ahead log, with everything that can be done to it."""
    chance, name = author.chance, f"small{author.client}"
    author.create(name, chance.choice((2, 3, 10)), max_iter=chance.randint(3, 6))
    author.advance(name, chance.randint(4, 8))
    first = author.checkpoint(name)
    author.advance(name, chance.randint(3, 9))
    author.patch(name, lr=0.5)
    author.advance(name, chance.randint(2, 5))
    fork = f"fork{author.client}"
    author.fork(name, first, fork)
    author.advance(fork, chance.randint(2, 4))
    author.restore(name, first)
    author.advance(name, chance.randint(2, 6))
    second = author.checkpoint(name)
    author.drop(name, first)
    author.delete(fork)
    author.advance(name, chance.randint(2, 6))
    author.fork(name, second, f"late{author.client}")
    author.advance(f"late{author.client}", chance.randint(2, 8))
    author.advance(name, chance.randint(1, 4))


def bounded(author: Author) -> None:
    """Sessions with bounds and an L1 term, whose vectors of bounds are stored once."""
    chance, c = author.chance, author.client
    box = {"lower": [-0.3, None] * 5, "upper": 0.4}
    author.create(f"box{c}", 10, box, max_iter=chance.randint(3, 6))
    author.advance(f"box{c}", chance.randint(4, 8))
    first = author.checkpoint(f"box{c}")
    author.bound(f"box{c}", lower=-0.2, upper=[0.1] * 10, l1=0.01)
    author.advance(f"box{c}", chance.randint(3, 8))
    author.fork(f"box{c}", first, f"boxfork{c}")
    author.advance(f"boxfork{c}", chance.randint(2, 6))
    author.restore(f"box{c}", first)
    author.advance(f"box{c}", chance.randint(2, 6))
    wide = [chance.uniform(-1, 0) for _ in range(4096)]
    author.create(f"widebox{c}", 4096, {"lower": wide, "upper": 0.5}, max_iter=4, history_size=3)
    author.advance(f"widebox{c}", chance.randint(2, 5))
    author.checkpoint(f"widebox{c}")
    author.delete(f"box{c}")
    author.bound(f"widebox{c}", lower=wide, upper=0.3)
    author.advance(f"widebox{c}", chance.randint(2, 6))


def middling(author: Author) -> None:
    """Sessions whose gradients go to a shared segment, one of which is deleted."""
    chance, c = author.chance, author.client
    author.create(f"middle{c}", 4096, max_iter=4, history_size=3)
    author.create(f"brief{c}", 3000, max_iter=4, history_size=3)
    for _ in range(chance.randint(2, 4)):
        author.advance(f"middle{c}", 2)
        author.advance(f"brief{c}", 1)
    author.checkpoint(f"middle{c}")
    author.delete(f"brief{c}")
    author.advance(f"middle{c}", chance.randint(4, 8))


def long(author: Author) -> None:
    """Vectors with a segment file each."""
    c = author.client
    author.create(f"long{c}", LONG, max_iter=3, history_size=2)
    author.advance(f"long{c}", 2)
    number = author.checkpoint(f"long{c}")
    author.advance(f"long{c}", author.chance.randint(1, 3))
    author.fork(f"long{c}", number, f"longfork{c}")
    author.delete(f"long{c}")
    author.advance(f"longfork{c}", 2)


Story = Callable[[Author], None]
STORIES: tuple[Story, ...] = (small, middling, bounded, long)


def make_plan(seed: int, home: Path, stories: Sequence[Story] = STORIES) -> Plan:
    plan = Plan(seed)
    with Daemon(home / f"calm-{seed}", home / "calm.log").wait_ready() as daemon:
        for client, story in enumerate(stories):
            story(Author(daemon, plan, client))
    return plan


# Playing a plan.


class WrongAnswer(Exception):
    """The daemon answered something else than what the plan has."""


@dataclass
class Ledger:
    """What the clients of a plan have sent and got, with the newest recorded call at that time:
    the moments of `acknowledged` are not too early, those of `sent` not too late."""

    sent: list[list[int]]
    acknowledged: list[list[int]]
    ids: dict[str, str]

    @staticmethod
    def begin(plan: Plan) -> Ledger:
        return Ledger([[] for _ in plan.clients], [[] for _ in plan.clients], {})

    def until(self, sequence: int) -> Ledger:
        """What had happened by then."""
        return Ledger(
            [[at for at in moments if at <= sequence] for moments in self.sent],
            [[at for at in moments if at <= sequence] for moments in self.acknowledged],
            dict(self.ids),
        )

    def position(self, client: int) -> tuple[int, int]:
        """How many steps were acknowledged, and how many were sent."""
        return len(self.acknowledged[client]), len(self.sent[client])


def take(
    daemon: Client, plan: Plan, ledger: Ledger, client: int, now: Callable[[], int]
) -> Answer | None:
    """Takes the client's next step. Returns the answer if it is no success, and then the step is
    still the next. Raises WrongAnswer, or Unreachable."""
    index = len(ledger.acknowledged[client])
    step = plan.clients[client][index]
    if len(ledger.sent[client]) == index:
        ledger.sent[client].append(now())
        repeated = False
    else:
        repeated = True
    path = step.path.format(**ledger.ids)
    answer = daemon.request(step.method, path, step.body, step.headers)
    is_gone = repeated and step.method == "DELETE" and answer.status == 404
    if not answer.is_success and not is_gone:
        return answer
    ledger.acknowledged[client].append(now())
    if step.creates:
        ledger.ids[step.session] = json.loads(answer.body)["id"]
    if step.told is not None and step.view is not None:
        view = view_of(answer)
        if view != step.view:
            raise WrongAnswer(f"{step}: {view} instead of {step.view}")
    return None
