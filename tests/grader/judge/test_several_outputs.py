"""An entry function that writes several tensors: each lies between guards of its own, and all are judged as one table."""

import dataclasses
import os
import types

import pytest
import torch
from doubling_lab import lab

from grader.judge.case.inputs import prepare
from grader.judge.case.memory import LentMemory, lay_out
from grader.judge.case.outcome import Outcome
from grader.judge.diagnosis.patterns import unwritten_sentence, worst
from grader.judge.gpu.bench import Bench, _plainly_right
from grader.judge.judging import judge
from grader.judge.verdict.gate import compare, relative_distance
from grader.report import Verdict
from labs.declaration import Case, Output
from labs.table import Form, forms, place, shape, table

CASE = Case(name="pair", sizes={"rows": 3, "cols": 5}, dtype=torch.float16)
OUTPUTS = (
    Output(name="twice", shape=lambda given: tuple(given["x"].shape)),
    Output(name="sum", shape=lambda given: tuple(given["x"].shape[:1]), dtype=torch.float32, cell_rows=True),
)


def _expected(given):
    x = given["x"].double()
    return table(forms(OUTPUTS, given, torch.float16), {"twice": 2 * x, "sum": x.sum(-1)})


PAIR = lab(
    arguments=("x", "factor", "twice", "sum"),
    outputs=OUTPUTS,
    out_shape=lambda given: shape(forms(OUTPUTS, given, torch.float16)),
    expected=_expected,
)


@pytest.fixture
def lent():
    prepared = prepare(PAIR, CASE, b"k" * 32)
    layout = lay_out(prepared)
    memory = LentMemory(inputs_bytes=layout.inputs_bytes, out_bytes=layout.out_bytes)
    memory.lend(prepared, layout)
    yield prepared, layout, memory
    memory.close()


def _write(memory, lent, tensor):
    os.pwrite(memory.out_fd, tensor.to(getattr(torch, lent.dtype)).numpy().tobytes(), lent.offset)


def _judged(lent, **changes):
    """The finding where both outputs were written rightly, but for the tensors in `changes`; None leaves one unwritten."""
    prepared, layout, memory = lent
    x = prepared.inputs["x"].double()
    for each in layout.outs:
        tensor = changes.get(each.name, {"twice": 2 * x, "sum": x.sum(-1)}[each.name])
        if tensor is not None:
            _write(memory, each, tensor)
    return judge(PAIR, prepared, Outcome(snapshots=(memory.snapshot(layout),)))


def test_the_written_arguments_are_the_outputs():
    assert PAIR.written == ("twice", "sum")
    assert lab().written == ("out",)


def test_each_output_has_a_place_of_its_own_and_guards_between(lent):
    _, layout, _ = lent
    twice, sums = layout.outs

    assert (twice.dtype, twice.shape, sums.dtype, sums.shape) == ("float16", (3, 5), "float32", (3,))
    assert sums.offset - layout.cells(twice).stop >= 4096
    assert [each.name for each in layout.tensors] == ["x", "twice", "sum"]


def test_what_is_right_in_both_passes(lent):
    finding = _judged(lent)

    assert finding.verdict is Verdict.PASSED
    assert finding.out.shape == (6, 5)


def test_the_worst_cell_is_named_by_its_tensor_and_its_place_there(lent):
    x = lent[0].inputs["x"].double()
    wrong = x.sum(-1)
    wrong[1] += 40

    finding = _judged(lent, sum=wrong)

    assert (finding.comparison.worst.name, finding.comparison.worst.index) == ("sum", (1,))
    assert "worst at sum[1]: got" in worst(finding).sentence


@pytest.mark.parametrize("name", ["twice", "sum"])
def test_the_output_that_nobody_wrote_is_named(lent, name):
    finding = _judged(lent, **{name: None})

    assert finding.verdict is Verdict.NOT_WRITTEN
    assert unwritten_sentence(finding).startswith(f"{name} was never written")


def test_a_write_between_two_outputs_is_past_the_end_of_one(lent):
    _, layout, memory = lent
    os.pwrite(memory.out_fd, b"\0\0", layout.cells(layout.out).stop + 64)

    finding = _judged(lent)

    assert finding.verdict is Verdict.OUT_OF_BOUNDS
    assert "past the end of twice or sum" in finding.own.sentence


def test_a_write_before_the_first_is_before_the_start(lent):
    _, layout, memory = lent
    os.pwrite(memory.out_fd, b"\0\0", layout.out.offset - 64)

    assert "before the start of twice or sum" in _judged(lent).own.sentence


def test_places_of_a_table():
    made = (Form("a", (2, 3, 4), torch.float16), Form("b", (2, 3), torch.float32, True), Form("c", (1, 4), torch.float16))

    assert shape(made) == (6 + 6 + 1, 4)
    assert place(made, (5, 3)) == ("a", (1, 2, 3))
    assert place(made, (10, 0)) == ("b", (1, 1))
    assert place(made, (12, 2)) == ("c", (0, 2))
    assert place(made[:1], (1, 2, 3)) == ("a", (1, 2, 3))
    with pytest.raises(ValueError, match="is no place of a table"):
        place(made, (13, 0))


def test_nothing_but_infinity_is_right_where_infinity_is_expected():
    expected = torch.tensor([[-torch.inf, 0.0], [1.0, 1.0]], dtype=torch.float64)

    assert compare(expected.float(), expected, 1e-3).verdict is Verdict.PASSED
    for other in (0.0, 1e30, torch.inf):
        got = expected.float()
        got[0, 0] = other
        assert compare(got, expected, 1e-3).verdict is Verdict.WRONG_ANSWER, other


def test_a_row_is_held_against_the_size_that_the_lab_gives():
    expected = torch.full((2, 4), 1e-6, dtype=torch.float64)
    off = expected + 1e-4

    assert compare(off.float(), expected, 1e-3).verdict is Verdict.WRONG_ANSWER
    assert compare(off.float(), expected, 1e-3, torch.tensor([1.0, 1.0])).verdict is Verdict.PASSED
    assert compare(off.float(), expected, 1e-3, torch.tensor([1.0, 0.01])).bad_rows == (1,)
    assert relative_distance(off.float(), expected, torch.tensor([1.0, 1.0])) == pytest.approx(2e-4, rel=1e-3)


def test_while_timed_no_row_counts_for_less_than_the_mean_of_its_outputs_rows(lent):
    _, layout, _ = lent
    expected = torch.zeros(6, 5)
    expected[:3, 0] = torch.tensor([9.0, 0.0, 3.0])  # twice
    expected[3:, 0] = torch.tensor([100.0, 50.0, 0.0])  # sum
    timing = types.SimpleNamespace(_lab=dataclasses.replace(PAIR, row_size=lambda given: None), _layout=layout)

    sizes = Bench._row_size(timing, expected)

    assert sizes.tolist() == [9.0, 4.0, 4.0, 100.0, 50.0, 50.0]
    off = expected.clone()
    off[1, 0] = 1e-3
    assert bool(_plainly_right(off, expected, 1e-3, sizes))
    assert not bool(_plainly_right(off, expected, 1e-3))
    assert Bench._row_size(types.SimpleNamespace(_lab=PAIR, _layout=layout), expected) is None


def test_an_input_is_not_among_what_may_be_written(lent):
    prepared, layout, memory = lent
    outcome = dataclasses.replace(Outcome(snapshots=(memory.snapshot(layout),)), changed=("x",))

    assert "write to twice or sum alone" in judge(PAIR, prepared, outcome).own.sentence
