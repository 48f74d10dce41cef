"""Who may do what: every operation of openapi.yaml, with every kind of token, on a session of the
token's tenant and on one of another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from daemon import ROOT, Client, Daemon
from expectations import assert_problem

SCOPES = ["read", "write", "delete", "admin"]
WOLFE = {"line_search_fn": "strong_wolfe"}
OBSERVER = {
    "event": "step.pre", "kind": "observe", "url": "http://127.0.0.1:9/hook",
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjU",
}  # fmt: skip


def operations() -> dict[str, dict[str, Any]]:
    """operationId -> method, path and scope, as openapi.yaml has them."""
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    found = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                found[operation["operationId"]] = {
                    "method": method.upper(),
                    "path": path,
                    "scope": operation.get("x-lbfgsd-scope"),
                }
    return found


OPERATIONS = operations()


class World:
    """What an operation needs: `admin` has every scope of the tenant `flow`."""

    def __init__(self, admin: Caller) -> None:
        self.admin = admin

    def session(self, **more: Any) -> str:
        return self.admin.create(options=WOLFE, **more)

    def running(self, **more: Any) -> str:
        session = self.session(**more)
        self.admin.begin(session)
        return session

    def checkpoint(self) -> str:
        session = self.session()
        self.admin.ok("POST", f"/v1/sessions/{session}/checkpoints")
        return session

    def hook(self, body: Any) -> tuple[str, str]:
        session = self.session()
        return session, self.admin.ok("POST", f"/v1/sessions/{session}/hooks", body)["id"]

    def called(self) -> str:
        session, _ = self.hook({"event": "step.pre", "kind": "intercept"})
        assert self.admin.begin(session)["state"] == "awaiting_hook"
        return session

    def ensemble(self, asked: bool = False) -> str:
        made = self.admin.ok("POST", "/v1/ensembles", {"starts": [[1.0, 2.0], [3.0, 4.0]]})["id"]
        if asked:
            self.admin.ok("POST", f"/v1/ensembles/{made}/evaluations")
        return made

    def delivery(self) -> dict[str, Any]:
        session, hook = self.hook(OBSERVER)
        self.admin.begin(session)
        sent = self.admin.ok("GET", f"/v1/sessions/{session}/hooks/{hook}/deliveries")
        return {"session": session, "hook": hook, "delivery": sent["deliveries"][0]["id"]}


class Caller(Client):
    """A client with a token."""

    def __init__(self, url: str, token: str | None) -> None:
        super().__init__(url)
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"


Case = tuple[dict[str, Any], Any]
"""The parameters in the path, and the body."""

GRADIENT = {"loss": 1.0, "gradient": [1.0, 2.0]}


def on(make: Callable[[World], str], body: Any = None, **more: Any) -> Callable[[World], Case]:
    return lambda world: ({"session": make(world), **more}, body)


def hooked(world: World) -> Case:
    session, hook = world.hook({"event": "step.pre", "kind": "intercept"})
    return {"session": session, "hook": hook}, None


def state_dict(world: World) -> Case:
    session = world.session()
    return {"session": session}, world.admin.ok("GET", f"/v1/sessions/{session}/state-dict")


def exported(world: World) -> Case:
    path = f"/v1/sessions/{world.session()}/export"
    return {}, world.admin.call("GET", path).content


def ensemble(body: Any = None, asked: bool = False) -> Callable[[World], Case]:
    return lambda world: ({"ensemble": world.ensemble(asked)}, body)


def told(world: World) -> Case:
    made = world.ensemble(asked=True)
    (member, *_) = world.admin.ok("GET", f"/v1/ensembles/{made}/members")["members"]
    result = {"session": member["session"], "number": 1, **GRADIENT}
    return {"ensemble": made}, {"results": [result]}


MEDIA_TYPES = {"importSession": "application/vnd.lbfgsd.session"}
"""Of bodies that are not JSON."""


STANDBY = {"standby": "standby", "term": 1}


def copied(world: World) -> Any:
    return world.admin.ok("POST", "/v1/replication/base", STANDBY)


def changes(world: World) -> Case:
    status = copied(world)
    after = status["standby"]["acknowledged"]
    return {}, {**STANDBY, "feed": status["feed"], "after": after}


def copied_file(world: World) -> Case:
    copied(world)
    return {"file": "lbfgsd.sqlite"}, None


PARAMS = {"params": [{"values": [3.0, 4.0]}]}

CASES: dict[str, Callable[[World], Case]] = {
    "createSession": lambda world: ({}, {"x0": [1.0]}),
    "listSessions": lambda world: ({}, None),
    "getSession": on(World.session),
    "exportSession": on(World.session),
    "importSession": exported,
    "updateSession": on(World.session, {"name": "other"}),
    "deleteSession": on(World.session),
    "purgeSessions": lambda world: ({}, {"name": "none", "force": True}),
    "beginStep": on(World.session),
    "getStep": on(World.running, step=1),
    "stopStep": on(World.running),
    "getTurn": on(World.running),
    "tellResult": on(World.running, GRADIENT, evaluation=1),
    "tellShard": on(lambda world: world.running(shards=2), GRADIENT, evaluation=1, shard=0),
    "leaseShard": on(lambda world: world.running(shards=2), {"worker": "a"}, evaluation=1),
    "zeroGrad": on(World.session),
    "evaluateBatch": lambda world: ({}, {"evaluations": [{"session": world.running()}]}),
    "getParameters": on(World.session),
    "setParameters": on(World.session, PARAMS),
    "getBounds": on(World.session),
    "setBounds": on(World.session, {}),
    "getActiveSet": on(World.session),
    "getStateDict": on(World.session),
    "loadStateDict": state_dict,
    "addParamGroup": on(World.session, {"params": [{"shape": [1], "values": [1.0]}]}),
    "listParamGroups": on(World.session),
    "getParamGroup": on(World.session, group=0),
    "updateParamGroup": on(World.session, {"frozen": True}, group=0),
    "registerHook": on(World.session, {"event": "step.pre", "kind": "intercept"}),
    "listHooks": on(World.session),
    "getHook": hooked,
    "removeHook": hooked,
    "answerHookCall": on(World.called, {}, call=1),
    "listDeliveries": lambda world: (world.delivery(), None),
    "redeliver": lambda world: (world.delivery(), None),
    "createCheckpoint": on(World.session),
    "listCheckpoints": on(World.checkpoint),
    "getCheckpoint": on(World.checkpoint, checkpoint=1),
    "updateCheckpoint": on(World.checkpoint, {"keep": True}, checkpoint=1),
    "deleteCheckpoint": on(World.checkpoint, checkpoint=1),
    "getCheckpointStateDict": on(World.checkpoint, checkpoint=1),
    "restoreCheckpoint": on(World.checkpoint, checkpoint=1),
    "forkCheckpoint": on(World.checkpoint, checkpoint=1),
    "getTrace": on(World.session),
    "streamEvents": on(World.session),
    "streamAllEvents": lambda world: ({}, None),
    "createEnsemble": lambda world: ({}, {"starts": [[1.0]]}),
    "listEnsembles": lambda world: ({}, None),
    "getEnsemble": ensemble(asked=True),
    "deleteEnsemble": ensemble(),
    "listMembers": ensemble(),
    "askEnsemble": ensemble({"count": 1}),
    "tellEnsemble": told,
    "stopEnsemble": ensemble(asked=True),
    "getEnsembleTrace": ensemble(),
    "streamEnsembleEvents": ensemble(asked=True),
    "getLimits": lambda world: ({}, None),
    "getMetrics": lambda world: ({}, None),
    "getReplication": lambda world: ({}, None),
    "beginReplicationBase": lambda world: ({}, STANDBY),
    "takeReplicationChanges": changes,
    "getReplicationFile": copied_file,
    "fenceReplication": lambda world: ({}, {"term": 1}),
    "getLiveness": lambda world: ({}, None),
    "getReadiness": lambda world: ({}, None),
    "getOpenAPIDocument": lambda world: ({}, None),
    "getDocumentation": lambda world: ({}, None),
    "getProblemType": lambda world: ({"problem": "busy"}, None),
}


def entry(name: str, tenant: str, scopes: list[str], **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(f"{name}-token".encode()).hexdigest()
    return {"name": name, "sha256": digest, "tenant": tenant, "scopes": scopes, **more}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("access")
    tokens = [entry(f"flow-{scope}", "flow", [scope]) for scope in SCOPES]
    tokens += [entry(f"{tenant}-all", tenant, SCOPES) for tenant in ("flow", "other")]
    tokens.append(entry("flow-expired", "flow", SCOPES, expires="2020-01-01"))
    file = home / "tokens.yaml"
    file.write_text(yaml.safe_dump(tokens))
    file.chmod(0o600)
    arguments = (
        "--token-file", str(file), "--webhook-hosts", "http://127.0.0.1:9",
        "--webhook-networks", "127.0.0.1", "--replication", "asynchronous",
        # Where requests follows: what everybody may see.
        "--docs-url", "/openapi.yaml",
    )  # fmt: skip
    daemon = Daemon(home / "data", home / "log", arguments)
    try:
        yield daemon.start()
    finally:
        daemon.close()


@pytest.fixture
def world(daemon: Daemon) -> World:
    return World(Caller(daemon.url, "flow-all-token"))


def call(daemon: Daemon, token: str | None, id: str, case: Case) -> requests.Response:
    operation = OPERATIONS[id]
    parameters, body = case
    path = operation["path"].format(**parameters)
    assert not re.search(r"[{}]", path), f"{id} lacks a parameter: {path}"
    headers = {"Content-Type": MEDIA_TYPES[id]} if id in MEDIA_TYPES else None
    client = Caller(daemon.url, token)
    response = client.call(operation["method"], path, body, headers=headers, stream=True)
    if response.headers.get("Content-Type", "").startswith("text/event-stream"):
        response.close()
    else:
        _ = response.content
    return response


def test_every_operation_has_a_case() -> None:
    assert set(CASES) == set(OPERATIONS)


@pytest.mark.parametrize("id", sorted(OPERATIONS))
def test_an_operation_is_for_those_who_may(daemon: Daemon, world: World, id: str) -> None:
    scope = OPERATIONS[id]["scope"]
    case = CASES[id](world)
    session = case[0].get("session") or case[0].get("ensemble")
    kind = "ensemble" if "ensemble" in case[0] else "session"
    before = session and world.admin.ok("GET", f"/v1/{kind}s/{session}")
    if scope is None:
        for token in (None, "flow-expired-token", "wrong-token", "flow-read-token"):
            assert call(daemon, token, id, case).status_code == 200
        return
    for token in (None, "wrong-token", "flow-expired-token", "flow-all-token-", ""):
        assert_problem(call(daemon, token, id, case), 401, "unauthorized")
    for lacking in SCOPES:
        if lacking != scope:
            answer = call(daemon, f"flow-{lacking}-token", id, case)
            assert assert_problem(answer, 403, "insufficient-scope")["scope"] == scope
    # Another tenant learns nothing: the answer is that for a session that never was.
    answer = call(daemon, "other-all-token", id, case)
    if session:
        never = kind[0] + "0" * 20
        missing = call(daemon, "other-all-token", id, ({**case[0], kind: never}, case[1]))
        expected = assert_problem(missing, 404, "not-found")
        expected["detail"] = expected["detail"].replace(never, session)
        problem = assert_problem(answer, 404, "not-found")
        assert {**problem, "request_id": None} == {**expected, "request_id": None}
        assert world.admin.ok("GET", f"/v1/{kind}s/{session}") == before
    elif id == "evaluateBatch":
        assert answer.json()["results"][0]["status"] == 404
    else:
        assert answer.ok
    # Each single scope suffices for its operations.
    allowed = call(daemon, f"flow-{scope}-token", id, CASES[id](world))
    assert allowed.ok, f"{id}: {allowed.status_code} {allowed.text}"
    if id == "evaluateBatch":
        assert allowed.json()["results"][0]["status"] == 200


def test_lists_and_labels_have_the_tenants_own_sessions_only(daemon: Daemon) -> None:
    flow, other = (Caller(daemon.url, f"{tenant}-all-token") for tenant in ("flow", "other"))
    made: dict[str, list[str]] = {"flow": [], "other": []}
    for _number in range(6):
        for name, client in (("flow", flow), ("other", other)):
            made[name].append(client.create(labels={"matrix": "listing"}))
    for name, client in (("flow", flow), ("other", other)):
        listed: list[str] = []
        path = "/v1/sessions?page_size=4&label=matrix:listing"
        while True:
            page = client.ok("GET", path)
            listed += [session["id"] for session in page["sessions"]]
            if not page["next_page_token"]:
                break
            token = page["next_page_token"]
            path = f"/v1/sessions?page_size=4&label=matrix:listing&page_token={token}"
        assert listed == made[name][::-1]
        everything = client.ok("GET", "/v1/sessions?page_size=1000")["sessions"]
        mine = {session["id"] for session in everything}
        assert mine.isdisjoint(made["other" if name == "flow" else "flow"])
        assert mine.issuperset(made[name])


def test_a_page_token_tells_nothing_and_opens_nothing(daemon: Daemon) -> None:
    flow, other = (Caller(daemon.url, f"{tenant}-all-token") for tenant in ("flow", "other"))
    tokens = []
    for _ in range(3):
        flow.create()
        flow.create()
        tokens.append(flow.ok("GET", "/v1/sessions?page_size=1")["next_page_token"])
        other.create()
    # Neighbouring positions have nothing in common but the alphabet.
    assert len({token[:3] for token in tokens}) > 1
    page = other.ok("GET", f"/v1/sessions?page_size=1000&page_token={tokens[-1]}")
    mine = {session["id"] for session in other.ok("GET", "/v1/sessions?page_size=1000")["sessions"]}
    assert {session["id"] for session in page["sessions"]} <= mine
    for wrong in ("AAAAAAAAAAE", "__________8"):
        answer = flow.call("GET", f"/v1/sessions?page_token={wrong}")
        assert_problem(answer, 422, "invalid-request", "query.page_token")


def test_a_page_token_is_good_after_a_restart(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "data", tmp_path / "log").start()
    try:
        client = Client(daemon.url)
        made = [client.create() for _ in range(4)]
        token = client.ok("GET", "/v1/sessions?page_size=2")["next_page_token"]
        daemon.restart()
        rest = client.ok("GET", f"/v1/sessions?page_token={token}")["sessions"]
        assert [session["id"] for session in rest] == made[1::-1]
    finally:
        daemon.close()


def test_an_idempotency_key_is_the_tenants_own(daemon: Daemon) -> None:
    headers = {"Idempotency-Key": "the-same-key"}
    body = {"x0": [1.0, 2.0]}
    answers = {
        tenant: Caller(daemon.url, f"{tenant}-all-token").call(
            "POST", "/v1/sessions", body, headers=headers
        )
        for tenant in ("flow", "other")
    }
    for answer in answers.values():
        assert answer.status_code == 201 and "Idempotent-Replayed" not in answer.headers
    assert answers["flow"].json()["id"] != answers["other"].json()["id"]
    # Another token of the same tenant repeats the request.
    again = Caller(daemon.url, "flow-write-token").call(
        "POST", "/v1/sessions", body, headers=headers
    )
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == answers["flow"].json()["id"]


def test_tenants_survive_a_restart(daemon: Daemon) -> None:
    flow, other = (Caller(daemon.url, f"{tenant}-all-token") for tenant in ("flow", "other"))
    session = flow.create()
    daemon.restart()
    assert flow.get(session)["id"] == session
    assert other.call("GET", f"/v1/sessions/{session}").status_code == 404


def test_a_daemon_without_tokens_serves_the_default_tenant(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text(yaml.safe_dump([entry("flow-all", "flow", SCOPES)]))
    file.chmod(0o600)
    daemon = Daemon(tmp_path / "data", tmp_path / "log", ("--token-file", str(file))).start()
    try:
        session = Caller(daemon.url, "flow-all-token").create()
        daemon.arguments = ()
        daemon.restart()
        client = Client(daemon.url)
        assert client.call("GET", f"/v1/sessions/{session}").status_code == 404
        assert client.ok("GET", "/v1/sessions")["sessions"] == []
        assert client.ok("GET", "/v1/limits")["tenant"]["name"] == "default"
    finally:
        daemon.close()
