"""What the names of a function hold, as far as their use shows: pointers, indices, masks, values.

It is a guess, which says what may stand in the place of what.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import os
from collections.abc import Iterator

POINTER, INDEX, MASK, VALUE = "pointer", "index", "mask", "value"
OF_ADDRESSES = ("load", "store", "make_block_ptr")  # and atomics: they take an address first
OF_VALUES = {"load", "dot", "exp", "exp2", "log", "log2", "sum", "max", "min", "zeros", "zeros_like", "full", "sqrt", "rsqrt"}
OF_INDICES = {"program_id", "num_programs", "arange", "cdiv", "range", "static_range", "next_power_of_2", "len"}
LIKE_FIRST = {"trans", "reshape", "broadcast_to", "expand_dims", "view", "to", "maximum", "minimum", "abs", "cast", "permute"}
_ROWS_AND_COLUMNS = (("(", ")[:, None]"), ("(", ")[None, :]"))
SHOWN = 80  # characters of a statement that a sentence quotes
_ROUNDS = 3  # of assignments that hang on later ones, in a loop


@dataclasses.dataclass(frozen=True)
class Scope:
    """A function, and what stands around each of its nodes."""

    function: ast.FunctionDef

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.function) for child in ast.iter_child_nodes(node)}

    @functools.cached_property
    def is_kernel(self) -> bool:
        """Whether Triton compiles it."""
        return any("jit" in ast.unparse(each) for each in self.function.decorator_list)

    @functools.cached_property
    def arguments(self) -> list[str]:
        return [each.arg for each in ast.walk(self.function.args) if isinstance(each, ast.arg)]

    @functools.cached_property
    def kinds(self) -> dict[str, str]:
        """Name → what it holds."""
        pointers = _pointers(self.function)
        kinds = {name: INDEX for name in self.arguments}
        kinds |= {name: VALUE for name in self.arguments if "scale" in name.lower()}
        kinds |= {name: POINTER for name in self.arguments if name in pointers or name.endswith("_ptr")}
        for _ in range(_ROUNDS):
            for node in ast.walk(self.function):
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        self._assign(kinds, target, node.value)
                elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                    kinds.setdefault(node.target.id, kind_of(node.value, kinds))
                elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                    kinds[node.target.id] = INDEX
        return kinds

    def _assign(self, kinds: dict[str, str], target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            kinds[target.id] = kind_of(value, kinds)
        elif isinstance(target, ast.Tuple):
            parts = value.elts if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts) else None
            for at, each in enumerate(target.elts):
                if isinstance(each, ast.Name):
                    kinds[each.id] = kind_of(parts[at], kinds) if parts else VALUE

    def kind(self, node: ast.expr) -> str:
        return kind_of(node, self.kinds)

    def alike(self, name: str) -> list[str]:
        """Other names of the function that hold the same kind of thing, those that are spelled alike first."""
        kind = self.kinds.get(name)
        others = [other for other, its in self.kinds.items() if its == kind and other != name]
        return sorted(others, key=lambda other: -_shared(name, other))

    def of_kind(self, kind: str) -> list[str]:
        return [name for name, its in self.kinds.items() if its == kind]

    def statement(self, node: ast.AST) -> ast.stmt:
        """The smallest statement that a node is part of."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    @functools.cached_property
    def conditions(self) -> list[str]:
        """Comparisons and masks of the function, as they are written: what another load or score may be held against."""
        found: dict[str, None] = {}
        for node in ast.walk(self.function):
            if isinstance(node, ast.Compare) and self.is_kernel and len(node.ops) == 1:
                found.setdefault(ast.unparse(node))
            elif isinstance(node, ast.keyword) and node.arg == "mask":
                found.setdefault(ast.unparse(node.value))
        own = [*self.of_kind(MASK), *(text for text in found if text not in self.kinds)]
        flat = [text for text in own if "None" not in text]
        return list(dict.fromkeys([*own, *(f"{form[0]}{text}{form[1]}" for text in flat for form in _ROWS_AND_COLUMNS)]))


def kind_of(node: ast.expr, kinds: dict[str, str]) -> str:
    """What an expression holds, where names hold `kinds`."""
    of = functools.partial(kind_of, kinds=kinds)
    match node:
        case ast.Name(id=name):
            return kinds.get(name, VALUE if "scale" in name.lower() else INDEX)
        case ast.Constant(value=value):
            return VALUE if isinstance(value, float) else INDEX
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Invert() | ast.Not()):
            return MASK
        case ast.UnaryOp(operand=operand):
            return of(operand)
        case ast.BinOp(left=left, right=right):
            both = (of(left), of(right))
            return next((kind for kind in (POINTER, VALUE, MASK) if kind in both), INDEX)
        case ast.Subscript(value=value) | ast.IfExp(body=value):
            return of(value)
        case ast.Call():
            name = function_of(node)
            if name in OF_VALUES or name == "float":
                return VALUE
            if name in OF_INDICES:
                return INDEX
            if name == "where" and len(node.args) == 3:
                return of(node.args[1])
            if name == "make_block_ptr":
                return POINTER
            if name in LIKE_FIRST:
                return of(node.func.value) if _is_method(node) else of(node.args[0]) if node.args else INDEX  # type: ignore[attr-defined]
            return VALUE if name[:1].islower() or name.startswith("_") else INDEX
    return INDEX


def function_of(node: ast.Call) -> str:
    """The name of what is called, without its module."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def text_of(node: ast.AST) -> str:
    """A node as it may stand within another."""
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, ast.BinOp | ast.Compare | ast.BoolOp | ast.IfExp | ast.UnaryOp | ast.Tuple) else text


def short(node: ast.AST) -> str:
    """A statement on one line, for a sentence."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _is_method(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "tl")


def _begins(address: ast.expr) -> Iterator[str]:
    """The name that an address begins with, where it is one."""
    while isinstance(address, ast.BinOp):
        address = address.left
    if isinstance(address, ast.Name):
        yield address.id


def _bases(function: ast.FunctionDef) -> Iterator[str]:
    """Names that addresses begin with."""
    for node in ast.walk(function):
        name = function_of(node) if isinstance(node, ast.Call) and node.args else ""
        if isinstance(node, ast.Call) and (name in OF_ADDRESSES or name.startswith("atomic_")):
            yield from _begins(node.args[0])
        elif isinstance(node, ast.Attribute) and node.attr == "element_ty" and isinstance(node.value, ast.Attribute):
            yield ast.unparse(node.value.value)


def _pointers(function: ast.FunctionDef) -> set[str]:
    """The bases, and what those that are computed begin with themselves."""
    found = set(_bases(function))
    for _ in range(_ROUNDS):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and any(isinstance(each, ast.Name) and each.id in found for each in node.targets):
                found.update(_begins(node.value))
    return found


def _shared(one: str, other: str) -> int:
    """How much two names share: characters at their beginning and end."""
    return sum(len(os.path.commonprefix(pair)) for pair in ((one, other), (one[::-1], other[::-1])))
