"""Changes within an expression: another name, comparison or operator, a side left out, a condition more or less."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from grader.sandbox.repairs.place import Splice
from grader.sandbox.repairs.scope import INDEX, MASK, POINTER, Scope, function_of, text_of

_ORDERED = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_EQUAL = {ast.Eq: "==", ast.NotEq: "!="}
_INSTEAD = {"*": "/", "/": "*", "+": "-", "-": "+", "//": "%", "%": "//", "&": "|", "|": "&", "^": "|", "<<": ">>", ">>": "<<"}
_SYMBOLS = {
    ast.Mult: "*", ast.Div: "/", ast.Add: "+", ast.Sub: "-", ast.FloorDiv: "//", ast.Mod: "%",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
_ROWS, _COLUMNS = (":, None", "(:, None)"), ("None, :", "(None, :)")  # as a slice is unparsed
_LIKE, _FAR = 2, 8  # other names of the same kind: those that are tried soon, and those that are tried at all


def comparisons(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """< for <=, the other way round, a bound one more or less."""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return
    left, right, kind = text_of(node.left), text_of(node.comparators[0]), type(node.ops[0])
    table = _ORDERED if kind in _ORDERED else _EQUAL if kind in _EQUAL else {}
    for other in sorted(
        (symbol for of, symbol in table.items() if of is not kind), key=lambda other: other[0] != table[kind][0]
    ):
        yield Splice.of("comparison", node, f"({left} {other} {right})")
    if kind in _ORDERED:
        for shift in ("+ 1", "- 1"):
            yield Splice.of("bound", node, f"({left} {_ORDERED[kind]} {right} {shift})")


def names(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Another name of the same kind."""
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load) or node.id not in scope.kinds:
        return
    for at, other in enumerate(scope.alike(node.id)[:_FAR]):
        near = at < _LIKE and other.isupper() == node.id.isupper()
        yield Splice.of("name" if near else "far name", node, other)


def operators(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Another operator, operands exchanged, a side left out."""
    if not isinstance(node, ast.BinOp):
        return
    left, right, symbol = text_of(node.left), text_of(node.right), _SYMBOLS.get(type(node.op), "")
    if symbol in ("-", "/"):
        yield Splice.of("operands", node, f"({right} {symbol} {left})")
    if symbol in ("*", "/", "+", "-", "&", "|", "<<", ">>"):
        yield Splice.of("without", node, left)
        if scope.kind(node.left) != POINTER and symbol not in ("-", "/"):
            yield Splice.of("without", node, right)
    if symbol in _INSTEAD:
        yield Splice.of("operator", node, f"({left} {_INSTEAD[symbol]} {right})")


def indices(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """An index that counts from its tile's beginning, or from the whole's."""
    if isinstance(node, ast.Call) and function_of(node) == "arange" and scope.is_kernel:
        whole = ast.unparse(node)
        parent = scope.parents[node]
        if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add):
            return
        for other in scope.of_kind(INDEX):
            if other not in scope.arguments:
                yield Splice.of("from", node, f"({other} + {whole})")
    if scope.is_kernel or not isinstance(node, ast.expr) or scope.kind(node) != INDEX:
        return
    parent = scope.parents[node]
    in_grid = isinstance(parent, ast.Tuple) and isinstance(scope.parents[parent], ast.Subscript)
    if in_grid or (isinstance(parent, ast.Assign) and parent.value is node and not isinstance(node, ast.Tuple | ast.Call)):
        for other in _unpacked(scope):
            yield Splice.of("programs", node, f"{text_of(node)} * {other}")


def _unpacked(scope: Scope) -> list[str]:
    """Sizes that the function takes from a shape."""
    return [
        each.id
        for node in ast.walk(scope.function)
        if isinstance(node, ast.Assign) and "shape" in ast.unparse(node.value)
        for target in node.targets
        for each in ast.walk(target)
        if isinstance(each, ast.Name)
    ]


def exchanged(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Two parts of a tuple exchanged: what a helper returns, how far a block moves."""
    if isinstance(node, ast.Tuple) and 2 <= len(node.elts) <= 6 and not isinstance(scope.parents[node], ast.Subscript):
        for first, second in zip(node.elts, node.elts[1:], strict=False):
            if ast.unparse(first) != ast.unparse(second) and first.lineno == second.lineno:
                yield Splice.of("exchanged", first, f"{ast.unparse(second)}, {ast.unparse(first)}", second)


def conditions(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """A condition more or less, the other way round, or none."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield Splice.of("condition", node, f"({ast.unparse(node.operand)})")
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            yield Splice.of("condition", node, f"({ast.unparse(value)})")
    if isinstance(node, ast.If | ast.IfExp):
        yield Splice.of("branch", node.test, "True")
        yield Splice.of("branch", node.test, "False")
    if isinstance(node, ast.Subscript) and ast.unparse(node.slice) in _ROWS:
        yield Splice.of("axes", node, f"{text_of(node.value)}[None, :]")
    if isinstance(node, ast.Subscript) and ast.unparse(node.slice) in _COLUMNS:
        yield Splice.of("axes", node, f"{text_of(node.value)}[:, None]")
    if isinstance(node, ast.expr) and scope.kind(node) == MASK and _decides(scope.parents[node], node):
        own = ast.unparse(node)
        for other in scope.conditions:
            if other not in own:
                yield Splice.of("condition more", node, f"({own}) & ({other})")
                yield Splice.of("condition other", node, other)


def _decides(parent: ast.AST, node: ast.expr) -> bool:
    """Whether the node is a mask, the condition of a where, or what a name is given."""
    if isinstance(parent, ast.Call):
        return function_of(parent) == "where" and parent.args[0] is node
    return (isinstance(parent, ast.keyword) and parent.arg == "mask") or (
        isinstance(parent, ast.Assign) and parent.value is node
    )
