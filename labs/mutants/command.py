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
from labs.mutants.sweep import sweep
from labs.mutants.trial import Tried


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command, beside the labs."""
    parser.add_argument("--most", type=int, default=300, help="mutants of each lab, spread over its operators (default: 300)")
    parser.add_argument("--draw", type=int, default=0, metavar="N", help="which of them: another number, another choice")
    parser.add_argument("--processes", type=int, default=2, help="that try mutants at the same time (default: 2)")
    parser.add_argument("--budget-s", type=float, default=1e9, help="what is not tried by then is left, and said")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the results, as JSON")
    parser.add_argument("--after", type=Path, nargs="*", default=(), metavar="FILE", help="results of earlier sweeps, kept")
    parser.add_argument("--document", type=Path, metavar="MD", help="write the tables and every survivor")


def mutate(lab_ids: Sequence[str], options: argparse.Namespace) -> bool:
    """Try mutants of these labs; whether every survivor is explained and none was left.

    Raises:
        ValueError: --after is no file of results.
    """
    began = time.time()
    earlier = [result for path in options.after for result in kept(path)]
    known = {(result.name, result.line) for result in earlier}
    made = {lab_id: mutants(load(lab_id)) for lab_id in lab_ids}
    wanted: list[Mutant] = []
    for turn in _in_turn([chosen(each, options.most, options.draw) for each in made.values()]):
        wanted += [mutant for mutant in turn if (mutant.name, mutant.line) not in known]
    count = sum(map(len, made.values()))
    print(f"{count} mutants, {len(wanted)} of them to be tried", flush=True)
    found = sweep(wanted, processes=options.processes, budget_s=options.budget_s, say=_say) if wanted else []
    results = [*earlier, *found]
    seconds = round(time.time() - began)
    if options.out:
        results_of = [dataclasses.asdict(result) for result in results]
        document = {"command": _command(), "seconds": seconds, "made": count, "results": results_of}
        options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.document:
        options.document.write_text(markdown(results, count, f"`{_command()}`, {seconds} s."), encoding="utf-8")
    survivors, left = unexplained(results), len(wanted) - len(found)
    print(f"{len(results)} tried in {seconds} s, {len(survivors)} survived and are not explained, {left} left")
    for result in survivors:
        print(f"SURVIVED {result.name} line {result.line}: {result.old!r} -> {result.new!r}")
    return not survivors and not left


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


def _say(result: Tried) -> None:
    print(f"{result.seconds:6.2f} s {result.verdict:14} {result.name} line {result.line} {result.case}", flush=True)


def _command() -> str:
    return "python -m labs " + " ".join(sys.argv[1:])
