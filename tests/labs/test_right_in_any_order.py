"""Lab 1 takes a product that is summed in another order, for every seed: no case may leave a row of cancelling terms alone."""

import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from labs import load

LAB = load("lab01_scores").lab


def _backwards(products):
    total = torch.zeros(products.shape[0])
    for column in reversed(products.unbind(-1)):
        total = total + column
    return total


def _in_halves(products):
    while products.shape[-1] > 1:
        middle = products.shape[-1] // 2
        folded = products[:, :middle] + products[:, middle : 2 * middle]
        products = torch.cat((folded, products[:, 2 * middle :]), dim=1)
    return products[:, 0]


@pytest.mark.parametrize("total", [_backwards, _in_halves])
@pytest.mark.parametrize("case", [case for case in LAB.cases if "cpu" in case.devices], ids=lambda case: case.name)
def test_a_sum_in_fp32_passes(case, total):
    for seed in range(40):
        prepared = prepare(LAB, case, bytes([seed]) * 32)
        query, key = prepared.inputs["query"].float(), prepared.inputs["key"].float()
        out = (total(query * key) * prepared.inputs["softmax_scale"]).to(prepared.out_dtype)
        limit = limit_for(prepared.out_dtype, LAB.score_scale(prepared.inputs), case.limit)

        assert compare(out, LAB.expected(prepared.inputs), limit).verdict is Verdict.PASSED, seed
