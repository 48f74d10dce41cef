"""The daemon's page in Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from daemon import ROOT, Client, numbers
from problems import rosenbrock, rosenbrock_start

PICTURES = ROOT / "out" / "page"
DESKTOP, PHONE = (1280, 860), (390, 844)


@contextmanager
def chromium_running() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "deploy/setup.sh packages chromium installs it"
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work for root.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()


class Screen:
    """One tab. What the page writes to the console as an error fails the test, but for requests
    whose refusal the test wants: `refusals` has their statuses."""

    def __init__(
        self, browser: Browser, url: str, size: Any = DESKTOP, scheme: Any = "light"
    ) -> None:
        self.url = url
        self.refusals: set[int] = set()
        self.errors: list[str] = []
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: Any) -> None:
        is_wanted = any(f"status of {status}" in message.text for status in self.refusals)
        if message.type in ("error", "warning") and not is_wanted:
            self.errors.append(message.text)

    def open(self, address: str = "") -> None:
        """Opens `#/...`, in a tab that may show another address of the page already."""
        self.page.goto(f"{self.url}/ui{address}")

    def close(self) -> None:
        self._context.close()
        assert not self.errors, self.errors

    def find(self, selector: str, text: str | None = None) -> Locator:
        return self.page.locator(selector, has_text=text) if text else self.page.locator(selector)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def wait_for_text(self, selector: str, text: str) -> None:
        self.page.wait_for_function(
            "([selector, text]) => [...document.querySelectorAll(selector)]"
            ".some(node => node.textContent.includes(text))",
            arg=[selector, text],
        )

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.text_content() or ""

    def picture(self, name: str, full: bool = True) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=full)


def evaluate(client: Client, session: str, count: int, failing: Any = ()) -> dict[str, Any]:
    """Tells so many evaluations of Rosenbrock's function, and begins steps as they end. Those with
    a number in `failing` have no loss."""
    turn = client.ask(session)
    for _ in range(count):
        if turn["state"] == "idle":
            turn = client.begin(session)
        number = turn["evaluation"]["number"]
        if number in failing:
            path = f"/v1/sessions/{session}/evaluations/{number}/result"
            turn = client.ok("PUT", path, {"failed": "the mesh is inverted"})
        else:
            loss, gradient = rosenbrock(numbers(turn["evaluation"]["x"]))
            turn = client.tell(session, number, loss, list(gradient))
    return turn


def populate(client: Client) -> dict[str, str]:
    """Sessions of all kinds, by what they are for."""
    start = rosenbrock_start(10)
    search = {"line_search_fn": "strong_wolfe"}
    made = {
        "plain": client.create(x0=start, name="burgers", labels={"team": "flow"}, options=search),
        "robust": client.create(
            x0=start, name="cavity", labels={"team": "flow"}, options={"mode": "robust"}
        ),
        "bounded": client.create(
            params=[{"name": "w", "shape": [4], "values": [0.1] * 4, "lower": -0.5, "upper": 0.25}],
            name="bounded fit",
            labels={"team": "chem"},
            options={"mode": "robust"},
        ),
        "new": client.create(x0=[1.0, 2.0]),
    }
    evaluate(client, made["plain"], 60)
    evaluate(client, made["robust"], 50, failing={20, 33})
    evaluate(client, made["bounded"], 12)
    for name in ("plain", "robust", "bounded"):
        if client.get(made[name])["state"] != "idle":
            client.ok("POST", f"/v1/sessions/{made[name]}/stop")
    path = f"/v1/sessions/{made['plain']}/checkpoints"
    checkpoint = client.ok("POST", path, {"name": "before tuning"})
    fork = client.ok("POST", f"{path}/{checkpoint['id']}/fork", {"name": "burgers, history 5"})
    made["fork"] = fork["id"]
    evaluate(client, fork["id"], 5)
    ensemble = client.ok(
        "POST",
        "/v1/ensembles",
        {
            "name": "multistart",
            "params": [{"name": "w", "shape": [3]}],
            "starts": {"method": "sobol", "count": 5, "seed": 1},
            "lower": -2,
            "upper": 2,
        },
    )
    made["ensemble"] = ensemble["id"]
    return made
