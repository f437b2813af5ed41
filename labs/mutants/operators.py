"""The operators of mutation: each looks at one node of the syntax tree and says what a slip of the hand would put there.

An operator is a function from a node, with the names that the file's functions bind, to the places that it would change.
`OPERATORS` names them all; nothing here knows a lab.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from grader.sandbox.repairs.place import Splice

Operator = Callable[[ast.AST, ast.Module], Iterator[Splice]]

COMPARISONS = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="}
ARITHMETIC = {ast.Mult: "/", ast.Div: "*", ast.Add: "-", ast.Sub: "+", ast.FloorDiv: "%", ast.Mod: "//"}
BITS = {ast.BitAnd: "|", ast.BitOr: "&", ast.BitXor: "|", ast.LShift: ">>", ast.RShift: "<<"}
REDUCTIONS = {"max": "sum", "sum": "max", "maximum": "minimum", "minimum": "maximum", "min": "max"}
EXPONENTIALS = {"exp": "exp2", "exp2": "exp", "log": "log2", "log2": "log"}
ATOMICS = {"atomic_add": "store", "atomic_max": "store", "atomic_min": "store", "atomic_xchg": "store"}
DTYPES = {"float32": "float16", "int64": "int32", "int32": "int16", "uint8": "int8", "float16": "float32"}


def masks(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """A mask that lets everything through, of a load, a store or a where."""
    if not isinstance(node, ast.Call):
        return
    for keyword in node.keywords:
        if keyword.arg == "mask":
            yield Splice.of("mask dropped", keyword.value, "None")
    if _function(node) == "where" and len(node.args) == 3:
        yield Splice.of("where without condition", node, node.args[1])
        yield Splice.of(
            "where turned round", node, f"tl.where({_text(node.args[0])}, {_text(node.args[2])}, {_text(node.args[1])})"
        )


def others(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """What a masked lane gets."""
    if isinstance(node, ast.keyword) and node.arg == "other":
        for new in ("0.0", "1.0", "-1e4", "-float('inf')"):
            yield Splice.of("other changed", node.value, new)


def comparisons(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """< for <=, and a bound shifted by one."""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return
    left, right = _text(node.left), _text(node.comparators[0])
    if type(node.ops[0]) in COMPARISONS:
        yield Splice.of("comparison", node, f"({left} {COMPARISONS[type(node.ops[0])]} {right})")
    if isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE):
        symbol = _symbol(node)
        for shift in ("+ 1", "- 1"):
            yield Splice.of("bound shifted", node, f"({left} {symbol} {right} {shift})")


def strides(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """A stride left out, taken from another axis, or from another tensor."""
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load) or not node.id.startswith("stride_"):
        return
    yield Splice.of("stride dropped", node, "1")
    for other in sorted(name for name in _names(tree) if name.startswith("stride_") and name != node.id):
        if other[:-1] == node.id[:-1] or (len(other) == len(node.id) and other[-1] == node.id[-1]):
            yield Splice.of("stride of a neighbour", node, other)


def widths(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """A cast left out, or to a narrower type: indices of 16 or 32 bits, sums in fp16."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "to" and node.args:
        yield Splice.of("cast left out", node, node.func.value)
        if _text(node.args[0]).endswith("int64"):
            yield Splice.of("index of 16 bits", node.args[0], "tl.int16")
    if isinstance(node, ast.Attribute) and node.attr in DTYPES and _text(node.value) == "tl":
        yield Splice.of("dtype", node, f"tl.{DTYPES[node.attr]}")


def factors(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """A factor or a term left out, doubled or turned round."""
    if not isinstance(node, ast.BinOp):
        return
    left, right = _text(node.left), _text(node.right)
    kind = type(node.op)
    if kind in (ast.Mult, ast.Div):
        yield Splice.of("factor left out", node, f"({left})")
        if kind is ast.Mult:
            yield Splice.of("factor left out", node, f"({right})")
        yield Splice.of("factor twice", node, f"({left} {_symbol(node)} {right} {_symbol(node)} {right})")
    if kind in (ast.Add, ast.Sub):
        yield Splice.of("term left out", node, f"({left})")
        yield Splice.of("term left out", node, f"({right})")
    if kind in ARITHMETIC:
        yield Splice.of("arithmetic", node, f"({left} {ARITHMETIC[kind]} ({right}))")
    if kind in BITS:
        yield Splice.of("bits", node, f"({left} {BITS[kind]} {right})")


def calls(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """Another reduction, another base, another axis, a plain store for an atomic, a neighbour's program id."""
    if not isinstance(node, ast.Call):
        return
    name = _function(node)
    if isinstance(node.func, ast.Attribute) and _text(node.func.value) in ("tl", "tl.math"):
        for table, operator in ((REDUCTIONS, "reduction"), (EXPONENTIALS, "base"), (ATOMICS, "atomic made plain")):
            if name in table:
                yield Splice.of(operator, node.func, f"{_text(node.func.value)}.{table[name]}")
        if name in ("maximum", "minimum") and len(node.args) == 2:
            yield Splice.of("maximum replaced", node, node.args[0])
            yield Splice.of("maximum replaced", node, node.args[1])
        if name in ("exp", "exp2", "trans") and node.args:
            yield Splice.of("function left out", node, f"({_text(node.args[0])})")
    for keyword in node.keywords:
        if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant) and keyword.value.value in (0, 1):
            yield Splice.of("axis exchanged", keyword.value, str(1 - keyword.value.value))
    if name in ("program_id", "num_programs") and node.args and isinstance(node.args[0], ast.Constant):
        axis = node.args[0].value
        assert isinstance(axis, int)
        yield Splice.of("program id exchanged", node.args[0], str(1 - min(axis, 1)))
        yield Splice.of("program id left out", node, "0" if name == "program_id" else "1")
    if name == "range" and node.args:
        yield from _ranges(node)


def _ranges(node: ast.Call) -> Iterator[Splice]:
    arguments = [_text(each) for each in node.args]
    start, stop, step = {1: ("0", *arguments, "1"), 2: (*arguments, "1"), 3: tuple(arguments)}[len(arguments)]
    function = _text(node.func)
    for operator, (first, last, by) in {
        "loop starts late": (f"{start} + {step}", stop, step),
        "loop ends early": (start, f"{stop} - {step}", step),
        "loop ends a little early": (start, f"{stop} - 1", step),
        "loop ends late": (start, f"{stop} + {step}", step),
        "loop steps too far": (start, stop, f"2 * {step}"),
    }.items():
        yield Splice.of(operator, node, f"{function}({first}, {last}, {by})")


def statements(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """An assignment left out (a rescale, an update of the maximum), a store left out, a branch always or never taken."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        name = node.targets[0].id
        if any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node.value)):
            yield Splice.of("update left out", node, f"{name} = {name}")
    if isinstance(node, ast.AugAssign):
        yield Splice.of("update left out", node, "pass")
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _function(node.value) == "store":
        yield Splice.of("store left out", node, "pass")
    if isinstance(node, ast.If | ast.IfExp):
        yield Splice.of("branch always", node.test, "True")
        yield Splice.of("branch never", node.test, "False")


def order(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """What orders threads and programs: a barrier left out, an atomic that orders nothing, a store too early or too often."""
    if isinstance(node, ast.keyword) and node.arg == "sem":
        yield Splice.of("atomic relaxed", node.value, "'relaxed'")
    if isinstance(node, ast.keyword) and node.arg == "scope":
        yield Splice.of("scope of a block", node.value, "'cta'")
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return
    if _function(node.value) == "debug_barrier":
        yield Splice.of("barrier left out", node, "pass")
    before = _statement_before(node, tree)
    if _function(node.value) == "store" and before is not None:
        store, other = ast.unparse(node), ast.unparse(before)
        margin = "\n" + " " * node.col_offset
        if isinstance(before, ast.For | ast.While):
            deeper = margin + " " * (before.body[0].col_offset - before.col_offset)
            yield Splice.of("store moved into the loop", before, other.replace("\n", margin) + deeper + store, node)
        elif not isinstance(before, ast.FunctionDef):
            yield Splice.of("store moved up", before, store + margin + other.replace("\n", margin), node)


def edges(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """Where a tensor ends: a block pointer's checked axes, and a grid that is rounded down."""
    if isinstance(node, ast.keyword) and node.arg == "boundary_check" and isinstance(node.value, ast.Tuple):
        for axis in node.value.elts:
            kept = [_text(each) for each in node.value.elts if each is not axis]
            yield Splice.of("boundary not checked", node.value, f"({''.join(f'{each}, ' for each in kept)})")
    if isinstance(node, ast.Call) and _function(node) == "cdiv" and len(node.args) == 2:
        yield Splice.of("rounded down", node, f"({_text(node.args[0])} // {_text(node.args[1])})")


def constants(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """A number nudged: block sizes, shifts, table entries, bits, epsilons, −inf."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and re.match(r"float\(.inf.\)", _text(node.operand)):
        for new in ("-1e4", "-1e3", "0.0"):
            yield Splice.of("minus infinity", node, new)
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return
    value = node.value
    if isinstance(value, int):
        yield Splice.of("constant", node, str(value + 1))
        if value > 1:
            yield Splice.of("constant", node, str(value // 2))
            yield Splice.of("constant", node, str(value * 2))
        if value > 0:
            yield Splice.of("constant", node, str(value - 1))
    else:
        yield Splice.of("constant", node, repr(value * 2 if value else 1.0))
        if value:
            yield Splice.of("constant", node, repr(value * 1.01))


def arguments(node: ast.AST, tree: ast.Module) -> Iterator[Splice]:
    """Two positional arguments of a launch, or of a helper, exchanged with their neighbours."""
    if not isinstance(node, ast.Call) or len(node.args) < 4 or any(isinstance(each, ast.Starred) for each in node.args):
        return
    for first, second in zip(node.args, node.args[1:], strict=False):
        if first.lineno == second.end_lineno and _text(first) != _text(second):
            yield Splice.of("arguments exchanged", first, f"{_text(second)}, {_text(first)}", second)


OPERATORS: tuple[Operator, ...] = (
    masks, others, comparisons, strides, widths, factors, calls, statements, order, edges, constants, arguments,
)  # fmt: skip


def _function(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _text(node: ast.AST) -> str:
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, ast.BinOp | ast.Compare | ast.BoolOp | ast.IfExp) else text


def _symbol(node: ast.Compare | ast.BinOp) -> str:
    symbols = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Mult: "*", ast.Div: "/"}
    return symbols[type(node.ops[0] if isinstance(node, ast.Compare) else node.op)]


def _statement_before(node: ast.stmt, tree: ast.Module) -> ast.stmt | None:
    """The one that stands right before it, in the same block; None where it is the first, or what stands there says nothing."""
    for parent in ast.walk(tree):
        for block in (getattr(parent, "body", None), getattr(parent, "orelse", None)):
            if isinstance(block, list) and node in block[1:]:
                before = block[block.index(node) - 1]
                return None if isinstance(before, ast.Expr) and isinstance(before.value, ast.Constant) else before
    return None


def _names(tree: ast.Module) -> set[str]:
    return {each.arg for each in ast.walk(tree) if isinstance(each, ast.arg)}
