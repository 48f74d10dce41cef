"""Sessions over HTTP: creating, listing, changing and deleting them."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from daemon import Client, Daemon, encode, flat
from expectations import assert_problem, replayed
from problems import rosenbrock

DEFAULTS = {
    "lr": 1,
    "max_iter": 20,
    "max_eval": 25,
    "tolerance_grad": 1e-7,
    "tolerance_change": 1e-9,
    "history_size": 100,
    "line_search_fn": None,
    "mode": "torch",
    "history_dtype": "float64",
    "noise": None,
    "tolerance_grad_relative": 0,
    "tolerance_loss_relative": 0,
    "reuse_evaluation": False,
    "maximize": False,
}
TWO_PARAMS = [
    {"name": "w", "shape": [2, 3], "values": [1, 2, 3, 4, 5, 6]},
    {"name": "b", "shape": [3], "values": [7, 8, 9]},
]


def make_key() -> str:
    return str(uuid.uuid4())


# Creating


def test_a_session_is_created_idle_with_location_and_etag(client: Client) -> None:
    response = client.call("POST", "/v1/sessions", {"x0": [1, 2]})
    assert response.status_code == 201
    session = response.json()
    assert response.headers["Location"].endswith(f"/v1/sessions/{session['id']}")
    assert re.fullmatch(r'(W/)?"[^"]+"', response.headers["ETag"])
    assert session["state"] == "idle" and session["n"] == 2 and session["step"] == 0
    assert session["evaluation"] == 0 and session["loss"] is None
    again = client.call("GET", response.headers["Location"])
    assert again.json() == session and again.headers["ETag"] == response.headers["ETag"]


def test_options_left_out_take_the_defaults_of_torch(client: Client) -> None:
    session = client.get(client.create())
    assert session["options"] == DEFAULTS
    assert session["dtype"] == "float64"


def test_max_eval_defaults_to_five_quarters_of_max_iter(client: Client) -> None:
    assert client.get(client.create(options={"max_iter": 9}))["options"]["max_eval"] == 11


def test_all_that_is_given_comes_back(client: Client) -> None:
    options = {
        "lr": 0.5,
        "max_iter": 7,
        "max_eval": 30,
        "tolerance_grad": 1e-5,
        "tolerance_change": 0,
        "history_size": 3,
        "line_search_fn": "strong_wolfe",
        "mode": "torch",
    }
    body = {
        "name": "pinn-42",
        "labels": {"team": "flow", "cheese": "käse"},
        "dtype": "float32",
        "params": TWO_PARAMS,
        "options": options,
    }
    session = client.ok("POST", "/v1/sessions", body, status=201)
    assert session["name"] == "pinn-42" and session["labels"] == body["labels"]
    assert session["dtype"] == "float32" and session["options"] == {
        **DEFAULTS,
        **options,
        "history_dtype": "float32",
    }
    assert session["n"] == 9
    assert [(p["name"], p["shape"]) for p in session["params"]] == [("w", [2, 3]), ("b", [3])]
    for name in ("created_at", "updated_at"):
        assert datetime.fromisoformat(session[name]).tzinfo is not None


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_come_back_as_they_were_given(client: Client, dtype: str) -> None:
    values = [0.1, -2.5, 1e-30, 3e20, -0.0, 7]
    document = client.ok("GET", f"/v1/sessions/{client.create(x0=values, dtype=dtype)}/params")
    assert np.array_equal(np.array(flat(document), dtype=dtype), np.array(values, dtype=dtype))


def test_a_scalar_parameter_has_the_shape_of_nothing(client: Client) -> None:
    session = client.create(params=[{"name": "t", "shape": [], "values": [4]}])
    assert client.get(session)["n"] == 1 and client.x(session) == [4]


@pytest.mark.parametrize("codepoint", [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 7, 0x9B])
def test_text_that_would_reorder_what_is_shown_is_refused(client: Client, codepoint: int) -> None:
    text = f"a{chr(codepoint)}b"
    session = client.create(name="before")
    for body, field in (({"name": text}, "name"), ({"labels": {"k": text}}, "labels.k")):
        for method, path in (("POST", "/v1/sessions"), ("PATCH", f"/v1/sessions/{session}")):
            refused = client.call(method, path, {"x0": [1], **body} if method == "POST" else body)
            problem = assert_problem(refused, 422, "invalid-request")
            assert [error["field"] for error in problem["errors"]] == [field]
    assert client.get(session)["name"] == "before"
    # Marks that letters of many languages need change no order of what follows.
    assert client.get(client.create(name="\u200f\u05d0\u200d"))["name"] == "\u200f\u05d0\u200d"


# Idempotency keys


def test_a_repeated_creation_makes_one_session(client: Client) -> None:
    key = {"Idempotency-Key": make_key()}
    label = ("once", make_key())
    body = {"x0": [1, 2], "labels": dict([label])}
    first = client.call("POST", "/v1/sessions", body, key)
    second = client.call("POST", "/v1/sessions", body, key)
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    assert not replayed(first) and replayed(second)
    listed = client.ok("GET", f"/v1/sessions?label={label[0]}:{label[1]}")
    assert len(listed["sessions"]) == 1


def test_a_key_with_another_body_is_refused(client: Client) -> None:
    key = {"Idempotency-Key": make_key()}
    client.ok("POST", "/v1/sessions", {"x0": [1, 2]}, headers=key)
    assert_problem(
        client.call("POST", "/v1/sessions", {"x0": [1, 3]}, key), 422, "idempotency-key-reused"
    )


def test_a_repeated_beginning_begins_one_step(client: Client) -> None:
    session, key = client.create(), {"Idempotency-Key": make_key()}
    first = client.call("POST", f"/v1/sessions/{session}/steps", headers=key)
    second = client.call("POST", f"/v1/sessions/{session}/steps", headers=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert replayed(second) and not replayed(first)
    assert first.json()["step"] == second.json()["step"] == 1
    assert client.get(session)["step"] == 1


def test_the_same_key_means_something_else_for_another_session(client: Client) -> None:
    key = {"Idempotency-Key": make_key()}
    for session in (client.create(), client.create()):
        response = client.call("POST", f"/v1/sessions/{session}/steps", headers=key)
        assert response.status_code == 201 and not replayed(response)


def test_a_repeated_checkpoint_is_made_once(client: Client) -> None:
    session, key = client.create(), {"Idempotency-Key": make_key()}
    path = f"/v1/sessions/{session}/checkpoints"
    first, second = (client.call("POST", path, {"name": "a"}, key) for _ in range(2))
    assert first.json() == second.json() and replayed(second)
    assert len(client.ok("GET", path)["checkpoints"]) == 1
    assert_problem(client.call("POST", path, {"name": "b"}, key), 422)


def test_a_repeated_fork_makes_one_session(client: Client) -> None:
    session, key = client.create(), {"Idempotency-Key": make_key()}
    number = client.ok("POST", f"/v1/sessions/{session}/checkpoints")["id"]
    path = f"/v1/sessions/{session}/checkpoints/{number}/fork"
    first, second = (client.call("POST", path, headers=key) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"] != session
    assert replayed(second)


def test_a_repeated_restore_restores_once(client: Client) -> None:
    session = client.create(options={"line_search_fn": "strong_wolfe"})
    client.answer(client.begin(session), rosenbrock)
    number = client.ok("POST", f"/v1/sessions/{session}/checkpoints")["id"]
    key, path = (
        {"Idempotency-Key": make_key()},
        f"/v1/sessions/{session}/checkpoints/{number}/restore",
    )
    first = client.call("POST", path, headers=key)
    asked = client.ask(session)["evaluation"]["number"]
    second = client.call("POST", path, headers=key)
    assert first.ok and second.ok and replayed(second) and not replayed(first)
    assert client.ask(session)["evaluation"]["number"] == asked


def test_a_repeated_stop_stops_once(client: Client) -> None:
    session, key = client.create(), {"Idempotency-Key": make_key()}
    client.answer(client.begin(session), rosenbrock)
    path = f"/v1/sessions/{session}/stop"
    first, second = (client.call("POST", path, headers=key) for _ in range(2))
    assert first.status_code == second.status_code == 200 and replayed(second)
    assert client.get(session)["state"] == "idle"


# Listing


def test_sessions_are_listed_newest_first_by_page(own_client: Client) -> None:
    made = [own_client.create(name=f"s{i}") for i in range(5)]
    seen, path = [], "/v1/sessions?page_size=2"
    for _ in range(5):
        page = own_client.ok("GET", path)
        assert len(page["sessions"]) <= 2
        seen += [session["id"] for session in page["sessions"]]
        if not page.get("next_page_token"):
            break
        path = f"/v1/sessions?page_size=2&page_token={page['next_page_token']}"
    assert seen == made[::-1]


def test_a_page_is_not_disturbed_by_sessions_made_meanwhile(own_client: Client) -> None:
    made = [own_client.create() for _ in range(4)]
    page = own_client.ok("GET", "/v1/sessions?page_size=2")
    own_client.create()
    rest = own_client.ok("GET", f"/v1/sessions?page_size=9&page_token={page['next_page_token']}")
    assert [s["id"] for s in rest["sessions"]] == made[1::-1]


def test_a_page_links_to_the_next(own_client: Client) -> None:
    made = [own_client.create(labels={"kind": "linked"}) for _ in range(3)]
    response = own_client.call("GET", "/v1/sessions?page_size=2&label=kind:linked")
    following = own_client.call("GET", response.links["next"]["url"])
    assert [session["id"] for session in following.json()["sessions"]] == made[:1]
    assert "next" not in following.links


def test_a_label_filters_the_list(client: Client) -> None:
    value = make_key()
    wanted = client.create(labels={"team": value, "other": "x"})
    client.create(labels={"team": "not" + value})
    client.create(labels={"other": value})
    listed = client.ok("GET", f"/v1/sessions?label=team:{value}")["sessions"]
    assert [session["id"] for session in listed] == [wanted]
    assert client.ok("GET", f"/v1/sessions?label=team:{make_key()}")["sessions"] == []


def test_a_listed_session_says_what_it_says_itself(own_client: Client) -> None:
    session = own_client.create(name="a", labels={"k": "v"})
    own_client.answer(own_client.begin(session), rosenbrock)
    (listed,) = own_client.ok("GET", "/v1/sessions")["sessions"]
    shown = own_client.get(session)
    assert {name: shown[name] for name in listed.keys() & shown.keys()} == {
        name: listed[name] for name in listed.keys() & shown.keys()
    }
    assert {"id", "name", "labels", "state", "step", "evaluation", "loss", "n"} <= listed.keys()


@pytest.mark.parametrize(
    "query",
    [
        "page_size=0",
        "page_size=-1",
        "page_size=two",
        "page_size=99999999999999999999",
        "page_token=nonsense",
        "page_token=",
        "label=",
        "label=nocolon",
        "labels=a:b",
    ],
)
def test_a_query_that_makes_no_sense_is_refused(client: Client, query: str) -> None:
    assert_problem(
        client.call("GET", f"/v1/sessions?{query}"), 422, field="query." + query.split("=")[0]
    )


# Changing


def test_name_and_labels_can_be_changed(client: Client) -> None:
    session = client.create(name="before", labels={"a": "1"})
    changed = client.ok("PATCH", f"/v1/sessions/{session}", {"name": "after", "labels": {"b": "2"}})
    assert changed["name"] == "after" and changed["labels"] == {"b": "2"}
    assert client.get(session) == changed


def test_the_learning_rate_can_be_changed_while_a_step_runs(client: Client) -> None:
    session = client.create()
    client.begin(session)
    changed = client.ok("PATCH", f"/v1/sessions/{session}", {"options": {"lr": 0.25}})
    assert changed["options"] == {**DEFAULTS, "lr": 0.25}
    assert changed["state"] == "evaluating"


def test_a_change_of_the_learning_rate_takes_effect_with_the_next_step(client: Client) -> None:
    fun = lambda x: (0.5 * x[0] ** 2, [x[0]])  # noqa: E731
    session = client.create(x0=[1.0], options={"lr": 0.5, "max_iter": 1})
    client.step(session, fun)
    assert client.x(session) == [0.5]
    client.ok("PATCH", f"/v1/sessions/{session}", {"options": {"lr": 0.25}})
    client.step(session, fun)
    # One iteration each: x <- x - lr * H * g, and H is exactly 1 for this function.
    assert client.x(session) == [0.375]


def test_a_change_gives_a_new_etag(client: Client) -> None:
    session = client.create()
    before = client.call("GET", f"/v1/sessions/{session}").headers["ETag"]
    patched = client.call("PATCH", f"/v1/sessions/{session}", {"name": "x"})
    after = client.call("GET", f"/v1/sessions/{session}").headers["ETag"]
    assert before != after == patched.headers["ETag"]
    client.begin(session)
    assert client.call("GET", f"/v1/sessions/{session}").headers["ETag"] != after


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"options": {"lr": -1}}, "options.lr"),
        ({"options": {"momentum": 1}}, "options.momentum"),
        ({"name": 5}, "name"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"dtype": "float32"}, "dtype"),
        ({"x0": [1]}, "x0"),
        ({"name": "changed", "options": {"max_iter": 0}}, "options.max_iter"),
    ],
)
def test_a_bad_change_changes_nothing(client: Client, body: dict[str, Any], field: str) -> None:
    session = client.create(name="as it was")
    before = client.call("GET", f"/v1/sessions/{session}")
    assert_problem(client.call("PATCH", f"/v1/sessions/{session}", body), 422, field=field)
    after = client.call("GET", f"/v1/sessions/{session}")
    assert (after.json(), after.headers["ETag"]) == (before.json(), before.headers["ETag"])


# Conditions


def test_a_stale_etag_is_refused_and_a_current_one_is_not(client: Client) -> None:
    session = client.create()
    path = f"/v1/sessions/{session}"
    stale = client.call("GET", path).headers["ETag"]
    current = client.call("PATCH", path, {"name": "b"}, {"If-Match": stale}).headers["ETag"]
    assert current != stale
    for method, target, body in [
        ("PATCH", path, {"name": "c"}),
        ("POST", f"{path}/steps", None),
        ("DELETE", path, None),
    ]:
        assert_problem(
            client.call(method, target, body, {"If-Match": stale}), 412, "precondition-failed"
        )
    assert client.get(session)["name"] == "b" and client.get(session)["state"] == "idle"
    assert client.call("PATCH", path, {"name": "d"}, {"If-Match": "*"}).status_code == 200
    current = client.call("GET", path).headers["ETag"]
    assert (
        client.call("PATCH", path, {"name": "e"}, {"If-Match": f'"other", {current}'}).status_code
        == 200
    )
    assert client.call("DELETE", path, headers={"If-Match": "*"}).status_code == 204


def test_what_was_seen_is_not_sent_again(client: Client) -> None:
    session = client.create()
    for path in ("", "/evaluation", "/params", "/state-dict"):
        path = f"/v1/sessions/{session}{path}"
        tag = client.call("GET", path).headers["ETag"]
        response = client.call("GET", path, headers={"If-None-Match": tag})
        assert response.status_code == 304 and not response.content
        assert response.headers["ETag"] == tag
        assert client.call("GET", path, headers={"If-None-Match": '"old"'}).status_code == 200


# Deleting


def test_a_deleted_session_is_gone(client: Client) -> None:
    session = client.create(labels={"gone": "yes"})
    client.begin(session)
    assert client.call("DELETE", f"/v1/sessions/{session}").status_code == 204
    for method, path in [
        ("GET", ""),
        ("GET", "/evaluation"),
        ("GET", "/params"),
        ("GET", "/trace"),
        ("POST", "/steps"),
        ("DELETE", ""),
        ("GET", "/state-dict"),
        ("GET", "/checkpoints"),
        ("GET", "/events"),
        ("POST", "/stop"),
    ]:
        assert_problem(client.call(method, f"/v1/sessions/{session}{path}"), 404, "not-found")
    listed = client.ok("GET", "/v1/sessions?label=gone:yes")["sessions"]
    assert session not in [item["id"] for item in listed]


@pytest.mark.parametrize("name", ["s" + "0" * 20, "nosuch", "..", "s%00", "%2e%2e", "a" * 500, "1"])
def test_an_unknown_session_is_not_found(client: Client, name: Any) -> None:
    assert_problem(client.call("GET", f"/v1/sessions/{name}/params"), (400, 404))
    tell = client.call(
        "PUT", f"/v1/sessions/{name}/evaluations/1/result", encode({"loss": 1, "gradient": [1]})
    )
    assert_problem(tell, (400, 404))


def test_sessions_survive_a_restart(daemon: Daemon, own_client: Client) -> None:
    session = own_client.create(name="kept", labels={"a": "b"})
    own_client.answer(own_client.begin(session), rosenbrock)

    def seen() -> tuple[Any, Any]:
        response = own_client.call("GET", f"/v1/sessions/{session}")
        # A stop writes a snapshot, which has another size on disk than the log.
        assert response.json()["disk_bytes"] > 0
        return {**response.json(), "disk_bytes": None}, response.headers["ETag"]

    before = seen()
    asked = own_client.ask(session)
    for cleanly in (True, False):
        daemon.restart(cleanly=cleanly)
        assert seen() == before
        assert own_client.ask(session) == asked


def test_an_update_that_is_refused_in_part_changes_nothing(client: Client) -> None:
    session = client.create(x0=[1.0])
    before = client.get(session)
    refused = client.call(
        "PATCH", f"/v1/sessions/{session}", {"expires_after": 3600, "options": {"lr": -1}}
    )
    assert refused.status_code == 422
    assert client.get(session) == before
    renamed = client.ok("PATCH", f"/v1/sessions/{session}", {"name": "later"})
    assert renamed["name"] == "later" and renamed["expires_after"] is None
    assert client.begin(session)["state"] == "evaluating"
