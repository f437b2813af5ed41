"""Python's words in a kernel mean what the compiler makes of them, not what Python would do with a tile.

`range` counts by tensors, which have .to(…) and the type of their bounds; `and`, `or` and `not` join lane by lane, and look at
both sides; `max` and `min` compare tiles; `assert` asserts nothing of a tile; and a tile of several numbers is no condition.
Stock Triton's interpreter leaves all of them to Python, which takes any tile for true.
"""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter as stock

_WORDS = ("range", "joined", "not", "called", "assert", "if")
_COUNTED, _JOINED, _NEGATED, _CALLED, _HELD, _CONDITION = (f"{word}_as_compiled" for word in _WORDS)


def install() -> None:
    """Give those words their meaning."""
    meanings = (counted, joined, negated, called, held, condition)
    for name, meaning in zip((_COUNTED, _JOINED, _NEGATED, _CALLED, _HELD, _CONDITION), meanings, strict=True):
        setattr(stock, name, meaning)  # the interpreter's names are put beside those of a kernel's file
    transformer = stock.ASTTransformer
    transformer.visit_Assign = _with_its_value(transformer.visit_Assign)
    transformer.visit_For, transformer.visit_BoolOp, transformer.visit_UnaryOp = _visit_for, _visit_bool_op, _visit_unary_op
    transformer.visit_Call, transformer.visit_Assert = _visit_call, _visit_assert
    transformer.visit_If = transformer.visit_While = transformer.visit_IfExp = _visit_condition
    for module in (tl, tl.core):
        module.range = counted


def counted(first: Any, second: Any = None, step: Any = None, **options: Any) -> Iterator[Any]:
    """The numbers from `first` (0 where it stands alone) to `second`; `options` are the compiler's (num_stages …)."""
    start, stop = (0, first) if second is None else (first, second)
    step = 1 if step is None else step
    wide = any(isinstance(bound, tl.tensor) and bound.dtype.primitive_bitwidth > 32 for bound in (start, stop, step))
    for number in range(start, stop, step):
        dtype = tl.int64 if wide or not -(1 << 31) <= number < 1 << 31 else tl.int32
        yield tl.tensor(stock.TensorHandle(np.array([number], dtype=np.int64 if dtype is tl.int64 else np.int32), dtype), dtype)


def joined(word: str, *sides: Callable[[], Any]) -> Any:
    """`and`, or `or`, of sides that are looked at in turn, all of them but for what a constant settles."""
    tensors = []
    value: Any = None
    for side in sides:
        value = side()
        if isinstance(value, tl.tensor):
            tensors.append(value)
        elif bool(value) is (word == "or"):
            return value
    if not tensors:
        return value
    join = tl.tensor.logical_or if word == "or" else tl.tensor.logical_and
    return functools.reduce(lambda right, left: join(left, right), reversed(tensors))


def negated(value: Any) -> Any:
    """`not`, of each lane."""
    return value.__not__() if isinstance(value, tl.tensor) else not value


def called(function: Any, *values: Any, **options: Any) -> Any:
    """`max` and `min` of tiles and numbers; of what else has such a name, that."""
    of_tensors = len(values) > 1 and any(isinstance(value, tl.tensor) for value in values)
    if of_tensors and function is builtins.max:
        return functools.reduce(tl.maximum, values)
    if of_tensors and function is builtins.min:
        return functools.reduce(tl.minimum, values)
    return function(*values, **options)


def held(value: Any) -> Any:
    """What an `assert` is given: a compiled kernel looks at a tensor only where it is debugged."""
    return True if isinstance(value, tl.tensor) else value


def condition(value: Any) -> Any:
    """What an `if`, a `while` or an `… if … else …` asks."""
    if isinstance(value, tl.tensor) and value.handle.data.size > 1:
        raise ValueError("Boolean value of Tensor with more than one value is ambiguous")
    return value


def _with_its_value(visit_assign: Callable[..., Any]) -> Callable[..., Any]:
    """Stock Triton looks at an assignment's targets alone."""

    def visit(self: ast.NodeTransformer, node: ast.Assign) -> Any:
        node.value = self.visit(node.value)
        return visit_assign(self, node)

    return visit


def _visit_for(self: ast.NodeTransformer, node: ast.For) -> ast.AST:
    over = node.iter
    if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "range":
        over.func.id = _COUNTED
    return self.generic_visit(node)


def _visit_bool_op(self: ast.NodeTransformer, node: ast.BoolOp) -> ast.AST:
    self.generic_visit(node)
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    word = ast.Constant("or" if isinstance(node.op, ast.Or) else "and")
    return _call(node, _JOINED, [word, *(ast.Lambda(args=nothing, body=side) for side in node.values)])


def _visit_unary_op(self: ast.NodeTransformer, node: ast.UnaryOp) -> ast.AST:
    self.generic_visit(node)
    return _call(node, _NEGATED, [node.operand]) if isinstance(node.op, ast.Not) else node


def _visit_call(self: ast.NodeTransformer, node: ast.Call) -> ast.AST:
    self.generic_visit(node)
    if not isinstance(node.func, ast.Name) or node.func.id not in ("max", "min"):
        return node
    return _call(node, _CALLED, [node.func, *node.args], node.keywords)


def _visit_condition(self: ast.NodeTransformer, node: ast.If | ast.While | ast.IfExp) -> ast.AST:
    self.generic_visit(node)
    node.test = _call(node.test, _CONDITION, [node.test])
    return node


def _visit_assert(self: ast.NodeTransformer, node: ast.Assert) -> ast.AST:
    self.generic_visit(node)
    node.test = _call(node.test, _HELD, [node.test])
    return node


def _call(node: ast.AST, name: str, arguments: list[ast.expr], keywords: list[ast.keyword] | None = None) -> ast.Call:
    """A call of one of these functions, where `node` stands; what is in it gets its place as all that is new in the tree."""
    return ast.copy_location(ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=arguments, keywords=keywords or []), node)
