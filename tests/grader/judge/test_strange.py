"""Kernels of designs that no lab shows (strange/): right ones pass and nothing is said against them; with one edit each fails,
and what is said of it is true of that edit.

A file is called `<lab>__<name>.py`; its line "Habit: …", where it has one, is a piece of the remark
that is true of it. `EDITS`: the file, what is replaced by what, and words of the sentence.
"""

import re
from pathlib import Path

import pytest

from grader.sandbox.process.door import Sandbox
from labs import lab_ids
from labs.mutants.mutant import Mutant
from labs.mutants.naming import attempted

HERE = Path(__file__).parent / "strange"
FILES = sorted(HERE.glob("*.py"))
SEED = b"a seed known to the tests alone!"
EDITS = (
    ("lab05__transposed", "total * shrink + tl.sum(p, axis=0)", "total + tl.sum(p, axis=0)", "acc is rescaled when the"),
    ("lab05__head_dim_in_halves", "svn, HALF, N", "svn, 0, N", ""),
    ("lab05__clamped_indices", 'tl.where(n[None, :] < N, s, -float("inf"))', "s", "The last key counts several times"),
    ("lab06__flattened_loop", "(tiles - turn // ALL) * BM + N - M", "(tiles - turn // ALL) * BM", "in the loop's end"),
    ("lab03__reduced_pairs", "sum_b * tl.exp(top_b - base)", "sum_b", "the row sums to 0.3012"),
    ("lab02__rows_in_turn", " / tl.sum(e, axis=0), mask=lane < cols", " / tl.sum(e, axis=0)", "past the end of out: mask the"),
    ("lab02__heuristics", 'other=-float("inf")', "other=0.0", "Padding takes part in the softmax"),
)  # fmt: skip


def lab_of(name):
    return next(lab for lab in lab_ids() if lab.startswith(name.split("__")[0]))


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as made:
        yield made


def graded(sandbox, name, source, mode):
    mutant = Mutant(lab=lab_of(name), base=name, operator="", line=1, old="", new="", source=source)
    return attempted(sandbox, mutant, seed=SEED, target="sm_90", cancelled=lambda: False, modes=(mode,))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_right_one_passes_without_a_remark(sandbox, path):
    report = graded(sandbox, path.stem, path.read_text(), "submit")

    assert report.verdict == "passed", report.diagnosis
    habit = re.search(r"^Habit: (.+)$", path.read_text(), re.M)
    assert (habit.group(1) in report.diagnosis.detail) if habit else report.diagnosis.detail == ""
    assert report.facts == ()


@pytest.mark.parametrize(("name", "old", "new", "words"), EDITS)
def test_a_wrong_one_is_told_what_is_true(sandbox, name, old, new, words):
    source = (HERE / f"{name}.py").read_text()
    assert source.count(old) == 1

    report = graded(sandbox, name, source.replace(old, new), "check")

    outside = report.verdict == "out_of_bounds"
    assert outside or report.verdict in ("wrong_answer", "not_finite")
    assert words in report.diagnosis.sentence, report.diagnosis
    assert report.facts or outside
