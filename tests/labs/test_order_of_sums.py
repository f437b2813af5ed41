"""A sum in fp16 is named whatever the order in which a device takes it: from left to right, in halves, or in pairs."""

import pytest
import torch
from known_seed import SEED

from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.diagnose import diagnose
from grader.judge.verdict.gate import compare, limit_for
from labs import load


def _from_left_to_right(numbers):
    total = torch.zeros(numbers.shape[:-1], dtype=torch.float16)
    for column in numbers.unbind(-1):
        total = total + column
    return total


def _in_halves(numbers):
    numbers = _padded(numbers)
    while numbers.shape[-1] > 1:
        left, right = numbers.chunk(2, dim=-1)
        numbers = left + right
    return numbers.squeeze(-1)


def _in_pairs(numbers):
    numbers = _padded(numbers)
    while numbers.shape[-1] > 1:
        numbers = numbers[..., 0::2] + numbers[..., 1::2]
    return numbers.squeeze(-1)


def _padded(numbers):
    cols = numbers.shape[-1]
    return torch.nn.functional.pad(numbers, (0, (1 << (cols - 1).bit_length()) - cols))


def _found(lab, case, total):
    prepared = prepare(lab, case, SEED)
    x = prepared.inputs["x"].float()
    power = torch.exp(x - x.amax(-1, keepdim=True))
    out = (power / total(power.half()).float().unsqueeze(-1)).to(prepared.out_dtype)
    limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), case.limit)
    comparison = compare(out, lab.expected(prepared.inputs), limit)
    return Finding(prepared=prepared, verdict=comparison.verdict, out=out, comparison=comparison)


@pytest.mark.parametrize("total", [_from_left_to_right, _in_halves, _in_pairs])
@pytest.mark.parametrize("groups", [("visible",), ("visible", "hidden", "hostile")], ids=["check", "submit"])
def test_a_row_sum_in_fp16_is_named(total, groups):
    lab = load("lab02_safe_softmax").lab
    findings = [_found(lab, case, total) for case in lab.cases if case.group in groups and "cpu" in case.devices]

    assert any(finding.failed for finding in findings)
    assert diagnose(lab, findings).name == "sum_in_fp16"
