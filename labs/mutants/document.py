"""What a sweep of mutants found, as a Markdown document: a table by lab, one by operator, and every survivor."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence

from labs.mutants.equivalents import reasons
from labs.mutants.trial import SLOW, Tried
from labs.mutants.truths import TRUE, readings, told_how, told_wrongly


def markdown(results: Sequence[Tried], made: int, heading: str) -> str:
    """The document. `made`: how many mutants there are, tried or not."""
    lines = [
        "# Mutants: does a small change of a right kernel show?",
        "",
        heading,
        f"Of {made} mutants {len(results)} were tried, in the interpreter. Equivalent ones change no answer that a case could",
        "ask for; each has its reason in `labs/mutants/equivalents.json`, which a test holds. Two mistakes in one kernel are",
        "tried by `python -m labs mutate --pairs`.",
        "",
        *_table("lab", results, lambda result: result.lab),
        "",
        *_table("operator", results, lambda result: result.operator),
        "",
        *_survivors(results),
        "",
        *_told(results),
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


def _told(results: Sequence[Tried]) -> Iterator[str]:
    """What a learner is told of those that fail: by lab, by operator, and what is true of each operator."""
    asked = [result for result in results if told_how(result)]
    yield "## What is said of those that fail"
    yield ""
    yield (
        f"Of {len(asked)} it was asked (`--told`). Named: a sentence says the cause. Facts: what was measured, and no cause. "
        "Located: the line where memory outside is touched, where programs race, or that does not compile. Repaired: a small "
        "change with which it is right, whatever else is said. Untrue: read, and not so."
    )
    for by, key in (("lab", lambda result: result.lab), ("operator", lambda result: result.operator)):
        yield ""
        yield f"| {by} | told | named | repaired | facts | located | untrue |"
        yield "|---|---|---|---|---|---|---|"
        groups: dict[str, list[Tried]] = collections.defaultdict(list)
        for result in asked:
            groups[key(result)].append(result)
        for name, found in [*sorted(groups.items()), ("all", asked)]:
            ways = collections.Counter(map(told_how, found))
            told = [ways[way] for way in ("named", "repaired", "facts", "located")]
            counts = (len(found), *told, sum(map(told_wrongly, found)))
            yield f"| {name} | {' | '.join(map(str, counts))} |"
    untrue = collections.Counter(readings()[result.name]["why"] for result in asked if told_wrongly(result))
    if untrue:
        yield ""
        yield "| what was untrue | how often |"
        yield "|---|---|"
        yield from (f"| {why} | {count} |" for why, count in untrue.most_common())
    yield ""
    yield "| operator | what is true of it |"
    yield "|---|---|"
    yield from (f"| {operator} | {what} |" for operator, what in sorted(TRUE.items()))


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
