"""Asks and tells with other services that store their trials. Run by the interpreter of a virtual
environment that has them.

    python peers.py optuna|vizier N SECONDS DIRECTORY

Each trial proposes N random numbers, the cheapest proposal of both services, and gets a value.
Prints a line of JSON as load.c does.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def optuna_trial(n: int, directory: str) -> Callable[[], None]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=f"sqlite:///{directory}/optuna.sqlite",
        sampler=optuna.samplers.RandomSampler(),
    )
    space = {f"x{i}": optuna.distributions.FloatDistribution(-1, 1) for i in range(n)}

    def once() -> None:
        study.tell(study.ask(space), 1.0)

    return once


def vizier_trial(n: int, directory: str) -> Callable[[], None]:
    from vizier.service import clients, servers
    from vizier.service import pyvizier as vz

    database = f"sqlite:///{directory}/vizier.sqlite"
    server = servers.DefaultVizierServer(database_url=database)
    clients.environment_variables.server_endpoint = server.endpoint
    config = vz.StudyConfig(algorithm="RANDOM_SEARCH")
    for i in range(n):
        config.search_space.root.add_float_param(f"x{i}", -1.0, 1.0)
    goal = vz.ObjectiveMetricGoal.MINIMIZE
    config.metric_information.append(vz.MetricInformation("loss", goal=goal))
    study = clients.Study.from_study_config(config, owner="benchmark", study_id=str(time.time_ns()))

    def once(keep: object = server) -> None:
        for trial in study.suggest(count=1, client_id="worker"):
            trial.complete(vz.Measurement({"loss": 1.0}))

    return once


def main() -> None:
    name, n, seconds, directory = sys.argv[1:]
    once = {"optuna": optuna_trial, "vizier": vizier_trial}[name](int(n), directory)
    once()
    times: list[float] = []
    end = time.perf_counter() + float(seconds)
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        once()
        times.append(time.perf_counter() - began)
    times.sort()
    figures = {
        "tells": len(times),
        "seconds": sum(times),
        "p50_us": times[len(times) // 2] * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6,
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
