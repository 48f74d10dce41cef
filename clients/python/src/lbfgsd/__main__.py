"""python -m lbfgsd: runs in this process become sessions of a daemon, and the other way round."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ._client import Client
from ._engine.journal import MAGIC
from ._errors import Error
from ._minimize.transfer import (
    export_journal,
    import_journal,
    journal_to_session_file,
    session_file_to_journal,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lbfgsd", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    importing = commands.add_parser("import", help="make a session of a run's journal")
    importing.add_argument("journal", type=Path)
    importing.add_argument("--name", help="name of the new session")
    exporting = commands.add_parser("export", help="write a session to a new journal")
    exporting.add_argument("session")
    exporting.add_argument("journal", type=Path)
    for command in (importing, exporting):
        command.add_argument("--url", help="of the server; $LBFGSD_URL by default")
    convert = commands.add_parser(
        "convert", help="make a session file, as `lbfgsd import` reads it, of a journal, or back"
    )
    convert.add_argument("source", type=Path)
    convert.add_argument("target", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.command == "convert":
            with arguments.source.open("rb") as file:
                is_journal = file.read(len(MAGIC)) == MAGIC
            write = journal_to_session_file if is_journal else session_file_to_journal
            write(arguments.source, arguments.target)
            return 0
        with Client(arguments.url) as client:
            if arguments.command == "import":
                print(import_journal(client, arguments.journal, name=arguments.name))
            else:
                export_journal(client, arguments.session, arguments.journal)
    except (Error, OSError, ValueError, RuntimeError) as error:
        print(f"lbfgsd: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
