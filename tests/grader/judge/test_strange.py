"""Kernels of designs that no lab shows (strange/): right ones pass and nothing is said against them; with one edit each fails,
and what is said of it is true of that edit.

A file is called `<lab>__<name>.py`; its line "Habit: …", where it has one, is a piece of the remark
that is true of it. `EDITS`: the file, what is replaced by what, and words of the sentence.
"""

import re
import sys
from pathlib import Path

import pytest

from grader.judge import Judge
from labs import lab_ids, load

sys.path.insert(0, str(Path(__file__).parents[2] / "labs"))
from interpreted import Interpreted, attempt  # noqa: E402

HERE = Path(__file__).parent / "strange"
FILES = sorted(HERE.glob("*.py"))
SEED = b"a seed known to the tests alone!"
EDITS = (
    ("lab05__transposed", "total * shrink + tl.sum(p, axis=0)", "total + tl.sum(p, axis=0)", "acc is rescaled when the"),
    ("lab05__head_dim_in_halves", "svn, HALF, N", "svn, 0, N", ""),
    ("lab05__clamped_indices", 'tl.where(n[None, :] < N, s, -float("inf"))', "s", "weights from 0.01562 (key 0)"),
    ("lab06__flattened_loop", "(tiles - turn // ALL) * BM + N - M", "(tiles - turn // ALL) * BM", "in the loop's end"),
    ("lab03__reduced_pairs", "sum_b * tl.exp(top_b - base)", "sum_b", "the row sums to 0.3012"),
    ("lab02__heuristics", 'other=-float("inf")', "other=0.0", "Padding takes part in the softmax"),
)  # fmt: skip


def lab_of(name):
    return next(lab for lab in lab_ids() if lab.startswith(name.split("__")[0]))


@pytest.fixture(scope="module")
def judge():
    with Judge(device="cpu") as made:
        yield made


def graded(judge, name, source, mode):
    return attempt(Interpreted, judge, load(lab_of(name)), source.encode(), mode=mode, seed=SEED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_right_one_passes_without_a_remark(judge, path):
    report = graded(judge, path.stem, path.read_text(), "submit")

    assert report.verdict == "passed", report.diagnosis
    habit = re.search(r"^Habit: (.+)$", path.read_text(), re.M)
    assert (habit.group(1) in report.diagnosis.detail) if habit else report.diagnosis.detail == ""
    assert report.facts == ()


@pytest.mark.parametrize(("name", "old", "new", "words"), EDITS)
def test_a_wrong_one_is_told_what_is_true(judge, name, old, new, words):
    source = (HERE / f"{name}.py").read_text()
    assert source.count(old) == 1

    report = graded(judge, name, source.replace(old, new), "check")

    assert report.verdict in ("wrong_answer", "not_finite")
    assert words in report.diagnosis.sentence, report.diagnosis
    assert report.facts
