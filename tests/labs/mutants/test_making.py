"""Mutants: each carries the change that it is, is a file of its own, and none is the right answer again."""

import ast
import collections

import pytest

from labs import lab_ids, load
from labs.check.answers import Answer, answers
from labs.mutants.equivalents import reasons
from labs.mutants.making import chosen, mutants_of
from labs.mutants.operators import OPERATORS
from labs.mutants.trial import Tried
from labs.mutants.truths import TRUE, readings, told_how

KERNEL = """
@triton.jit
def kernel(x_ptr, stride_xm, stride_xn, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offs = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, cols, BLOCK):
        x = tl.load(x_ptr + row * stride_xm + offs, mask=offs < cols, other=-float("inf"))
        total = total + tl.sum(x, axis=0)
    if cols > 3:
        tl.store(x_ptr + offs, total, mask=offs < cols)
"""


@pytest.fixture(scope="module")
def made():
    return mutants_of(Answer(lab="lab02_safe_softmax", file="solution.py", kind="solution", source=KERNEL))


@pytest.mark.parametrize(
    ("operator", "old", "new"),
    [
        ("mask dropped", "offs < cols", "None"),
        ("other changed", '-float("inf")', "-1e4"),
        ("comparison", "offs < cols", "(offs <= cols)"),
        ("bound shifted", "offs < cols", "(offs < cols + 1)"),
        ("stride dropped", "stride_xm", "1"),
        ("stride of a neighbour", "stride_xm", "stride_xn"),
        ("cast left out", "tl.program_id(0).to(tl.int64)", "tl.program_id(0)"),
        ("index of 16 bits", "tl.int64", "tl.int16"),
        ("dtype", "tl.float32", "tl.float16"),
        ("factor left out", "row * stride_xm", "(row)"),
        ("reduction", "tl.sum", "tl.max"),
        ("axis exchanged", "0", "1"),
        ("program id exchanged", "0", "1"),
        ("loop ends early", "range(0, cols, BLOCK)", "range(0, cols - BLOCK, BLOCK)"),
        ("update left out", "total = total + tl.sum(x, axis=0)", "total = total"),
        ("store left out", "tl.store(x_ptr + offs, total, mask=offs < cols)", "pass"),
        ("branch never", "cols > 3", "False"),
        ("constant", "3", "4"),
    ],
)
def test_an_operator_makes_its_change(made, operator, old, new):
    assert (operator, old, new) in {(mutant.operator, mutant.old, mutant.new) for mutant in made}


def test_a_mutant_differs_from_its_base_where_it_says(made):
    base = KERNEL.splitlines()
    for mutant in made:
        lines = mutant.source.splitlines()
        assert lines[: mutant.line - 1] == base[: mutant.line - 1]
        assert lines != base
        assert ast.parse(mutant.source)


def test_no_file_is_made_twice(made):
    assert len({mutant.source for mutant in made}) == len(made)


def test_every_operator_finds_a_place_in_some_lab():
    places = collections.Counter()
    for answer in (answer for lab_id in lab_ids() for answer in answers(load(lab_id)) if answer.kind == "solution"):
        tree = ast.parse(answer.source)
        places.update(each.__name__ for node in ast.walk(tree) for each in OPERATORS if any(each(node, tree)))

    assert set(places) == {each.__name__ for each in OPERATORS}


def test_a_choice_takes_every_operator_before_any_twice(made):
    operators = {mutant.operator for mutant in made}

    picked = chosen(made, len(operators), seed=1)

    assert {mutant.operator for mutant in picked} == operators
    assert picked == chosen(made, len(operators), seed=1)
    assert picked != chosen(made, len(operators), seed=2)


def test_no_two_mutants_have_one_name(made):
    """An excuse for one of two lines that read alike must not excuse the other."""
    line = "    x = tl.load(p + tl.arange(0, 16), mask=tl.arange(0, 16) < n, other=0.0)\n"
    source = "@triton.jit\ndef kernel(p, n):\n" + line + "    tl.store(p, x)\n" + line + "    tl.store(p, x)\n"
    twice = mutants_of(Answer(lab="lab02_safe_softmax", file="solution.py", kind="solution", source=source))

    for each in (made, twice):
        assert len({mutant.name for mutant in each}) == len(each)
    assert any(mutant.name.endswith("#2") for mutant in twice)


def test_every_equivalent_mutant_is_one_that_is_made_and_has_a_reason():
    known = reasons()
    wanted = {name.split(":")[0] for name in known}
    names = {
        mutant.name
        for lab_id in lab_ids()
        for answer in answers(load(lab_id))
        if answer.right and f"{lab_id.partition('_')[0]}/{answer.file}" in wanted
        for mutant in mutants_of(answer)
    }

    assert sorted(set(known) - names) == []
    assert all(reason.strip().endswith(".") for reason in known.values())


def test_what_is_true_is_written_down_of_every_operator(made):
    source = "@triton.jit\ndef kernel(p, n, B: tl.constexpr):\n" + "".join(
        f"    {line}\n"
        for line in (
            "for i in range(0, n):",
            "    x = 1",
            "tl.store(p, x)",
            "tl.atomic_add(p, 1, sem='acq_rel', scope='gpu')",
            "tl.debug_barrier()",
            "y = tl.load(p, boundary_check=(0, 1))",
            "tl.store(p, y)",
            "z = triton.cdiv(n, B)",
        )
    )
    ordering = mutants_of(Answer(lab="lab02_safe_softmax", file="solution.py", kind="solution", source=source))
    operators = {mutant.operator for mutant in (*made, *ordering)}

    assert {
        "barrier left out",
        "atomic relaxed",
        "scope of a block",
        "store moved up",
        "store moved into the loop",
    } <= operators
    assert {"boundary not checked", "rounded down"} <= operators
    assert sorted(operators - set(TRUE)) == []


def test_a_moved_store_stands_where_it_says():
    source = "def kernel(p, n):\n    for i in range(n):\n        x = i\n    tl.store(p, x)\n    y = x\n    tl.store(p, y)\n"
    made = mutants_of(Answer(lab="lab02_safe_softmax", file="solution.py", kind="solution", source=source))

    moved = {mutant.operator: mutant.source for mutant in made if mutant.operator.startswith("store moved")}

    assert moved["store moved into the loop"].splitlines()[3:5] == ["        tl.store(p, x)", "    y = x"]
    assert moved["store moved up"].splitlines()[4:] == ["    tl.store(p, y)", "    y = x"]


def test_a_reading_is_of_a_mutant_that_is_made_and_says_why():
    for reading in readings().values():
        assert set(reading) == {"said", "words", "why"}
        assert reading["why"].endswith(".")


def test_how_a_mutant_was_told():
    known = {"name": "n", "lab": "l", "base": "b", "operator": "o", "line": 1, "old": "", "new": ""}

    assert told_how(Tried(**known, verdict="wrong_answer", said="base_two")) == "named"
    assert told_how(Tried(**known, verdict="wrong_answer", said="measured")) == "facts"
    assert told_how(Tried(**known, verdict="race", said="race")) == "located"
    assert told_how(Tried(**known, verdict="wrong_answer")) == ""
    repair = "Line 9: with `a` in the place of `b`, every visible case is right."
    assert told_how(Tried(**known, verdict="wrong_answer", said="measured", sentence=f"One key. {repair}")) == "repaired"
