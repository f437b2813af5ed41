"""`python -m labs hunt`: which mistakes are tasks of the bug hunt, and whether each is as it must be, judged in full."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from labs import load
from labs.check.answers import Answer, answers
from labs.check.grading import Result
from labs.check.standing import latest
from labs.check.sweep import Plan, Sweep, kept_results
from labs.check.terminal import line, text
from labs.hunt.task import Task, mended, tasks, why_none
from labs.hunt.told import Told, fingerprint, keep, told
from labs.mistake import Mistake


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command, beside the labs."""
    parser.add_argument(
        "--check", action="store_true", help="judge every broken kernel, and every right one that a mend leads to"
    )
    parser.add_argument("--write", action="store_true", help="with --check: keep what the reports said (labs/hunt/told.json)")
    parser.add_argument("--processes", type=int, default=2, help="that grade at the same time (default: 2)")
    parser.add_argument(
        "--after", type=Path, nargs="+", default=[], metavar="FILE", help="results of `check --json` to go on from"
    )


def hunt(lab_ids: list[str], options: argparse.Namespace) -> bool:
    """List the tasks of these labs, or judge them; whether all are as they must be."""
    if options.check:
        return _check(lab_ids, options)
    chosen = [task for task in tasks().values() if task.lab in lab_ids]
    for task in chosen:
        print(_line(task))
    for lab_id, mistake in _mistakes(lab_ids):
        if reason := why_none(lab_id, mistake):
            print(f"no task  {lab_id:22} {mistake.name:28} {reason}")
    levels = Counter(task.level for task in chosen)
    print(f"{len(chosen)} tasks; by level: {', '.join(f'{level}: {levels[level]}' for level in sorted(levels))}")
    return True


def _line(task: Task) -> str:
    place = f"{task.distance:2} lines from the symptom, {len(task.shown)} of {len(task.shown) + len(task.hidden)} cases fail"
    return f"{task.id} {task.lab:22} {task.mistake.name:28} {task.kind.name:10} level {task.level} ({task.score:.2f}: {place})"


def _mistakes(lab_ids: Iterable[str]) -> list[tuple[str, Mistake]]:
    return [(lab_id, mistake) for lab_id in lab_ids for mistake in load(lab_id).mistakes]


def _check(lab_ids: list[str], options: argparse.Namespace) -> bool:
    earlier = [result for path in options.after for result in kept_results(path)]
    with Sweep(Plan(processes=options.processes), earlier=earlier, say=lambda result: print(line(result), flush=True)) as sweep:
        sweep.run(_wanted(lab_ids))
    print(text(sweep.results, sweep.left, sweep.elapsed_s), flush=True)
    results = {(result.lab, result.file): result for of_lab in latest(sweep.results).values() for result in of_lab}
    said = {
        f"{lab_id}/{mistake.name}": _told(mistake, results[lab_id, f"mistakes/{mistake.name}"])
        for lab_id, mistake in _mistakes(lab_ids)
        if mistake.changes and (lab_id, f"mistakes/{mistake.name}") in results
    }
    wrong = [*_not_as_promised(results.values()), *_not_mended(lab_ids)]
    if options.write:
        keep(said.items())
    else:
        wrong += _not_as_told(said)
    for sentence in wrong:
        print(f"UNEXPECTED {sentence}", file=sys.stderr)
    print(f"{len(said)} mistakes {'judged and kept' if options.write else 'judged'}, {len(wrong)} promises not kept")
    return not sweep.left and not wrong


def _wanted(lab_ids: Iterable[str]) -> list[Answer]:
    """Every mistake that is an edit, and the right answers that they are edits of."""
    found = []
    for lab_id in lab_ids:
        folder = load(lab_id)
        bases = {mistake.base for mistake in folder.mistakes}
        found += [one for one in answers(folder) if one.file in bases or (one.mistake and one.mistake.changes)]
    return found


def _told(mistake: Mistake, result: Result) -> Told:
    failing = result.failing if result.found_by == "Check" else ()
    return Told(
        fingerprint=fingerprint(mistake.source), verdict=result.verdict, sentence=result.sentence, failing=tuple(failing)
    )


def _not_as_promised(results: Iterable[Result]) -> list[str]:
    return [f"{result.lab}/{result.file}: {result.broken}" for result in results if result.broken]


def _not_mended(lab_ids: Sequence[str]) -> list[str]:
    """Mistakes that are, mended, not letter by letter the right answer that was judged."""
    return [
        f"{lab_id}/{mistake.name}: mended, it is not {mistake.base}"
        for lab_id, mistake in _mistakes(lab_ids)
        if mistake.changes and mended(mistake) != (load(lab_id).path / mistake.base).read_text(encoding="utf-8")
    ]


def _not_as_told(said: dict[str, Told]) -> list[str]:
    """Mistakes of which told.json has another verdict than the judge, or no case in common: of some it is chance which fail."""
    return [
        f"{name}: told.json says {_brief(told().get(name))}, the judge {_brief(one)}"
        for name, one in said.items()
        if not _agree(told().get(name), one)
    ]


def _agree(before: Told | None, now: Told) -> bool:
    if before is None or (before.fingerprint, before.verdict) != (now.fingerprint, now.verdict):
        return False
    return before.failing == now.failing or bool(set(before.failing) & set(now.failing))


def _brief(one: Told | None) -> str:
    return f"{one.fingerprint} {one.verdict} of {', '.join(one.failing) or 'no visible case'}" if one else "nothing"
