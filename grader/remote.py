"""Commands that ask a running server: `login`, `submit`, `history`, `report`. Exit codes as those of `grade`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from grader.client import Client
from grader.faults import NotGradable
from grader.report import Report
from grader.terminal import render

PASSED, NOT_PASSED = 0, 1
READ_LIMIT = 1 << 20  # bytes read of a file before it is called too large


def add_commands(commands: Any) -> None:
    """To the parser of `python -m grader`."""
    login = _command(commands, "login", _login, "be somebody at a server; its token is kept for the commands below")
    login.add_argument("--token", default="", help="one that the page shows, or that whoever teaches has; default: a new one")
    login.add_argument("--code", default="", help="stand for a learner of the roster, by the code that you were given")

    submit = _command(commands, "submit", _submit, "hand a file in to a server")
    submit.add_argument("lab", metavar="LAB")
    submit.add_argument("file", metavar="FILE", type=Path, help="the submission; - reads standard input")
    submit.add_argument("--check", action="store_true", help="a Check: the visible cases, free")
    submit.add_argument("--prediction", type=float, metavar="NUMBER", help="the number that the lab asks for")
    submit.add_argument("--follow", action="store_true", help="wait for the report and print it")
    submit.add_argument("--json", action="store_true", help="print the report as JSON (with --follow)")

    history = _command(commands, "history", _history, "list what one has handed in to a server")
    history.add_argument("lab", metavar="LAB", nargs="?", default="")
    history.add_argument("--most", type=int, default=20)

    report = _command(commands, "report", _report, "print the report of an attempt at a server")
    report.add_argument("attempt", metavar="ATTEMPT", help="its id; 'last' for the newest")
    report.add_argument("--json", action="store_true", help="as JSON")


def _command(commands: Any, name: str, run: Any, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about)
    parser.add_argument("--server", default="", metavar="URL", help="default: $GRADER_SERVER, else http://127.0.0.1:7860")
    parser.set_defaults(run=run)
    return parser


def _login(options: argparse.Namespace) -> int:
    client = Client(options.server)
    me = client.log_in(token=options.token, code=options.code)
    name = f" for {me['name']}" if me["name"] else ""
    print(f"{client.server}: {me['role']} {me['user']}{name}")
    return PASSED


def _submit(options: argparse.Namespace) -> int:
    client = Client(options.server)
    source = _read(options.file)
    mode = "check" if options.check else "submit"
    attempt = client.submit(options.lab, source, mode=mode, prediction=options.prediction)
    if not options.follow:
        print(attempt["id"])
        return PASSED
    told = ""
    for status in client.follow(attempt["id"]):
        line = progress(status)
        if line != told and sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        told = line
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return _shown(client, attempt["id"], as_json=options.json)


def progress(status: dict[str, Any]) -> str:
    """One line on where an attempt stands."""
    if status["state"] == "queued":
        return f"waiting, number {status['place']} in the queue"
    if status["state"] == "running":
        counted = f" {status['done']} of {status['total']}" if status["total"] else ""
        return f"{status['phase']}{counted} {status['case']}".rstrip()
    return str(status["fault"] or status["verdict"] or status["state"])


def _history(options: argparse.Namespace) -> int:
    for status in Client(options.server).history(options.lab, most=options.most):
        when = _when(status["created"])
        points = "" if status["points"] is None else f"{status['points']:g}"
        outcome = status["verdict"] or status["state"]
        print(f"{status['id']}  {when}  {status['lab']:24} {status['mode']:6} {outcome:14} {points:>6}")
    return PASSED


def _when(moment: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
    except (OverflowError, ValueError, OSError):  # no calendar has it
        return f"{moment:16g}"


def _report(options: argparse.Namespace) -> int:
    client = Client(options.server)
    attempt = options.attempt
    if attempt == "last":
        newest = client.history(most=1)
        if not newest:
            raise NotGradable("Nothing has been handed in yet.")
        attempt = newest[0]["id"]
    return _shown(client, attempt, as_json=options.json)


def _shown(client: Client, attempt_id: str, *, as_json: bool) -> int:
    report: Report | None = client.report(attempt_id)
    if report is None:
        status = client.status(attempt_id)
        raise NotGradable(status["fault"] or f"The attempt is {status['state']}: it has no report.")
    if as_json:
        print(json.dumps(json.loads(report.to_json())))  # in ASCII: a terminal obeys some signs that JSON may hold
    else:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(render(report, colour=colour, width=_width()))
    return PASSED if report.passed else NOT_PASSED


def _width() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100


def _read(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read(READ_LIMIT) if str(path) == "-" else path.read_bytes()[:READ_LIMIT]
        return data.decode("utf-8-sig")
    except OSError as error:
        raise NotGradable(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise NotGradable(f"{path} is no UTF-8 text: byte {error.start} is {data[error.start]:#04x}.") from error
