"""The same grader from a terminal: `python -m grader grade LAB FILE …`, `show`, `record`, `replay`, `selftest`, `labs`, …

What asks a running server stands in `remote`, what is for whoever runs one in `class_commands`.

Exit codes: 0 every case right and nothing refused; 1 a gradable submission that is not right; 2 not gradable; 3 our own fault.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from grader import class_commands, gradescope, remote, streams, terminal_grading, wording
from grader.faults import NotGradable
from grader.report import Report
from grader.sandbox.record.gpus import GPUS
from grader.terminal import ProgressLine, render
from grader.terminal_pen import clean
from grader.terminal_show import WHATS, show

if TYPE_CHECKING:
    from grader.judge.gpu.selftest import GpuSelfTest
    from grader.sandbox.selftest.walls import SelfTest
    from labs import LabFolder


PASSED, NOT_PASSED, NOT_GRADABLE, OUR_FAULT = range(4)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is the answer for scripts."""
    streams.open_all()
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as ended:
        return NOT_GRADABLE if ended.code else PASSED
    try:
        code = options.run(options)
        sys.stdout.flush()
        return code
    except NotGradable as error:
        print(f"error: {error}", file=sys.stderr)
        return NOT_GRADABLE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return NOT_PASSED
    except BrokenPipeError:  # whoever read our output has enough of it
        streams.forget_output()
        return NOT_PASSED
    except Exception as error:  # whatever else reaches this line is ours, never the learner's
        if why := streams.unwritable(error):
            streams.forget_output()
            print(f"error: standard output cannot be written: {why}.", file=sys.stderr)
            return NOT_GRADABLE
        logging.getLogger("grader").exception("the grader failed")
        print(f"error: the grader failed, the submission is not to blame: {error}", file=sys.stderr)
        return OUR_FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m grader", description="Grade Triton kernels of the chapter's labs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    grade = commands.add_parser("grade", help="grade a file")
    terminal_grading.add_arguments(grade)
    grade.set_defaults(run=_grade)

    shown = commands.add_parser("show", help="print what a lab says of itself")
    shown.add_argument("lab", metavar="LAB")
    shown.add_argument("what", metavar="WHAT", choices=WHATS, help=", ".join(WHATS))
    shown.set_defaults(run=_show)

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
    worker.add_argument("--id", metavar="NAME", default="", help="unique among those that live (default: from host and device)")
    worker.add_argument("--workers", type=int, default=1, metavar="N", help="grading processes; 0: as this machine carries (1)")
    worker.set_defaults(run=_worker)
    return parser


def _grade(options: argparse.Namespace) -> int:
    _check_target(options.target)
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
    if options.device == "cuda":
        _require_gpu()
    return PASSED if terminal_grading.grade(options, lab_id=_lab_id, written=_written) else NOT_PASSED


def _written(report: Report, source: str, options: argparse.Namespace) -> None:
    _write(options.json if str(options.json) != "-" else None, report, Report.to_json)
    _write(options.gradescope, report, gradescope.results)
    if options.trace is None:
        return
    if report.trace is None:
        print("no trace is written: no visible case ran far enough to be watched", file=sys.stderr)
        return
    from tabs.figures.watch_page import page

    verdict = f"{wording.WORDS[report.verdict]}. {wording.sentence(report.diagnosis.sentence)}"
    shown = page(report.trace, source, lab=report.title, verdict=verdict, failed=report.failed_in_trace)
    _write_text(options.trace, shown)


def _check_target(target: str) -> None:
    if target not in GPUS:
        raise NotGradable(f"--target {target} is not known: it may be {', '.join(GPUS)}.")


def _show(options: argparse.Namespace) -> int:
    print(show(_folder(options.lab), options.what))
    return PASSED


def _folder(text: str) -> LabFolder:
    from labs import lab_ids, load

    lab_id = _lab_id(text)
    if lab_id not in lab_ids():
        raise NotGradable(f"There is no lab {text!r}: expected one of {', '.join(lab_ids())}.")
    return load(lab_id)


def _lab_id(text: str) -> str:
    """The id of the lab that is named so (`labs.named`); of none the text itself, which the judge then refuses."""
    from labs import named

    try:
        return named(text)
    except KeyError:
        return text


def _require_gpu() -> None:
    from grader.course import zero_gpu

    if zero_gpu.device() != "cuda":
        none = "--device cuda: this machine has no GPU that torch can use; leave it out to grade on the CPU."
        raise NotGradable(zero_gpu.note("cpu") or none)


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
        print(f"{lab_id:24} {lab.points:4g} points  {lab.entry}({', '.join(lab.arguments)})  {lab.title}")
    return PASSED


def _selftest(options: argparse.Namespace) -> int:
    if options.device == "cuda":
        _require_gpu()
    from grader.judge import Judge

    with Judge(device=options.device) as judge:
        results: list[SelfTest | GpuSelfTest] = [judge.self_test()]
        if options.device == "cuda":
            results.append(judge.gpu_self_test())
    for result in results:
        print(result)
    return PASSED if all(result.ok for result in results) else OUR_FAULT


def _record(options: argparse.Namespace) -> int:
    _check_target(options.target)
    from grader.sandbox.process.door import start_ahead

    source, starting = terminal_grading.read(options.file), start_ahead()
    lab_id = _lab_id(options.lab)
    from grader.judge import Judge

    with Judge(target=options.target, sandbox=starting) as judge:
        records = judge.record(source, lab_id, mode="check" if options.visible_only else "submit")
    _write_bytes(options.out, records)
    with zipfile.ZipFile(io.BytesIO(records)) as archive:
        names = archive.namelist()
        recorded = sum(name.endswith(".record") for name in names)
        why = next((json.loads(archive.read(name)) for name in names[1:] if name.endswith(".json")), None)
    print(f"{options.out}: {len(records):,} bytes, for {options.target}; {recorded} of {len(names) - 1} cases recorded")
    if why is not None:
        fault = why.get("fault") or {}
        said = fault.get("text") or why.get("ending") or "no reason was given"
        print(f"not recorded: {clean(said)}", file=sys.stderr)
    return PASSED if recorded else NOT_GRADABLE


def _replay(options: argparse.Namespace) -> int:
    _require_gpu()
    try:
        records = options.records.read_bytes()
    except OSError as error:
        raise NotGradable(f"{options.records} cannot be read: {error.strerror}.") from error
    from grader.judge import Judge

    with Judge(device="cuda") as judge, ProgressLine(sys.stderr, enabled=sys.stderr.isatty()) as line:
        report = judge.replay(records, progress=line.show)
    print(render(report, colour=sys.stdout.isatty(), width=terminal_grading.terminal_width()))
    _write(options.json, report, Report.to_json)
    return PASSED if report.passed else NOT_PASSED


def _write_bytes(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise NotGradable(f"{path} cannot be written: {error.strerror}.") from error


def _worker(options: argparse.Namespace) -> int:
    from grader.course.alone import grade_alone

    if options.workers < 0:
        raise NotGradable(f"--workers {options.workers} must be a number of grading processes; 0: as the machine carries.")
    if options.device == "cuda":
        _require_gpu()
    return grade_alone(device=options.device, name=options.id, count=options.workers)


if __name__ == "__main__":
    sys.exit(main())
