"""Changes of what is computed: a weight more or less, a cast, another number, the maximum subtracted."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

from grader.sandbox.repairs.place import Splice
from grader.sandbox.repairs.scope import INDEX, VALUE, Scope, function_of, text_of

LOG2_E, LN_2 = "1.4426950408889634", "0.6931471805599453"
INFINITE = ("float('inf')", "math.inf", "torch.inf")  # as they are unparsed
SMALLEST_TILE = 8
CLOSE = 0.2  # so near to log2(e) or ln(2) that it is meant
_WIDER = {
    "float16": ("float32",),
    "bfloat16": ("float32",),
    "int8": ("uint8", "int64"),
    "uint8": ("int8",),
    "int16": ("int64",),
    "int32": ("int64",),
}
_NEAR = 2  # weights that are tried soon


def factors(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """A value times what else the function has: what is kept in steps times a weight; a product times the scale."""
    if not isinstance(node, ast.expr) or scope.kind(node) != VALUE or not scope.is_kernel:
        return
    parent = scope.parents[node]
    of_statement = isinstance(parent, ast.Assign | ast.AugAssign) and parent.value is node and not _is_start(node)
    stored = isinstance(parent, ast.Call) and function_of(parent) == "store" and parent.args[1:2] == [node]
    kept = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and _is_updated(node, scope)
    if not (of_statement or stored or kept):
        return
    own = text_of(node)
    for at, other in enumerate(_weights(scope)):
        near = at < _NEAR or other in scope.arguments
        for form in (other, f"{other}[:, None]"):
            if kept and other != own:
                yield Splice.of("weighed" if near else "far weighed", node, f"({own} * {form})")
            elif other not in own and not kept:
                yield Splice.of("weighed" if near else "far weighed", node, f"({own} * {form})")
                yield Splice.of("divided" if stored else "far divided", node, f"({own} / {form})")
    if of_statement:
        for number in (LOG2_E, LN_2):
            yield Splice.of("far base", node, f"({own} * {number})")


def _is_start(node: ast.expr) -> bool:
    """Whether it is a block of one number, which nothing is multiplied by."""
    return isinstance(node, ast.Call) and function_of(node) in ("full", "zeros")


def subtracted(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """An exponential of the difference from what else the function has, where the maximum was forgotten or is another."""
    if not isinstance(node, ast.Call) or function_of(node) not in ("exp", "exp2") or len(node.args) != 1 or not scope.is_kernel:
        return
    whole = ast.unparse(node.args[0])
    for other in scope.of_kind(VALUE):
        for form in (other, f"{other}[:, None]"):
            if other not in whole:
                yield Splice.of("subtracted", node.args[0], f"{whole} - {form}")


def casts(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """A cast more or less, or to another type."""
    if isinstance(node, ast.Call) and function_of(node) == "to" and isinstance(node.func, ast.Attribute):
        yield Splice.of("cast", node, node.func.value)
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("tl", "torch"):
        for other in _WIDER.get(node.attr, ()):
            yield Splice.of("type", node, f"{ast.unparse(node.value)}.{other}")
    if isinstance(node, ast.Attribute) and node.attr == "dtype" and not scope.is_kernel:
        yield Splice.of("type", node, "torch.float32")
    if not isinstance(node, ast.expr) or not scope.is_kernel:
        return
    if isinstance(node, ast.Call) and function_of(node) in ("load", "program_id"):
        wide = "tl.float32" if function_of(node) == "load" else "tl.int64"
        yield Splice.of("widened", node, f"{ast.unparse(node)}.to({wide})")
    parent = scope.parents[node]
    multiplied = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult) and parent.left is node
    if multiplied and isinstance(node, ast.Name | ast.Subscript) and scope.kind(node) == INDEX:
        yield Splice.of("widened", node, f"{ast.unparse(node)}.to(tl.int64)")


def constants(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Another number: where a maximum or a sum begins, one more or less, the base of an exponential."""
    parent = scope.parents.get(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        if ast.unparse(node.operand) in INFINITE:
            yield Splice.of("number", node, "0.0")
        elif isinstance(node.operand, ast.Constant):
            if isinstance(node.operand.value, float):
                yield Splice.of("number", node, '-float("inf")')
                yield Splice.of("number", node, "0.0")
            yield Splice.of("sign", node, ast.unparse(node.operand))
        return
    if isinstance(parent, ast.UnaryOp) or not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield Splice.of("number", node, str(not value))
    elif isinstance(value, float):
        for new in dict.fromkeys(_other_numbers(value)):
            if new != repr(value):
                yield Splice.of("number", node, new)
    elif isinstance(value, int):
        if not scope.is_kernel and value >= SMALLEST_TILE:
            return  # with another tile it may be right where a bug is that shows at the edge of a tile
        for other in dict.fromkeys((value + 1, value - 1, 2 * value, value // 2, 0, 1)):
            if other != value and other >= 0:
                yield Splice.of("number" if scope.is_kernel else "size", node, str(other))


def _other_numbers(value: float) -> Iterator[str]:
    """What may be meant instead: where a maximum begins, a constant with all its digits, one more or less, twice, half."""
    if value == 0:
        yield from ('-float("inf")', "1.0")
    known = [float(LOG2_E), float(LN_2)]
    yield from (repr(each) for each in known if math.isclose(each, value, rel_tol=CLOSE))
    if value not in (0.0, 1.0):
        yield from map(repr, (*known, 1 / float(LOG2_E)))
    yield from ("1.0", "0.0", '-float("inf")')
    if value >= 2 and value.is_integer():
        yield from (repr(value - 1), repr(value + 1))
    if value:
        yield from (repr(2 * value), repr(value / 2), repr(1 / value))


def _is_updated(node: ast.Name, scope: Scope) -> bool:
    """Whether the statement hands the name on: acc = dot(p, v, acc), l = l + sum(p)."""
    statement = scope.statement(node)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return any(isinstance(each, ast.Name) and each.id == node.id for target in targets for each in ast.walk(target))


def _weights(scope: Scope) -> list[str]:
    """What a value may be multiplied by: the scales that are given, then values, those that exp made first."""
    made = [
        target.id
        for node in ast.walk(scope.function)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and function_of(node.value) in ("exp", "exp2")
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    values = [name for name in scope.of_kind(VALUE) if name not in made]
    given = [name for name in values if name in scope.arguments]
    return list(dict.fromkeys([*made, *given, *values]))
