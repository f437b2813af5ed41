"""`python -m labs check`: the options, and what is written and said."""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from labs import load
from labs.check.answers import KINDS, answers
from labs.check.document import markdown
from labs.check.grading import Result
from labs.check.standing import unexpected
from labs.check.sweep import Plan, Sweep, kept_results
from labs.check.terminal import line, text


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command, beside the labs."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--gpus", nargs="+", default=["0"], help="ordinals, as CUDA_VISIBLE_DEVICES takes them")
    parser.add_argument("--processes", type=_positive, default=2, help="that grade at the same time, on each GPU (default: 2)")
    parser.add_argument("--timed-processes", type=_positive, default=2, help="of them, where speed is measured (default: 2)")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument(
        "--repeats", type=int, default=0, help="grade the solutions so often again, to see how steady times are"
    )
    parser.add_argument("--budget-s", type=float, default=Plan.budget_s, help="what is not graded by then is left, and said")
    parser.add_argument(
        "--out", type=_in_a_folder, metavar="MD", help="write every sentence and every time as a Markdown table"
    )
    parser.add_argument("--json", type=_in_a_folder, metavar="FILE", help="keep the results as they come, for --after")
    parser.add_argument("--after", type=Path, metavar="FILE", help="the --json of an earlier check: what it graded is kept")


def check(lab_ids: list[str], options: argparse.Namespace) -> bool:
    """Grade every answer of these labs and print what came of it; whether all was graded and is as promised.

    Raises:
        ValueError: there is no GPU to grade on, or --after is no file of results.
    """
    if options.device == "cuda" and not _has_gpu():
        raise ValueError("--device cuda: this machine has no GPU that torch can use; leave it out to grade on the CPU")
    wanted = [answer for lab_id in lab_ids for answer in answers(load(lab_id)) if answer.kind in options.only]
    gpus = tuple(options.gpus) if options.device == "cuda" else ("0",)
    plan = Plan(
        device=options.device,
        gpus=gpus,
        processes=options.processes,
        timed_processes=options.timed_processes,
        repeats=options.repeats,
        budget_s=options.budget_s,
    )
    heading = _heading(options.device)
    earlier = kept_results(options.after) if options.after else []
    with Sweep(plan, earlier=earlier, kept=options.json, heading=heading, say=_say) as sweep:
        sweep.run(wanted)
    if options.out:
        said = f"`{heading['command']}`, {heading['date'][:10]}, {heading['device']}, "
        said += ", ".join(f"{name} {version}" for name, version in heading["versions"].items()) + "."
        options.out.write_text(markdown(sweep.results, said), encoding="utf-8")
    print(text(sweep.results, sweep.left, sweep.elapsed_s), flush=True)
    return not sweep.left and not unexpected(sweep.results)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: expected 1 or more")
    return int(text)


def _in_a_folder(text: str) -> Path:
    """A path to write to, checked before anything is graded."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path.parent} is no folder: expected one to write {path.name} into")
    return path


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _say(result: Result) -> None:
    print(line(result), flush=True)


def _heading(device: str) -> dict:
    from grader.judge.attempt import versions

    return {
        "device": _device_name(device),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": "python -m labs " + " ".join(sys.argv[1:]),
    }


def _device_name(device: str) -> str:
    if device == "cpu":
        return "CPU"
    import torch

    return torch.cuda.get_device_name(0)
