"""What happens to a daemon from outside while clients work: stopped and continued processes, steps
of the clock, a disk that is full or read-only for a while, a second daemon, a segment that somebody
removes.

After each event the clients go on, and at the end the process is killed and everything must be
there.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from torture.check import REFUSED_SESSION, REFUSED_STORE, check
from torture.faults import story
from torture.process import Daemon, NotStarted, Unreachable, binary, environment_of
from torture.recording import Control
from torture.report import Report
from torture.workload import Ledger, Plan, Step, WrongAnswer, make_plan, take

IN_USE_STATUS, STORAGE_STATUS = 75, 74
DAY_SECONDS = 86_400.0
GIVE_UP_SECONDS = 60.0


class Scene:
    """A daemon under the recorder, and the clients of a plan."""

    def __init__(self, name: str, plan: Plan, home: Path) -> None:
        self.plan, self.home = plan, home / name.replace(" ", "-")
        self.home.mkdir()
        self.data, self.log = self.home / "data", self.home / "log"
        self.data.mkdir(mode=0o700)
        self.control = Control(self.home / "control")
        self.ledger = Ledger.begin(plan)
        self.statuses: set[int] = set()
        self.daemon = self.start()

    def start(self) -> Daemon:
        self.daemon = Daemon(self.data, self.log, control=self.control).wait_ready()
        return self.daemon

    def step(self) -> Step | None:
        """The next step, if there is one left."""
        index = len(self.ledger.acknowledged[0])
        steps = self.plan.clients[0]
        return steps[index] if index < len(steps) else None

    def play(self, until: Callable[[], bool] = lambda: False, patient: bool = True) -> None:
        """Takes steps until there is none left. A patient client repeats what was refused, and
        restarts a daemon that ended."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while self.step() and not until():
            assert time.monotonic() < deadline, f"no progress at {self.step()}"
            try:
                answer = take(self.daemon, self.plan, self.ledger, 0, lambda: 0)
            except Unreachable:
                if not patient:
                    raise
                self.daemon.process.wait(GIVE_UP_SECONDS)
                self.start()
                continue
            if answer is None:
                continue
            self.statuses.add(answer.status)
            if not patient or answer.status not in (500, 503, 507):
                raise WrongAnswer(f"{self.step()}: {answer.status} {answer.body[:300]!r}")
            time.sleep(0.02)

    def play_to(self, share: float) -> None:
        goal = int(len(self.plan.clients[0]) * share)
        self.play(lambda: len(self.ledger.acknowledged[0]) >= goal, patient=False)


def pause(scene: Scene) -> None:
    """SIGSTOP and SIGCONT, many times."""
    over = threading.Event()

    def interrupt() -> None:
        chance = random.Random(1)
        while not over.is_set():
            scene.daemon.process.send_signal(signal.SIGSTOP)
            time.sleep(chance.uniform(0.001, 0.1))
            scene.daemon.process.send_signal(signal.SIGCONT)
            time.sleep(chance.uniform(0.001, 0.03))

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        scene.play(patient=False)
    finally:
        over.set()
        thread.join()


def step_clock(scene: Scene) -> None:
    """The wall clock jumps forth and back by days and years, also over a restart."""
    for index, days in enumerate((1, -1, 400, -4000, 0.04, -0.04, 0)):
        scene.control.step_clock(days * DAY_SECONDS)
        scene.play_to((index + 1) / 8)
        if index % 3 == 2:
            scene.daemon.kill()
            scene.start()
    scene.play(patient=False)


def refuse_writes(code: int, statuses: set[int]) -> Callable[[Scene], None]:
    """For a while every call that writes fails. Clients get one of `statuses`, reading goes on,
    and when the disk takes writes again the daemon does too, or a restarted one."""

    def event(scene: Scene) -> None:
        scene.play_to(0.5)
        scene.control.fail_writes(code)
        refusals = 0
        while scene.daemon.alive and refusals < 10:
            step = scene.step()
            assert step is not None
            try:
                answer = take(scene.daemon, scene.plan, scene.ledger, 0, lambda: 0)
                if answer is None:
                    raise WrongAnswer(f"{step} got a 2xx, and nothing can be written")
                if answer.status not in statuses:
                    raise WrongAnswer(f"{step}: {answer.status} {answer.body[:300]!r}")
                refusals += 1
                listed = scene.daemon.request("GET", "/v1/sessions")
                if listed.status != 200:
                    raise WrongAnswer(f"the list: {listed.status} {listed.body[:300]!r}")
            except Unreachable:
                scene.daemon.process.wait(GIVE_UP_SECONDS)
        if not scene.daemon.alive:
            try:
                scene.start()
                raise WrongAnswer("ready on a disk that takes no writes")
            except NotStarted as error:
                if error.status not in (1, STORAGE_STATUS):
                    raise
        scene.control.fail_writes(0)
        if not scene.daemon.alive:
            scene.start()
        scene.play()

    return event


def second_daemon(scene: Scene) -> None:
    """A second daemon on the directory is refused, and the first goes on."""
    scene.play_to(0.5)
    for _ in range(3):
        try:
            Daemon(scene.data, scene.home / "second.log").wait_ready().kill()
            raise WrongAnswer("a second daemon is ready on the same directory")
        except NotStarted as error:
            if error.status != IN_USE_STATUS:
                raise
    compacting = subprocess.run(
        [str(binary()), "compact", "--data", str(scene.data)],
        capture_output=True,
        env=environment_of(scene.data),
    )
    if compacting.returncode != IN_USE_STATUS:
        raise WrongAnswer(f"compact beside a daemon: exit status {compacting.returncode}")
    scene.play(patient=False)


def removed_segment(scene: Scene) -> None:
    """The shared segment is unlinked. What is acknowledged from then on must be there after a
    restart; what was in the segment is lost with a message, and only that."""
    segment = scene.data / "segments" / "000001.seg"
    scene.play(segment.exists, patient=False)
    scene.play_to(len(scene.ledger.acknowledged[0]) / len(scene.plan.clients[0]) + 0.05)
    before = dict(scene.ledger.ids)
    segment.unlink()
    body = b'{"name": "afterwards", "params": [{"shape": [3000], "fill": 0.5}]}'
    headers = {"Content-Type": "application/json"}
    made = []
    for _ in range(5):
        try:
            answer = scene.daemon.request("POST", "/v1/sessions", body, headers)
        except Unreachable:
            break
        if answer.is_success:
            made.append(answer.headers["location"].rsplit("/", 1)[1])
    scene.daemon.kill()
    try:
        scene.start()
    except NotStarted as error:
        if error.status != STORAGE_STATUS:
            raise
        if made:
            raise WrongAnswer(f"{len(made)} sessions got a 2xx; then {error}") from error
        return
    for identifier in made:
        answer = scene.daemon.request("GET", f"/v1/sessions/{identifier}/evaluation")
        if answer.status != 200:
            raise WrongAnswer(f"a session that got a 2xx afterwards: {answer.status}")
    for name, identifier in before.items():
        answer = scene.daemon.request("GET", f"/v1/sessions/{identifier}/evaluation")
        if answer.status not in (200, 404, 500):
            raise WrongAnswer(f"{name}: {answer.status}")
    scene.daemon.kill()
    scene.ledger = Ledger.begin(scene.plan)  # Nothing more is known of the plan's sessions.


def read_only_mount(scene: Scene) -> None:
    """A directory that is mounted read-only is refused with a message; mounted for writing again
    it is served."""
    scene.play_to(0.5)
    scene.daemon.kill()
    inner = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    wrapper = ("unshare", "--mount", "sh", "-c", inner, str(scene.data))
    try:
        with Daemon(scene.data, scene.log, wrapper=wrapper) as daemon:
            daemon.wait_ready()
            raise WrongAnswer("ready on a read-only mount")
    except NotStarted as error:
        if error.status != STORAGE_STATUS:
            raise
    scene.start()
    scene.play(patient=False)


def can_mount() -> bool:
    """Whether this process may make mounts of its own."""
    probe = ["unshare", "--mount", "sh", "-c", "mount --bind /tmp /tmp"]
    found = shutil.which("unshare")
    return found is not None and subprocess.run(probe, capture_output=True).returncode == 0


EVENTS: dict[str, Callable[[Scene], None]] = {
    "SIGSTOP and SIGCONT": pause,
    "clock steps": step_clock,
    "disk full": refuse_writes(errno.ENOSPC, {503, 507}),
    "quota reached": refuse_writes(errno.EDQUOT, {503, 507}),
    "disk read-only": refuse_writes(errno.EROFS, {500, 503, 507}),
    "disk fails": refuse_writes(errno.EIO, {500, 503, 507}),
    "read-only mount": read_only_mount,
    "second daemon": second_daemon,
    "removed segment": removed_segment,
}
NEEDS_MOUNTS = {"read-only mount"}


def run_event(name: str, plan: Plan, home: Path, report: Report) -> None:
    if name in NEEDS_MOUNTS and not can_mount():
        report.count(f"left out, as mounting is not permitted: {name}")
        return
    scene = Scene(name, plan, home)
    try:
        EVENTS[name](scene)
        scene.daemon.kill()
        found = check(scene.data, scene.log, plan, scene.ledger, random.Random(name), thorough=True)
        if name != "removed segment":
            for kind, text in found.problems:
                report.violation(f"{name}: {text}", name, {kind}, None)
    except (WrongAnswer, Unreachable) as error:
        report.violation(f"{name}: {error}", name, {REFUSED_SESSION}, None)
    except NotStarted as error:
        report.violation(f"{name}: {error}", name, {REFUSED_STORE}, None)
    finally:
        if scene.daemon.alive:
            os.kill(scene.daemon.process.pid, signal.SIGCONT)
            scene.daemon.kill()
    statuses = ", ".join(map(str, sorted(scene.statuses)))
    report.count(f"events: {name}" + (f" (clients saw {statuses})" if statuses else ""))
    shutil.rmtree(scene.home)


def run(seed: int, home: Path, only: str | None = None) -> Report:
    report = Report(f"events --seed {seed}", home)
    plan = make_plan(seed, home, [story])
    for name in EVENTS:
        if only in (None, name):
            run_event(name, plan, home, report)
    return report
