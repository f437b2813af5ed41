"""The table of mistakes: what the judge says first of every mistake of every lab.

    python -m benchmarks.mistakes --out benchmarks/mistakes.md [--labs 2 3 5]

Each file is graded as a learner would: Check first, Submit where Check passes. A sentence names the bug where the diagnosis is
more than "a value is wrong" or "there is a NaN".
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.judge import as_promised
from grader.judge import Judge
from grader.judge.attempt import versions
from labs import LabFolder, lab_ids, load

UNNAMED = ("wrong_answer", "not_finite", "run", "crashed")  # diagnoses that only repeat what was seen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What was said of one mistake."""

    mistake: str
    verdict: str
    found_by: str  # Check or Submit
    sentence: str
    names_the_bug: bool
    as_promised: bool


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--labs", nargs="*", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    chosen = [lab for lab in lab_ids() if options.labs is None or int(lab[3:5]) in options.labs]
    with Judge() as judge:
        judge.self_test()
        rows = {lab: list(graded(judge, load(lab))) for lab in chosen}
    options.out.write_text("".join(f"{line.rstrip()}\n" for line in document(rows)), encoding="utf-8")


def graded(judge: Judge, folder: LabFolder) -> Iterator[Row]:
    """Each mistake of a lab; a line on the terminal for one that is not as its folder promises."""
    for path in folder.mistakes:
        source, found_by = path.read_bytes(), "Check"
        report = judge.grade(source, folder.id, mode="check")
        if report.passed:
            report, found_by = judge.grade(source, folder.id, mode="submit"), "Submit"
        promised = as_promised(folder, path, report)
        print(f"{folder.id}/{path.name}: {'' if promised else 'UNEXPECTED '}{report.diagnosis.sentence}", flush=True)
        yield Row(
            mistake=path.stem,
            verdict=str(report.verdict),
            found_by=found_by,
            sentence=report.diagnosis.sentence,
            names_the_bug=not report.passed and report.diagnosis.name not in UNNAMED,
            as_promised=promised,
        )


def document(rows: dict[str, list[Row]]) -> Iterator[str]:
    """Markdown."""
    every = [row for lab in rows.values() for row in lab]
    named, promised = sum(row.names_the_bug for row in every), sum(row.as_promised for row in every)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    yield "# What the judge says first of every mistake"
    yield ""
    yield f"`python -m benchmarks.mistakes {' '.join(sys.argv[1:])}`, {date}, on a CPU, "
    yield ", ".join(f"{name} {version}" for name, version in versions().items()) + ". "
    yield f"{len(every)} mistakes; the first sentence names the bug in {named} of them ({named / len(every):.1%}), "
    yield f"and verdict and sentence are as the folder promises in {promised}."
    yield ""
    yield "| lab | mistakes | named | found by Check |"
    yield "|---|---|---|---|"
    for lab, of_lab in rows.items():
        by_check = sum(row.found_by == "Check" for row in of_lab)
        yield f"| {lab} | {len(of_lab)} | {sum(row.names_the_bug for row in of_lab)} | {by_check} |"
    for lab, of_lab in rows.items():
        yield ""
        yield f"## {load(lab).lab.title} ({lab})"
        yield ""
        yield "| mistake | found by | first sentence |"
        yield "|---|---|---|"
        for row in of_lab:
            mark = "" if row.names_the_bug and row.as_promised else " **(not named)**"
            sentence = row.sentence.replace("|", "\\|")
            yield f"| `{row.mistake}` | {row.found_by} | {sentence}{mark} |"


if __name__ == "__main__":
    main()
