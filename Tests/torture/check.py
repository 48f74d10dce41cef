"""Starts the daemon on a data directory and compares what it serves with what clients know."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from torture.process import Answer, Daemon, NotStarted, Unreachable
from torture.workload import Ledger, Plan, Step, View, digest, look, view_of

# What breaks the promise, and is never allowed.
LOST_SESSION = "acknowledged session lost"
LOST_RESULT = "acknowledged result lost"
LOST_CHECKPOINT = "acknowledged checkpoint lost"
UNDELETED = "deleted session is back"
WRONG_POINT = "wrong point"
STRANGER = "session that nobody made"
# What a damaged store may do, and a crashed one must not.
REFUSED_STORE = "store refused"
REFUSED_SESSION = "session refused"
DIED = "daemon died"

SILENT = (LOST_SESSION, LOST_RESULT, LOST_CHECKPOINT, UNDELETED, STRANGER)


@dataclass
class Findings:
    """What was found wrong: a kind and a sentence each."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    sessions: int = 0

    def add(self, kind: str, text: str) -> None:
        self.problems.append((kind, text))

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.problems}

    def __str__(self) -> str:
        return "; ".join(f"{kind}: {text}" for kind, text in self.problems)


@dataclass
class Expected:
    """What may be seen of a session: its state after so many steps of its client, or after the
    one that was sent and not acknowledged."""

    views: list[View | None]
    may_be_absent: bool
    told: list[int]
    checkpoints: list[int]


def expectations(plan: Plan, ledger: Ledger) -> dict[str, Expected]:
    expected: dict[str, Expected] = {}
    for client, steps in enumerate(plan.clients):
        acknowledged, sent = ledger.position(client)
        for index, step in enumerate(steps[:sent]):
            if index < acknowledged:
                told = expected[step.session].told if step.session in expected else []
                made = expected[step.session].checkpoints if step.session in expected else []
                if step.told is not None:
                    told = [*told, step.told]
                if step.checkpoint is not None:
                    made = [*made, step.checkpoint]
                made = [number for number in made if number != step.dropped]
                expected[step.session] = Expected([step.view], False, told, made)
            elif step.session in expected:
                known = expected[step.session]
                known.views.append(step.view)
                known.checkpoints = [c for c in known.checkpoints if c != step.dropped]
                known.may_be_absent = step.view is None
            else:
                expected[step.session] = Expected([step.view], True, [], [])
    return expected


def check(
    data: Path,
    log: Path,
    plan: Plan,
    ledger: Ledger,
    chance: random.Random,
    thorough: bool = False,
) -> Findings:
    """Starts a daemon on the directory and looks at every session. `thorough` also reads each
    trace and checkpoint, and goes on with each session by a result."""
    found = Findings()
    try:
        with Daemon(data, log).wait_ready() as daemon:
            try:
                examine(daemon, plan, ledger, found, chance, thorough)
            except Unreachable as error:
                found.add(DIED, f"{error}: {daemon.said()[-500:]}")
    except NotStarted as error:
        found.add(REFUSED_STORE, str(error))
    return found


def examine(
    daemon: Daemon,
    plan: Plan,
    ledger: Ledger,
    found: Findings,
    chance: random.Random,
    thorough: bool,
) -> None:
    expected = expectations(plan, ledger)
    unacknowledged = 0
    for name, known in expected.items():
        identifier = ledger.ids.get(name)
        if identifier is None:
            unacknowledged += 1
            continue
        found.sessions += 1
        answer = look(daemon, identifier)
        view = _compare(name, answer, known, found)
        if view is None:
            continue
        if thorough or chance.random() < 0.3:
            _check_trace(daemon, name, identifier, known, found)
        for number in known.checkpoints:
            if thorough or chance.random() < 0.3:
                _check_checkpoint(daemon, plan, name, identifier, number, found)
        if thorough or chance.random() < 0.3:
            _go_on(daemon, plan, ledger, name, identifier, view, found)
    _look_for_strangers(daemon, expected, ledger, unacknowledged, found)


def _compare(name: str, answer: Answer, known: Expected, found: Findings) -> View | None:
    if answer.status == 404:
        if None not in known.views and not known.may_be_absent:
            found.add(LOST_SESSION, f"{name} is 404")
        return None
    if answer.status != 200:
        found.add(REFUSED_SESSION, f"{name}: {answer.status} {answer.body[:300].decode()}")
        return None
    view = view_of(answer)
    if view in known.views:
        return view
    wanted = [candidate for candidate in known.views if candidate is not None]
    if not wanted:
        found.add(UNDELETED, f"{name}: {view}")
    elif any((v.step, v.evaluation) == (view.step, view.evaluation) for v in wanted):
        found.add(WRONG_POINT, f"{name}: {view} instead of {wanted}")
    else:
        found.add(LOST_RESULT, f"{name}: {view} instead of {wanted}")
    return None


def _check_trace(
    daemon: Daemon, name: str, identifier: str, known: Expected, found: Findings
) -> None:
    answer = daemon.request("GET", f"/v1/sessions/{identifier}/trace")
    if answer.status != 200:
        found.add(REFUSED_SESSION, f"trace of {name}: {answer.status} {answer.body[:300]!r}")
        return
    there = [point["evaluation"] for point in json.loads(answer.body)["trace"]]
    missing = set(known.told) - set(there)
    if missing or len(there) != len(set(there)):
        found.add(LOST_RESULT, f"trace of {name} has {there}, without {sorted(missing)}")


def _check_checkpoint(
    daemon: Daemon, plan: Plan, name: str, identifier: str, number: int, found: Findings
) -> None:
    path = f"/v1/sessions/{identifier}/checkpoints/{number}/state-dict"
    answer = daemon.request("GET", path, headers={"Accept": "application/vnd.safetensors"})
    if answer.status == 404:
        found.add(LOST_CHECKPOINT, f"checkpoint {number} of {name}")
    elif answer.status != 200:
        text = answer.body[:300].decode()
        found.add(REFUSED_SESSION, f"checkpoint {number} of {name}: {answer.status} {text}")
    elif digest(answer.body) != plan.checkpoints[name, number]:
        found.add(WRONG_POINT, f"checkpoint {number} of {name} differs")


def _go_on(
    daemon: Daemon,
    plan: Plan,
    ledger: Ledger,
    name: str,
    identifier: str,
    view: View,
    found: Findings,
) -> None:
    """Tells the next result of the plan, where one is next."""
    step = _next_tell(plan, ledger, name, view)
    if step is None or step.view is None:
        return
    path = step.path.format(**{name: identifier})
    answer = daemon.request(step.method, path, step.body, step.headers)
    if answer.status != 200:
        found.add(REFUSED_SESSION, f"telling {name}: {answer.status} {answer.body[:300].decode()}")
    elif view_of(answer) != step.view:
        found.add(WRONG_POINT, f"{name} goes on to {view_of(answer)} instead of {step.view}")


def _next_tell(plan: Plan, ledger: Ledger, name: str, view: View) -> Step | None:
    for client, steps in enumerate(plan.clients):
        acknowledged, sent = ledger.position(client)
        own = [index for index, step in enumerate(steps) if step.session == name]
        before = [index for index in own if index < sent and steps[index].view == view]
        if not before:
            continue
        after = [index for index in own if index > before[-1]]
        # Of a step that was sent and changed nothing that is seen, nobody knows if it was taken.
        hidden = sent > acknowledged and steps[acknowledged].told is None
        if after and not hidden and steps[after[0]].told == view.evaluation is not None:
            return steps[after[0]]
    return None


def _look_for_strangers(
    daemon: Daemon,
    expected: dict[str, Expected],
    ledger: Ledger,
    unacknowledged: int,
    found: Findings,
) -> None:
    answer = daemon.request("GET", "/v1/sessions?page_size=100")
    if answer.status != 200:
        found.add(REFUSED_SESSION, f"the list: {answer.status} {answer.body[:300].decode()}")
        return
    ids = {ledger.ids[name] for name in expected if name in ledger.ids}
    strangers = [
        item["id"] for item in json.loads(answer.body)["sessions"] if item["id"] not in ids
    ]
    if len(strangers) > unacknowledged:
        found.add(STRANGER, f"{strangers}")
