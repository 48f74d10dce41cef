"""The page as a person uses it: finding a session, watching it, and changing it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from daemon import ROOT, Client, Daemon, wait_until
from page_screen import DESKTOP, PHONE, Screen, chromium_running, evaluate, populate
from problems import rosenbrock_start

pytestmark = pytest.mark.timeout(120)

HOSTILE = '<img src=x onerror="window.taken=1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium_running() as browser:
        yield browser


@pytest.fixture(scope="module")
def made(shared_daemon: Daemon) -> dict[str, str]:
    return populate(Client(shared_daemon.url))


@pytest.fixture
def screen(browser: Browser, shared_daemon: Daemon) -> Iterator[Screen]:
    screen = Screen(browser, shared_daemon.url)
    yield screen
    screen.close()


def names(screen: Screen) -> list[str]:
    """Of the sessions in view, from top to bottom."""
    return screen.page.evaluate(
        """() => [...document.querySelectorAll(".rows .row:not([hidden])")]
            .sort((a, b) => a.getAttribute("aria-rowindex") - b.getAttribute("aria-rowindex"))
            .map(row => [...row.querySelectorAll("a, .toggle")].find(e => !e.hidden).textContent)"""
    )


def test_the_list_is_searched_sorted_and_grouped(screen: Screen, made: dict[str, str]) -> None:
    screen.open()
    screen.wait_for_text(".rows", "burgers")
    # A fork stands below what it was forked from, and an ensemble is one row until it is opened.
    shown = names(screen)
    assert shown[shown.index("burgers") + 1] == "burgers, history 5"
    assert "multistart" in shown and "multistart 3" not in shown
    screen.button("multistart").click()
    screen.wait_for_text(".rows", "multistart 3")
    screen.page.get_by_label("Group forks and ensembles").uncheck()
    screen.page.get_by_label("Sort by").select_option("name")
    screen.wait_for_text(".status", "10 sessions")
    wait_until(lambda: names(screen)[0] == "bounded fit")
    search = screen.page.get_by_label("Search sessions")
    for text, count in (("TEAM:flow", 3), ("cavity", 1), (made["new"], 1)):
        search.fill(text)
        screen.wait_for_text(".status", f"{count} session")
        wait_until(lambda count=count: len(names(screen)) == count)
    search.fill("nothing has this name")
    screen.wait_for_text(".empty", "Nothing found")
    search.fill("")
    screen.page.get_by_label("Mode").select_option("robust")
    screen.wait_for_text(".status", "2 sessions")


def test_the_list_follows_what_happens_without_being_loaded_again(
    screen: Screen, client: Client, made: dict[str, str]
) -> None:
    screen.open()
    screen.wait_for_text(".rows", "burgers")
    screen.page.evaluate("window.stayed = true")
    session = client.create(x0=rosenbrock_start(4), name="came later")
    screen.wait_for_text(".rows a", "came later")
    evaluate(client, session, 12)
    screen.wait_for_text(".cell-evaluations", str(client.get(session)["evaluation"]))
    row = screen.find(".rows .row", "came later")
    expect(row.locator(".trend path")).to_have_count(1)
    assert screen.page.evaluate("window.stayed")
    client.ok("DELETE", f"/v1/sessions/{session}")


def test_names_and_labels_are_text(screen: Screen, client: Client) -> None:
    labels = {"<b>x": '"><script>window.taken=1</script>', "u": "javascript:window.taken=1"}
    session = client.create(x0=[1.0, 2.0], name=HOSTILE, labels=labels)
    client.ok("POST", f"/v1/sessions/{session}/checkpoints", {"name": HOSTILE})
    client.ok("POST", f"/v1/sessions/{session}/checkpoints/1/fork", {"name": HOSTILE})
    evaluate(client, session, 3)
    screen.open()
    screen.wait_for_text(".rows a", HOSTILE)
    screen.open(f"#/s/{session}")
    screen.wait_for_text("h1", HOSTILE)
    screen.wait_for_text("td", HOSTILE)
    screen.wait_for_text(".tree", HOSTILE)
    screen.wait_for_text(".chip", labels["<b>x"])
    screen.open(f"#/compare?s={session}")
    screen.wait_for_text("td", HOSTILE)
    assert screen.find("main img, main script").count() == 0
    assert screen.page.evaluate("window.taken") is None


def test_a_session_shows_its_run_and_why_its_steps_ended(
    screen: Screen, made: dict[str, str]
) -> None:
    screen.open(f"#/s/{made['robust']}")
    expect(screen.find(".chart canvas")).to_have_count(3)
    screen.wait_for_text(".legend", "2 evaluations failed")
    screen.wait_for_text("td .pill", "max iterations")
    screen.wait_for_text("td", "Begin another step")
    for name in ("Log x", "Time", "Linear", "Log above best", "Evaluations", "Log"):
        screen.button(name).click()
        expect(screen.button(name)).to_have_attribute("aria-pressed", "true")
    screen.open(f"#/s/{made['bounded']}")
    screen.wait_for_text("[data-name=Bounds]", "of 4 numbers at a bound")
    screen.open(f"#/s/{made['new']}")
    screen.wait_for_text(".empty", "No evaluation has been told yet.")
    screen.refusals = {404}
    screen.open("#/s/s00000000000000000000")
    screen.wait_for_text("h1", "There is no such session")


def test_a_chosen_point_shows_its_line_search(
    screen: Screen, client: Client, made: dict[str, str]
) -> None:
    trace = client.trace(made["plain"])
    iterations: dict[Any, list[Any]] = {}
    for point in trace:
        if point["iteration"] > 0:
            iterations.setdefault((point["step"], point["iteration"]), []).append(point)
    (step, iteration), points = max(iterations.items(), key=lambda item: len(item[1]))
    assert len(points) > 1
    screen.open(f"#/s/{made['plain']}")
    plot = screen.find(".chart .u-over").first
    share = (points[0]["evaluation"] - 1) / (len(trace) - 1)
    box = plot.bounding_box()
    assert box
    plot.click(position={"x": share * box["width"], "y": 30})
    screen.wait_for_text("#search-title ~ div", f"Step {step}, iteration {iteration}")
    screen.wait_for_text("#search-title ~ div", f"{len(points)} lengths were tried")
    panel = screen.find("section[aria-labelledby=search-title]")
    # The start, then the trials, of which one was accepted.
    expect(panel.locator("tbody tr")).to_have_count(len(points) + 1)
    expect(panel.locator("tr.accepted")).to_have_count(1)
    expect(panel.locator("canvas")).to_have_count(2)
    screen.picture("line-search")


def test_a_live_session_is_drawn_by_increments(screen: Screen, client: Client) -> None:
    session = client.create(x0=rosenbrock_start(10), name="live")
    evaluate(client, session, 5)
    screen.open(f"#/s/{session}")
    screen.wait_for_text(".live:not(.off)", "live")
    screen.page.evaluate("document.querySelector('.chart canvas').stayed = true")
    for count in (6, 26):
        evaluate(client, session, count - int(client.get(session)["evaluation"]) + 1)
        newest = len(client.trace(session))
        screen.wait_for_text(".figures dd", str(newest))
    assert screen.page.evaluate("document.querySelector('.chart canvas').stayed")


def test_stopping_asks_first(screen: Screen, client: Client) -> None:
    session = client.create(x0=rosenbrock_start(6), name="to be stopped")
    evaluate(client, session, 4)
    assert client.get(session)["state"] == "evaluating"
    screen.open(f"#/s/{session}")
    screen.button("Stop step").click()
    screen.button("Cancel").click()
    screen.button("Stop step").click()
    screen.page.keyboard.press("Escape")
    expect(screen.find("dialog")).to_have_count(0)
    assert client.get(session)["state"] == "evaluating"
    screen.button("Stop step").click()
    screen.button("Stop").click()
    screen.wait_for_text(".pill", "stopped")
    assert client.get(session)["state"] == "idle"
    expect(screen.button("Stop step")).to_be_hidden()


def test_checkpoints_are_made_restored_and_forked(screen: Screen, client: Client) -> None:
    session = client.create(x0=rosenbrock_start(6), name="with checkpoints")
    evaluate(client, session, 8)
    before = client.x(session)
    screen.open(f"#/s/{session}")
    screen.button("Make a checkpoint").click()
    screen.page.get_by_label("Name (optional)").fill("a good point")
    screen.button("Make it").click()
    screen.wait_for_text("td", "1: a good point")
    evaluate(client, session, 6)
    assert client.x(session) != before
    screen.button("Restore checkpoint 1").click()
    screen.button("Restore").click()
    screen.wait_for_text(".notice", "Checkpoint 1 was restored")
    assert client.x(session) == before
    screen.button("Fork checkpoint 1").click()
    screen.page.get_by_label("Name of the new session").fill("the fork")
    screen.button("Fork").click()
    screen.wait_for_text("h1", "the fork")
    screen.wait_for_text(".tree", "with checkpoints")


def test_downloads_are_what_the_api_has(
    screen: Screen, client: Client, made: dict[str, str], tmp_path: Path
) -> None:
    screen.open(f"#/s/{made['plain']}")
    for button, name in (("x as .npy", "burgers.npy"), ("Trace as CSV", "burgers.csv")):
        with screen.page.expect_download() as waiting:
            screen.button(button).click()
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / name)
    x = np.load(tmp_path / "burgers.npy")
    assert list(x) == client.x(made["plain"])
    rows = (tmp_path / "burgers.csv").read_text().splitlines()
    assert len(rows) == len(client.trace(made["plain"])) + 1
    assert rows[0].startswith("evaluation,step,iteration,loss")


def test_the_programs_take_the_session_up(
    screen: Screen, client: Client, shared_daemon: Daemon, tmp_path: Path
) -> None:
    session = client.create(x0=rosenbrock_start(2), name="for a program")
    evaluate(client, session, 3)
    screen.open(f"#/s/{session}")
    code = screen.find("section pre")
    python = (code.text_content() or "").replace(
        "    ...  # your model\n    return loss, gradient",
        "    a, b = 1 - x[0], x[1] - x[0] ** 2\n"
        "    return a * a + 100 * b * b, [-2 * a - 400 * x[0] * b, 200 * b]",
    )
    path = str(ROOT / "clients" / "python" / "src")
    run = subprocess.run(
        [sys.executable, "-c", python], capture_output=True, text=True, env={"PYTHONPATH": path}
    )
    assert run.returncode == 0, run.stderr
    assert client.get(session)["loss"] < 1e-6
    screen.button("curl").click()
    line = next(line for line in (code.text_content() or "").splitlines() if "POST" in line)
    shell = f"S={shared_daemon.url}/v1/sessions/{session}\nset -e\n{line} -sf -o {tmp_path}/turn"
    shell = shell.replace("# begins a step: the first point", "")
    assert subprocess.run(["bash", "-c", shell]).returncode == 0
    assert (tmp_path / "turn").read_text().startswith("{")
    screen.button("C").click()
    source = tmp_path / "program.c"
    source.write_text(code.text_content() or "")
    compiler = ["gcc", "-std=c99", "-fsyntax-only", "-I", str(ROOT / "clients" / "c"), str(source)]
    compiled = subprocess.run(compiler, capture_output=True, text=True)
    # What remains to be written is the model.
    assert compiled.returncode == 0, compiled.stderr


def test_any_number_of_sessions_are_compared(
    screen: Screen, client: Client, made: dict[str, str]
) -> None:
    live = client.create(x0=rosenbrock_start(10), name="compared live")
    evaluate(client, live, 4)
    screen.open()
    for name in ("burgers", "cavity", "compared live"):
        screen.page.get_by_label(f"Compare {name}", exact=True).check()
    screen.page.get_by_role("link", name="Compare 3 sessions").click()
    expect(screen.find("tbody tr")).to_have_count(3)
    screen.page.wait_for_timeout(500)
    evaluate(client, live, 9)
    screen.wait_for_text("tbody td", str(len(client.trace(live))))
    screen.button("Time").click()
    screen.button("Log x").click()
    screen.button("Remove cavity").click()
    expect(screen.find("tbody tr")).to_have_count(2)


def test_health_shows_disk_memory_commits_limits_and_version(screen: Screen) -> None:
    screen.open("#/health")
    screen.wait_for_text(".pill", "ready")
    for text in ("0.1.0", "Commits", "Free", "Sessions", "Process"):
        screen.wait_for_text("dl", text)
    screen.find("summary").click()
    screen.wait_for_text("dd", "10\u202f000")


def test_the_keyboard_reaches_everything(screen: Screen, made: dict[str, str]) -> None:
    screen.open()
    screen.wait_for_text(".rows a", "cavity")
    screen.page.keyboard.press("Tab")
    assert screen.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    screen.page.keyboard.press("Enter")
    assert screen.page.evaluate("document.activeElement.id") == "main"
    for _ in range(40):
        screen.page.keyboard.press("Tab")
        if screen.page.evaluate("document.activeElement.textContent") == "cavity":
            break
    screen.page.keyboard.press("Enter")
    screen.wait_for_text("h1", "cavity")
    plot = screen.find(".plot").first
    plot.focus()
    whole = plot.get_attribute("aria-label")
    screen.page.keyboard.press("+")
    expect(screen.button("Show all")).to_be_visible()
    assert plot.get_attribute("aria-label") != whole
    screen.page.keyboard.press("0")
    expect(screen.button("Show all")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_screen_is_accessible_and_fits(
    browser: Browser, shared_daemon: Daemon, made: dict[str, str], size: Any, scheme: str
) -> None:
    screen = Screen(browser, shared_daemon.url, size, scheme)
    kind = f"{'phone' if size == PHONE else 'desktop'}-{scheme}"
    addresses = {
        "sessions": "",
        "session": f"#/s/{made['robust']}",
        "compare": f"#/compare?s={made['plain']}&s={made['robust']}&s={made['fork']}",
        "compare-empty": "#/compare",
        "health": "#/health",
    }
    for name, address in addresses.items():
        screen.open("#/health")
        screen.open(address)
        ready = {"sessions": ".trend path", "health": "dd", "compare-empty": ".empty"}
        screen.page.wait_for_selector(ready.get(name, ".chart canvas"), state="attached")
        screen.page.wait_for_load_state("networkidle") if name == "compare-empty" else None
        screen.page.wait_for_timeout(300)
        screen.picture(f"{name}-{kind}")
        width = screen.page.evaluate("document.documentElement.scrollWidth")
        assert width <= size[0], f"{name} is {width} wide"
        found = Axe().run(screen.page).response["violations"]
        serious = [
            (item["id"], [node["html"][:120] for node in item["nodes"]])
            for item in found
            if item["impact"] in ("serious", "critical")
        ]
        assert serious == [], name
    screen.close()
