"""The command line for sessions, and programs that know only files."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import environment, run
from daemon import ROOT, Client, Daemon, binary

ENDED, USAGE, UNAVAILABLE, STORAGE = 3, 64, 69, 74

# A simulator: reads the point, writes the gradient, prints the loss, and notes each of its runs.
SIMULATOR = """#!{python} -SE
import json, os, sys
point, gradient, log = sys.argv[1:4]
x = [float(line) for line in open(point)]
n = len(x)
with open(log, "a") as stream:
    stream.write(json.dumps(x) + "\\n")
if os.environ.get("FAIL_AT") == str(sum(1 for _ in open(log))):
    sys.exit(5)
if os.environ.get("NAN_BEYOND") and max(map(abs, x)) > float(os.environ["NAN_BEYOND"]):
    print("loss nan")
    sys.exit()
a = [10.0 ** (2 * i / n) for i in range(n)]
g = [2 * a[i] * (x[i] - i) for i in range(n)]
open(gradient, "w").write("\\n".join(f"{{v:.17e}}".replace("e", "D") for v in g))
print("iterations of the solver: 12")
print("loss =", sum(a[i] * (x[i] - i) ** 2 for i in range(n)))
"""

START = "3,-1,4,1,5"


@pytest.fixture
def simulator(tmp_path: Path) -> Path:
    path = tmp_path / "simulate"
    path.write_text(SIMULATOR.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def minimize(
    simulator: Path, home: Path, *options: Any, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`lbfgsd run` of the simulator, whose runs are noted in home/points."""
    home.mkdir(exist_ok=True)
    command = [simulator, "{x}", "{gradient}", home / "points"]
    return run("run", "--x0", START, *options, "--", *command, cwd=home, **variables)


def points(home: Path) -> list[list[float]]:
    return [json.loads(line) for line in (home / "points").read_text().splitlines()]


def answer(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_program_is_minimized_without_a_daemon(simulator: Path, tmp_path: Path) -> None:
    result = minimize(simulator, tmp_path / "home")
    x = [float(line) for line in answer(result).splitlines()]
    assert x == pytest.approx(range(5), abs=1e-6)
    assert result.stderr.count("evaluation ") == len(points(tmp_path / "home"))
    assert "gradient_tolerance" in result.stderr
    again = minimize(simulator, tmp_path / "home")
    assert answer(again) == answer(result)
    assert "goes on with session run" in again.stderr
    assert again.stderr.count("evaluation 1:") == 0


def test_after_kill_9_it_goes_on_at_the_same_point(simulator: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    result = answer(minimize(simulator, whole))
    killed.mkdir()
    command = [binary(), "run", "--x0", START, "--", simulator, "{x}", "{gradient}", "points"]
    kills = 0
    while True:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=killed,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        before = len(points(killed)) if (killed / "points").exists() else 0
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            now = len(points(killed)) if (killed / "points").exists() else 0
            if now >= before + 3:
                break
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        else:
            assert process.returncode == 0
            assert process.stdout is not None and process.stdout.read().strip() == result
            break
    assert kills >= 2
    seen = points(killed)
    distinct = [x for i, x in enumerate(seen) if i == 0 or x != seen[i - 1]]
    assert distinct == points(whole)


def test_a_failed_run_and_nan_are_infeasible_points(simulator: Path, tmp_path: Path) -> None:
    failed = minimize(simulator, tmp_path / "failed", FAIL_AT="3")
    assert "the program ended with status 5" in failed.stderr
    x = [float(line) for line in answer(failed).splitlines()]
    assert x == pytest.approx(range(5), abs=1e-6)
    nan = minimize(simulator, tmp_path / "nan", NAN_BEYOND="5.5")
    assert [float(line) for line in answer(nan).splitlines()] == pytest.approx(range(5), abs=1e-6)


def test_a_failed_run_may_end_it(simulator: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    stopped = minimize(simulator, home, "--stop-on-failure", FAIL_AT="3")
    assert stopped.returncode == 1
    assert "evaluation 3 failed: the program ended with status 5" in stopped.stderr
    x = answer(minimize(simulator, home)).splitlines()
    assert [float(number) for number in x] == pytest.approx(range(5), abs=1e-6)
    assert points(home)[2] == points(home)[3]


def test_a_mended_program_is_tried_again(simulator: Path, tmp_path: Path) -> None:
    broken = minimize(simulator, tmp_path / "home", FAIL_AT="1")
    assert broken.returncode == 1 and "non_finite" in broken.stderr
    x = answer(minimize(simulator, tmp_path / "home")).splitlines()
    assert [float(number) for number in x] == pytest.approx(range(5), abs=1e-6)


# Several minima: the program's loss is Himmelblau's function and x[0] / 100.
BASINS = """#!{python} -SE
import os, sys, time
x, y = [float(line) for line in open(sys.argv[1])]
a, b = x * x + y - 11, x + y * y - 7
open(sys.argv[2], "w").write(f"{{4 * x * a + 2 * b + 0.01}} {{2 * a + 4 * y * b}}")
open(sys.argv[3], "a").write(f"{{time.time()}} {{os.getpid()}}\\n")
time.sleep(0.02)
print(a * a + b * b + x / 100)
"""


def test_many_starts_with_copies_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "basins"
    program.write_text(BASINS.format(python=sys.executable))
    program.chmod(0o755)
    options = ["--n", 2, "--lower", -5, "--upper", 5, "--starts", 8, "--seed", 3]
    command = [program, "{x}", "{gradient.txt}", "runs"]
    result = run("run", *options, "--parallel", 3, "--", *command, cwd=tmp_path)
    x = [float(line) for line in answer(result).splitlines()]
    assert x == pytest.approx([-3.7793, -3.2832], abs=0.01)
    runs = len((tmp_path / "runs").read_text().splitlines())
    assert "8 starts have ended" in result.stderr and f"after {runs} evaluations" in result.stderr
    again = run("run", *options, "--parallel", 3, "--", *command, cwd=tmp_path)
    assert answer(again) == answer(result)
    assert len((tmp_path / "runs").read_text().splitlines()) == runs


# A loss with a gradient that is right, or wrong in the number that WRONG names.
SUM = """#!{python} -SE
import math, os, struct, sys
point, gradient, float32 = sys.argv[1], sys.argv[2], len(sys.argv) > 3
form = "f" if float32 else "d"
if point.endswith(".raw"):
    data = open(point, "rb").read()
    x = struct.unpack("<%d%s" % (len(data) // struct.calcsize(form), form), data)
else:
    x = [float(line) for line in open(point)]
limit = float(os.environ.get("LIMIT", "inf"))
assert all(0 <= v <= limit for v in x), x
g = [(1 + i) * math.sin(v) for i, v in enumerate(x)]
if wrong := os.environ.get("WRONG"):
    g[int(wrong)] *= 2
if gradient.endswith(".raw"):
    open(gradient, "wb").write(struct.pack("<%d%s" % (len(g), form), *g))
else:
    open(gradient, "w").write("\\n".join(map(repr, g)))
loss = -sum((1 + i) * math.cos(v) for i, v in enumerate(x))
print("%.*g" % (int(os.environ.get("DIGITS", 17)), loss))
"""


def check_gradient(
    home: Path, *options: Any, files: tuple[str, ...] = ("{x}", "{gradient}"), **variables: str
) -> subprocess.CompletedProcess[str]:
    program = home / "sum"
    program.write_text(SUM.format(python=sys.executable))
    program.chmod(0o755)
    return run("check-gradient", *options, "--", program, *files, cwd=home, **variables)


@pytest.mark.parametrize("files", [("{x}", "{gradient}"), ("{x.raw}", "{gradient.raw}")])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_gradient_is_checked(tmp_path: Path, files: tuple[str, ...], seed: int) -> None:
    options = ["--n", 30, "--fill", 0.7, "--seed", seed]
    right = check_gradient(tmp_path, *options, files=files)
    assert "right: relative error" in answer(right)
    assert len(right.stdout.splitlines()) == 6
    wrong = check_gradient(tmp_path, *options, files=files, WRONG="17")
    assert wrong.returncode == 1 and "wrong: relative error" in wrong.stdout, wrong.stdout
    assert "the gradient is not right" in wrong.stderr
    # It leaves nothing.
    assert [path.name for path in tmp_path.iterdir()] == ["sum"]


def test_a_gradient_in_float32_or_of_few_digits_is_checked(tmp_path: Path) -> None:
    options = ["--n", 30, "--fill", 0.7]
    single = ("{x.raw}", "{gradient.raw}", "float32")
    for dtype, files, digits in (
        ("float32", single, "8"),
        ("float64", ("{x}", "{gradient}"), "7"),
        ("float64", ("{x}", "{gradient}"), "10"),
    ):
        given = [*options, "--dtype", dtype]
        right = check_gradient(tmp_path, *given, files=files, DIGITS=digits)
        assert "right: relative error" in answer(right), right.stdout
        wrong = check_gradient(tmp_path, *given, files=files, DIGITS=digits, WRONG="17")
        assert wrong.returncode == 1 and "wrong: relative error" in wrong.stdout, wrong.stdout


def test_a_gradient_is_checked_within_bounds(tmp_path: Path) -> None:
    options = ["--x0", "0,0.5,1", "--lower", 0, "--upper", 1]
    inside = check_gradient(tmp_path, *options, LIMIT="1")
    assert "right: relative error" in answer(inside), inside.stdout
    outside = check_gradient(tmp_path, "--x0", "0,0.5,1", LIMIT="1")
    assert outside.returncode == 1


def test_a_gradient_at_a_minimum_is_unclear(tmp_path: Path, simulator: Path) -> None:
    command = [simulator, "{x}", "{gradient}", tmp_path / "points"]
    there = run("check-gradient", "--x0", "0,1,2,3,4", "--", *command, cwd=tmp_path)
    assert there.returncode == 1 and "unclear" in there.stdout, there.stdout
    beside = run("check-gradient", "--x0", START, "--", *command, cwd=tmp_path)
    assert "right" in answer(beside)


def test_what_a_check_of_a_gradient_lacks_is_named(tmp_path: Path) -> None:
    for arguments, message in (
        (("--x0", "1", "--", "true", "{x}"), "{gradient}"),
        (("--", "true", "{x}", "{gradient}"), "--x0"),
        (("--x0", "1", "--dtype", "int8", "--", "true", "{x}", "{gradient}"), "int8"),
        (("--x0", "1", "--directions", "0", "--", "true", "{x}", "{gradient}"), "--directions"),
        (("--x0", "1", "--lower", "1,2", "--", "true", "{x}", "{gradient}"), "2 bounds"),
        (("--x0", "1", "--", "no-such-program", "{x}", "{gradient}"), "no-such-program"),
    ):
        result = run("check-gradient", *arguments, cwd=tmp_path)
        assert result.returncode == USAGE and message in result.stderr, (arguments, result)
    silent = run("check-gradient", "--x0", "1", "--", "true", "{x}", "{gradient}", cwd=tmp_path)
    assert silent.returncode == 1 and "no loss at the start" in silent.stderr


def test_wrong_command_lines_are_named(simulator: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("--x0", "1", "--", "true", "{x}"), "{gradient}"),
        (("--x0", "1"), "-- <command>"),
        (("--", "true", "{x}", "{gradient}"), "--x0"),
        (("--x0", "1,b", "--", "true", "{x}", "{gradient}"), "1,b"),
        (("--x0", "1", "--", "no-such-program", "{x}", "{gradient}"), "no-such-program"),
        (("--x0", "1", "-o", "lr", "--", "true", "{x}", "{gradient}"), "lr: must be KEY=VALUE"),
        (("--n", "1", "--starts", "3", "--", "true", "{x}", "{gradient}"), "--lower and --upper"),
        (("--x0", "1", "--parallel", "3", "--", "true", "{x}", "{gradient}"), "needs --starts"),
        (("--x0", "1", "--", "true", "{x.npy}", "{x}", "{gradient}"), "{x} in two forms"),
    ):
        result = run("run", *arguments, cwd=tmp_path)
        assert result.returncode in (USAGE, STORAGE), (arguments, result)
        assert message in result.stderr, (arguments, result.stderr)
    assert list(tmp_path.iterdir()) == [simulator], "nothing is made"
    refused = run(
        "run", "--x0", "1", "-o", "history_size=-1", "--", "true", "{x}", "{gradient}", cwd=tmp_path
    )
    assert refused.returncode == 1 and "history_size" in refused.stderr


def test_bounds_and_options_reach_a_daemon(
    simulator: Path, tmp_path: Path, shared_daemon: Daemon
) -> None:
    url = shared_daemon.url
    result = minimize(
        simulator,
        tmp_path / "home",
        *("--url", url, "--name", "boxed", "--lower", 0, "--upper", "2.5"),
        *("--label", "team=flow", "-o", "history_size=7", "--output", "best.txt"),
    )
    answer(result)
    best = [float(line) for line in (tmp_path / "home" / "best.txt").read_text().splitlines()]
    assert best == pytest.approx([0, 1, 2, 2.5, 2.5], abs=1e-6)
    assert all(0 <= number <= 2.5 for x in points(tmp_path / "home") for number in x)
    shown = json.loads(answer(run("show", "boxed", "--json", "--url", url)))
    assert shown["options"]["history_size"] == 7 and shown["labels"] == {"team": "flow"}
    text = answer(run("show", "boxed", "--url", url))
    assert "history_size" in text and "last step" in text
    listed = answer(run("sessions", "--label", "team=flow", "--url", url))
    assert shown["id"] in listed and "team=flow" in listed


@pytest.mark.parametrize("form", ["txt", "npy", "raw"])
def test_ask_and_tell_in_every_form(form: str, tmp_path: Path, shared_daemon: Daemon) -> None:
    name, url = f"files-{form}", shared_daemon.url
    answer(run("create", "--x0", "-1.5,2", "--name", name, "--url", url))
    x_file, g_file = tmp_path / f"x.{form}", tmp_path / f"g.{form}"
    asked = []
    while True:
        ask = run("ask", name, "--output", x_file, "--url", url)
        if ask.returncode == ENDED:
            break
        number = int(answer(ask))
        asked.append(number)
        if form == "npy":
            x = np.load(x_file)
        else:
            x = np.fromfile(x_file) if form == "raw" else np.loadtxt(x_file)
        gradient = 2 * (x - [1, -3])
        if form == "npy":
            np.save(g_file, gradient)
        elif form == "raw":
            gradient.tofile(g_file)
        else:
            np.savetxt(g_file, gradient)
        loss = float(np.sum((x - [1, -3]) ** 2))
        told = run("tell", name, "--loss", loss, "--gradient", g_file, "--url", url)
        repeated = run(
            *("tell", name, "--evaluation", number, "--loss", loss),
            *("--gradient", g_file, "--url", url),
        )
        assert answer(told) == answer(repeated)
    assert asked == list(range(1, len(asked) + 1)) and len(asked) > 2
    assert "gradient_tolerance" in ask.stderr
    assert x == pytest.approx([1, -3], abs=1e-6)


def test_traces_checkpoints_forks_and_deletion(client: Client, shared_daemon: Daemon) -> None:
    url = shared_daemon.url
    session = client.create(name="history", options={"line_search_fn": "strong_wolfe"})
    turn = client.begin(session)
    for _ in range(6):
        turn = client.answer(turn, lambda x: (sum(v * v for v in x), [2 * v for v in x]))
        if turn["state"] == "idle":
            break
    table = answer(run("trace", "history", "--url", url)).splitlines()
    csv = answer(run("trace", session, "--csv", "--url", url)).splitlines()
    lines = [
        json.loads(line)
        for line in answer(run("trace", session, "--json", "--url", url)).splitlines()
    ]
    assert len(table) == len(csv) == len(lines) + 1
    assert [float(row.split(",")[3]) for row in csv[1:]] == [line["loss"] for line in lines]
    plot = answer(run("trace", session, "--plot", "--url", url))
    assert sum(0x2800 < ord(character) < 0x2900 for character in plot) > 1
    watched = answer(run("watch", session, "--all", "--until-idle", "--url", url))
    assert len(watched.splitlines()) == len(table)
    number = answer(run("checkpoint", session, "--name", "here", "--url", url))
    assert "here" in answer(run("checkpoint", session, "--list", "--url", url))
    fork = answer(run("fork", session, number, "--name", "twin", "--url", url))
    assert client.ok("GET", f"/v1/sessions/{fork}")["origin"]["checkpoint"] == number
    answer(run("rewind", session, number, "--url", url))
    compared = answer(run("compare", session, "twin", "--url", url))
    assert "history" in compared and "twin" in compared
    answer(run("delete", "twin", session, "--yes", "--url", url))
    gone = run("show", session, "--url", url)
    assert gone.returncode == 1 and "404" in gone.stderr


def test_a_name_of_several_sessions_is_not_guessed(client: Client, shared_daemon: Daemon) -> None:
    client.create(name="same")
    client.create(name="same")
    result = run("delete", "same", "--yes", "--url", shared_daemon.url)
    assert result.returncode == 1 and "several sessions have this name" in result.stderr
    assert len(client.ok("GET", "/v1/sessions?name=same")["sessions"]) == 2
    none = run("show", "nobody", "--url", shared_daemon.url)
    assert none.returncode == 1 and "no session has this" in none.stderr


def test_sessions_are_sorted_found_and_deleted_by_what_they_are(daemon: Daemon) -> None:
    client, url = Client(daemon.url), daemon.url
    for name in ("b", "c", "a"):
        client.create(name=name, labels={"kind": "test"})
    unnamed = client.create(options={"mode": "robust"})
    client.begin(unnamed)

    def listed(*options: str) -> list[str]:
        lines = answer(run("sessions", *options, "--url", url)).splitlines()[1:]
        return [line.split()[1] for line in lines]

    assert listed("--sort", "name") == ["a", "b", "c", "-"]
    assert listed("--sort", "name", "--reverse", "--limit", "2") == ["c", "b"]
    assert listed("--reverse") == ["b", "c", "a", "-"]
    assert listed("--text", "KIND:", "--state", "idle") == ["a", "c", "b"]
    assert listed("--state", "evaluating") == listed("--mode", "robust") == ["-"]
    wrong = run("sessions", "--sort", "size", "--url", url)
    assert wrong.returncode == 1 and "order_by" not in wrong.stdout

    asked = run("delete", "--label", "kind=test", "--url", url)
    assert asked.returncode == USAGE and "--yes" in asked.stderr
    assert len(listed()) == 4
    assert answer(run("delete", "--older-than", "1d", "--yes", "--url", url)) == "no sessions"
    deleted = run("delete", "--unnamed", "--older-than", "0s", "--yes", "--url", url)
    assert answer(deleted) == "deleted 1 sessions"
    assert answer(run("delete", "--label", "kind=test", "--yes", "--url", url)).endswith(
        "3 sessions"
    )
    assert answer(run("sessions", "--url", url)) == "no sessions"
    for bad in (("--older-than", "1w"), (), ("a", "--unnamed")):
        assert run("delete", *bad, "--yes", "--url", url).returncode == USAGE, bad


def test_without_a_daemon_the_address_is_named() -> None:
    result = run("sessions", "--url", "http://127.0.0.1:9")
    assert result.returncode == UNAVAILABLE
    assert "http://127.0.0.1:9" in result.stderr


def test_every_evaluation_is_a_slurm_job(simulator: Path, tmp_path: Path, daemon: Daemon) -> None:
    """With a stand-in for sbatch, which runs a copy of the script when the submitting one has
    ended, as Slurm does; the daemon is killed in between."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir()
    tools.mkdir()
    queue = home / "queue"
    scripts = {
        "sbatch": f'#!/bin/sh\nprintf "%s\\n" "$*" >> {queue}\n',
        "srun": '#!/bin/sh\nexec "$@"\n',
        "lbfgsd": f'#!/bin/sh\nexec {binary()} "$@"\n',
    }
    for name, text in scripts.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (home / "simulate").write_text(f'#!/bin/sh\nexec {simulator} "$1" "$2" points\n')
    (home / "simulate").chmod(0o755)
    source = (ROOT / "deploy" / "slurm" / "evaluate.sbatch").read_text()
    # The simulator says "loss = ..."; a job takes what its own program prints.
    source = source.replace(
        '"$(tail -n 1 "$work/loss.txt")"', '"$(tail -n 1 "$work/loss.txt" | cut -d " " -f 3)"'
    )
    (home / "evaluate.sbatch").write_text(source)
    variables = environment(
        LBFGSD_URL=daemon.url, PATH=f"{tools}:{os.environ['PATH']}", SLURM_JOB_ID="7"
    )
    answer(run("create", "--x0", START, "--name", "heat", "--url", daemon.url))
    subprocess.run(["sbatch", "evaluate.sbatch", "heat"], env=variables, check=True)
    jobs = 0
    while queue.exists() and (words := queue.read_text().split()):
        queue.unlink()
        spooled = home / "spooled"
        spooled.write_text((home / words[0]).read_text())
        job = subprocess.run(
            ["bash", str(spooled), *words[1:]],
            cwd=home,
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert job.returncode == 0, job.stderr
        jobs += 1
        if jobs == 4:
            daemon.kill()
            daemon.start()
        assert jobs < 60
    assert "gradient_tolerance" in job.stderr
    assert jobs == len(points(home)) + 1
    assert points(home)[-1] == pytest.approx(range(5), abs=1e-5)
