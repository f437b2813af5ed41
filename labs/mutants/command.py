"""`python -m labs mutate`: the options, and what is written and said."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from labs import load
from labs.mutants.document import markdown
from labs.mutants.equivalents import unexplained
from labs.mutants.making import chosen, mutants
from labs.mutants.mutant import Mutant
from labs.mutants.pairs import named_neither, pairs
from labs.mutants.sweep import sweep
from labs.mutants.trial import Tried


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command, beside the labs."""
    parser.add_argument("--most", type=int, default=300, help="mutants of each lab, spread over its operators (default: 300)")
    parser.add_argument(
        "--pairs", action="store_true", help="two mistakes of the lab at once in the place of mutants, as --told"
    )
    parser.add_argument("--draw", type=int, default=0, metavar="N", help="which of them: another number, another choice")
    parser.add_argument("--processes", type=int, default=2, help="that try mutants at the same time (default: 2)")
    parser.add_argument("--budget-s", type=float, default=1e9, help="what is not tried by then is left, and said")
    parser.add_argument(
        "--told", action="store_true", help="ask as well what a learner is told of each (about four times the time)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the results as they come, as JSON")
    parser.add_argument("--after", type=Path, nargs="*", default=(), metavar="FILE", help="results of earlier sweeps, kept")
    parser.add_argument("--document", type=Path, metavar="MD", help="write the tables and every survivor")


def mutate(lab_ids: Sequence[str], options: argparse.Namespace) -> bool:
    """Try mutants of these labs; whether every survivor is explained and none was left.

    Raises:
        ValueError: --after is no file of results.
    """
    began, told = time.time(), options.told or options.pairs
    earlier = [result for path in options.after for result in kept(path)]
    known = {(result.name, result.line) for result in earlier if result.said or result.survived or not told}
    made = {lab_id: (pairs if options.pairs else mutants)(load(lab_id)) for lab_id in lab_ids}
    wanted: list[Mutant] = []
    for turn in _in_turn([chosen(each, options.most, options.draw) for each in made.values()]):
        wanted += [mutant for mutant in turn if (mutant.name, mutant.line) not in known]
    count = sum(map(len, made.values()))
    print(f"{count} mutants, {len(wanted)} of them to be tried", flush=True)
    again = {(mutant.name, mutant.line) for mutant in wanted}
    results = [result for result in earlier if (result.name, result.line) not in again]

    def keep(result: Tried) -> None:
        _say(result)
        results.append(result)
        if options.out:
            document = {"command": _command(), "seconds": round(time.time() - began), "made": count}
            _write(options.out, {**document, "results": [dataclasses.asdict(each) for each in results]})

    bounds = {"processes": options.processes, "budget_s": options.budget_s}
    found = sweep(wanted, **bounds, told=told, say=keep) if wanted else []
    seconds = round(time.time() - began)
    if options.document:
        swept = [_sweep(path) for path in options.after] + [(_command(), seconds)] * bool(found)
        heading = " ".join(f"`{command}`, {taken} s." for command, taken in swept)
        options.document.write_text(markdown(results, count, heading), encoding="utf-8")
    survivors, left = unexplained(results), len(wanted) - len(found)
    print(f"{len(results)} tried in {seconds} s, {len(survivors)} survived and are not explained, {left} left")
    for result in survivors:
        print(f"SURVIVED {result.name} line {result.line}: {result.old!r} -> {result.new!r}")
    misnamed = [result for result in results if named_neither(result)] if options.pairs else []
    for result in misnamed:
        print(f"NAMED NEITHER {result.lab} {result.old} and {result.new}: {result.sentence}")
    return not survivors and not left and not misnamed


def _in_turn(queues: Sequence[Sequence[Mutant]]) -> list[list[Mutant]]:
    """The first of each, the second of each, …: a budget that ends early has seen every lab."""
    longest = max(map(len, queues), default=0)
    return [[queue[index] for queue in queues if index < len(queue)] for index in range(longest)]


def kept(path: Path) -> list[Tried]:
    """What an earlier sweep kept in `path`.

    Raises:
        ValueError: it is no such file.
    """
    try:
        return [Tried(**result) for result in json.loads(path.read_text(encoding="utf-8"))["results"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no results of mutants: {error!r}") from error


def _write(path: Path, document: dict[str, object]) -> None:
    """Whole or not at all: whoever is interrupted keeps what was found before."""
    half = path.with_suffix(".half")
    half.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    half.replace(path)


def _sweep(path: Path) -> tuple[str, int]:
    """The command that kept `path`, and how long it took."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return document["command"], document["seconds"]


def _say(result: Tried) -> None:
    print(
        f"{result.seconds:6.2f} s {result.verdict:14} {result.name} line {result.line} {result.case} {result.said}", flush=True
    )


def _command() -> str:
    return "python -m labs " + " ".join(sys.argv[1:])
