"""Changes of statements: what is kept in steps, one less, the same for another name; a term of an address."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from grader.sandbox.repairs.place import Splice
from grader.sandbox.repairs.scope import INDEX, POINTER, VALUE, Scope, function_of, short, text_of


def updates(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """What is kept in steps: added to and not replaced, weighed before it is added to, or left alone."""
    if isinstance(node, ast.AugAssign):
        target, value = ast.unparse(node.target), text_of(node.value)
        yield Splice.of("replaced", node, f"{target} = {value}")
        yield Splice.of("statement", node, "pass", told=f"without `{short(node)}`")
        if scope.is_kernel and isinstance(node.target, ast.Name) and scope.kinds.get(node.target.id) == VALUE:
            for at, other in enumerate(_weights(scope, node)):
                for form in (other, f"{other}[:, None]"):
                    yield Splice.of("weighed" if at < 3 else "far weighed", node, f"{target} = {target} * {form} + {value}")
        symbol = {ast.Add: "-=", ast.Sub: "+=", ast.Mult: "/=", ast.Div: "*="}.get(type(node.op))
        if symbol:
            yield Splice.of("operator", node, f"{target} {symbol} {value}")
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        if scope.is_kernel and _in_loop(node, scope) and scope.kind(node.value) in (VALUE, POINTER):
            name = node.targets[0].id
            if not any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node.value)):
                yield Splice.of("larger", node, f"{name} = tl.maximum({name}, {ast.unparse(node.value)})")
                yield Splice.of("added", node, f"{name} += {text_of(node.value)}")
                for at, other in enumerate(_weights(scope, node)):
                    yield Splice.of(
                        "added" if at < 3 else "far added", node, f"{name} = {name} * {other} + {text_of(node.value)}"
                    )
        yield Splice.of("statement", node, "pass", told=f"without `{short(node)}`")
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield Splice.of("statement", node, "pass", told=f"without `{short(node)}`")


def like(node: ast.AST, scope: Scope) -> Iterator[Splice]:
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
            told = f"with `{short(again)}` behind it"
            yield Splice.of("like", node, f"{own}\n{' ' * node.col_offset}{ast.unparse(again)}", told=told)


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


def terms(node: ast.AST, scope: Scope) -> Iterator[Splice]:
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
            yield Splice.of("term", node, f"{own} + {term}")


def strides(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """An index of an address times the stride that was forgotten."""
    if not scope.is_kernel or not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
        return
    if scope.kind(node) != POINTER:
        return
    index = node.right
    if scope.kind(index) == INDEX and not (isinstance(index, ast.BinOp) and isinstance(index.op, ast.Mult)):
        for stride in _multipliers(scope):
            yield Splice.of("stride", index, f"({text_of(index)} * {stride})")


def _multipliers(scope: Scope) -> list[str]:
    """Arguments that an index is multiplied by, or whose names say that they are strides; those that nothing reads first."""
    read = [each.id for each in ast.walk(scope.function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)]
    factors = {
        side.id
        for node in ast.walk(scope.function)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
        for side in (node.left, node.right)
        if isinstance(side, ast.Name)
    }
    known = [name for name in scope.arguments if name in factors or "stride" in name or name not in read]
    return sorted((name for name in known if scope.kinds[name] == INDEX), key=lambda name: name in read)


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
