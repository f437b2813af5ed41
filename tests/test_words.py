"""One word, one thing: names of files, classes and functions keep to docs/glossary.md."""

import ast
import importlib
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([\w -]+) \| [^|]+ \| `([\w.]+)` \|$", GLOSSARY, flags=re.M)
# Not in any name of ours. "worker" is the command that adds a grading process from a terminal, as its users know it.
BANNED = ("worker", "nursery", "utils", "helper", "misc", "common")
EXCEPTED = {
    "grader/__main__.py": {"_worker"},
    "grader/sandbox/case/pretended_gpu.py": {"_Utils"},  # Triton asks its driver for `utils`
    "grader/sandbox/recording/driver.py": {"Utils"},
    "grader/sandbox/recording/recorder.py": {"with_our_utils"},
}
# Two classes of one name live in packages that never meet: the page's figures and the kernels are read by themselves.
ALONE = ("tabs/figures", "kernels", "labs")


def ours(*rooms):
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            if not {"mistakes", "honest", "museum"} & set(path.parts) and path.name not in ("starter.py", "solution.py"):
                yield path.relative_to(ROOT).as_posix(), path


def named(path, kinds):
    return [node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]


@pytest.mark.parametrize(("word", "place"), ROWS, ids=[word for word, _ in ROWS])
def test_what_a_word_names_is_there(word, place):
    module, rest = place, []
    while True:
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
            assert module, f"{word}: there is no {place}"
    for name in rest:
        found = getattr(found, name, None) or getattr(found, "__dataclass_fields__", {}).get(name)
        assert found is not None, f"{word}: {place} has no {name}"


def test_the_glossary_is_read():
    assert len(ROWS) >= 28
    assert {"session", "submission", "attempt", "record", "replayer", "conversation"} <= {word for word, _ in ROWS}


def test_no_name_is_a_word_that_means_several_things():
    wrong = []
    for where, path in ours("grader", "tabs", "labs", "kernels"):
        names = [path.stem, *named(path, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
        bad = [name for name in names if any(word in name.lower() for word in BANNED)]
        wrong += [(where, name) for name in bad if name not in EXCEPTED.get(where, ())]

    assert not wrong


def test_a_class_name_names_one_class():
    where = defaultdict(list)
    for place, path in ours("grader", "tabs"):
        if not place.startswith(ALONE):
            for name in named(path, ast.ClassDef):
                if not name.startswith("_"):
                    where[name].append(place)
    twice = {name: places for name, places in where.items() if len(places) > 1}

    assert not twice
