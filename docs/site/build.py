"""Builds the site: the pages of docs/, those of the repository that belong to it, and a reference
made from the command's help, openapi.yaml, the C headers and a daemon's metrics.

    build.py --bin .build/release/lbfgsd --output out/docs/site

Sources are staged in OUTPUT-source. Warnings are errors: a link to a page or a heading that is not
there, for one. Needs no network.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from openapi import as_script
from staging import stage

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "site"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, default=ROOT / ".build" / "release" / "lbfgsd")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "docs" / "site")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    source = output.with_name(output.name + "-source")
    for folder in (source, output):
        shutil.rmtree(folder, ignore_errors=True)
    stage(ROOT, source, arguments.bin.resolve())
    shutil.copy(SITE / "conf.py", source)
    stage_viewer(source / "_viewer")
    clients = ROOT / "clients" / "python" / "src"
    builder = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    done = subprocess.run(
        [*builder, "-d", str(source) + "-doctrees", str(source), str(output)],
        env={**os.environ, "PYTHONPATH": str(clients)},
    )
    shutil.rmtree(str(source) + "-doctrees", ignore_errors=True)
    if done.returncode == 0:
        print(f"the site: {output}/index.html")
    return done.returncode


def stage_viewer(folder: Path) -> None:
    """RapiDoc beside openapi.yaml, if its package is installed: the page is `api-viewer.html`."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "openapi.yaml", folder)
    package = importlib.util.find_spec("flask_openapi_rapidoc")
    if package is None or package.origin is None:
        raise SystemExit("RapiDoc is missing: deploy/setup.sh docs installs it")
    script = Path(package.origin).parent / "templates" / "rapidoc" / "js" / "rapidoc-min.js"
    # A page that was opened as a file can't fetch another one, and no module: all is in the page.
    page = (SITE / "api-viewer.html").read_text()
    page = page.replace("{{viewer}}", script.read_text().replace("</script", "<\\/script"))
    page = page.replace("{{document}}", as_script(ROOT / "openapi.yaml"))
    (folder / "api-viewer.html").write_text(page)


if __name__ == "__main__":
    sys.exit(main())
