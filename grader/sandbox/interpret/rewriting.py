"""A kernel's function as the interpreter runs it, made of its file's syntax tree; what two readings have in common, once.

Stock Triton takes each function's text anew: two searches for where it ends, and trees whose lines are counted up node by
node. Where a file is read again with one line changed, as a search for a repair does, that took longer than running it.
"""

from __future__ import annotations
import __future__

import ast
import functools
import linecache
import types
from collections.abc import Callable, Iterator
from typing import Any

from triton.runtime import interpreter as stock

_FLAGS = __future__.annotations.compiler_flag  # as stock: what stands behind a parameter's colon is not looked up
_MOST = 512  # compiled functions that are kept

_bodies: dict[tuple[str, int, tuple[str, ...]], types.CodeType] = {}


def install() -> None:
    """Patch the interpreter's reading of functions."""
    taken_apart = stock.FunctionRewriter.rewrite_ast

    def rewrite_ast(self: Any) -> Callable[..., Any]:
        body = _body(self.fn)
        if body is None:
            return taken_apart(self)
        for name, value in vars(stock).items():
            self.fn.__globals__.setdefault(name, value)
        made = dict(self.kwargs)
        exec(body, self.fn.__globals__, made)
        return made[self.fn.__name__]

    stock.FunctionRewriter.rewrite_ast = rewrite_ast


def _body(function: Callable[..., Any]) -> types.CodeType | None:
    """Code that defines the function anew; None where no definition of its name stands in its file, as of one made by exec."""
    code = function.__code__
    if function.__name__ != code.co_name:
        return None
    lines = tuple(linecache.getlines(code.co_filename))
    definition = _definitions(lines).get((code.co_name, code.co_firstlineno))
    if definition is None:
        return None
    key = code.co_filename, code.co_firstlineno, lines[code.co_firstlineno - 1 : definition.end_lineno]
    if key not in _bodies:
        if len(_bodies) == _MOST:
            _bodies.clear()
        definition.decorator_list = []
        tree = ast.Module(body=[stock.FunctionRewriter.ast_transformer.visit(definition)], type_ignores=[])
        _bodies[key] = compile(ast.fix_missing_locations(tree), code.co_filename, "exec", flags=_FLAGS, dont_inherit=True)
        _definitions.cache_clear()  # this tree is changed now
    return _bodies[key]


@functools.lru_cache(maxsize=1)
def _definitions(lines: tuple[str, ...]) -> dict[tuple[str, int], ast.FunctionDef]:
    """The functions of a file by name and first line, that of the first decorator."""
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {
        (node.name, min([node.lineno, *(each.lineno for each in node.decorator_list)])): node
        for node in _statements(tree)
        if isinstance(node, ast.FunctionDef)
    }


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All that stand in it, at any depth."""
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for inner in getattr(node, field, ()):
            if isinstance(inner, ast.stmt):
                yield inner
            yield from _statements(inner)
