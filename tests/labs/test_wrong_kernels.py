"""Answers that no lab may accept: constants, copies, shuffled rows, a lost key, a scale off by 2%, noise above the gate.

Those that depend only on the answer are held against every case's gate; two of them go through the judge as kernels.
"""

import math

import pytest
import torch
from interpreted import Undiagnosed, attempt
from known_seed import SEED

from grader.judge.case.inputs import prepare
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from labs import lab_ids, load

LABS = lab_ids()
TILES = (16, 32, 64, 128)
EDGES = (0, 15, 16, 31, 32, 63, 64)

FILL = """
import torch
import triton
import triton.language as tl


@triton.jit
def fill(out_ptr, cells, number, BLOCK: tl.constexpr):
    offs = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.zeros([BLOCK], tl.float32) + number, mask=offs < cells)


def {entry}({arguments}):
    for each in ({written},):
        fill[(triton.cdiv(each.numel(), 4096),)](each, each.numel(), {number}, BLOCK=4096)
"""


@pytest.fixture(params=LABS, scope="module")
def cases(request):
    """The lab and its CPU cases, each with the right answer and its gate: the limit, and what a row's error is held against."""
    lab = load(request.param).lab
    prepared = [prepare(lab, case, SEED) for case in lab.cases if "cpu" in case.devices]
    return lab, [(each, lab.expected(each.inputs), _gate(lab, each)) for each in prepared]


def _gate(lab, prepared):
    limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), prepared.case.limit)
    return limit, lab.row_size(prepared.inputs) if lab.row_size else None


def _accepted(answer, expected, gate):
    return compare(answer, expected, *gate).verdict is Verdict.PASSED


@pytest.mark.parametrize("number", [0.0, 1.0], ids=["zeros", "ones"])
@pytest.mark.parametrize("lab_id", LABS)
def test_a_constant_is_no_answer(judge, lab_id, number):
    lab = load(lab_id).lab
    names = {"arguments": ", ".join(lab.arguments), "written": ", ".join(lab.written)}
    source = FILL.format(entry=lab.entry, number=number, **names)

    report = attempt(Undiagnosed, judge, load(lab_id), source.encode(), mode="check", seed=SEED)

    assert report.verdict is Verdict.WRONG_ANSWER
    assert sum(case.verdict is Verdict.PASSED for case in report.cases) <= 2


def test_zeros_fail_wherever_the_answer_is_not_zero(cases):
    _, found = cases
    for prepared, expected, gate in found:
        if bool(expected.any()):
            assert not _accepted(torch.zeros_like(expected), expected, gate), prepared.case.name


def test_two_percent_fail_in_every_case(cases):
    _, found = cases
    for prepared, expected, gate in found:
        for factor in (0.98, 1.02):
            if bool(expected.any()):
                assert not _accepted(expected * factor, expected, gate), prepared.case.name


def test_a_softmax_scale_off_by_two_percent_is_found(cases):
    lab, found = cases
    if "softmax_scale" not in lab.arguments:
        pytest.skip("this lab has no softmax_scale")
    for factor in (0.98, 1.02):
        rejected = {"visible": 0, "hidden": 0}
        for prepared, expected, gate in found:
            moved = {**prepared.inputs, "softmax_scale": prepared.inputs["softmax_scale"] * factor}
            if prepared.case.group in rejected and not _accepted(lab.expected(moved), expected, gate):
                rejected[prepared.case.group] += 1

        assert min(rejected.values()) >= 2


def test_noise_above_the_gate_fails_and_noise_below_it_passes(cases):
    _, found = cases
    for prepared, expected, (limit, row_size) in found:
        rows = expected.reshape(-1, expected.shape[-1] if expected.dim() else 1)
        if not bool(rows.any()):
            continue
        size = rows.norm(dim=1) if row_size is None else row_size
        sign = torch.where(torch.arange(rows.shape[1]) % 2 == 0, 1.0, -1.0).double()
        noise = sign * size.unsqueeze(1) / math.sqrt(rows.shape[1]) * limit
        gate = limit, row_size

        assert not _accepted((rows + 1.5 * noise).reshape(expected.shape), expected, gate), prepared.case.name
        if size.min() > 0:
            assert _accepted((rows + 0.5 * noise).reshape(expected.shape), expected, gate), prepared.case.name


def test_shuffled_answers_fail(cases):
    _, found = cases
    rejected = 0
    for _prepared, expected, gate in found:
        shuffled = expected.flip(0) if expected.dim() == 1 else expected.flip(-2)
        rejected += not _accepted(shuffled, expected, gate)

    assert rejected >= len(found) // 2


def test_the_mean_of_all_answers_fails(cases):
    _, found = cases
    rejected = 0
    for _prepared, expected, gate in found:
        mean = expected.flatten(0, -2).mean(dim=0) if expected.dim() > 1 else expected.mean()
        rejected += not _accepted(mean.expand_as(expected), expected, gate)

    assert rejected >= len(found) // 2


def test_a_copy_of_an_input_fails(cases):
    lab, found = cases
    for prepared, expected, gate in found:
        for name, tensor in prepared.tensors.items():
            trivial = lab.points == 0 or expected.unique().numel() == 1 or expected.shape[-2:-1] == (1,)
            if tensor.shape == expected.shape and not trivial:
                assert not _accepted(tensor.double(), expected, gate), (prepared.case.name, name)


def _without_keys(lab, prepared, keys):
    """The answer with these keys' values lost, or these columns; None where the case has too few."""
    name = next((name for name in prepared.tensors if name in ("value", "value_codes")), None)
    if name is None:
        name = "x" if "x" in prepared.tensors else "key"
        axis, lost = (1, -torch.inf) if name == "x" and lab.points else (1, 0.0) if name == "x" else (0, 0.0)
    else:
        axis, lost = -2, 0
    tensor = prepared.tensors[name]
    keys = [key for key in keys if key < tensor.shape[axis]]
    if not keys or len(keys) == tensor.shape[axis]:
        return None
    moved = tensor.index_fill(axis, torch.tensor(keys), lost)
    return lab.expected({**prepared.inputs, name: moved})


def test_a_single_lost_key_is_found(cases):
    lab, found = cases
    for edge in EDGES:
        answers = [(_without_keys(lab, each, [edge]), expected, gate) for each, expected, gate in found]
        assert any(answer is not None and not _accepted(answer, expected, gate) for answer, expected, gate in answers), edge


@pytest.mark.parametrize("tile", TILES)
def test_a_lost_last_tile_is_found(cases, tile):
    lab, found = cases
    rejected = 0
    for prepared, expected, gate in found:
        longest = max(prepared.sizes.values())
        for length in {*prepared.sizes.values(), longest}:
            answer = _without_keys(lab, prepared, range((length - 1) // tile * tile, length))
            if answer is not None and not _accepted(answer, expected, gate):
                rejected += 1
                break

    assert rejected >= 3
