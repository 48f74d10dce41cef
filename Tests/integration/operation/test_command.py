"""The command: its arguments, its configuration, its signals and its log."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from command import environment, run, serving, settings
from daemon import ROOT, Client, binary, free_port

TOKEN = "correct-horse-battery-staple"
OTHER_TOKEN = "another-token-of-some-length"

USAGE, UNAVAILABLE, STORAGE, TEMPORARY, CONFIGURATION = 64, 69, 74, 75, 78


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# of the lab\n{TOKEN}\n")
    path.chmod(0o600)
    return path


def known_settings() -> list[str]:
    return list(settings(run("check-config").stdout))


# MARK: Help and version


def test_help_tells_a_person_what_to_do() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert "lbfgsd serve --data :memory:" in result.stdout
    for subcommand in ("serve", "check-config", "example-config"):
        assert subcommand in result.stdout


def test_the_version_is_the_newest_in_the_changelog() -> None:
    result = run("--version")
    assert result.returncode == 0
    version = re.fullmatch(r"lbfgsd (\d+\.\d+\.\d+)\n", result.stdout)
    assert version
    changelog = ROOT / "CHANGELOG.md"
    newest = re.search(r"^##? \[?v?(\d+\.\d+\.\d+)", changelog.read_text(), re.MULTILINE)
    assert newest and newest[1] == version[1]


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_help_explains_every_setting_with_its_default(command: str) -> None:
    result = run(command, "--help", COLUMNS="200")
    assert result.returncode == 0
    effective = settings(run("check-config").stdout)
    assert len(effective) > 15
    for key, (value, _) in effective.items():
        assert f"--{key} <" in result.stdout
        if value:
            assert f"(default: {value})" in " ".join(result.stdout.split())


def test_a_misspelt_option_is_a_usage_error_with_a_suggestion() -> None:
    result = run("serve", "--max-sesions", "3")
    assert result.returncode == USAGE
    assert "--max-sessions" in result.stderr


def test_an_unknown_subcommand_is_a_usage_error() -> None:
    assert run("server").returncode == USAGE
    assert run("serve", "surplus").returncode == USAGE


# MARK: Settings


def test_a_setting_comes_from_the_command_line_then_the_environment_then_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "lbfgsd.yaml"
    file.write_text("max-waiters: 11\nmax-sessions: 12\nmax-parameters: 13\n")
    result = run(
        "check-config",
        "--config",
        file,
        "--max-waiters",
        "31",
        LBFGSD_MAX_WAITERS="21",
        LBFGSD_MAX_SESSIONS="22",
    )
    assert result.returncode == 0, result.stderr
    effective = settings(result.stdout)
    assert effective["max-waiters"] == ("31", "option --max-waiters")
    assert effective["max-sessions"] == ("22", "environment LBFGSD_MAX_SESSIONS")
    assert effective["max-parameters"] == ("13", f"{file}:3")
    assert effective["http-threads"] == ("0", "default")


def test_the_configuration_file_can_be_named_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "lbfgsd.yaml"
    file.write_text("max-waiters: 11\n")
    other = tmp_path / "other.yaml"
    other.write_text("max-waiters: 12\n")
    assert settings(run("check-config", LBFGSD_CONFIG=str(file)).stdout)["max-waiters"][0] == "11"
    both = run("check-config", "--config", other, LBFGSD_CONFIG=str(file))
    assert settings(both.stdout)["max-waiters"][0] == "12"


def test_the_state_directory_of_systemd_is_the_default_for_data(tmp_path: Path) -> None:
    under = settings(run("check-config", STATE_DIRECTORY="/var/lib/one:/var/lib/two").stdout)
    assert under["data"] == ("/var/lib/one", "environment STATE_DIRECTORY")
    named = run("check-config", "--data", "/srv/x", STATE_DIRECTORY="/var/lib/one")
    assert settings(named.stdout)["data"] == ("/srv/x", "option --data")


def test_an_empty_variable_counts_as_unset() -> None:
    result = run("check-config", LBFGSD_MAX_WAITERS="", LBFGSD_CONFIG="")
    assert result.returncode == 0
    assert settings(result.stdout)["max-waiters"][1] == "default"


def test_every_setting_refuses_nonsense_wherever_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "lbfgsd.yaml"
    # Any word can be a path, so for these settings the invalid value is a list, in the file only.
    any_word = {"token-file", "primary-token-file", "data", "hook-file"}
    for key in known_settings():
        variable = "LBFGSD_" + key.upper().replace("-", "_")
        if key not in any_word:
            option = run("check-config", f"--{key}=nonsense!")
            assert option.returncode == USAGE
            assert f"--{key}" in option.stderr and '"nonsense!"' in option.stderr
            inherited = run("check-config", **{variable: "nonsense!"})
            assert inherited.returncode == CONFIGURATION
            assert variable in inherited.stderr and "must be" in inherited.stderr
        file.write_text(f"# one line above\n{key}: [nonsense]\n")
        written = run("check-config", "--config", file)
        assert written.returncode == CONFIGURATION
        assert f"{file}:2: {key}: must be" in written.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max-sessions", "0"),
        ("max-sessions", "-1"),
        ("max-sessions", "1e3"),
        ("max-sessions", "0x10"),
        ("max-sessions", "1.5"),
        ("max-sessions", " 5"),
        ("max-sessions", "99999999999999999999"),
        ("max-sessions", "٣"),
        ("max-body-bytes", "10MB"),
        ("max-body-bytes", "9999999999GiB"),
        ("max-body-bytes", "MiB"),
        ("listen", "8080"),
        ("listen", ":8080"),
        ("listen", "127.0.0.1"),
        ("listen", "127.0.0.1:65536"),
        ("listen", "::1:8080"),
        ("listen", "[::1]"),
        ("listen", "[127.0.0.1]:80"),
        ("listen", "host name:80"),
        ("listen", "127.0.0.1:+80"),
        ("log-level", "INFO"),
        ("log-level", "verbose"),
    ],
)
def test_a_value_out_of_range_or_of_another_type_is_refused(key: str, value: str) -> None:
    result = run("check-config", f"--{key}={value}")
    assert result.returncode == USAGE
    assert f"option --{key}: must be" in result.stderr


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("max-body-bytes", "1048576", "1MiB"),
        ("max-body-bytes", "1536KiB", "1536KiB"),
        ("max-body-bytes", "1000000", "1000000"),
        ("listen", "[::1]:0", "[::1]:0"),
        ("listen", "localhost:80", "localhost:80"),
        ("data", ":memory:", ":memory:"),
        ("max-connections-per-address", "0", "0"),
    ],
)
def test_a_value_is_shown_as_it_would_be_written(key: str, value: str, shown: str) -> None:
    result = run("check-config", f"--{key}={value}")
    assert result.returncode == 0, result.stderr
    assert settings(result.stdout)[key][0] == shown


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("max-sesions: 3\n", r":1: max-sesions: is no setting; did you mean max-sessions\?"),
        ("\ncolour: red\n", ":2: colour: is no setting"),
        ('max-sessions: "3"\n', ":1: max-sessions: must be a whole number .*without quotes"),
        ("max-sessions:\n", ":1: max-sessions: has no value"),
        ("max-sessions: {a: 1}\n", ":1: max-sessions: must be .*not a list or a mapping"),
        ("max-sessions: 3\nmax-sessions: 4\n", "twice: max-sessions"),
        ("- max-sessions\n", "must be a mapping"),
        ("just words\n", "must be a mapping"),
        ("max-sessions: [\n", "is not YAML"),
        ("a: b: c\n", "is not YAML"),
        (b"listen: \xff\xfe\n", "is not UTF-8"),
    ],
)
def test_a_wrong_configuration_file_is_refused_with_the_line(
    tmp_path: Path, text: bytes | str, complaint: str
) -> None:
    file = tmp_path / "lbfgsd.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for command in ("check-config", "serve"):
        result = run(command, "--config", file)
        assert result.returncode == CONFIGURATION
        assert str(file) in result.stderr
        assert re.search(complaint, result.stderr), result.stderr


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "lbfgsd.yaml"
    file.write_text("colour: red\nmax-sessions: none\n")
    result = run("check-config", "--config", file, LBFGSD_MAX_WAITERS="many")
    assert len(result.stderr.splitlines()) == 3


def test_a_configuration_file_that_is_not_there_is_an_error() -> None:
    result = run("serve", "--config", "/nonexistent/lbfgsd.yaml")
    assert result.returncode == CONFIGURATION
    assert "/nonexistent/lbfgsd.yaml: can't be read: there is no such file" in result.stderr


@pytest.mark.parametrize("text", ["", "# only words\n", "---\n", "---\n# words\n...\n"])
def test_an_empty_configuration_file_changes_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "lbfgsd.yaml"
    file.write_text(text)
    result = run("check-config", "--config", file)
    assert result.returncode == 0, result.stderr
    assert {origin for _, origin in settings(result.stdout).values()} <= {
        "default",
        "not set (default)",
    }


def test_what_check_config_prints_is_a_configuration_that_comes_to_the_same(tmp_path: Path) -> None:
    file = tmp_path / "lbfgsd.yaml"
    first = run("check-config", "--data", 'odd "name": #1', "--max-body-bytes", "3MiB")
    file.write_text(first.stdout)
    second = run("check-config", "--config", file)
    assert second.returncode == 0, second.stderr
    assert yaml.safe_load(first.stdout) == yaml.safe_load(second.stdout)
    assert yaml.safe_load(second.stdout)["data"] == 'odd "name": #1'


def test_the_example_configuration_is_what_the_command_prints() -> None:
    assert run("example-config").stdout == (ROOT / "deploy" / "lbfgsd.yaml").read_text()


def test_the_example_configuration_names_every_setting_and_is_valid_when_uncommented(
    tmp_path: Path, token_file: Path
) -> None:
    example = (ROOT / "deploy" / "lbfgsd.yaml").read_text()
    assert yaml.safe_load(example) is None
    lines = [line[1:] for line in example.splitlines() if re.match(r"#[a-z]", line)]
    keys = [line.split(":")[0] for line in lines]
    assert keys == known_settings()
    for key in keys:
        assert "LBFGSD_" + key.upper().replace("-", "_") in example
    file = tmp_path / "lbfgsd.yaml"
    file.write_text("\n".join(lines))
    hooks = tmp_path / "hooks.json"
    hooks.write_text("[]")
    result = run("check-config", "--config", file, "--token-file", token_file, "--hook-file", hooks)
    assert result.returncode == 0, result.stderr


def test_a_misspelt_variable_is_warned_of() -> None:
    result = run("check-config", LBFGSD_MAX_SESIONS="3")
    assert result.returncode == 0
    assert "LBFGSD_MAX_SESIONS is no setting; did you mean LBFGSD_MAX_SESSIONS?" in result.stderr


# MARK: Tokens


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0"])
def test_it_refuses_to_listen_beyond_loopback_without_tokens(tmp_path: Path, address: str) -> None:
    for command in ("serve", "check-config"):
        result = run(command, "--listen", address, "--data", tmp_path / "data")
        assert result.returncode == CONFIGURATION
        assert f"refusing to listen on {address} without tokens" in result.stderr
        assert "--token-file" in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "localhost:0"])
def test_it_listens_on_loopback_without_tokens(tmp_path: Path, address: str) -> None:
    with serving(tmp_path, listen=address) as daemon:
        assert daemon.get("/livez").status_code == 200
        assert daemon.get("/v1/limits").status_code == 200


def test_it_listens_beyond_loopback_with_tokens(tmp_path: Path, token_file: Path) -> None:
    with serving(tmp_path, "--token-file", token_file, listen="0.0.0.0:0") as daemon:
        assert daemon.get("/v1/limits", token=TOKEN).status_code == 200


def test_docs_leads_to_the_site_or_says_that_there_is_none(
    tmp_path: Path, token_file: Path
) -> None:
    place = "https://optimizer.example.org/manual/"
    with serving(tmp_path, "--docs-url", place, "--token-file", token_file) as daemon:
        found = daemon.get("/docs", allow_redirects=False)
        assert found.status_code == 307 and found.headers["Location"] == place
    with serving(tmp_path) as daemon:
        answer = daemon.get("/docs", allow_redirects=False)
        assert answer.status_code == 404 and "docs-url" in answer.json()["detail"]
    for wrong in ("manual", "//elsewhere", "/a b", "javascript:alert(1)", ""):
        result = run("check-config", "--docs-url", wrong)
        assert result.returncode == USAGE and "--docs-url" in result.stderr, wrong


def test_with_tokens_every_call_under_v1_needs_one_and_nothing_else_does(
    tmp_path: Path, token_file: Path
) -> None:
    with serving(tmp_path, "--token-file", token_file) as daemon:
        for path in ("/livez", "/readyz", "/metrics", "/openapi.yaml"):
            assert daemon.get(path).status_code == 200
        for path in ("/v1/limits", "/v1/sessions", "/v1/sessions/s00000000000000000000"):
            refused = daemon.get(path)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")
            assert refused.headers["Content-Type"].startswith("application/problem+json")
            assert daemon.get(path, token=TOKEN).status_code in (200, 404)
        for wrong in (TOKEN[:-1], TOKEN + "x", TOKEN.upper(), OTHER_TOKEN):
            assert daemon.get("/v1/limits", token=wrong).status_code == 401
        for header in (TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer "):
            answer = daemon.get("/v1/limits", headers={"Authorization": header})
            assert answer.status_code == 401
        created = requests.post(daemon.url + "/v1/sessions", json={"x0": [1.0]}, timeout=60)
        assert created.status_code == 401


def test_sighup_reads_the_tokens_again_and_keeps_the_old_when_the_file_is_wrong(
    tmp_path: Path, token_file: Path
) -> None:
    with serving(tmp_path, "--token-file", token_file) as daemon:
        assert daemon.get("/v1/limits", token=OTHER_TOKEN).status_code == 401
        token_file.write_text(f"{OTHER_TOKEN}  # of the other lab\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("reloaded the token file")
        assert daemon.get("/v1/limits", token=OTHER_TOKEN).status_code == 200
        assert daemon.get("/v1/limits", token=TOKEN).status_code == 401
        token_file.write_text("")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("kept the old tokens")
        assert daemon.get("/v1/limits", token=OTHER_TOKEN).status_code == 200
        assert daemon.stop() == 0


def test_sighup_without_a_token_file_is_no_reason_to_end(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        assert daemon.get("/livez").status_code == 200
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("nothing to reload")
        assert daemon.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no token"),
        ("# none yet\n\n", "holds no token"),
        ("# first\nshort\n", r":2: a token has at least 16 characters"),
        ("two-words-in-one line-of-the-file\n", ":1: a token is one word"),
        ("a-token-with-an-ümlaut\n", ":1: a token is one word"),
    ],
)
def test_a_wrong_token_file_is_refused_without_showing_it(
    tmp_path: Path, token_file: Path, text: str, complaint: str
) -> None:
    token_file.write_text(text)
    for command in ("serve", "check-config"):
        result = run(command, "--token-file", token_file, "--data", tmp_path / "data")
        assert result.returncode == CONFIGURATION
        assert str(token_file) in result.stderr
        assert re.search(complaint, result.stderr), result.stderr
        for word in ("short", "two-words-in-one", "ümlaut"):
            assert word not in result.stderr
    assert run("serve", "--token-file", tmp_path / "none").returncode == CONFIGURATION


def test_a_token_file_that_others_can_read_is_warned_of(tmp_path: Path, token_file: Path) -> None:
    token_file.chmod(0o644)
    result = run("check-config", "--token-file", token_file)
    assert result.returncode == 0
    assert f"others can read the token file (mode 644); chmod 600 {token_file}" in result.stderr
    with serving(tmp_path, "--token-file", token_file) as daemon:
        daemon.wait_for("<4>.*others can read the token file")
    # For systemd's credentials, the mask of the access list shows as the group's permission.
    token_file.chmod(0o440)
    result = run("check-config", "--token-file", token_file, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert result.returncode == 0 and "others" not in result.stderr


def test_a_token_never_reaches_the_log_or_the_listing(tmp_path: Path, token_file: Path) -> None:
    listing = run("check-config", "--token-file", token_file)
    assert "holds 1 token." in listing.stdout
    assert TOKEN not in listing.stdout + listing.stderr
    with serving(tmp_path, "--token-file", token_file, "--log-level", "trace") as daemon:
        daemon.get("/v1/limits", token=TOKEN)
        daemon.get("/v1/limits", token=OTHER_TOKEN)
        daemon.get(f"/v1/sessions?page_token={OTHER_TOKEN}", token=TOKEN)
        metrics = daemon.get("/metrics").text
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("reloaded the token file")
        assert daemon.stop() == 0
        assert TOKEN not in daemon.text and TOKEN not in metrics
        assert f"Bearer {OTHER_TOKEN}" not in daemon.text


# MARK: Starting and stopping


def test_it_is_ready_when_it_says_so_and_says_where_it_is(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        line = daemon.wait_for(r".*\bready .*")[0]
        version = run("--version").stdout.split()[1]
        for word in (f"version={version}", f"pid={daemon.process.pid}", f"data={tmp_path}/data"):
            assert word in line
        ready = requests.get(daemon.url + "/readyz", timeout=5)
        assert ready.status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_long_polls_and_ends_with_status_0_within_10_seconds(
    tmp_path: Path, number: Any
) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        session = client.create()
        answers = []

        def poll() -> None:
            path = f"/v1/sessions/{session}/evaluation"
            answers.append(client.call("GET", path, headers={"Prefer": "wait=30"}))

        thread = threading.Thread(target=poll)
        thread.start()
        time.sleep(0.5)
        assert thread.is_alive() and not answers
        began = time.monotonic()
        assert daemon.stop(number) == 0
        assert time.monotonic() - began < 10
        thread.join(10)
        assert [answer.status_code for answer in answers] in ([200], [503])
        assert "stopped" in daemon.text


def test_a_session_is_there_after_a_restart_at_the_same_point(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        client = Client(daemon.url)
        session = client.create()
        turn = client.begin(session)
        turn = client.tell(session, turn["evaluation"]["number"], 3.0, [1.0, -2.0])
        assert turn["state"] == "evaluating"
        assert daemon.stop() == 0
    with serving(tmp_path) as daemon:
        asked = Client(daemon.url).ask(session)
        assert asked["evaluation"] == turn["evaluation"]


def test_a_new_store_is_announced_and_an_old_one_is_not(tmp_path: Path) -> None:
    for expected in (1, 0):
        with serving(tmp_path) as daemon:
            daemon.wait_for("ready")
            assert len(re.findall(r"<4>.*made a new, empty one", daemon.text)) == expected
            assert daemon.stop() == 0


def test_data_below_a_directory_that_is_missing_is_refused(tmp_path: Path) -> None:
    for command in (("serve", "--listen", "127.0.0.1:0"), ("check-config",)):
        result = run(*command, "--data", tmp_path / "mistyped" / "data")
        assert result.returncode == CONFIGURATION
        assert f"there is no directory {tmp_path}/mistyped" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_everybody_can_write_to_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    for command in (("serve", "--listen", "127.0.0.1:0"), ("check-config",)):
        result = run(*command, "--data", data)
        assert result.returncode == CONFIGURATION
        assert f"{data}: everybody can write to it (mode 777)" in result.stderr
    assert list(data.iterdir()) == []
    data.chmod(0o750)
    assert run("check-config", "--data", data).returncode == 0


def test_a_body_may_not_be_allowed_more_than_all_bodies_together(tmp_path: Path) -> None:
    wrong = run("check-config", "--max-body-bytes", "2GiB", "--max-body-bytes-in-flight", "1GiB")
    assert wrong.returncode == CONFIGURATION
    assert "option --max-body-bytes: must be at most max-body-bytes-in-flight" in wrong.stderr
    file = tmp_path / "lbfgsd.yaml"
    file.write_text("max-body-bytes: 3GiB\n")
    assert (
        f"{file}:1: max-body-bytes: must be at most" in run("check-config", "--config", file).stderr
    )
    lowered = settings(run("check-config", "--max-body-bytes-in-flight", "64MiB").stdout)
    assert lowered["max-body-bytes"][0] == "64MiB"


def test_compact_counts_the_bytes_behind_a_symbolic_link(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        Client(daemon.url).create()
        assert daemon.stop() == 0
    (tmp_path / "link").symlink_to(tmp_path / "data")
    result = run("compact", "--data", tmp_path / "link")
    assert result.returncode == 0
    before, after = (int(line.split()[1]) for line in result.stdout.splitlines())
    assert before >= after > 0


def test_in_memory_nothing_is_written_and_a_warning_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, data=":memory:") as daemon:
        Client(daemon.url).create()
        daemon.wait_for("<4>.*sessions are kept in memory")
        assert daemon.stop() == 0
        assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_two_daemons_never_share_a_data_directory(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        assert daemon.get("/readyz").ok
        second = run("serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data")
        assert second.returncode == TEMPORARY
        assert "in use" in second.stderr and str(tmp_path / "data") in second.stderr
        assert daemon.get("/readyz").ok
        assert daemon.stop() == 0
    with serving(tmp_path) as daemon:
        assert daemon.get("/readyz").ok


def test_a_killed_daemon_leaves_the_data_directory_free(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        assert daemon.get("/readyz").ok
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    with serving(tmp_path) as daemon:
        assert daemon.get("/readyz").ok


def test_an_address_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("serve", "--listen", address, "--data", tmp_path / "data")
    assert result.returncode == UNAVAILABLE
    assert address in result.stderr and "in use" in result.stderr.lower()


def test_an_address_of_another_machine_is_told(tmp_path: Path, token_file: Path) -> None:
    result = run(
        "serve",
        "--listen",
        "192.0.2.1:8080",
        "--data",
        tmp_path / "data",
        "--token-file",
        token_file,
    )
    assert result.returncode == UNAVAILABLE
    assert "192.0.2.1:8080" in result.stderr


def test_a_data_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    for where in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        result = run("serve", "--listen", "127.0.0.1:0", "--data", where)
        assert result.returncode == STORAGE
        assert str(where) in result.stderr


def test_a_damaged_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "lbfgsd.sqlite").write_bytes(b"not a database" * 1000)
    result = run("serve", "--listen", "127.0.0.1:0", "--data", data)
    assert result.returncode == STORAGE
    assert str(data) in result.stderr
    assert (data / "lbfgsd.sqlite").read_bytes() == b"not a database" * 1000


def test_nobody_else_can_read_the_data_directory_it_makes(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        Client(daemon.url).create()
        for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_limits_that_are_set_are_the_limits_that_hold(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-parameters", "3", LBFGSD_MAX_SESSIONS="2") as daemon:
        client = Client(daemon.url)
        assert client.call("POST", "/v1/sessions", {"x0": [1.0] * 4}).status_code in (413, 422)
        client.create(x0=[1.0] * 3)
        client.create(x0=[1.0] * 3)
        refused = client.call("POST", "/v1/sessions", {"x0": [1.0]})
        assert refused.status_code in (429, 503, 507)
        assert refused.headers["Content-Type"].startswith("application/problem+json")


def test_a_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-body-bytes", "64KiB") as daemon:
        response = Client(daemon.url).call("POST", "/v1/sessions", {"x0": [1.0] * 100_000})
        assert response.status_code == 413


# MARK: Log and metrics


def test_a_piped_log_has_priorities_and_times(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        daemon.wait_for("ready")
        assert daemon.stop() == 0
        for line in daemon.text.splitlines():
            assert re.match(r"<[2-7]>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S", line), line


def test_a_journal_keeps_the_time_itself(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    status = log.stat()
    stream = f"{status.st_dev}:{status.st_ino}"
    with serving(tmp_path, JOURNAL_STREAM=stream) as daemon:
        daemon.wait_for(r"<5>ready data=\S+ pid=\d+ url=\S+ version=\S+ log=lbfgsd\n")
    with serving(tmp_path, data=tmp_path / "data", JOURNAL_STREAM="1:1") as daemon:
        daemon.wait_for(r"<5>\d{4}-\S+ ready ")


def test_an_error_at_the_start_reaches_the_journal_with_its_priority(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    stream = f"{log.stat().st_dev}:{log.stat().st_ino}"
    with serving(tmp_path, listen="0.0.0.0:0", JOURNAL_STREAM=stream) as daemon:
        assert daemon.process.wait(30) == CONFIGURATION
        assert daemon.text.startswith("<3>refusing to listen")


@pytest.mark.parametrize(
    ("variables", "has_colour"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
    ],
)
def test_on_a_terminal_the_log_is_for_a_person(
    tmp_path: Path, variables: dict[str, Any], has_colour: bool
) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [binary(), "serve", "--listen", "127.0.0.1:0", "--data", ":memory:"],
        stderr=terminal,
        env=environment(**variables),
    )
    os.close(terminal)
    seen = b""
    try:
        while b"ready" not in seen or not seen.endswith(b"\n"):
            seen += os.read(controller, 4096)
    finally:
        process.terminate()
        assert process.wait(30) == 0
        os.close(controller)
    line = next(line for line in seen.decode().splitlines() if "ready" in line)
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} ", line) and "<5>" not in line
    assert ("\x1b[" in line) == has_colour


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("journal", r"<5>ready "),
        ("timestamped", r"<5>\d{4}-\S+Z ready "),
        ("terminal", r"\d\d:\d\d:\d\d\.\d{3} NOTICE +ready "),
    ],
)
def test_the_form_of_the_log_can_be_chosen(tmp_path: Path, form: str, pattern: str) -> None:
    with serving(tmp_path, "--log-format", form) as daemon:
        daemon.wait_for(r"(?m)^" + pattern)


def test_the_log_level_holds(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-level", "error") as daemon:
        port_line = None
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and not port_line:
            port_line = daemon.text
            time.sleep(0.1)
        assert daemon.stop() == 0
        assert daemon.text == ""


def test_what_a_client_sends_cannot_forge_a_line_of_the_log(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-level", "trace") as daemon:
        host = daemon.url.removeprefix("http://").split(":")
        with socket.create_connection((host[0], int(host[1])), timeout=10) as client:
            client.sendall(
                b"GET /v1/x%0a<2>forged%1b[31m HTTP/1.1\r\n"
                b"Host: localhost\r\nConnection: close\r\n\r\n"
            )
            while client.recv(4096):
                pass
        assert daemon.stop() == 0
        assert "\x1b" not in daemon.text
        assert not re.search(r"(?m)^<2>forged", daemon.text)


def test_metrics_tell_of_the_process_by_the_names_that_prometheus_expects(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        families = {
            family.name: family
            for family in text_string_to_metric_families(daemon.get("/metrics").text)
        }
        value = {
            name: family.samples[0].value
            for name, family in families.items()
            if name.startswith("process_")
        }
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        resident = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024
        assert value["process_resident_memory_bytes"] == pytest.approx(resident, rel=0.2)
        assert abs(value["process_start_time_seconds"] - time.time()) < 120
        assert 0 < value["process_cpu_seconds"] < 60
        assert 3 < value["process_open_fds"] < value["process_max_fds"]
        assert families["process_cpu_seconds"].type == "counter"
        build = families["lbfgsd_build_info"].samples[0]
        assert build.labels["version"] == run("--version").stdout.split()[1]


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    # An exchange that keeps it busy: the body never arrives.
    with serving(tmp_path, "--shutdown-timeout-seconds", "60") as daemon:
        host, port = daemon.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(
                b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            time.sleep(0.3)
            daemon.process.send_signal(signal.SIGTERM)
            daemon.wait_for("stopping")
            time.sleep(0.3)
            daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(5) == 1


def test_a_client_that_dawdles_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, "--shutdown-timeout-seconds", "4") as daemon:
        host, port = daemon.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(
                b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            time.sleep(0.3)
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 4.5


def test_two_daemons_can_be_started_on_one_port_after_each_other(tmp_path: Path) -> None:
    port = free_port()
    for _ in range(3):
        with serving(tmp_path, listen=f"127.0.0.1:{port}") as daemon:
            assert daemon.get("/livez").ok
            assert daemon.stop() == 0
