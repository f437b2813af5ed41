"""Changes of the order of things: two statements exchanged, one moved over a loop's edge, what a step hands to the next."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from grader.sandbox.repairs.place import Splice
from grader.sandbox.repairs.scope import INDEX, VALUE, Scope, short

_AHEAD = 4  # statements on either side of a loop's beginning


def order(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Two statements exchanged, or one moved over the edge of a loop."""
    for field in ("body", "orelse"):
        block = getattr(node, field, None)
        if not isinstance(block, list) or not isinstance(node, ast.stmt):
            continue
        for first, second in zip(block, block[1:], strict=False):
            if _plain(first) and _plain(second):
                told = f"with `{short(second)}` before `{short(first)}`"
                yield _both("order", first, second, [_text(second, first), _text(first, first)], told)
                yield from _taken_apart(first, second, scope)
            if isinstance(first, ast.For | ast.While) and _plain(second):
                deeper = " " * (first.body[0].col_offset - first.col_offset)
                told = f"with `{short(second)}` in the loop, at its end"
                yield _both("moved", first, second, [_text(first, first), deeper + _text(second, first)], told)
        for at, loop in enumerate(block):
            if not isinstance(loop, ast.For | ast.While) or isinstance(loop.body[0], ast.For | ast.While):
                continue
            for before in range(max(0, at - _AHEAD), at):
                if all(map(_plain, block[before:at])):
                    yield _into(block[before:at], loop)
            for inside, statement in enumerate(loop.body[:_AHEAD]):
                if _plain(statement) and len(loop.body) > 1:
                    told = f"with `{short(statement)}` before the loop"
                    margin = "\n" + " " * loop.col_offset
                    yield Splice.of(
                        "moved", loop, _text(statement, loop) + margin + _text(_less(loop, inside), loop), told=told
                    )
        if isinstance(node, ast.For | ast.While) and len(block) > 1 and field == "body" and _plain(block[-1]):
            margin = "\n" + " " * node.col_offset
            told = f"with `{short(block[-1])}` behind the loop"
            yield Splice.of("moved", node, _text(_less(node, -1), node) + margin + _text(block[-1], node), told=told)


def _taken_apart(first: ast.stmt, second: ast.stmt, scope: Scope) -> Iterator[Splice]:
    """Two indices that are made of one, each in the place of the other: row = t // n and column = t % n."""
    if not isinstance(first, ast.Assign) or not isinstance(second, ast.Assign):
        return
    mine, its = first.targets[0], second.targets[0]
    if not isinstance(mine, ast.Name) or not isinstance(its, ast.Name) or scope.kind(first.value) != INDEX:
        return
    one, other = ast.unparse(first.value), ast.unparse(second.value)
    if {*"/%"}.isdisjoint(one) or {*"/%"}.isdisjoint(other):
        return
    texts = [f"{mine.id} = {other}", f"{its.id} = {one}"]
    yield _both("exchanged", first, second, texts, f"with `{texts[0]}` and `{texts[1]}`")


def _into(statements: list[ast.stmt], loop: ast.For | ast.While) -> Splice:
    """The first of the statements before a loop moved to its beginning."""
    moved, *rest = statements
    head, *body = _lines(loop)
    deeper = " " * (loop.body[0].col_offset - loop.col_offset)
    texts = [*(_text(each, loop) for each in rest), "\n".join([head, *_margin([deeper + ast.unparse(moved), *body], loop)])]
    return _both("moved", moved, loop, texts, f"with `{short(moved)}` in the loop, at its beginning")


def _less(loop: ast.stmt, at: int) -> ast.stmt:
    """A copy of a loop without one of its statements."""
    copy = ast.parse(ast.unparse(loop)).body[0]
    del copy.body[at]  # type: ignore[attr-defined]
    return copy


def kept(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """What a step has made handed to the next one, at the end of the loop: the new maximum for the old."""
    if not isinstance(node, ast.For | ast.While) or not scope.is_kernel:
        return
    made = _assigned(node)
    read = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
    last = node.body[-1]
    for old in sorted(name for name in scope.of_kind(VALUE) if name in read and name not in made | set(scope.arguments)):
        for new in sorted(name for name in made if scope.kinds.get(name) == VALUE):
            text = f"{_text(last, last)}\n{' ' * last.col_offset}{old} = {new}"
            yield Splice.of("kept", last, text, told=f"with `{old} = {new}` at the end of the loop")


def afterwards(scope: Scope) -> Iterator[tuple[Splice, ...]]:
    """A factor that each step of a loop multiplies by, once behind the loop and not in it: two places."""
    loops = [each for each in ast.walk(scope.function) if isinstance(each, ast.For | ast.While)] if scope.is_kernel else []
    for loop in loops:
        made = _assigned(loop)
        for node in ast.walk(loop):
            target, product = _multiplied(node)
            if target is None or product is None:
                continue
            for kept, factor in ((product.left, product.right), (product.right, product.left)):
                if not isinstance(factor, ast.Name) or factor.id in made:
                    continue
                told = f"with `{target} * {factor.id}` once behind the loop, not in each step"
                without = Splice.of("afterwards", product, ast.unparse(kept), told=told)
                line, column = loop.end_lineno or 0, loop.end_col_offset or 0
                text = f"\n{' ' * loop.col_offset}{target} = {target} * {factor.id}"
                yield without, Splice("afterwards", line, column, line, column, text)


def _multiplied(node: ast.AST) -> tuple[str | None, ast.BinOp | None]:
    """The name that is updated, and the product that it is given as a whole; None where it is no such statement."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        value = node.value
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
            return node.targets[0].id, value
    return None, None


def _assigned(loop: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(loop) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _plain(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign | ast.AugAssign | ast.Expr) and not (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _lines(node: ast.stmt) -> list[str]:
    return ast.unparse(node).split("\n")


def _margin(lines: list[str], at: ast.stmt) -> list[str]:
    return [" " * at.col_offset + line for line in lines]


def _text(node: ast.stmt, at: ast.stmt) -> str:
    """A statement in a block that begins in the column of another."""
    first, *rest = _lines(node)
    return "\n".join([first, *_margin(rest, at)])


def _both(operator: str, first: ast.stmt, second: ast.stmt, texts: list[str], told: str) -> Splice:
    return Splice.of(operator, first, ("\n" + " " * first.col_offset).join(texts), second, told)
