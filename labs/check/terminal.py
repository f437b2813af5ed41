"""What a sweep found, on the terminal: a line for each result as it comes, and a page at the end."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from labs import load
from labs.check.answers import Answer
from labs.check.grading import Result
from labs.check.standing import latest, speed, unexpected
from labs.check.sweep import REPEAT

SENTENCE = 160  # letters of a diagnosis
SHOWN_LEFT = 60  # of the files that were not graded


def line(result: Result) -> str:
    """One result on the terminal as it comes."""
    mark = f"UNEXPECTED {result.broken} | " if result.broken else ""
    return f"{result.seconds:6.2f} s {result.lab}/{result.file}: {result.verdict} | {mark}{result.sentence[:SENTENCE]}"


def text(results: Sequence[Result], left: Sequence[tuple[str, Answer]], seconds: float) -> str:
    """The page of text. `results` in the order in which they came."""
    of_lab = latest(results)
    lines = [
        f"{sum(map(len, of_lab.values()))} files in {seconds:.0f} s",
        *_promised(of_lab),
        *_unsteady(results),
        *_timed(of_lab),
        *_repeated(results),
        *_unexpected(unexpected(results)),
        *_left(left),
    ]
    return "\n".join(lines)


def _promised(of_lab: dict[str, list[Result]]) -> Iterator[str]:
    for lab, files in of_lab.items():
        slowest = max(files, key=lambda result: result.seconds)
        good = sum(not result.broken for result in files)
        yield f"{lab:22} as promised {good:3} / {len(files):3}   slowest {slowest.seconds:.1f} s {slowest.file}"


def _unexpected(broken: Iterable[Result]) -> Iterator[str]:
    for result in broken:
        yield f"UNEXPECTED {result.lab}/{result.file}: {result.broken}"
        yield f"    {result.verdict}: {result.sentence[:SENTENCE]}"
        yield f"    failing: {', '.join(result.failing[:8]) or '-'}"


def _unsteady(results: Sequence[Result]) -> Iterator[str]:
    """Files that were graded twice with two verdicts."""
    verdicts: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if not result.step.startswith(REPEAT):
            verdicts.setdefault((result.lab, result.file), []).append(result.verdict)
    for (lab, file), said in verdicts.items():
        if len(set(said)) > 1:
            yield f"UNSTEADY {lab}/{file}: {', then '.join(said)}"


def _timed(of_lab: dict[str, list[Result]]) -> Iterator[str]:
    """Every right file: its time, its ratio to the reference and share of the roof, ‡ at the one that its lab counts, and what
    part of the points for speed that earns.
    """
    for lab, files in of_lab.items():
        performance = load(lab).lab.performance
        right = [result for result in files if result.verdict == "passed"]
        if performance is None or not any(result.timing for result in right):
            continue
        yield f"{lab}: {performance.measure}, none at {performance.zero_at}, full at {performance.full_at}"
        for result in sorted(right, key=speed, reverse=True):
            if not result.timing:
                yield f"    {result.file:46} not timed: {result.note[:SENTENCE]}"
                continue
            counts = "roof_share" if performance.measure == "roof" else "reference_ratio"
            shown = [
                f"{name.partition('_')[0]} {result.timing[name]:.3f}{'‡' if name == counts else ' '}"
                for name in ("reference_ratio", "roof_share")
            ]
            yield (
                f"    {result.file:46} {result.timing['latency_ms']:8.4f} ms  {'  '.join(shown)}"
                f"  spread {result.timing['spread']:.1%}  earns {result.earns:.0%}"
            )


def _repeated(results: Sequence[Result]) -> Iterator[str]:
    of_lab: dict[str, list[Result]] = {}
    for result in results:
        if result.step.startswith(REPEAT):
            of_lab.setdefault(result.lab, []).append(result)
    for lab, runs in sorted(of_lab.items()):
        said = f"{lab}: solution {len(runs)} times, {statistics.median(run.seconds for run in runs):.2f} s in the median"
        held = [run.gpu_held_s for run in runs if run.gpu_held_s is not None]
        if held:
            said += f", GPU held {statistics.median(held):.2f} s"
        ratios = [run.timing["reference_ratio"] for run in runs if run.timing]
        if ratios:
            middle = statistics.median(ratios)
            said += f", ratio {middle:.4f} ({min(ratios) / middle - 1:+.2%} to {max(ratios) / middle - 1:+.2%})"
            said += f", refused {len(runs) - len(ratios)}"
        yield said


def _left(left: Sequence[tuple[str, Answer]]) -> Iterator[str]:
    if left:
        yield f"NOT GRADED, the budget was spent: {len(left)}"
        yield "    " + ", ".join(f"{answer.lab}/{answer.file} ({step})" for step, answer in left[:SHOWN_LEFT])
