"""The table of hacks names what there is: each name in it is a hack or a test, and no hack is missing from it."""

import re
from pathlib import Path

import forged
import test_hacks_on_gpu as on_gpu
from tricks import ONLY_WHERE_INTERPRETED, TRICKS

from labs.museum import exhibits

HERE = Path(__file__).parent
TESTS = HERE.parents[2]
HACKS = {
    *TRICKS,
    *ONLY_WHERE_INTERPRETED,
    *forged.FORGED,
    *on_gpu.FORGED,
    *on_gpu.TIMED_ONLY,
    *on_gpu.SAME_WORK,
    *(exhibit.name for exhibit in exhibits()),
}


def functions(folder):
    return {
        name for path in folder.rglob("*.py") for name in re.findall(r"^def (\w+)\(", path.read_text(encoding="utf-8"), re.M)
    }


def named():
    rows = re.findall(r"^\|.*\| (.*) \|$", (HERE / "README.md").read_text(encoding="utf-8"), re.M)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_name_is_a_hack_or_a_test():
    tests = {name for name in functions(TESTS) if name.startswith("test_")}
    assert named() - HACKS - tests - functions(TESTS / "grader" / "sandbox" / "attacks") == set()


def test_every_hack_is_named():
    assert HACKS - named() == set()
