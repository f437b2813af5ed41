"""Changes of a call: a mask, what masked lanes get, another reduction, base, axis, program id or range, arguments exchanged."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from grader.sandbox.repairs.place import Splice
from grader.sandbox.repairs.scope import VALUE, Scope, function_of, text_of
from grader.sandbox.repairs.values import LOG2_E

_OTHERS = ("0.0", '-float("inf")')
_REDUCTIONS = {"max": ("sum", "min"), "sum": ("max",), "min": ("max",), "maximum": ("minimum",), "minimum": ("maximum",)}
_BASES = {"exp": "exp2", "exp2": "exp", "log": "log2", "log2": "log"}


def masks(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """A mask where there is none, or what its lanes get; a score that hidden lanes take out."""
    if not isinstance(node, ast.Call) or not scope.is_kernel:
        return
    name = function_of(node)
    if name in ("load", "store"):
        given = {each.arg: each for each in node.keywords}
        text = ast.unparse(node)
        if "boundary_check" in given or _is_block(node, scope):
            if name == "load" and "padding_option" not in given:
                more = 'padding_option="zero"'
                yield Splice.of("other", node, f"{text[:-1]}, {more})", told=_given(more, name))
            for axes in ("(0,)", "(1,)", "(0, 1)"):
                if "boundary_check" not in given:
                    more = f"boundary_check={axes}"
                    yield Splice.of("mask", node, f"{text[:-1]}, {more})", told=_given(more, name))
                elif ast.unparse(given["boundary_check"].value) != axes:
                    yield Splice.of("mask", given["boundary_check"].value, axes)
            return
        if "mask" not in given:
            for condition in scope.conditions:
                more = f"mask={condition}{', other=0.0' if name == 'load' else ''}"
                yield Splice.of("mask", node, f"{text[:-1]}, {more})", told=_given(more, name))
        elif name == "load" and "other" not in given:
            for other in _OTHERS:
                yield Splice.of("other", node, f"{text[:-1]}, other={other})", told=_given(f"other={other}", name))
        elif name == "load":
            for other in (*_OTHERS, "1.0"):
                yield Splice.of("other", given["other"].value, other)
    if name == "where" and len(node.args) == 3:
        condition, first, second = map(ast.unparse, node.args)
        yield Splice.of("turned", node, f"tl.where({condition}, {second}, {first})")
        yield Splice.of("without", node, f"({first})")
        for other in _OTHERS:
            yield Splice.of("filling", node.args[2], other)


def _given(more: str, name: str) -> str:
    return f"with `{more}` in the {name}"


def hidden(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Values that get −inf, or 0, where a condition does not hold."""
    if not isinstance(node, ast.Assign | ast.AugAssign) or not scope.is_kernel or scope.kind(node.value) != VALUE:
        return
    if isinstance(node.value, ast.Call) and function_of(node.value) in ("zeros", "full", "where"):
        return
    own = ast.unparse(node.value)
    for condition in scope.conditions:
        for other in reversed(_OTHERS):
            told = f"with `{other}` there where `{condition}` does not hold"
            yield Splice.of("hidden", node.value, f"tl.where({condition}, {own}, {other})", told=told)


def functions(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Another function: sum for max, exp2 for exp, the larger of two, a transpose more or less."""
    if not isinstance(node, ast.Call):
        return
    name = function_of(node)
    module = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if module in ("tl", "tl.math"):
        for other in _REDUCTIONS.get(name, ()):
            yield Splice.of("reduction", node.func, f"{module}.{other}")
        if name in _BASES:
            yield Splice.of("base", node.func, f"{module}.{_BASES[name]}")
        if name in ("exp2", "exp") and len(node.args) == 1:
            factor = f"* {LOG2_E}" if name == "exp2" else f"/ {LOG2_E}"
            yield Splice.of("base", node.args[0], f"({ast.unparse(node.args[0])}) {factor}")
        if name in ("maximum", "minimum") and len(node.args) == 2:
            for each in node.args:
                yield Splice.of("without", node, text_of(each))
        if name in ("exp", "exp2", "trans", "abs") and len(node.args) == 1:
            yield Splice.of("without", node, text_of(node.args[0]))
        if name == "max" and node.args:
            kept = ast.unparse(node)
            for other in (value for value in scope.of_kind(VALUE) if value not in kept):
                yield Splice.of("larger", node, f"tl.maximum({other}, {kept})")
        if name == "full" and len(node.args) > 1 and not isinstance(node.args[1], ast.Constant | ast.UnaryOp):
            yield Splice.of("number", node.args[1], '-float("inf")')
        if name in ("reshape", "view") and len(node.args) == 2:
            yield Splice.of("turned", node, f"tl.trans({ast.unparse(node.args[0])})")
        if name == "dot":
            for at in range(min(2, len(node.args))):
                yield Splice.of("transposed", node.args[at], f"tl.trans({ast.unparse(node.args[at])})")
    elif name in ("reshape", "view") and len(node.args) == 1 and isinstance(node.func, ast.Attribute) and scope.is_kernel:
        yield Splice.of("turned", node, f"tl.trans({module})")
    if name == "T" or (name == "t" and not node.args):
        yield Splice.of("without", node, text_of(node.func.value))  # type: ignore[attr-defined]
    for keyword in node.keywords:
        if keyword.arg == "axis" and _is_axis(keyword.value):
            yield Splice.of("axis", keyword.value, str(1 - ast.literal_eval(keyword.value)))
        if keyword.arg == "order" and isinstance(keyword.value, ast.Tuple):
            yield Splice.of("axis", keyword.value, f"({', '.join(ast.unparse(each) for each in keyword.value.elts[::-1])})")
    if name in ("max", "sum", "min") and len(node.args) == 2 and _is_axis(node.args[1]):
        yield Splice.of("axis", node.args[1], str(1 - ast.literal_eval(node.args[1])))
    if (
        name in ("max", "sum", "min")
        and len(node.args) == 1
        and module == "tl"
        and not any(each.arg == "axis" for each in node.keywords)
    ):
        for axis, form in ((1, "[:, None]"), (0, "[None, :]")):
            yield Splice.of("axis", node, f"{ast.unparse(node)[:-1]}, axis={axis}){form}")
    if name in ("program_id", "num_programs") and len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
        for axis in (0, 1, 2):
            if node.args[0].value != axis:
                yield Splice.of("program", node.args[0], str(axis))


def _is_axis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (0, 1)


def ranges(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Where a loop begins, ends, and how far it goes in a step."""
    if not isinstance(node, ast.Call) or function_of(node) not in ("range", "static_range") or not node.args or node.keywords:
        return
    arguments = [text_of(each) for each in node.args]
    start, stop, step = {1: ("0", *arguments, "1"), 2: (*arguments, "1"), 3: tuple(arguments)}[len(arguments)]
    function = ast.unparse(node.func)
    sizes = [name for name in scope.arguments if name.isupper()]
    for first, last, by in (
        (start, f"{stop} + {step}", step),
        (start, f"{stop} + 1", step),
        ("0", stop, step),
        (start, f"{stop} - {step}", step),
        (f"{start} + {step}", stop, step),
        *((start, f"tl.cdiv({stop}, {size})", step) for size in sizes if step == "1" and scope.is_kernel),
        *((start, stop, size) for size in sizes if size != step),
    ):
        if (first, last, by) != (start, stop, step):
            yield Splice.of("range", node, f"{function}({first}, {last}, {by})")


def arguments(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """Two arguments exchanged; another axis' stride; a grid that is rounded down; scratch that begins as zeros."""
    if not isinstance(node, ast.Call):
        return
    name = function_of(node)
    if len(node.args) >= 3 and not any(isinstance(each, ast.Starred) for each in node.args):
        for first, second in zip(node.args[name == "where" :], node.args[1 + (name == "where") :], strict=False):
            if ast.unparse(first) != ast.unparse(second):
                yield Splice.of("exchanged", first, f"{ast.unparse(second)}, {ast.unparse(first)}", second)
    if name in ("stride", "size") and len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
        for axis in range(4):
            if axis != node.args[0].value:
                yield Splice.of("axis", node.args[0], str(axis))
    if name in ("empty", "empty_like") and not scope.is_kernel:
        yield Splice.of("zeros", node.func, f"torch.{name.replace('empty', 'zeros')}")
    if name == "cdiv" and len(node.args) == 2:
        yield Splice.of("rounded", node, f"({text_of(node.args[0])} // {text_of(node.args[1])})")


def rounding(node: ast.AST, scope: Scope) -> Iterator[Splice]:
    """A number of tiles that is rounded up."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
        left, right = text_of(node.left), text_of(node.right)
        yield Splice.of("rounded", node, f"(({left} + {right} - 1) // {right})")
        yield Splice.of("rounded", node, f"max(1, {left} // {right})")


def _is_block(node: ast.Call, scope: Scope) -> bool:
    """Whether what is loaded or stored is a block pointer."""
    if not node.args or not isinstance(node.args[0], ast.Name):
        return False
    name = node.args[0].id
    return any(
        isinstance(each, ast.Assign)
        and isinstance(each.value, ast.Call)
        and function_of(each.value) == "make_block_ptr"
        and any(isinstance(target, ast.Name) and target.id == name for target in each.targets)
        for each in ast.walk(scope.function)
    )
