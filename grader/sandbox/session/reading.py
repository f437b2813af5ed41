"""A submission's source becomes a module: parsed under strict rules, scanned for forbidden names, imported, its entry found."""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import re
import sys
import types
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from triton.runtime.jit import KernelInterface

from grader.sandbox.case.refusals import Refused
from grader.sandbox.session.culprit import FILENAME

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
        raise BadSyntax(_pasted(source, error) or error.msg or "invalid syntax", error.lineno) from error
    except (RecursionError, MemoryError) as error:
        raise BadSyntax("the file is nested too deeply to be read") from error
    except (ValueError, OverflowError) as error:
        raise BadSyntax(str(error)) from error


# How a text begins that was copied with what stood around it, and what that was.
_AROUND = (
    ("```", "the fence ``` of a Markdown text was pasted with it"),
    ("~~~", "the fence ~~~ of a Markdown text was pasted with it"),
    (">>> ", "the prompts >>> of a Python session were pasted with it"),
    ("In [", "the prompts In [1]: of a notebook were pasted with it"),
    ("<", "this is a web page; copy the code alone"),
    ("{", "this is a notebook or JSON; copy the code alone"),
    ("diff --git", "this is a patch; hand in the whole file"),
    ("@@ ", "this is a patch; hand in the whole file"),
    ("%%", "a notebook's %%magic stands before it; leave that line out"),
)


# Characters that text programs put where another is meant, and are not told apart by Unicode's compatible forms.
_MEANT = dict(zip("“”„«»‘’‚−–—‐×÷≤≥≠", ('"',) * 5 + ("'",) * 3 + ("-",) * 4 + ("*", "/", "<=", ">=", "!="), strict=True))


def _pasted(source: str, error: SyntaxError) -> str:
    """Where a text that is no Python is Python with something around or in it: what; "" elsewhere."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    if not lines:
        return ""
    if len(lines) > 2 and all(line.split(maxsplit=1)[0].rstrip(".:|").isdecimal() for line in lines):
        return "the numbers of its lines were pasted with it"
    if len(lines) > 2 and all(line.startswith("+") for line in lines):
        return "the + of a patch's lines were pasted with it"
    around = next((what for beginning, what in _AROUND if lines[0].startswith(beginning)), "")
    stands = re.match(r"\s*(?:!|%%?)(?=[a-z])", error.text or "")
    if not around and stands and error.offset and error.offset <= stands.end():
        return "a notebook's command stands in it; leave that line out"
    return around or _stranger(source, error.msg or "")


def _stranger(source: str, message: str) -> str:
    """Which character Python stumbled over, where it looks like one that it reads, or like nothing; "" elsewhere."""
    found = re.match(r"invalid (?:non-printable )?character .*U\+([0-9A-F]{4,6})", message)
    if found is None:
        return ""
    character = chr(int(found[1], 16))
    count = source.count(character)
    many = f", {count} times in the file" if count > 1 else ""
    meant = _MEANT.get(character) or unicodedata.normalize("NFKC", character)
    if unicodedata.category(character) in ("Cf", "Cc"):
        return f"U+{found[1]}, a character that is not seen, stands there{many}; type the line anew"
    if not meant.strip():
        return f"U+{found[1]}, a blank of web pages and text programs, stands where a plain one must{many}"
    return f"{character} (U+{found[1]}) stands where {meant} must{many}" if meant.isascii() else ""


def refuse_names(source: str, forbidden: tuple[str, ...]) -> None:
    """Look for names of triton.language that would do the exercise.

    Raises:
        Refused: one of them is used.
    """
    tree = ast.parse(source)
    for name, line in _language_names(tree):
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
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name.startswith("triton.language")}
        elif isinstance(node, ast.ImportFrom) and node.module == "triton":
            modules |= {alias.asname or alias.name for alias in node.names if alias.name == "language"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("triton.language"):
            imported |= {alias.asname or alias.name: alias.name for alias in node.names}
    modules |= {"triton.language", "triton.language.standard", *(f"{module}.standard" for module in modules)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
            yield node.attr, node.lineno
        elif isinstance(node, ast.Name) and node.id in imported:
            yield imported[node.id], node.lineno
