"""What a sweep found, as a Markdown document: every sentence and every time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labs import load
from labs.check.grading import Result
from labs.check.standing import latest, speed


def markdown(results: Sequence[Result], heading: str) -> str:
    """The document: a line for each lab, then what is said of each of its files."""
    of_lab = latest(results)
    mistakes = [result for files in of_lab.values() for result in files if result.kind == "mistake"]
    named = sum(result.named for result in mistakes)
    lines = [
        "# What the judge says of every answer",
        "",
        heading,
        f"The first sentence names the bug of {named} of {len(mistakes)} mistakes.",
        "",
        "| lab | files | as promised | mistakes | named | found by Check |",
        "|---|---|---|---|---|---|",
        *(_row_of_lab(lab, files) for lab, files in of_lab.items()),
    ]
    for lab, files in of_lab.items():
        lines += ["", f"## {load(lab).lab.title} ({lab})", "", *_rows(files)]
    return "\n".join(lines) + "\n"


def _row_of_lab(lab: str, files: Sequence[Result]) -> str:
    mistakes = [result for result in files if result.kind == "mistake"]
    counts = (
        len(files),
        sum(not result.broken for result in files),
        len(mistakes),
        sum(result.named for result in mistakes),
        sum(result.found_by == "Check" for result in mistakes),
    )
    return f"| {lab} | {' | '.join(map(str, counts))} |"


def _rows(files: Sequence[Result]) -> Iterator[str]:
    right = [result for result in files if result.kind in ("solution", "honest")]
    if right:
        yield "| right answer | verdict | points | ms | of the reference | of the roof | earns for speed |"
        yield "|---|---|---|---|---|---|---|"
        for result in sorted(right, key=speed, reverse=True):
            yield f"| `{result.file}` | {result.verdict}{_mark(result)} | {result.points:g} | {' | '.join(_times(result))} |"
        yield ""
    yield "| wrong answer | verdict | found by | first sentence |"
    yield "|---|---|---|---|"
    for result in files:
        if result not in right:
            sentence = result.sentence.replace("|", "\\|").replace("\n", " ")
            yield f"| `{result.file}` | {result.verdict}{_mark(result)} | {result.found_by} | {sentence} |"


def _times(result: Result) -> tuple[str, ...]:
    if not result.timing:
        return ("-",) * 4
    timing = result.timing
    ratios = f"{timing['reference_ratio']:.3f}", f"{timing['roof_share']:.3f}"
    return f"{timing['latency_ms']:.4f}", *ratios, f"{result.earns:.0%}"


def _mark(result: Result) -> str:
    return f" **UNEXPECTED: {result.broken}**".replace("|", "\\|") if result.broken else ""
