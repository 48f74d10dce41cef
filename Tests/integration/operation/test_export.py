"""`lbfgsd export` and `import`, the operations behind them, and files that were damaged."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import requests

import lbfgsd
from command import environment, run, serving
from daemon import Client, Daemon, binary
from problems import rosenbrock

MEDIA_TYPE = "application/vnd.lbfgsd.session"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[str]:
    home = tmp_path / "other"
    home.mkdir()
    with serving(home, data=":memory:") as server:
        yield server.url


def export(url: str, session: str) -> bytes:
    response = requests.get(f"{url}/v1/sessions/{session}/export", timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == MEDIA_TYPE
    assert response.headers["Content-Length"] == str(len(response.content))
    return response.content


def send(url: str, file: bytes, **headers: str) -> requests.Response:
    return requests.post(
        f"{url}/v1/sessions:import",
        data=file,
        headers={"Content-Type": MEDIA_TYPE, **headers},
        timeout=60,
    )


def in_a_line_search(client: Client, **options: Any) -> tuple[str, dict[str, Any]]:
    """A session that waits for a later trial of a line search, some iterations into a step."""
    session = client.create(
        x0=[-1.2, 1.0] * 3,
        name="pinn",
        labels={"team": "flow"},
        options={"line_search_fn": "strong_wolfe", "max_iter": 400, "max_eval": 500, **options},
    )
    turn = client.begin(session)
    for _ in range(9):
        turn = client.answer(turn, rosenbrock)
    assert turn["state"] == "evaluating" and turn["evaluation"]["number"] == 10
    return session, turn


def bits(turn: dict[str, Any]) -> Any:
    """What a turn says, but for the session: points as their bytes."""
    said = {key: value for key, value in turn.items() if key != "session"}
    if "evaluation" in said:
        number, x = said["evaluation"]["number"], said["evaluation"]["x"]
        said["evaluation"] = (number, np.array(x, float).tobytes())
    if "x" in said:
        said["x"] = np.array(said["x"], float).tobytes()
    return said


@pytest.mark.parametrize("mode", ["torch", "robust"])
def test_both_sessions_ask_for_the_same_200_points(
    shared_daemon: Daemon, other: str, mode: str
) -> None:
    here, there = Client(shared_daemon.url), Client(other)
    session, turn = in_a_line_search(here, mode=mode, tolerance_grad=0, tolerance_change=0)
    response = send(other, export(shared_daemon.url, session))
    assert response.status_code == 201, response.text
    imported = response.json()
    assert response.headers["Location"] == f"/v1/sessions/{imported['id']}"
    assert imported["name"] == "pinn" and imported["labels"] == {"team": "flow"}
    assert imported["origin"] is None and imported["evaluation"] == 10
    copy = there.ask(imported["id"])
    seen = set()
    for _ in range(200):
        assert bits(copy) == bits(turn)
        if turn["state"] == "idle":
            turn, copy = here.begin(session), there.begin(imported["id"])
            continue
        seen.add(bits(turn)["evaluation"][1])
        turn, copy = here.answer(turn, rosenbrock), there.answer(copy, rosenbrock)
    assert len(seen) > 20


def test_bounds_are_in_the_file(shared_daemon: Daemon, other: str) -> None:
    here, there = Client(shared_daemon.url), Client(other)
    session = here.create(
        x0=[-1.2, 1.0] * 3,
        lower=[-1, None, -0.5, 0, -2, None],
        upper=0.8,
        l1=[0.125, 0, 0, 0, 0.25, 0],
        options={"mode": "robust", "max_iter": 400, "max_eval": 500},
    )
    turn = here.begin(session)
    for _ in range(9):
        turn = here.answer(turn, rosenbrock)
    file = export(shared_daemon.url, session)
    imported = send(other, file).json()
    assert imported["bounded"] and imported["l1"]
    bounds, copied = (
        client.ok("GET", f"/v1/sessions/{identifier}/bounds")
        for client, identifier in ((here, session), (there, imported["id"]))
    )
    assert bounds == copied and bounds["upper"] == 0.8
    copy = there.ask(imported["id"])
    while turn["state"] == "evaluating":
        assert bits(copy) == bits(turn)
        turn, copy = here.answer(turn, rosenbrock), there.answer(copy, rosenbrock)
    assert bits(copy) == bits(turn)
    # What no session has is refused, and traps nothing later.
    header, tensors = header_of(file)
    begin, end = header["lower"]["data_offsets"]
    crossed = tensors[:begin] + struct.pack("<6d", *[9.0] * 6) + tensors[end:]
    assert send(other, resealed(header, crossed)).status_code == 422
    engine = json.loads(header["__metadata__"]["engine"])
    engine["float64"]["_0"]["options"]["mode"] = "torch"
    header["__metadata__"]["engine"] = json.dumps(engine)
    assert send(other, resealed(header, tensors)).status_code == 422


def test_the_commands_and_curl_as_documented(
    shared_daemon: Daemon, other: str, tmp_path: Path
) -> None:
    client = Client(shared_daemon.url)
    session, turn = in_a_line_search(client)
    file = tmp_path / "session.safetensors"
    with file.open("wb") as stream:
        subprocess.run(
            [binary(), "export", session, "--url", shared_daemon.url],
            stdout=stream, env=environment(), check=True, timeout=60,
        )  # fmt: skip
    assert file.read_bytes() == export(shared_daemon.url, session)
    command: list[str | Path] = [binary(), "import", "--url", other, "--name", "moved / here"]
    with file.open("rb") as stream:
        from_file = subprocess.run(
            command, stdin=stream, capture_output=True, env=environment(), check=True, timeout=60
        )
    from_pipe = subprocess.run(
        command, input=file.read_bytes(), capture_output=True, env=environment(), check=True,
        timeout=60,
    )  # fmt: skip
    for done in (from_file, from_pipe):
        copy = done.stdout.decode().strip()
        assert bits(Client(other).ask(copy)) == bits(turn)
        assert Client(other).get(copy)["name"] == "moved / here"
    if curl := shutil.which("curl"):
        fetched = tmp_path / "fetched.safetensors"
        subprocess.run(
            [curl, "-sfo", fetched, f"{shared_daemon.url}/v1/sessions/{session}/export"],
            check=True, timeout=60,
        )  # fmt: skip
        posted = subprocess.run(
            [curl, "-sf", "-T", fetched, "-X", "POST", "-H", f"Content-Type: {MEDIA_TYPE}",
             f"{other}/v1/sessions:import?name=moved"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        assert json.loads(posted.stdout)["name"] == "moved"
    # The last tensor is the digest of what precedes it.
    content = file.read_bytes()
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]


def test_the_commands_say_what_is_wrong(shared_daemon: Daemon, tmp_path: Path) -> None:
    missing = run("export", "s" + "0" * 20, "--url", shared_daemon.url)
    assert missing.returncode == 1 and "404" in missing.stderr and missing.stdout == ""
    gone = run("export", "s" + "0" * 20, "--url", "http://127.0.0.1:1")
    assert gone.returncode == 69 and "127.0.0.1:1" in gone.stderr
    done = subprocess.run(
        [binary(), "import", "--url", shared_daemon.url],
        input=b"no file", capture_output=True, env=environment(), timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and b"422" in done.stderr and b"session file" in done.stderr
    both = run("export", "s" + "0" * 20, "--url", "http://x", "--data", tmp_path)
    assert both.returncode == 64
    none = run("export", "s" + "0" * 20, "--data", tmp_path)
    assert none.returncode == 74


def test_out_of_a_stopped_data_directory_and_into_another(tmp_path: Path) -> None:
    data = [tmp_path / "one", tmp_path / "two"]
    with serving(tmp_path, data=data[0]) as server:
        session, turn = in_a_line_search(Client(server.url))
        refused = run("export", session, "--data", data[0])
        assert refused.returncode == 75, refused.stderr
    with serving(tmp_path, data=data[1]) as server:
        assert Client(server.url).call("GET", "/readyz")
    exported = subprocess.run(
        [binary(), "export", session, "--data", data[0]],
        capture_output=True, env=environment(), timeout=60,
    )  # fmt: skip
    assert exported.returncode == 0, exported.stderr
    imported = subprocess.run(
        [binary(), "import", "--data", data[1]],
        input=exported.stdout, capture_output=True, env=environment(), timeout=60,
    )  # fmt: skip
    assert imported.returncode == 0, imported.stderr
    with serving(tmp_path, data=data[1]) as server:
        assert bits(Client(server.url).ask(imported.stdout.decode().strip())) == bits(turn)


def test_a_unix_socket_and_a_token(tmp_path: Path) -> None:
    token = "a-token-of-some-length"
    (tmp_path / "tokens").write_text(token + "\n")
    (tmp_path / "token").write_text(token + "\n")
    (tmp_path / "tokens").chmod(0o600)
    path = f"unix:{tmp_path}/api.sock"
    log = tmp_path / "log"
    process = subprocess.Popen(
        [binary(), "serve", "--listen", path, "--data", ":memory:", "--token-file",
         tmp_path / "tokens"],
        stderr=log.open("wb"), env=environment(),
    )  # fmt: skip
    try:
        for _ in range(300):
            if (tmp_path / "api.sock").exists() and b"ready" in log.read_bytes():
                break
            time.sleep(0.1)
        missing = "s" + "0" * 20
        refused = run("export", missing, "--url", path)
        assert refused.returncode == 1 and "401" in refused.stderr
        admitted = run("export", missing, "--url", path, "--token-file", tmp_path / "token")
        assert admitted.returncode == 1 and "404" in admitted.stderr
        by_environment = run("export", missing, LBFGSD_URL=path, LBFGSD_TOKEN=token)
        assert by_environment.returncode == 1 and "404" in by_environment.stderr
    finally:
        process.terminate()
        process.wait(30)


def header_of(file: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", file[:8])
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def resealed(header: dict[str, Any], tensors: bytes) -> bytes:
    """The file with this header, and with a digest that is right."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    start = struct.pack("<Q", len(text)) + text + tensors[:-32]
    return start + hashlib.sha256(start).digest()


def test_damaged_and_changed_files_are_422(shared_daemon: Daemon, other: str) -> None:
    session, _ = in_a_line_search(Client(shared_daemon.url))
    file = export(shared_daemon.url, session)
    http = requests.Session()

    def refusal(body: bytes) -> dict[str, Any]:
        response = http.post(
            f"{other}/v1/sessions:import", data=body, headers={"Content-Type": MEDIA_TYPE},
            timeout=60,
        )  # fmt: skip
        assert response.status_code == 422, (response.status_code, response.text)
        problem: dict[str, Any] = response.json()
        assert problem["errors"] and all(error["field"] for error in problem["errors"])
        return problem

    for end in [0, 1, 7, 8, 9, 100, len(file) // 2, len(file) - 33, len(file) - 32, len(file) - 1]:
        refusal(file[:end])
    generator = np.random.default_rng(7)
    for place in generator.integers(0, len(file), 150):
        flipped = bytearray(file)
        flipped[place] ^= 1 << int(generator.integers(0, 8))
        refusal(bytes(flipped))
    assert "sha256" in refusal(file[:-1] + bytes([file[-1] ^ 1]))["errors"][0]["field"]
    header, tensors = header_of(file)
    engine = json.loads(header["__metadata__"]["engine"])
    engine["float64"]["_0"]["options"]["historySize"] = 0
    changed = {**header, "__metadata__": {**header["__metadata__"], "engine": json.dumps(engine)}}
    problem = refusal(resealed(changed, tensors))
    assert problem["errors"][0]["field"] == "__metadata__.engine.options.history_size"
    del changed["__metadata__"]
    assert refusal(resealed(changed, tensors))["errors"][0]["field"] == "__metadata__.format"
    # Nothing was made by any of them, and the file itself is accepted.
    assert http.get(f"{other}/v1/sessions", timeout=60).json()["sessions"] == []
    assert send(other, resealed(header, tensors)).status_code == 201


def test_a_wrong_header_is_refused_before_its_vectors_are_sent(other: str) -> None:
    header = {"__metadata__": {"format": "another"}}
    text = json.dumps(header).encode()
    length = 8 + len(text) + (200 << 20)
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield struct.pack("<Q", len(text)) + text
        for _ in range(200):
            sent += 1
            yield bytes(1 << 20)

    try:
        response = httpx.post(
            f"{other}/v1/sessions:import", content=body(),
            headers={"Content-Type": MEDIA_TYPE, "Content-Length": str(length)}, timeout=60,
        )  # fmt: skip
        assert response.status_code == 422
    except httpx.TransportError:
        pass  # The connection was closed while it was being written to.
    assert sent < 200


def test_keys_names_labels_and_conditions(shared_daemon: Daemon, other: str) -> None:
    session, _ = in_a_line_search(Client(shared_daemon.url))
    url = f"{shared_daemon.url}/v1/sessions/{session}/export"
    first = requests.get(url, timeout=60)
    tag = first.headers["ETag"]
    assert tag.endswith('-session"')
    assert requests.get(url, headers={"If-None-Match": tag}, timeout=60).status_code == 304
    part = requests.get(url, headers={"Range": "bytes=100-199", "If-Range": tag}, timeout=60)
    assert part.status_code == 206 and part.content == first.content[100:200]
    assert requests.head(url, timeout=60).headers["ETag"] == tag
    assert requests.get(url, headers={"Accept": "text/csv"}, timeout=60).status_code == 406

    target = f"{other}/v1/sessions:import"
    headers = {"Content-Type": MEDIA_TYPE, "Idempotency-Key": "one"}
    query = {"name": "other", "labels": '{"a": "b"}'}

    def post(**changes: Any) -> requests.Response:
        return requests.post(
            target, **{"data": first.content, "headers": headers, "params": query, **changes}
        )

    made = post()
    assert made.status_code == 201 and made.json()["name"] == "other"
    assert made.json()["labels"] == {"a": "b"}
    again = post()
    assert again.json()["id"] == made.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert post(params={"name": "third"}).json()["type"] == "/problems/idempotency-key-reused"
    wrong = post(params={"labels": "[]"}, headers={"Content-Type": MEDIA_TYPE})
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["field"] == "query.labels"
    unnamed = post(params={"name": ""}, headers={"Content-Type": MEDIA_TYPE})
    assert "name" not in unnamed.json() or unnamed.json()["name"] is None
    assert post(headers={"Content-Type": "application/json"}).status_code == 415


def test_numpy_reads_the_vectors(shared_daemon: Daemon) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    client = Client(shared_daemon.url)
    session, turn = in_a_line_search(client)
    tensors = safetensors.load(export(shared_daemon.url, session))
    assert np.array_equal(tensors["trial_point"], turn["evaluation"]["x"])
    assert np.array_equal(tensors["x"], client.x(session))
    assert tensors["s/1"].shape == tensors["y/1"].shape == (6,)
    assert np.isclose(tensors["sy/1"][-1], tensors["s/1"] @ tensors["y/1"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_long_vectors_move_in_pieces(
    shared_daemon: Daemon, other: str, tmp_path: Path, dtype: str
) -> None:
    n = 300_000
    with lbfgsd.Client(shared_daemon.url) as here, lbfgsd.Client(other) as there:
        session = here.create_session(
            np.linspace(-1, 1, n), dtype=dtype, options={"history_size": 3, "lr": 0.1}
        )
        turn = here.begin_step(session)
        for _ in range(4):
            assert turn.evaluation is not None
            x = turn.evaluation.x
            turn = here.tell(session, turn.evaluation.number, float(x @ x), 2 * x)
        path = tmp_path / "long.safetensors"
        here.export_session(session, path)
        assert path.stat().st_size > 8 * n
        assert list(tmp_path.glob("long*")) == [path]
        copy = there.import_session(path, name=None, labels={"k": "v"})
        assert copy.labels == {"k": "v"} and copy.name is None
        asked = there.ask(copy)
        assert asked.evaluation is not None and turn.evaluation is not None
        assert asked.evaluation.number == turn.evaluation.number
        assert np.array_equal(asked.evaluation.x, turn.evaluation.x)


def test_the_asynchronous_client(shared_daemon: Daemon, other: str, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()

    async def calls() -> None:
        async with (
            lbfgsd.AsyncClient(shared_daemon.url) as here,
            lbfgsd.AsyncClient(other) as there,
        ):
            session = await here.create_session([1.0, 2.0], name="kept")
            await here.export_session(session, folder / "file")
            copy = await there.import_session(folder / "file")
            assert copy.name == "kept" and copy.n == 2
            with pytest.raises(lbfgsd.NotFound):
                await here.export_session("s" + "0" * 20, folder / "none")

    asyncio.run(calls())
    assert [path.name for path in folder.iterdir()] == ["file"]
