"""Mutants: each carries the change that it is, is a file of its own, and none is the right answer again."""

import ast
import collections

import pytest

from labs import lab_ids, load
from labs.check.answers import Answer, answers
from labs.mutants.equivalents import reasons
from labs.mutants.making import chosen, mutants_of
from labs.mutants.operators import OPERATORS

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
