"""A module that labs share says which labs use it, and they do."""

import ast
import re

import pytest

from labs import ROOT, lab_ids, number_of

SHARED = {
    path.stem: said.group(1)
    for path in ROOT.glob("*.py")
    if (
        said := re.search(
            r"\bUsed(?: unchanged)? by labs (\d[\d, andto]*)", ast.get_docstring(ast.parse(path.read_text())) or ""
        )
    )
}


def _named(text):
    """Numbers of "4, 5, 6 and 11" or "7 to 10"."""
    if span := re.match(r"(\d+) to (\d+)", text):
        return set(range(int(span.group(1)), int(span.group(2)) + 1))
    return set(map(int, re.findall(r"\d+", text)))


def _users(module):
    pattern = re.compile(rf"^from labs\.{module} import |^from labs import .*\b{module}\b", re.M)
    return {number_of(lab) for lab in lab_ids() if any(pattern.search(path.read_text()) for path in (ROOT / lab).glob("*.py"))}


def test_the_shared_modules_are_found():
    assert {"prefill_inputs", "decode_answers", "decode_cases", "decode_inputs"} == set(SHARED)


@pytest.mark.parametrize("module", SHARED)
def test_a_shared_module_says_which_labs_use_it(module):
    assert _users(module) == _named(SHARED[module])
