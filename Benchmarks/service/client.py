"""Measures what the Python client costs: a tell beside HTTP libraries that send the same bytes,
`minimize` beside SciPy for evaluations of several costs, and many runs at once.

All contestants of a table take turns, of two tells or one run each, on sessions of their own and
one daemon, so that other load on the machine meets all of them.
"""

from __future__ import annotations

import concurrent.futures
import http.client
import statistics
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import scipy.optimize
import urllib3

import lbfgsd
from daemon import encode
from parts import JSON, NAMES, OCTETS, SESSION_OPTIONS, Daemon, Setting, table

SIZES = (2, 100, 100_000)
EVALUATION_MS = (0, 1, 5, 20)
STARTS = 50
TURN = 2
"""The tells of one turn. The first one is not measured: it finds the processor's caches full of
another library."""

Send = Callable[[str, bytes, dict[str, str]], int]
"""Sends a result to a path, reads the answer, and returns its status."""


def section(setting: Setting) -> str:
    with setting.daemon() as daemon:
        parts = [tells(setting, daemon), evaluations(setting, daemon), starts(setting, daemon)]
    return "\n\n".join(parts)


# A tell


def tells(setting: Setting, daemon: Daemon) -> str:
    rows = []
    for n in SIZES:
        rounds = (100 if setting.quick else 400) if n > 1000 else 200 if setting.quick else 2000
        times = Tells(daemon, n).take_turns(rounds)
        bases = medians(times["http.client", OCTETS])
        for (name, form), taken in times.items():
            cells = [f"{n:,}", name, NAMES[form]]
            for value, base in zip(medians(taken), bases, strict=True):
                cells += [f"{value * 1e6:,.0f}", f"{value / base:.2f}"]
            rows.append(cells)
    heads = ["n", "", "form", "p50 us", "of http.client", "processor us", "of http.client"]
    text = "A tell, on disk before it is answered, and as parts of http.client's with octets."
    return f"{text}\n\n" + table(heads, rows)


def medians(taken: list[tuple[float, float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*taken, strict=True)]


class Tells:
    """Contestants that tell results of n numbers, each to a session of its own."""

    def __init__(self, daemon: Daemon, n: int) -> None:
        self.client = lbfgsd.Client(daemon.url)
        self.n = n
        generator = np.random.default_rng(1)
        self.gradients = [generator.uniform(-1, 1, n) for _ in range(8)]
        self.octets = [gradient.tobytes() for gradient in self.gradients]
        self.json = [encode({"loss": 1.0, "gradient": g.tolist()}) for g in self.gradients]
        place = urlsplit(daemon.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port)
        pool = urllib3.HTTPConnectionPool(place.hostname or "", place.port)
        session = httpx.Client(base_url=daemon.url)

        def standard(path: str, body: bytes, headers: dict[str, str]) -> int:
            connection.request("PUT", path, body, headers)
            response = connection.getresponse()
            response.read()
            return response.status

        def pooled(path: str, body: bytes, headers: dict[str, str]) -> int:
            response = pool.urlopen("PUT", path, body, headers, retries=False)
            assert response.data
            return response.status

        def with_httpx(path: str, body: bytes, headers: dict[str, str]) -> int:
            return session.put(path, content=body, headers=headers).status_code

        self.libraries = {"http.client": standard, "urllib3": pooled, "httpx": with_httpx}

    def take_turns(self, rounds: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
        """The seconds of each tell, and those of this thread's processor time."""
        form_of_client = JSON if self.n < 16 else OCTETS
        contestants: dict[tuple[str, str], Callable[[int], Any]] = {
            ("lbfgsd.Client", form_of_client): self._tell_by_client()
        }
        for name, send in self.libraries.items():
            for form in (JSON, OCTETS):
                if self.n <= 1000 or form == OCTETS:
                    contestants[name, form] = self._tell_by(send, form)
        times: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in contestants}
        for last in range(TURN, rounds + 1, TURN):
            for key, tell in contestants.items():
                for number in range(last - TURN + 1, last):
                    tell(number)
                began, used = time.perf_counter(), time.thread_time()
                tell(last)
                spent = time.thread_time() - used
                times[key].append((time.perf_counter() - began, spent))
        self.client.close()
        return times

    def _session(self) -> str:
        options = {**SESSION_OPTIONS, "history_size": 10}
        session = self.client.create_session(np.zeros(self.n), options=options).id
        self.client.begin_step(session)
        return session

    def _tell_by_client(self) -> Callable[[int], Any]:
        session = self._session()

        def tell(number: int) -> Any:
            return self.client.tell(session, number, 1.0, self.gradients[number % 8])

        return tell

    def _tell_by(self, send: Send, form: str) -> Callable[[int], Any]:
        session = self._session()
        query, bodies = ("", self.json) if form == JSON else ("?loss=1.0", self.octets)
        headers = {"Accept": form, "Content-Type": form, "User-Agent": "lbfgsd-python"}

        def tell(number: int) -> None:
            path = f"/v1/sessions/{session}/evaluations/{number}/result{query}"
            status = send(path, bodies[number % 8], headers)
            assert status == 200, status

        return tell


# Runs


def rosenbrock(x: Any) -> Any:
    rises, rests = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * x[:-1] * rises - 2 * rests
    gradient[1:] += 200 * rises
    return float((100 * rises**2 + rests**2).sum()), gradient


class Costing:
    """The function, with as much computation as so many milliseconds hold. Notes how long it took
    from each evaluation to the next one."""

    def __init__(self, milliseconds: float) -> None:
        self.seconds = milliseconds / 1000
        self.between: list[float] = []
        self.returned: float | None = None

    def __call__(self, x: Any) -> Any:
        began = time.perf_counter()
        if self.returned is not None:
            self.between.append(began - self.returned)
        value = rosenbrock(x)
        while time.perf_counter() < began + self.seconds:
            pass
        self.returned = time.perf_counter()
        return value


def evaluations(setting: Setting, daemon: Daemon) -> str:
    rows = []
    with lbfgsd.Client(daemon.url) as client:
        for milliseconds in EVALUATION_MS:
            fun, its_own = Costing(milliseconds), Costing(milliseconds)
            ours: list[tuple[float, int]] = []
            theirs: list[tuple[float, int]] = []
            count = (30 if milliseconds == 0 else 3) * setting.runs // (3 if setting.quick else 1)
            for _ in range(max(1, count)):
                began = time.perf_counter()
                mine = lbfgsd.minimize(fun, [-1.2, 1.0], jac=True, client=client)
                ours.append((time.perf_counter() - began, mine.nfev))
                fun.returned = its_own.returned = None
                began = time.perf_counter()
                its = scipy.optimize.minimize(its_own, [-1.2, 1.0], jac=True, method="L-BFGS-B")
                theirs.append((time.perf_counter() - began, its.nfev))
            each = [
                statistics.median(1000 * taken / calls for taken, calls in runs)
                for runs in (ours, theirs)
            ]
            cells = [str(milliseconds), *(f"{value:.2f}" for value in each)]
            between = statistics.median(fun.between) * 1000
            rows.append([*cells, f"{each[0] / each[1]:.2f}", f"{between:.2f}"])
    heads = ["an evaluation, ms", "minimize, ms an evaluation", "SciPy, ms an evaluation", "ratio"]
    heads.append("minimize, p50 from one evaluation to the next, ms")
    text = "`minimize` at n = 2: whole runs, with the session's creation, divided by evaluations."
    return f"{text}\n\n" + table(heads, rows)


def starts(setting: Setting, daemon: Daemon) -> str:
    points = np.random.default_rng(2).uniform(-2, 2, (STARTS, 4))
    with lbfgsd.Client(daemon.url) as client:

        def one(start: Any) -> Any:
            return lbfgsd.minimize(rosenbrock, start, jac=True, client=client)

        def in_threads() -> list[Any]:
            with concurrent.futures.ThreadPoolExecutor(8) as threads:
                return list(threads.map(one, points))

        contestants: dict[str, Callable[[], list[Any]]] = {
            "minimize, one after the other": lambda: [one(start) for start in points],
            "minimize, in 8 threads": in_threads,
            "minimize_many": lambda: lbfgsd.minimize_many(
                rosenbrock, points, jac=True, client=client
            ),
            "multistart, one worker": lambda: (
                lbfgsd.multistart(
                    rosenbrock, starts=points, jac=True, client=client, same_basin=None, workers=1
                ).runs
            ),
        }
        times: dict[str, list[float]] = {name: [] for name in contestants}
        evaluations = {}
        for _ in range(setting.runs):
            for name, run in contestants.items():
                began = time.perf_counter()
                results = run()
                times[name].append(time.perf_counter() - began)
                evaluations[name] = sum(result.nfev for result in results)
    base = statistics.median(times["minimize_many"])
    rows = []
    for name, taken in times.items():
        middle = statistics.median(taken)
        rows.append([name, f"{middle:.2f}", f"{evaluations[name]:,}", f"{middle / base:.1f}"])
    heads = [f"{STARTS} starts", "s", "evaluations", "of minimize_many"]
    return f"{STARTS} runs at n = 4.\n\n" + table(heads, rows)
