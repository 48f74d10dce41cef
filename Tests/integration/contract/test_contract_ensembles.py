"""Ensembles over HTTP: designs, leases, results, rules, and what they share with sessions."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any

import numpy as np
import pytest
import requests

from daemon import Client, Daemon
from expectations import assert_problem, replayed
from problems import rosenbrock

MASK = (1 << 64) - 1
WOLFE = {"line_search_fn": "strong_wolfe"}
N = 5


def split_mix(seed: int) -> Any:
    """SplitMix64, by its authors' description."""
    state = seed
    while True:
        state = state + 0x9E3779B97F4A7C15 & MASK
        z = state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        yield z ^ z >> 31


def uniform(numbers: Any) -> float:
    return (next(numbers) >> 11) * 2.0**-53


def below(numbers: Any, bound: int) -> int:
    while (number := next(numbers)) >= (1 << 64) // bound * bound:
        pass
    return number % bound


def design(method: str, count: int, n: int, seed: int) -> Any:
    numbers = split_mix(seed)
    points = np.zeros((count, n))
    if method == "uniform":
        return np.array([[uniform(numbers) for _ in range(n)] for _ in range(count)])
    if method == "latin_hypercube":
        for j in range(n):
            slices = list(range(count))
            for place in range(count - 1, 0, -1):
                other = below(numbers, place + 1)
                slices[place], slices[other] = slices[other], slices[place]
            points[:, j] = [(slices[k] + uniform(numbers)) / count for k in range(count)]
        return points
    qmc = pytest.importorskip("scipy.stats").qmc
    plain = (qmc.Sobol(n, scramble=False).random(count) * 2**53).astype(np.uint64)
    shift = np.array([next(numbers) >> 11 for _ in range(n)], np.uint64)
    return (plain ^ shift).astype(float) * 2.0**-53


def create(client: Client, **body: Any) -> dict[str, Any]:
    return client.ok("POST", "/v1/ensembles", {"options": WOLFE, **body})


def starts(client: Client, ensemble: str) -> Any:
    ranked = client.ok("GET", f"/v1/ensembles/{ensemble}/members?points=true")["members"]
    return np.array([m["x"] for m in sorted(ranked, key=lambda m: m["member"])])


def result(point: dict[str, Any]) -> dict[str, Any]:
    loss, gradient = rosenbrock(point["x"])
    answer = {"loss": float(loss), "gradient": [float(g) for g in gradient]}
    return {"session": point["session"], "number": point["number"], **answer}


def finish(client: Client, ensemble: str, count: int = 2) -> dict[str, Any]:
    path = f"/v1/ensembles/{ensemble}"
    turn = client.ok("POST", f"{path}/evaluations", {"count": count})
    while turn["state"] == "running":
        assert turn["evaluations"]
        body = {"results": [result(p) for p in turn["evaluations"]], "ask": {"count": count}}
        turn = client.ok("POST", f"{path}/results", body)
        assert {answer["status"] for answer in turn["results"]} == {200}
    return client.ok("GET", path)


@pytest.mark.parametrize("method", ["sobol", "latin_hypercube", "uniform"])
def test_a_design_can_be_repeated_bit_for_bit(client: Client, method: str) -> None:
    lower, upper = [-5.0, 0.0, 1e-3, 2.0, -1.0], [5.0, 1.0, 1e3, 2.0, 7.5]
    made = create(
        client, starts={"method": method, "count": 37, "seed": 2**53 - 3}, n=N, lower=lower,
        upper=upper,
    )  # fmt: skip
    u = design(method, 37, N, 2**53 - 3)
    expected = np.array(lower) + (np.array(upper) - np.array(lower)) * u
    assert np.array_equal(starts(client, made["id"]), expected)
    assert (made["lower"], made["upper"]) == (lower, upper)


def test_sobols_points_without_scrambling_are_scipys(client: Client) -> None:
    qmc = pytest.importorskip("scipy.stats").qmc
    chosen = {"method": "sobol", "count": 64, "scramble": False, "skip": 3}
    made = create(client, starts=chosen, n=50, lower=0, upper=1)
    expected = qmc.Sobol(50, scramble=False).random(67)[3:]
    assert np.array_equal(starts(client, made["id"]), expected)
    assert made["starts"] == {**chosen, "seed": None}


def test_starts_of_float32_are_float32_within_the_box(client: Client) -> None:
    made = create(
        client, starts={"method": "uniform", "count": 20}, params=[{"name": "w", "shape": [2, 2]}],
        dtype="float32", lower=0.1, upper=0.3,
    )  # fmt: skip
    x = starts(client, made["id"])
    assert np.array_equal(x, x.astype(np.float32)) and (x >= 0.1).all() and (x <= 0.3).all()
    session = client.ok("GET", f"/v1/ensembles/{made['id']}/members")["members"][0]["session"]
    assert client.get(session)["params"] == [{"name": "w", "shape": [2, 2]}]


def test_a_run_from_creation_to_the_ranking(client: Client) -> None:
    given = [[-1.2, 1.0], [0.5, 0.5], [2.0, -2.0]]
    response = client.call(
        "POST", "/v1/ensembles", {"name": "fit", "labels": {"a": "b"}, "starts": given,
        "options": {**WOLFE, "max_iter": 200}},
    )  # fmt: skip
    assert response.status_code == 201
    made = response.json()
    assert response.headers["Location"] == f"/v1/ensembles/{made['id']}"
    assert made["members"] == {"waiting": 3, "running": 0, "ended": 0, "abandoned": 0, "damaged": 0}
    assert made["best"] is None and made["state"] == "running"
    listed = client.ok("GET", f"/v1/sessions?label=ensemble:{made['id']}")["sessions"]
    assert [s["labels"]["member"] for s in listed] == ["2", "1", "0"]
    done = finish(client, made["id"])
    assert (done["state"], done["reason"], done["leased"]) == ("finished", "all_ended", 0)
    assert np.allclose(done["best"]["x"], 1, atol=1e-3)
    members = client.ok("GET", f"/v1/ensembles/{made['id']}/members")["members"]
    assert [m["rank"] for m in members] == [1, 2, 3]
    assert [m["loss"] for m in members] == sorted(m["loss"] for m in members)
    assert members[0]["session"] == done["best"]["session"]
    assert sum(m["evaluations"] for m in members) == done["evaluations"]
    for member in members:
        # The same numbers as the session's own, from a run of it alone.
        alone = client.create(x0=given[member["member"]], options={**WOLFE, "max_iter": 200})
        turn = client.begin(alone)
        while turn["state"] == "evaluating":
            turn = client.answer(turn, rosenbrock)
        assert turn["result"] == member["result"]
    entry = client.ok("GET", "/v1/ensembles?page_size=1")["ensembles"][0]
    assert entry["id"] == made["id"] and entry["name"] == "fit"


def test_leases_waits_and_results_told_alone(client: Client) -> None:
    made = create(client, starts=[[-1.2, 1.0], [0.5, 0.5]])["id"]
    path = f"/v1/ensembles/{made}"
    asked = {"count": 5, "worker": "a", "seconds": 0.3}
    first = client.ok("POST", f"{path}/evaluations", asked)["evaluations"]
    assert [p["member"] for p in first] == [0, 1]
    empty = client.ok("POST", f"{path}/evaluations")
    assert empty["evaluations"] == [] and empty["retry_after_seconds"] == 1
    # The lease ends while the request waits.
    response = client.call("POST", f"{path}/evaluations", {}, headers={"Prefer": "wait=10"})
    assert response.headers["Preference-Applied"] == "wait=10"
    (again,) = response.json()["evaluations"]
    assert again["number"] == 1 and again["x"] == first[again["member"]]["x"]
    told = result(first[0])
    session = told.pop("session")
    number = told.pop("number")
    answer = client.call("PUT", f"/v1/sessions/{session}/evaluations/{number}/result", told)
    assert answer.status_code == 200
    late = client.ok("POST", f"{path}/results", {"results": [result(first[0])]})
    assert late["results"][0]["replayed"] is True
    assert client.ok("GET", path)["evaluations"] == 1


def test_each_result_has_its_own_status(client: Client) -> None:
    made = create(client, starts=[[-1.2, 1.0], [0.5, 0.5], [1.0, 1.0]])["id"]
    path = f"/v1/ensembles/{made}"
    points = client.ok("POST", f"{path}/evaluations", {"count": 3})["evaluations"]
    stranger = client.create()
    client.begin(stranger)
    results = [
        result(points[0]),
        {**result(points[1]), "gradient": [1.0]},
        {"session": points[2]["session"], "number": 1, "failed": "mesh inverted"},
        {"session": stranger, "number": 1, "loss": 1, "gradient": [1, 1]},
        {**result(points[0]), "loss": 5},
        {**result(points[0]), "number": 9},
    ]
    answer = client.ok("POST", f"{path}/results", {"results": results})
    assert [r["status"] for r in answer["results"]] == [200, 422, 200, 404, 409, 404]
    assert answer["results"][1]["problem"]["errors"][0]["field"] == "results[1].gradient"
    assert [r["member"] for r in answer["results"]] == [0, 1, 2, None, 0, 0]
    assert client.ask(stranger)["evaluation"]["number"] == 1
    wrong = client.call("POST", f"{path}/results", {"results": [{"session": stranger}]})
    assert_problem(wrong, 422, "invalid-request", "results[0].number")


def test_a_key_repeats_creation_and_a_tag_guards_writes(client: Client) -> None:
    headers = {"Idempotency-Key": "ensemble-key"}
    body = {"starts": [[1.0, 2.0]]}
    one, two = (client.call("POST", "/v1/ensembles", body, headers=headers) for _ in range(2))
    assert one.json()["id"] == two.json()["id"] and replayed(two) and not replayed(one)
    other = client.call("POST", "/v1/ensembles", {"starts": [[3.0]]}, headers=headers)
    assert_problem(other, 422, "idempotency-key-reused")
    path = f"/v1/ensembles/{one.json()['id']}"
    tag = client.call("GET", path).headers["ETag"]
    assert client.call("GET", path, headers={"If-None-Match": tag}).status_code == 304
    client.ok("POST", f"{path}/evaluations")
    assert client.call("GET", path).headers["ETag"] != tag
    for method, rest, sent in (
        ("POST", "/evaluations", {}), ("POST", "/results", {"results": []}), ("POST", "/stop", {}),
        ("DELETE", "", None),
    ):  # fmt: skip
        stale = client.call(method, path + rest, sent, headers={"If-Match": tag})
        assert_problem(stale, 412, "precondition-failed")
    stopped = [client.call("POST", f"{path}/stop") for _ in range(2)]
    assert [replayed(s) for s in stopped] == [False, True]
    assert stopped[0].json()["reason"] == "stopped"
    assert client.call("DELETE", path, headers={"If-Match": "*"}).status_code == 204
    assert_problem(client.call("GET", path), 404, "not-found")


def test_deleting_an_ensemble_deletes_its_members(client: Client) -> None:
    made = create(client, starts=[[1.0], [2.0]])["id"]
    members = client.ok("GET", f"/v1/ensembles/{made}/members")["members"]
    client.ok("DELETE", f"/v1/sessions/{members[0]['session']}")
    left = client.ok("GET", f"/v1/ensembles/{made}/members")["members"]
    assert [m["member"] for m in left] == [1]
    client.ok("DELETE", f"/v1/ensembles/{made}")
    for member in members:
        assert client.call("GET", f"/v1/sessions/{member['session']}").status_code == 404


def test_the_traces_of_all_in_three_forms(client: Client) -> None:
    made = create(client, starts=[[-1.2, 1.0], [0.5, 0.5]], stop={"evaluations": 9})["id"]
    assert finish(client, made)["reason"] == "evaluations"
    path = f"/v1/ensembles/{made}/trace"
    points = client.ok("GET", path)["trace"]
    assert len(points) == 9 and [p["member"] for p in points] == sorted(p["member"] for p in points)
    read, url = [], f"{path}?limit=4"
    while url:
        response = client.call("GET", url)
        read += response.json()["trace"]
        url = (
            response.headers["Link"].split("<")[1].split(">")[0] if response.json()["next"] else ""
        )
    assert read == points
    lines = client.call("GET", path, headers={"Accept": "application/x-ndjson"}).text
    assert [json.loads(line) for line in lines.splitlines()] == points
    head, *rows = client.call("GET", path, headers={"Accept": "text/csv"}).text.split("\r\n")[:-1]
    assert head.startswith("member,session,evaluation,step,") and len(rows) == 9


def test_live_events(client: Client) -> None:
    made = create(client, starts=[[1.0, 1.0]])["id"]
    url = f"{client.url}/v1/ensembles/{made}/events"
    with requests.get(url, stream=True, timeout=30) as stream:
        finish(client, made)
        text = b"".join(stream.iter_content(None)).decode()
    kinds = [line.removeprefix("event: ") for line in text.splitlines() if "event: " in line]
    assert kinds == ["evaluation", "member", "finished"]
    assert '"reason":"all_ended"' in text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "starts"),
        ({"starts": []}, "starts"),
        ({"starts": [[1.0], [1.0, 2.0]]}, "starts[1]"),
        ({"starts": [["NaN"]]}, "starts[0]"),
        ({"starts": [[1.0]], "lower": 2, "upper": 3}, "starts[0][0]"),
        ({"starts": {"method": "sobol"}}, "starts.count"),
        ({"starts": {"method": "halton", "count": 3}}, "starts.method"),
        ({"starts": {"method": "uniform", "count": 3, "skip": 1}}, "starts.skip"),
        ({"starts": {"method": "uniform", "count": 3}, "n": 2}, "lower"),
        ({"starts": {"method": "uniform", "count": 1001}, "n": 2}, "starts.count"),
        ({"starts": [[1.0]], "stop": {"target": "NaN"}}, "stop.target"),
        ({"starts": [[1.0]], "abandon": {"same_basin": {"distance": 1}}},
         "abandon.same_basin.loss"),
        ({"starts": [[1.0]], "params": [{"shape": [2]}]}, "starts[0]"),
        ({"starts": [[1.0]], "bounds": 1}, "bounds"),
        # Around the middle between two float32 numbers.
        ({"starts": {"method": "uniform", "count": 3}, "n": 1, "dtype": "float32",
          "lower": 1.0000000358, "upper": 1.0000000834}, "lower"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_made(
    client: Client, body: dict[str, Any], field: str
) -> None:
    before = client.ok("GET", "/v1/limits")["tenant"]["sessions"]
    assert_problem(client.call("POST", "/v1/ensembles", body), 422, "invalid-request", field)
    assert client.ok("GET", "/v1/limits")["tenant"]["sessions"] == before


def test_limits_are_stated_and_kept(client: Client) -> None:
    limits = client.ok("GET", "/v1/limits")
    count = limits["ensemble_members_max"]
    many = {"method": "uniform", "count": count}
    over = limits["ensemble_numbers_max"] // count + 1
    answer = client.call(
        "POST", "/v1/ensembles", {"starts": many, "n": over, "lower": 0, "upper": 1}
    )
    assert_problem(answer, 422, "invalid-request", "starts.count")
    made = create(client, starts=[[1.0]])["id"]
    asked = {"count": limits["ensemble_ask_max"] + 1}
    answer = client.call("POST", f"/v1/ensembles/{made}/evaluations", asked)
    assert_problem(answer, 422, "invalid-request", "count")


def test_a_thousand_members(client: Client) -> None:
    began = time.monotonic()
    made = create(
        client, starts={"method": "sobol", "count": 1000}, n=10, lower=-2, upper=2,
        options={**WOLFE, "max_iter": 1, "max_eval": 2},
    )["id"]  # fmt: skip
    assert time.monotonic() - began < 60
    done = finish(client, made, count=100)
    assert done["members"]["ended"] == 1000 and done["evaluations"] <= 2000
    client.ok("DELETE", f"/v1/ensembles/{made}")


def work(
    url: str, ensemble: str, acknowledged: list[tuple[str, int]], over: threading.Event
) -> None:
    """A worker that repeats every request without an answer."""
    path = f"{url}/v1/ensembles/{ensemble}"
    body: dict[str, Any] = {"results": [], "ask": {"count": 3, "seconds": 1}}
    while not over.is_set():
        try:
            answer = requests.post(f"{path}/results", json=body, timeout=20)
        except requests.RequestException:
            time.sleep(0.02)
            continue
        if answer.status_code >= 500:
            time.sleep(0.02)
            continue
        turn = answer.json()
        for told, item in zip(turn["results"], body["results"], strict=True):
            # 409 and 410: another worker had the same point after a restart.
            assert told["status"] in (200, 409, 410), told
            if told["status"] == 200:
                acknowledged.append((item["session"], item["number"]))
        if turn["state"] == "finished":
            return
        body["results"] = [result(point) for point in turn["evaluations"]]
        if not turn["evaluations"]:
            time.sleep(0.05)


def test_kills_lose_no_member_and_no_result(daemon: Daemon) -> None:
    client = Client(daemon.url)
    chosen = {"method": "sobol", "count": 24, "seed": 5}
    body = {
        "starts": chosen, "n": 4, "lower": -2, "upper": 2,
        "options": {**WOLFE, "max_iter": 40, "max_eval": 60},
    }  # fmt: skip
    calm = finish(client, client.ok("POST", "/v1/ensembles", body)["id"], count=4)
    expected = outcome(client, calm["id"])
    # Killed while it creates: the key says whether there is one, and there are all of it or none.
    rng = np.random.default_rng(11)
    made = None
    for attempt in range(6):
        killer = threading.Timer(float(rng.uniform(0, 0.1)), daemon.kill)
        killer.start()
        headers = {"Idempotency-Key": "crashed", "Content-Type": "application/json"}
        answer = None
        with contextlib.suppress(requests.RequestException):
            answer = requests.post(
                f"{daemon.url}/v1/ensembles", json=body, headers=headers, timeout=20
            )
        killer.join()
        daemon.start()
        client = Client(daemon.url)
        if answer is not None and answer.status_code == 201:
            assert made in (None, answer.json()["id"]), attempt
            made = answer.json()["id"]
        ensembles = client.ok("GET", "/v1/ensembles")["ensembles"]
        assert len(ensembles) in (1, 2) and (made is None or len(ensembles) == 2)
        assert client.ok("GET", "/v1/limits")["tenant"]["sessions"] == 24 * len(ensembles)
    again = client.call(
        "POST", "/v1/ensembles", body, headers={"Idempotency-Key": "crashed"}
    ).json()["id"]
    assert made in (None, again)

    acknowledged: list[list[tuple[str, int]]] = [[], [], []]
    over = threading.Event()
    workers = [
        threading.Thread(target=work, args=(daemon.url, again, list_, over), daemon=True)
        for list_ in acknowledged
    ]
    for worker in workers:
        worker.start()
    for _ in range(8):
        time.sleep(float(rng.uniform(0.05, 0.5)))
        daemon.kill()
        daemon.start()
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive()
    client = Client(daemon.url)
    assert outcome(client, again) == expected
    trace = client.ok("GET", f"/v1/ensembles/{again}/trace")["trace"]
    there = [(point["session"], point["evaluation"]) for point in trace]
    assert len(there) == len(set(there))
    assert {pair for told in acknowledged for pair in told} <= set(there)


def outcome(client: Client, ensemble: str) -> Any:
    members = client.ok("GET", f"/v1/ensembles/{ensemble}/members?points=true")["members"]
    kept = ("member", "state", "loss", "evaluations", "result", "x")
    return sorted(([m[key] for key in kept] for m in members), key=lambda m: m[0])
