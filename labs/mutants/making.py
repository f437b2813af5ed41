"""Every mutant of a lab's right answers, and a fair choice of so many of them."""

from __future__ import annotations

import ast
import collections
import dataclasses
import random
from collections.abc import Sequence

from labs import LabFolder
from labs.check.answers import Answer, answers
from labs.mutants.mutant import Mutant, changed
from labs.mutants.operators import OPERATORS


def mutants(folder: LabFolder) -> tuple[Mutant, ...]:
    """Of each right answer, in the order of its lines; a file that two operators make is there once."""
    return tuple(mutant for answer in answers(folder) if answer.right for mutant in mutants_of(answer))


def mutants_of(answer: Answer) -> tuple[Mutant, ...]:
    """Every change of that answer."""
    tree, lines = ast.parse(answer.source), answer.source.splitlines()
    found: dict[str, Mutant] = {}
    for function in (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)):
        alone = [each for each in ast.walk(function) if isinstance(each, ast.stmt) and _begins_a_line(each, lines)]
        for node in (inner for statement in function.body for inner in ast.walk(statement)):
            for place in (place for operator in OPERATORS for place in operator(node, tree)):
                around = [each for each in alone if each.lineno <= place.line and place.end_line <= (each.end_lineno or 0)][-1]
                mutant = changed(answer.lab, answer.file, answer.source, place, around)
                if mutant is not None:
                    found.setdefault(mutant.source, mutant)
    turns: collections.Counter[str] = collections.Counter()
    named = []
    for mutant in sorted(found.values(), key=lambda mutant: (mutant.line, mutant.operator)):
        turns[mutant.name] += 1
        named.append(dataclasses.replace(mutant, turn=turns[mutant.name]))
    return tuple(named)


def _begins_a_line(statement: ast.stmt, lines: Sequence[str]) -> bool:
    """Whether its lines are Python without those around them."""
    before, text = lines[statement.lineno - 1][: statement.col_offset], lines[statement.lineno - 1][statement.col_offset :]
    return not before.strip() and not text.startswith("elif")


def chosen(made: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """So many of them, each operator of each base as often as the others, as far as there are so many."""
    turn = random.Random(seed)
    queues: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in turn.sample(list(made), len(made)):
        queues.setdefault((mutant.base, mutant.operator), []).append(mutant)
    picked: list[Mutant] = []
    while len(picked) < min(count, len(made)):
        for queue in queues.values():
            if queue and len(picked) < count:
                picked.append(queue.pop())
    return picked
