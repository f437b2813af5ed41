"""Changes of statements: one more, one less, two exchanged, one moved into or out of a loop; a term of an address."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from grader.sandbox.repairs.place import Place
from grader.sandbox.repairs.scope import POINTER, VALUE, Scope, function_of, text_of

_AHEAD = 4  # statements on either side of a loop's beginning
SHOWN = 80  # characters of a statement that a sentence quotes


def updates(node: ast.AST, scope: Scope) -> Iterator[Place]:
    """What is kept in steps: added to and not replaced, weighed before it is added to, or left alone."""
    if isinstance(node, ast.AugAssign):
        target, value = ast.unparse(node.target), text_of(node.value)
        yield Place.of("replaced", node, f"{target} = {value}")
        yield Place.of("statement", node, "pass", told=f"without `{_short(node)}`")
        if scope.is_kernel and isinstance(node.target, ast.Name) and scope.kinds.get(node.target.id) == VALUE:
            for at, other in enumerate(_weights(scope, node)):
                for form in (other, f"{other}[:, None]"):
                    yield Place.of("weighed" if at < 3 else "far weighed", node, f"{target} = {target} * {form} + {value}")
        symbol = {ast.Add: "-=", ast.Sub: "+=", ast.Mult: "/=", ast.Div: "*="}.get(type(node.op))
        if symbol:
            yield Place.of("operator", node, f"{target} {symbol} {value}")
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        if scope.is_kernel and _in_loop(node, scope) and scope.kind(node.value) in (VALUE, POINTER):
            name = node.targets[0].id
            if not any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node.value)):
                yield Place.of("larger", node, f"{name} = tl.maximum({name}, {ast.unparse(node.value)})")
                yield Place.of("added", node, f"{name} += {text_of(node.value)}")
                for at, other in enumerate(_weights(scope, node)):
                    yield Place.of(
                        "added" if at < 3 else "far added", node, f"{name} = {name} * {other} + {text_of(node.value)}"
                    )
        yield Place.of("statement", node, "pass", told=f"without `{_short(node)}`")
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield Place.of("statement", node, "pass", told=f"without `{_short(node)}`")


def like(node: ast.AST, scope: Scope) -> Iterator[Place]:
    """The same for another name: a pointer that nothing moves on, where another is moved."""
    if not isinstance(node, ast.Assign | ast.AugAssign) or not scope.is_kernel or not _in_loop(node, scope):
        return
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    if not isinstance(target, ast.Name):
        return
    own = ast.unparse(node)
    if isinstance(node, ast.AugAssign) or any(
        isinstance(each, ast.Name) and each.id == target.id for each in ast.walk(node.value)
    ):
        for other in scope.alike(target.id)[:4]:
            again = ast.parse(own).body[0]
            for each in ast.walk(again):
                if isinstance(each, ast.Name) and each.id == target.id:
                    each.id = other
            told = f"with `{_short(again)}` behind it"
            yield Place.of("like", node, f"{own}\n{' ' * node.col_offset}{ast.unparse(again)}", told=told)


def _weights(scope: Scope, node: ast.AST) -> list[str]:
    values = scope.of_kind(VALUE)
    made = [name for name in values if name not in scope.arguments]
    return sorted(
        made, key=lambda name: not any(word in name.lower() for word in ("alpha", "scale", "corr", "fac", "resc", "w"))
    )


def _in_loop(node: ast.AST, scope: Scope) -> bool:
    while node is not scope.function:
        node = scope.parents[node]
        if isinstance(node, ast.For | ast.While):
            return True
    return False


def order(node: ast.AST, scope: Scope) -> Iterator[Place]:
    """Two statements exchanged, or one moved over the edge of a loop."""
    for field in ("body", "orelse"):
        block = getattr(node, field, None)
        if not isinstance(block, list) or not isinstance(node, ast.stmt):
            continue
        for first, second in zip(block, block[1:], strict=False):
            if _plain(first) and _plain(second):
                told = f"with `{_short(second)}` before `{_short(first)}`"
                yield _both("order", first, second, [_text(second, first), _text(first, first)], told)
            if isinstance(first, ast.For | ast.While) and _plain(second):
                deeper = " " * (first.body[0].col_offset - first.col_offset)
                told = f"with `{_short(second)}` in the loop, at its end"
                yield _both("moved", first, second, [_text(first, first), deeper + _text(second, first)], told)
        for at, loop in enumerate(block):
            if not isinstance(loop, ast.For | ast.While) or isinstance(loop.body[0], ast.For | ast.While):
                continue
            for before in range(max(0, at - _AHEAD), at):
                if all(map(_plain, block[before:at])):
                    yield _into(block[before:at], loop)
            for inside, statement in enumerate(loop.body[:_AHEAD]):
                if _plain(statement) and len(loop.body) > 1:
                    told = f"with `{_short(statement)}` before the loop"
                    margin = "\n" + " " * loop.col_offset
                    yield Place.of("moved", loop, _text(statement, loop) + margin + _text(_less(loop, inside), loop), told=told)
        if isinstance(node, ast.For | ast.While) and len(block) > 1 and field == "body" and _plain(block[-1]):
            margin = "\n" + " " * node.col_offset
            told = f"with `{_short(block[-1])}` behind the loop"
            yield Place.of("moved", node, _text(_less(node, -1), node) + margin + _text(block[-1], node), told=told)


def _into(statements: list[ast.stmt], loop: ast.For | ast.While) -> Place:
    """The first of the statements before a loop moved to its beginning."""
    moved, *rest = statements
    head, *body = _lines(loop)
    deeper = " " * (loop.body[0].col_offset - loop.col_offset)
    texts = [*(_text(each, loop) for each in rest), "\n".join([head, *_margin([deeper + ast.unparse(moved), *body], loop)])]
    return _both("moved", moved, loop, texts, f"with `{_short(moved)}` in the loop, at its beginning")


def _less(loop: ast.stmt, at: int) -> ast.stmt:
    """A copy of a loop without one of its statements."""
    copy = ast.parse(ast.unparse(loop)).body[0]
    del copy.body[at]  # type: ignore[attr-defined]
    return copy


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


def _short(node: ast.AST) -> str:
    """A statement on one line, for a sentence."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _both(operator: str, first: ast.stmt, second: ast.stmt, texts: list[str], told: str) -> Place:
    return Place.of(operator, first, ("\n" + " " * first.col_offset).join(texts), second, told)


def terms(node: ast.AST, scope: Scope) -> Iterator[Place]:
    """An address with a term more, as other addresses of the function have it, in the names of its own tensor."""
    if not scope.is_kernel or not isinstance(node, ast.expr) or scope.kind(node) != POINTER:
        return
    parent = scope.parents[node]
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add):
        return
    is_address = (isinstance(parent, ast.Assign | ast.AugAssign) and parent.value is node) or (
        isinstance(parent, ast.Call)
        and parent.args[:1] == [node]
        and function_of(parent) in ("load", "store", "make_block_ptr")
    )
    if not is_address:
        return
    own = ast.unparse(node)
    for term in _products(scope):
        if term not in own:
            yield Place.of("term", node, f"{own} + {term}")


def _products(scope: Scope) -> list[str]:
    """Products of an index and a stride that some address of the function has, and the same with each stride's like."""
    found: dict[str, None] = {}
    for node in ast.walk(scope.function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and scope.kind(node) != VALUE:
            found.setdefault(text_of(node))
            for side, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(side, ast.Name) and side.id in scope.arguments:
                    for like in scope.alike(side.id)[:4]:
                        found.setdefault(f"({text_of(other)} * {like})")
    return list(found)
