"""The same grader from a terminal: `python -m grader grade LAB FILE`, `record`, `replay`, `selftest`, `labs`, `worker`.

What asks a running server stands in `remote`, what is for whoever runs one in `class_commands`.

Exit codes: 0 every case right and nothing refused; 1 a gradable submission that is not right; 2 not gradable; 3 our own fault.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from grader import class_commands, gradescope, remote
from grader.faults import NotGradable
from grader.report import Report
from grader.terminal import ProgressLine, render

PASSED, NOT_PASSED, NOT_GRADABLE, OUR_FAULT = range(4)
LISTINGS = ("ptx", "sass")
READ_LIMIT = 1 << 20  # bytes read of a file before it is called too large


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is the answer for scripts."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as ended:
        return NOT_GRADABLE if ended.code else PASSED
    try:
        return options.run(options)
    except NotGradable as error:
        print(f"error: {error}", file=sys.stderr)
        return NOT_GRADABLE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return NOT_PASSED
    except BrokenPipeError:  # whoever read our output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_PASSED
    except Exception as error:  # whatever else reaches this line is ours, never the learner's
        logging.getLogger("grader").exception("the grader failed")
        print(f"error: the grader failed, the submission is not to blame: {error}", file=sys.stderr)
        return OUR_FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m grader", description="Grade Triton kernels of the chapter's labs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    grade = commands.add_parser("grade", help="grade a file")
    grade.add_argument("lab", metavar="LAB", help="a lab's id, or its number: lab02_safe_softmax, lab02 or 2")
    grade.add_argument("file", metavar="FILE", type=Path, help="the submission; - reads standard input")
    grade.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where it is judged (default: cpu)")
    grade.add_argument("--target", default="sm_90", metavar="SM", help="GPU to compile for without one (default: sm_90)")
    grade.add_argument("--visible-only", action="store_true", help="run the visible cases alone, as Check does")
    grade.add_argument("--prediction", type=float, metavar="NUMBER", help="the number that the lab asks for")
    grade.add_argument("--json", type=Path, metavar="OUT", help="also write the report as JSON; - prints only that")
    grade.add_argument("--gradescope", type=Path, metavar="OUT", help="also write Gradescope's results.json")
    for kind in LISTINGS:
        grade.add_argument(f"--{kind}", action="store_true", help=f"also print the {kind.upper()} of the compiled kernels")
    grade.add_argument("--no-colour", action="store_true", help="plain text")
    grade.set_defaults(run=_grade)

    record = commands.add_parser("record", help="compile a file and write its launches down, for another machine to replay")
    record.add_argument("lab", metavar="LAB")
    record.add_argument("file", metavar="FILE", type=Path)
    record.add_argument("out", metavar="OUT", type=Path)
    record.add_argument("--target", default="sm_90", metavar="SM", help="the other machine's GPU (default: sm_90)")
    record.add_argument("--visible-only", action="store_true")
    record.set_defaults(run=_record)

    replay = commands.add_parser("replay", help="grade records on this machine's GPU; no learner's code is run")
    replay.add_argument("records", metavar="RECORDS", type=Path)
    replay.add_argument("--json", type=Path, metavar="OUT")
    replay.set_defaults(run=_replay)

    labs = commands.add_parser("labs", help="list the labs")
    labs.set_defaults(run=_labs)

    selftest = commands.add_parser("selftest", help="probe the walls, and a GPU, on this machine")
    selftest.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    selftest.set_defaults(run=_selftest)

    remote.add_commands(commands)
    class_commands.add_commands(commands)

    worker = commands.add_parser("worker", help="grade what is queued, until stopped")
    worker.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    worker.set_defaults(run=_worker)
    return parser


def _grade(options: argparse.Namespace) -> int:
    try:
        return _graded(options)
    except NotGradable as error:
        if options.gradescope is not None:  # which would show a failure of the autograder where there is no file
            from labs import lab_ids, load

            lab_id = _lab_id(options.lab)
            points = load(lab_id).lab.points if lab_id in lab_ids() else 0.0
            _write_text(options.gradescope, gradescope.unreadable(str(error), points=points))
        raise


def _graded(options: argparse.Namespace) -> int:
    source = _read(options.file)
    lab_id = _lab_id(options.lab)
    only_json = options.json is not None and str(options.json) == "-"
    if options.device == "cuda":
        _require_gpu()
    from grader.judge import Judge

    mode = "check" if options.visible_only else "submit"
    with (
        Judge(device=options.device, target=options.target) as judge,
        ProgressLine(sys.stderr, enabled=sys.stderr.isatty()) as line,
    ):
        report = judge.grade(source, lab_id, mode=mode, prediction=options.prediction, progress=line.show)
    if only_json:
        print(report.to_json())
    else:
        colour = sys.stdout.isatty() and not options.no_colour and "NO_COLOR" not in os.environ
        listings = [kind for kind in LISTINGS if getattr(options, kind)]
        print(render(report, colour=colour, width=_width(), listings=listings))
    _write(options.json if not only_json else None, report, Report.to_json)
    _write(options.gradescope, report, gradescope.results)
    return PASSED if report.passed else NOT_PASSED


def _read(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(READ_LIMIT)
        with path.open("rb") as file:
            return file.read(READ_LIMIT)
    except OSError as error:
        raise NotGradable(f"{path} cannot be read: {error.strerror}.") from error


def _lab_id(text: str) -> str:
    """The id of the lab that is named so (`labs.named`); of none the text itself, which the judge then refuses."""
    from labs import named

    try:
        return named(text)
    except KeyError:
        return text


def _require_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise NotGradable("--device cuda: this machine has no GPU that torch can use; leave it out to grade on the CPU.")


def _width() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100


def _write(path: Path | None, report: Report, form: Callable[[Report], str]) -> None:
    if path is not None:
        _write_text(path, form(report))


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise NotGradable(f"{path} cannot be written: {error.strerror}.") from error


def _labs(options: argparse.Namespace) -> int:
    from labs import lab_ids, load

    for lab_id in lab_ids():
        lab = load(lab_id).lab
        print(f"{lab_id:24} {lab.points:4g} points  {lab.title}")
    return PASSED


def _selftest(options: argparse.Namespace) -> int:
    if options.device == "cuda":
        _require_gpu()
    from grader.judge import Judge

    with Judge(device=options.device) as judge:
        results = [judge.self_test()]
        if options.device == "cuda":
            results.append(judge.gpu_self_test())
    for result in results:
        print(result)
    return PASSED if all(result.ok for result in results) else OUR_FAULT


def _record(options: argparse.Namespace) -> int:
    source, lab_id = _read(options.file), _lab_id(options.lab)
    from grader.judge import Judge

    with Judge(target=options.target) as judge:
        records = judge.record(source, lab_id, mode="check" if options.visible_only else "submit")
    _write_bytes(options.out, records)
    print(f"{options.out}: {len(records):,} bytes, for {options.target}")
    return PASSED


def _replay(options: argparse.Namespace) -> int:
    _require_gpu()
    try:
        records = options.records.read_bytes()
    except OSError as error:
        raise NotGradable(f"{options.records} cannot be read: {error.strerror}.") from error
    from grader.judge import Judge

    with Judge(device="cuda") as judge, ProgressLine(sys.stderr, enabled=sys.stderr.isatty()) as line:
        report = judge.replay(records, progress=line.show)
    print(render(report, colour=sys.stdout.isatty(), width=_width()))
    _write(options.json, report, Report.to_json)
    return PASSED if report.passed else NOT_PASSED


def _write_bytes(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise NotGradable(f"{path} cannot be written: {error.strerror}.") from error


def _worker(options: argparse.Namespace) -> int:
    from grader.course.grading_process import main as work

    return work(["--device", options.device]) or PASSED


if __name__ == "__main__":
    sys.exit(main())
