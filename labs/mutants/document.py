"""What a sweep of mutants found, as a Markdown document: a table by lab, one by operator, and every survivor."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence

from labs.mutants.equivalents import reasons
from labs.mutants.trial import SLOW, Tried


def markdown(results: Sequence[Tried], made: int, heading: str) -> str:
    """The document. `made`: how many mutants there are, tried or not."""
    lines = [
        "# Mutants: does a small change of a right kernel show?",
        "",
        heading,
        f"Of {made} mutants {len(results)} were tried. Equivalent ones change no answer that any case could ask for.",
        "",
        *_table("lab", results, lambda result: result.lab),
        "",
        *_table("operator", results, lambda result: result.operator),
        "",
        *_survivors(results),
    ]
    return "\n".join(lines) + "\n"


def _table(by: str, results: Sequence[Tried], key: Callable[[Tried], str]) -> Iterator[str]:
    known = reasons()
    groups: dict[str, list[Tried]] = collections.defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    yield f"| {by} | tried | failed | too slow | equivalent | survived |"
    yield "|---|---|---|---|---|---|"
    for name, found in [*sorted(groups.items()), ("all", list(results))]:
        survived = [result for result in found if result.survived]
        equivalent = sum(result.name in known for result in survived)
        slow = sum(result.verdict == SLOW for result in found)
        counts = (len(found), len(found) - len(survived) - slow, slow, equivalent, len(survived) - equivalent)
        yield f"| {name} | {' | '.join(map(str, counts))} |"


def _survivors(results: Sequence[Tried]) -> Iterator[str]:
    known = reasons()
    yield "| survivor | line | operator | change | why it is none |"
    yield "|---|---|---|---|---|"
    for result in sorted((each for each in results if each.survived), key=lambda each: (each.lab, each.base, each.line)):
        change = f"`{_cell(result.old)}` → `{_cell(result.new)}`"
        reason = known.get(result.name, "**not explained**")
        yield f"| {result.lab}/{result.base} | {result.line} | {result.operator} | {change} | {reason} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
