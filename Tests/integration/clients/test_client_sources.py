"""What the sources of the clients promise: other compilers, types, READMEs, and browsers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from client_programs import CLIENTS, LANGUAGES, LIBRARIES, SUFFIXES, Toolchain, run
from daemon import Client, Daemon, inherited
from problems import rosenbrock

pytestmark = pytest.mark.timeout(180)

IMPLEMENTATION = '#define LBFGSD_CLIENT_IMPLEMENTATION\n#include "lbfgsd_client.h"\n'
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")


@pytest.mark.parametrize(
    ("compiler", "standard", "suffix"), [("gcc", "c99", "c"), ("g++", "c++11", "cpp")]
)
def test_the_header_compiles_without_a_warning(
    tmp_path: Path, compiler: str, standard: str, suffix: str
) -> None:
    source = tmp_path / f"implementation.{suffix}"
    source.write_text(IMPLEMENTATION)
    user = tmp_path / f"user.{suffix}"
    user.write_text('#include "lbfgsd_client.h"\nint main(void) { return lbfgsd_open(0) == 0; }\n')
    include = ("-I", CLIENTS / "c")
    options = (f"-std={standard}", *(STRICT if compiler == "gcc" else STRICT[:3]), *STRICT[-1:])
    program = tmp_path / "program"
    run(compiler, *options, *include, source, user, "-o", program, *LIBRARIES)
    run(program)


COMMA = """
int main(void) {
    const double start[2] = {0.1, -2.5e-7}, gradient[2] = {0, 0};
    lbfgsd_client *client = lbfgsd_open(NULL);
    lbfgsd_new_session create;
    lbfgsd_turn turn;
    char session[LBFGSD_ID_SIZE];
    setlocale(LC_ALL, "");
    lbfgsd_new_session_init(&create);
    create.n = 2;
    create.x0 = start;
    lbfgsd_turn_init(&turn);
    lbfgsd_create(client, &create, session);
    lbfgsd_begin(client, session, &turn);
    lbfgsd_tell(client, &turn, 2.5e-7, gradient);
    printf("%.1f %s", 0.5, lbfgsd_last_error(client)->message);
    printf("%d %d", turn.result.loss == 2.5e-7, turn.x[0] == 0.1 && turn.x[1] == -2.5e-7);
    lbfgsd_turn_free(&turn);
    lbfgsd_close(client);
    return 0;
}
"""


def test_a_locale_with_a_decimal_comma(tmp_path: Path, shared_daemon: Daemon) -> None:
    """Numbers in requests and in header fields have a point all the same."""
    run("localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8")
    source = tmp_path / "comma.c"
    source.write_text(IMPLEMENTATION + COMMA)
    run("gcc", "-I", CLIENTS / "c", source, "-o", tmp_path / "comma", *LIBRARIES)
    german = {"LOCPATH": str(tmp_path), "LC_ALL": "de_DE.UTF-8", "LBFGSD_URL": shared_daemon.url}
    assert run(tmp_path / "comma", environment=german) == "0,5 1 1"


TOKEN = "a-secret-of-24-characters"


@pytest.fixture(scope="module")
def guarded_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that asks for a token."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "tokens").write_text(f"{TOKEN}\n")
    daemon = Daemon(folder / "data", folder / "log", ("--token-file", str(folder / "tokens")))
    try:
        yield daemon.start()
    finally:
        daemon.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_program_in_the_readme(language: str, tmp_path: Path, guarded_daemon: Daemon) -> None:
    """It finds the server and the token in the environment."""
    text = (CLIENTS / language / "README.md").read_text()
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    source = tmp_path / f"example.{SUFFIXES[language]}"
    source.write_text(found[1])
    if language == "js":
        for name in ("lbfgsd.js", "package.json"):
            shutil.copy(CLIENTS / "js" / name, tmp_path / name)
    command, environment = Toolchain(language, tmp_path, sanitized=False).program(source)
    environment |= {"LBFGSD_URL": guarded_daemon.url, "LBFGSD_TOKEN": TOKEN}
    printed = run(*command, environment=environment).split()
    assert printed == ["1.000000", "1.000000", "gradient_tolerance"]


# JavaScript


def test_the_module_has_types() -> None:
    checked = ("--noEmit", "--allowJs", "--checkJs", "--strict", "--skipLibCheck")
    target = ("--target", "es2022", "--module", "es2022", "--moduleResolution", "node")
    run("tsc", *checked, *target, "--lib", "es2022,dom,dom.iterable", CLIENTS / "js" / "lbfgsd.js")


WATCH = """
import { Client } from "%s";
const client = new Client({ retry: { deadline: 20, pauseInitial: 0.02, pauseMax: 0.1 } });
for await (const { event, id, data } of client.events(process.argv[2], { lastEventId: 0 })) {
    console.log(event, id ?? "-", data.loss ?? data.result.reason);
    if (event === "step") break;
}
"""


def test_events_go_on_after_a_restart(daemon: Daemon, tmp_path: Path) -> None:
    client = Client(daemon.url)
    session = client.create(options={"line_search_fn": "strong_wolfe"})
    script = tmp_path / "watch.mjs"
    script.write_text(WATCH % (CLIENTS / "js" / "lbfgsd.js").as_uri())
    watcher = subprocess.Popen(
        ["node", str(script), session],
        stdout=subprocess.PIPE,
        text=True,
        env={**inherited(), "LBFGSD_URL": daemon.url},
    )
    try:
        assert watcher.stdout is not None
        turn = client.answer(client.begin(session), rosenbrock)
        lines = [watcher.stdout.readline()]
        daemon.restart()
        client.step(session, rosenbrock, client.ask(session))
        lines += watcher.stdout.read().splitlines()
        assert watcher.wait(20) == 0
    finally:
        watcher.kill()
    assert turn["state"] == "evaluating"
    evaluations = [int(line.split()[1]) for line in lines if line.startswith("evaluation ")]
    assert evaluations == [point["evaluation"] for point in client.trace(session)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "deploy/setup.sh packages chromium installs it"
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work for root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


PAGE = """
async source => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const { Client, ProblemError, minimize } = await import(url);
    const rosenbrock = ([x, y]) => ({
        loss: (1 - x) ** 2 + 100 * (y - x * x) ** 2,
        gradient: [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)],
    });
    const client = new Client();
    const refused = await client.createSession([1], { options: { lr: -1 } }).catch(e => e);
    const found = await minimize(rosenbrock, [-1.2, 1]);
    return {
        url: client.url, x: Array.from(found.x), reason: found.result.reason,
        session: found.session, isProblem: refused instanceof ProblemError,
        field: refused.errors[0].field,
    };
}
"""


def test_a_page_of_the_daemons_origin(
    browser: Browser, client: Client, shared_daemon: Daemon
) -> None:
    page = browser.new_page()
    page.goto(f"{shared_daemon.url}/livez")
    found: Any = page.evaluate(PAGE, (CLIENTS / "js" / "lbfgsd.js").read_text())
    page.close()
    assert found["url"] == shared_daemon.url and found["reason"] == "gradient_tolerance"
    assert found["x"] == pytest.approx([1, 1], abs=1e-4)
    assert (found["isProblem"], found["field"]) == (True, "options.lr")
    assert client.x(found["session"]) == found["x"]
