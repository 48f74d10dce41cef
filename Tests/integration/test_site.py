"""The site: every example of its pages is run, and it builds without a warning."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from command import environment
from daemon import ROOT, Daemon, binary, free_port
from engine_files import library
from pages import DOCS, RUN, SHOWN, WRITTEN, examples, missing, outputs, pages, script

SECONDS = 300
"""Of one page, most of which take less than ten."""
NOT_RUN_MAX = 5
"""What needs root, systemd, or something installed."""
ALL = [page for page in pages() if any(one.language in RUN for one in examples(page))]
NAMES = [page.relative_to(DOCS).with_suffix("").as_posix() for page in ALL]

# Slurm's commands: a job runs at once, beside the one that submitted it.
STAND_INS = {
    "sbatch": """#!/bin/sh
job=$(mktemp '{queue}/XXXXXX')
cp "$1" "$job"
shift
(SLURM_JOB_ID=7 bash "$job" "$@" >>slurm.out 2>&1 </dev/null; rm -f "$job") >/dev/null 2>&1 &
""",
    "squeue": "#!/bin/sh\nls '{queue}'\n",
    "srun": '#!/bin/sh\nexec "$@"\n',
    "lbfgsd": "#!/bin/sh\nexec '{binary}' \"$@\"\n",
    "python": "#!/bin/sh\nexec '{python}' \"$@\"\n",
}


@pytest.mark.parametrize("page", ALL, ids=NAMES)
def test_every_example_runs(page: Path, tmp_path: Path, shared_daemon: Daemon) -> None:
    text = page.read_text()
    if "import torch\n" in text:
        pytest.importorskip("torch", reason="torch is not installed")
    home, tools, queue = tmp_path / "home", tmp_path / "tools", tmp_path / "queue"
    installed = tmp_path / "installed"
    for folder in (home, tools, queue, installed):
        folder.mkdir()
    for name, stand_in in STAND_INS.items():
        filled = stand_in.format(queue=queue, binary=binary(), python=sys.executable)
        (tools / name).write_text(filled)
        (tools / name).chmod(0o755)
    for source in ("slurm/evaluate.sbatch", "nginx.conf"):
        file = ROOT / "deploy" / source
        (installed / file.name).write_bytes(file.read_bytes())
    made = script(page, home)
    # A page that starts a daemon has a port of its own; the others get a daemon.
    url = f"http://127.0.0.1:{free_port()}" if "lbfgsd serve" in made.text else shared_daemon.url
    program = made.text.replace("127.0.0.1:8080", url.removeprefix("http://"))
    program = program.replace("/usr/share/doc/lbfgsd", str(installed))
    variables = environment(
        LBFGSD_URL=url,
        PATH=f"{tools}:{os.environ['PATH']}",
        PYTHONPATH=str(ROOT / "clients" / "python" / "src"),
        LBFGSD_LIBRARY=str(library()),
        # For problems of this size, further threads only cost time.
        OMP_NUM_THREADS="1",
    )
    process = subprocess.Popen(
        ["bash", "-c", program],
        cwd=home,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=(tmp_path / "printed").open("w"),
        stderr=(tmp_path / "errors").open("w"),
        start_new_session=True,
    )
    try:
        process.wait(SECONDS)
    finally:
        # Daemons that it left; there may be none.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    printed = (tmp_path / "printed").read_text()
    report = f"{printed}\n--- standard error\n{(tmp_path / 'errors').read_text()}"
    assert process.returncode == 0, report
    found = outputs(printed)
    assert len(found) == made.commands, report
    for number, lines in made.expected.items():
        assert missing(lines, found[number]) is None, f"command {number} prints:\n{report}"


def test_hardly_an_example_is_not_run() -> None:
    reasons = {}
    for page in pages():
        for example in examples(page):
            place = f"{page.relative_to(DOCS)}:{example.line}"
            known = example.language in (*RUN, *WRITTEN, *SHOWN)
            other = example.language.startswith("{")  # A directive of the page.
            assert known or other, f"{place}: nobody runs {example.language}"
            if example.reason is not None:
                assert len(example.reason) > 10, place
                reasons[place] = example.reason
    assert len(reasons) <= NOT_RUN_MAX, reasons
    assert len(ALL) >= 15


def test_a_wrong_example_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ echo one; echo two\n...e\nthree\n```\n"
        "<!-- not run: it is an example -->\n```sh\nexit 1\n```\n"
        "1. a list\n\n   ```sh\n   ! true\n   ```\n"
    )
    assert [one.reason for one in examples(page)] == [None, "it is an example", None]
    made = script(page, tmp_path)
    done = subprocess.run(["bash", "-c", made.text], capture_output=True, text=True)
    assert done.returncode == 1 and "it has to fail" in done.stderr
    assert missing(made.expected[1], outputs(done.stdout)[1]) == "three"
    assert missing(["one", "two"], outputs(done.stdout)[1]) is None
    assert missing(["two", "one"], outputs(done.stdout)[1]) == "one"


@pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None, reason="deploy/setup.sh docs installs Sphinx"
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    program = str(ROOT / "docs" / "site" / "build.py")
    done = subprocess.run(
        [sys.executable, program, "--bin", str(binary()), "--output", str(tmp_path / "site")],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    index = (tmp_path / "site" / "index.html").read_text()
    assert "tutorials/first-fit.html" in index
    for name in ("reference/commands.html", "reference/http/steps.html", "api-viewer.html"):
        assert (tmp_path / "site" / name).stat().st_size > 5_000, name
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text()
        if "default-src 'none'" not in text:  # What forbids it may name it.
            assert 'src="http' not in text and "url(http" not in text, f"{page}: needs a network"


def test_every_option_and_every_reason_has_its_place() -> None:
    schemas = yaml.safe_load((ROOT / "openapi.yaml").read_text())["components"]["schemas"]
    options = (DOCS / "reference" / "options.md").read_text()
    for option in schemas["Options"]["properties"]:
        assert f"[`{option}`](#" in options, option
    reasons = (DOCS / "reference" / "reasons.md").read_text()
    for reason in schemas["StepResult"]["properties"]["reason"]["enum"]:
        assert f"\n| `{reason}` |" in reasons, reason


def test_every_link_of_a_page_leads_to_a_file() -> None:
    """On the repository's pages too, but for the pages that are generated."""
    generated = {"commands", "metrics", "c-library", "c-client"}
    for page in pages():
        prose = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
            if re.match(r"[a-z]+:", target):
                continue
            file = page.parent / target
            made = file.stem in generated or file.parent.name == "http"
            assert file.exists() or made, f"{page.relative_to(DOCS)}: {target}"
