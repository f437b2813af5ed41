"""`python -m grader grade`: one file or several, once or again whenever one changes; whole reports or one line each."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from grader import wording
from grader.faults import NotGradable
from grader.report import Report, Verdict
from grader.terminal import ProgressLine, render

if TYPE_CHECKING:
    from grader.judge import Judge

LISTINGS = ("ptx", "sass")
READ_LIMIT = 1 << 20  # bytes read of a file before it is called too large
SEED_DIGITS = 64
LOOK_AGAIN_S = 0.2
QUIET_WIDTH = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `grade` takes."""
    parser.add_argument("lab", metavar="LAB", help="a lab's id, or its number: lab02_safe_softmax, lab02 or 2")
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="the submission; - reads standard input")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where it is judged (default: cpu)")
    parser.add_argument("--target", default="sm_90", metavar="SM", help="GPU to compile for without one (default: sm_90)")
    parser.add_argument("--visible-only", action="store_true", help="run the visible cases alone, as Check does")
    parser.add_argument(
        "--case", action="append", default=[], metavar="NAME", help="run this case alone (more than once: these)"
    )
    parser.add_argument("--seed", metavar="HEX", help="64 hexadecimal digits that hidden sizes and values are drawn from")
    parser.add_argument("--watch", action="store_true", help="grade again whenever a file changes, until stopped")
    parser.add_argument("--quiet", action="store_true", help="one line a file")
    parser.add_argument("--prediction", type=float, metavar="NUMBER", help="the number that the lab asks for")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the report as JSON; - prints only that")
    parser.add_argument("--gradescope", type=Path, metavar="OUT", help="also write Gradescope's results.json")
    parser.add_argument("--trace", type=Path, metavar="FILE.html", help="also write a page that plays one visible case")
    for kind in LISTINGS:
        parser.add_argument(f"--{kind}", action="store_true", help=f"also print the {kind.upper()} of the compiled kernels")
    parser.add_argument("--no-colour", action="store_true", help="plain text")


def grade(
    options: argparse.Namespace, *, lab_id: Callable[[str], str], written: Callable[[Report, str, argparse.Namespace], None]
) -> bool:
    """Grade what the options name.

    Args:
        lab_id: a lab's id from what was typed.
        written: writes the files that are asked for, from a report and its source.

    Returns:
        Whether every file is right in every case.

    Raises:
        NotGradable: a file cannot be read, or an option makes no sense.
    """
    seed = _seed(options.seed)
    if len(options.files) > 1 and (options.json or options.gradescope or options.trace):
        raise NotGradable("--json, --gradescope and --trace write one report: give one FILE with them.")
    sources = {path: read(path) for path in options.files}
    from grader.sandbox.process.door import start_ahead  # the other commands need the standard library alone

    starting = start_ahead()
    lab = lab_id(options.lab)
    from grader.judge import Judge

    passed = {}
    with Judge(device=options.device, target=options.target, sandbox=starting) as judge:
        for path in _changing(options, sources):
            try:
                report = _graded(judge, sources[path], lab, options, seed)
            except NotGradable as error:
                if len(sources) == 1 and not options.watch:
                    raise
                print(f"{path}: {error}", file=sys.stderr)
                passed[path] = False
                continue
            passed[path] = report.passed
            _print(report, sources[path], path, options)
            written(report, sources[path].decode("utf-8", errors="replace"), options)
    return all(passed.values())


def _seed(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b""
    if len(seed) * 2 != SEED_DIGITS:
        raise NotGradable(f"--seed must be {SEED_DIGITS} hexadecimal digits.")
    return seed


def _changing(options: argparse.Namespace, sources: dict[Path, bytes]) -> Iterator[Path]:
    """Every file once; with --watch again whenever one of them has other bytes, read into `sources`."""
    yield from options.files
    while options.watch:
        time.sleep(LOOK_AGAIN_S)
        for path in options.files:
            try:
                found = read(path)
            except NotGradable:
                continue  # an editor is between removing the old file and writing the new one
            if found != sources[path]:
                sources[path] = found
                yield path


def _graded(judge: Judge, source: bytes, lab: str, options: argparse.Namespace, seed: bytes | None) -> Report:
    mode = "check" if options.visible_only else "submit"
    with ProgressLine(sys.stderr, enabled=sys.stderr.isatty()) as line:
        return judge.grade(
            source,
            lab,
            mode=mode,
            prediction=options.prediction,
            seed=seed,
            only=options.case,
            trace=options.trace is not None,
            progress=line.show,
        )


def _print(report: Report, source: bytes, path: Path, options: argparse.Namespace) -> None:
    if str(options.json) == "-":
        print(report.to_json())
        return
    if options.quiet:
        print(one_line(report, str(path)), flush=True)
        return
    colour = sys.stdout.isatty() and not options.no_colour and "NO_COLOR" not in os.environ
    if len(options.files) > 1:
        print(f"\n  {path}")
    listings = [kind for kind in LISTINGS if getattr(options, kind)]
    text = source.decode("utf-8", errors="replace")
    print(render(report, colour=colour, width=terminal_width(), listings=listings, source=text), flush=True)


def one_line(report: Report, path: str) -> str:
    """The file, its verdict, how many cases are right, and what is wrong."""
    right = sum(case.verdict is Verdict.PASSED for case in report.cases)
    sentence = "" if report.passed else f"  {wording.sentence(report.diagnosis.sentence)}"
    head = f"{path}: {wording.sign(report.verdict)} {wording.WORDS[report.verdict]} {right} of {len(report.cases)}"
    line = " ".join(f"{head}{sentence}".split())
    return line if len(line) <= QUIET_WIDTH else line[: QUIET_WIDTH - 1] + "…"


def terminal_width() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100


def read(path: Path) -> bytes:
    """A submission's bytes; - is standard input.

    Raises:
        NotGradable: it cannot be read.
    """
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(READ_LIMIT)
        with path.open("rb") as file:
            return file.read(READ_LIMIT)
    except OSError as error:
        raise NotGradable(f"{path} cannot be read: {error.strerror}.") from error
