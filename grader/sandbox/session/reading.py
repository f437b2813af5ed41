"""A submission's source becomes a module: parsed under strict rules, scanned for forbidden names, imported, its entry found."""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from triton.runtime.jit import KernelInterface

from grader.sandbox.case.refusals import Refused
from grader.sandbox.session.culprit import FILENAME
from grader.sandbox.session.pasted import pasted

MODULE_NAME = "submission"


class BadSyntax(Exception):
    """Python cannot read the file, or must not: this alone decides that no attempt is spent."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


class BadEntry(Exception):
    """There is no entry function, or it takes other arguments."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


def parse(source: str) -> types.CodeType:
    """The compiled module; no line of it has run. `source` has passed `grader.source.check_source`.

    Raises:
        BadSyntax: it is no Python, or too deeply nested to be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(source, FILENAME, "exec", dont_inherit=True)
    except SyntaxError as error:
        what, line = pasted(source, error)
        raise BadSyntax(what or error.msg or "invalid syntax", line) from error
    except (RecursionError, MemoryError) as error:
        raise BadSyntax("the file is nested too deeply to be read") from error
    except (ValueError, OverflowError) as error:
        raise BadSyntax(str(error)) from error


def refuse_names(source: str, code: types.CodeType, forbidden: tuple[str, ...]) -> None:
    """Look for names of triton.language that would do the exercise; `code` is what the source was compiled to.

    Raises:
        Refused: one of them is used.
    """
    if not _names(code).intersection(forbidden):
        return
    for name, line in _language_names(ast.parse(source)):
        if name in forbidden:
            text = f"tl.{name} is not allowed here: it would do the exercise for you; write it with loads, sums and maxima."
            raise Refused(text, line)


def load(source: str, code: types.CodeType) -> types.ModuleType:
    """Run the module's code under the name MODULE_NAME. Its lines are known to `inspect` without a file."""
    module = types.ModuleType(MODULE_NAME)
    module.__file__ = FILENAME
    lines = io.StringIO(source, newline=None).readlines()  # str.splitlines would also break at a form feed
    linecache.cache[FILENAME] = (len(source), None, lines, FILENAME)
    sys.modules[MODULE_NAME] = module
    exec(code, module.__dict__)
    return module


def entry_of(module: types.ModuleType, entry: str, arguments: tuple[str, ...]) -> Callable[..., Any]:
    """The entry function: what the module calls by that name, which may be anything that is called like a function (an operator
    of torch.library, a functools.partial, an object of one's own).

    Raises:
        BadEntry: it is missing, or cannot be called with exactly `arguments` by keyword.
    """
    wanted = f"{entry}({', '.join(arguments)})"
    made = getattr(module, entry, None)
    if made is None:
        raise BadEntry(f"the function {wanted} is missing")
    if isinstance(made, KernelInterface):
        raise BadEntry(f"{entry} is a Triton kernel; it must be the function {wanted}, which launches one")
    if isinstance(made, type) or not callable(made):
        raise BadEntry(f"{entry} must be the function {wanted}, not {_a(made)}")
    line = getattr(getattr(inspect.unwrap(made), "__code__", None), "co_firstlineno", None)
    if any(kind(made) for kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
        raise BadEntry(f"{entry} must be a plain function: with async or yield a call of it runs no line of it", line)
    try:
        signature = inspect.signature(made)
    except (TypeError, ValueError):
        raise BadEntry(f"what {entry} takes cannot be read: make it the function {wanted}", line) from None
    try:
        signature.bind(**dict.fromkeys(arguments))
    except TypeError as error:
        raise BadEntry(f"{entry}{signature} does not take the arguments of {wanted}: {error}", line) from None
    if isinstance(made, types.FunctionType):
        return made

    def called(**given: Any) -> Any:
        return made(**given)

    called.__name__ = entry
    return called


def _a(made: object) -> str:
    """ "a class", "an int": what stands where a function is expected."""
    name = "class" if isinstance(made, type) else type(made).__name__
    return f"a{'n' if name[:1].lower() in 'aeiou' else ''} {name}"


def _language_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every name of triton.language that is used, with its line."""
    modules = {"tl"}
    imported: dict[str, str] = {}
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name.startswith("triton.language")}
        elif isinstance(node, ast.ImportFrom) and node.module == "triton":
            modules |= {alias.asname or alias.name for alias in node.names if alias.name == "language"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("triton.language"):
            imported |= {alias.asname or alias.name: alias.name for alias in node.names}
    modules |= {"triton.language", "triton.language.standard", *(f"{module}.standard" for module in modules)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and _dotted(node.value) in modules:
            yield node.attr, node.lineno
        elif isinstance(node, ast.Name) and node.id in imported:
            yield imported[node.id], node.lineno


def _names(code: types.CodeType) -> set[str]:
    """What is looked up or imported, in the module or in a function."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _dotted(node: ast.expr) -> str:
    """triton.language, as it is written; "" for what is no such name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""
