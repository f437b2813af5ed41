"""Which changes of a file are tried, those that repair most often first."""

from __future__ import annotations

import ast
import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from grader.sandbox.repairs import calls, expressions, loops, statements, values
from grader.sandbox.repairs.place import Splice, standing
from grader.sandbox.repairs.scope import Scope

Operator = Callable[[ast.AST, Scope], Iterator[Splice]]
OPERATORS: tuple[Operator, ...] = (
    expressions.comparisons, expressions.names, expressions.operators, expressions.conditions, expressions.indices,
    expressions.exchanged, values.factors, values.subtracted, values.casts, values.constants, calls.masks, calls.hidden,
    calls.functions, calls.ranges, calls.arguments, calls.rounding, statements.updates, statements.like, statements.terms,
    statements.strides, loops.order, loops.kept,
)  # fmt: skip


# How soon each is tried: what is slipped often and has few forms comes first.
TURNS = (
    ("comparison", "bound", "rounded", "range", "operands", "reduction", "base", "axis", "turned", "type", "zeros", "order",
     "moved", "replaced", "kept", "afterwards"),
    ("mask", "other", "filling", "program", "larger", "cast", "like", "weighed", "added", "exchanged", "programs", "name",
     "stride"),
    ("operator", "without", "from", "subtracted", "number", "sign", "widened", "branch", "condition", "axes", "statement"),
    ("term", "hidden", "divided", "condition more", "condition other", "transposed", "far base"),
    ("far name", "far weighed", "far added", "far divided", "size"),
)  # fmt: skip
_TURN = {operator: turn for turn, several in enumerate(TURNS) for operator in several}


SHORT, READABLE = 5, 60  # characters of what says little by itself, and of what is read at a glance
MOST_ALIKE = 6  # places in which one slip is looked for at once
_ALONE = ("exchanged", "size", "statement", "order", "moved", "like", "kept")  # slips that nobody makes everywhere


def repairs(source: str, first: Collection[str] = ()) -> list[tuple[Splice, ...]]:
    """Changes of a source with one line end, the likely ones first: each of one place, or of all places of a function where
    the same stands.

    Args:
        first: operators that come before all others, since what was measured speaks for them.
    """
    found: dict[tuple[Splice, ...], None] = {}
    tree, lines = ast.parse(source), source.encode().split(b"\n")
    for function in (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)):
        scope = Scope(function)
        alike: dict[tuple[str, str, str], list[Splice]] = {}
        for node in (function, *(inner for statement in function.body for inner in ast.walk(statement))):
            for place in (place for operator in OPERATORS for place in operator(node, scope)):
                old = standing(lines, place.line, place.column, place.end_line, place.end_column)
                if old != place.new:
                    place = _in_its_place(lines, place, old, node, scope)
                    found.setdefault((place,))
                    if _TURN[place.operator] < len(TURNS) - 1 and place.operator not in _ALONE:
                        alike.setdefault((place.operator, old, place.new), []).append(place)
        for several in map(dict.fromkeys, alike.values()):
            if 1 < len(several) <= MOST_ALIKE:
                found.setdefault(tuple(several))
        for places in loops.afterwards(scope):
            found.setdefault(places)
    return _in_turns(found, first)


def _in_its_place(lines: Sequence[bytes], place: Splice, old: str, node: ast.AST, scope: Scope) -> Splice:
    """What is as short as a number or an operator is told with what stands around it: axis=1 in the place of axis=0."""
    around = scope.parents.get(node)
    while isinstance(around, ast.expr | ast.keyword) and len(old) <= SHORT and not place.told:
        if around.lineno != place.line or around.end_lineno != place.line:
            break
        whole = standing(lines, place.line, around.col_offset, place.line, around.end_col_offset or 0)
        first = place.column - around.col_offset
        if not whole.isascii() or len(whole) > READABLE:
            break
        if len(whole) > len(old):
            changed = whole[:first] + place.new + whole[first + len(old) :]
            return dataclasses.replace(place, told=f"with `{changed}` in the place of `{whole}`")
        around = scope.parents.get(around)
    return place


def _in_turns(found: Iterable[tuple[Splice, ...]], first: Collection[str]) -> list[tuple[Splice, ...]]:
    """Turn by turn, and within one the first of each operator before the second of any: those with few forms are soon done."""
    made: Counter[str] = Counter()
    keys = {}
    for places in found:
        operator = places[0].operator
        keys[places] = operator not in first, 0 if operator in first else _TURN[operator], made[operator]
        made[operator] += 1
    return sorted(keys, key=lambda places: keys[places])
