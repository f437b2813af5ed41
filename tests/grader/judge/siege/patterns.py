"""Every regular expression of the trusted side, found in its syntax trees, and hostile texts made for each."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from re import _constants as op
from re import _parser as parser

from grader.judge.diagnosis import errors, messages
from tabs.labs import explained

ROOT = Path(__file__).parents[4]
TRUSTED = ("grader/*.py", "grader/judge", "grader/course", "grader/sandbox/record", "grader/sandbox/process", "tabs")
TRUSTED += ("grader/sandbox/walls", "grader/sandbox/protocol.py", "grader/wording")
TEXT_SIZE = 64 * 1024
METHODS = ("match", "search", "fullmatch", "sub", "split", "findall", "finditer")
# Patterns that a call does not spell out: what they are, and what their text is put through first.
SPELT_ELSEWHERE = {
    ("grader/judge/diagnosis/messages.py", "rule.pattern"): ([rule.pattern for rule in errors.RULES], messages.legible),
    ("tabs/labs/explained.py", "place.names"): ([place.names for place in explained.PLACES], str),
}


@dataclasses.dataclass(frozen=True)
class Use:
    """A pattern, how it is applied, and what its text is put through before."""

    where: str
    pattern: re.Pattern[str]
    method: str
    prepared: Callable[[str], str] = str


def files() -> Iterator[Path]:
    for place in TRUSTED:
        if place.endswith(".py"):
            yield from ROOT.glob(place)
        else:
            yield from sorted((ROOT / place).rglob("*.py"))


def uses() -> list[Use]:
    """Every one; raises where a pattern is neither spelt out nor in `SPELT_ELSEWHERE`."""
    return [use for path in files() for use in _uses_in(path)]


def _uses_in(path: Path) -> Iterator[Use]:
    name = str(path.relative_to(ROOT))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    compiled = {id(node.value): node.targets[0] for node in ast.walk(tree) if isinstance(node, ast.Assign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "re":
            raise AssertionError(f"{name} imports from re: its patterns cannot be found")
        if not _is_of_re(node):
            continue
        where = f"{name}:{node.lineno}"
        if node.func.attr == "compile":
            target = compiled[id(node)]  # a constant of its module
            module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
            found = [each.attr for each in _attributes(tree) if each.attr in METHODS and ast.unparse(each.value) == target.id]
            for method in dict.fromkeys(found or METHODS[:3]):  # handed on to a function: it may do any of them
                yield Use(where, getattr(module, target.id), method)
        elif node.func.attr in METHODS:
            flags = [eval(ast.unparse(word.value), {"re": re}) for word in node.keywords if word.arg == "flags"]
            given, prepared = node.args[0], str
            if isinstance(given, ast.Constant):
                patterns = [given.value]
            else:
                patterns, prepared = SPELT_ELSEWHERE[name, ast.unparse(given)]
            for pattern in patterns:
                yield Use(where, re.compile(pattern, *flags), node.func.attr, prepared)


def _is_of_re(node: ast.AST) -> bool:
    called = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    return isinstance(called, ast.Name) and called.id == "re"


def _attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def hostile_texts(pattern: str | bytes, size: int = TEXT_SIZE) -> Iterator[str]:
    """Texts that nearly match: each beginning of a match, then one character over and over, or that beginning again."""
    for sample in _samples(parser.parse(pattern if isinstance(pattern, str) else pattern.decode("latin-1"))):
        for end in range(len(sample) + 1):
            begin = sample[:end]
            for again in dict.fromkeys([*sample[max(0, end - 1) : end + 1], " ", "a", "0", "\n"]):
                yield begin + again * (size - len(begin) - 1) + "\0"
            if begin:
                yield begin * (size // len(begin)) + "\0"


def _samples(parsed: parser.SubPattern) -> list[str]:
    """Texts that match: one for each branch of an alternative."""
    made = [""]
    for kind, value in parsed:
        made = [begin + more for begin in made for more in _of_one(kind, value)][:12]
    return made


def _of_one(kind: object, value: object) -> list[str]:
    if kind is op.LITERAL:
        return [chr(value)]
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        least, _, inner = value
        return [sample * max(1, least) for sample in _samples(inner)]
    if kind is op.SUBPATTERN:
        return _samples(value[-1])
    if kind is op.BRANCH:
        return [sample for branch in value[1] for sample in _samples(branch)]
    if kind is op.IN:
        return [_member(value)]
    return ["a"] if kind in (op.ANY, op.NOT_LITERAL) else [""]


def _member(items: list) -> str:
    kind, value = items[0]
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.RANGE:
        return chr(value[0])
    return {op.CATEGORY_DIGIT: "0", op.CATEGORY_SPACE: " "}.get(value, "a")
