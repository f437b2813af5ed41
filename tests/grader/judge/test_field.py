"""Kernels as people write them (field/): each gets the verdict in its name; of a race both lines are named, and no others.

A file is called `<verdict>__<name>.py`, or `<verdict>__<lab>__<name>.py` where it is not one of lab 2. In a racy one the lines
that race end in `# RACE`.
"""

import re
from pathlib import Path

import pytest

from grader.judge import Judge
from labs import lab_ids

FIELD = sorted((Path(__file__).parent / "field").glob("*.py"))
SEEDS = 2


def lab_of(path):
    short = path.name.split("__")[1]
    return next((lab for lab in lab_ids() if lab.startswith(f"{short}_")), "lab02_safe_softmax")


@pytest.fixture(scope="module")
def judge():
    with Judge(device="cpu") as made:
        yield made


@pytest.mark.parametrize("path", FIELD, ids=lambda path: path.stem)
def test_every_file_gets_the_verdict_in_its_name(judge, path):
    source = path.read_text()
    marked = {number for number, line in enumerate(source.splitlines(), start=1) if line.endswith("# RACE")}

    for seed in range(SEEDS):
        report = judge.grade(source.encode(), lab_of(path), mode="check", seed=bytes([seed]) * 32)

        assert report.verdict == path.name.split("__")[0], report.diagnosis
        if report.verdict == "race":
            # of accesses: in brackets stands the line where scratch was allocated
            named = {int(number) for number in re.findall(r"(?<!\()line (\d+)", report.diagnosis.sentence)}
            assert named <= marked
            assert len(named) == min(2, len(marked)) or report.diagnosis.sentence.startswith("A race: each of two programs")
            assert report.diagnosis.line in marked


def test_the_racy_kernels_are_of_many_kinds():
    assert sum(path.name.startswith("race__") for path in FIELD) >= 12


@pytest.mark.gpu
@pytest.mark.parametrize("path", FIELD, ids=lambda path: path.stem)
def test_every_file_gets_the_same_verdict_on_a_gpu(path):
    with Judge(device="cuda") as judge:
        report = judge.grade(path.read_text().encode(), lab_of(path), mode="check")

    assert report.verdict == path.name.split("__")[0], report.diagnosis
