"""What is rounded on the way, exchanged, or met from the last tile on is named: kernels as a learner writes them, in torch."""

import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.rules import accounts
from grader.judge.diagnosis.oracles import Suspects
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Verdict
from labs import load

SEED = b"a seed known to the tests alone!"
LAB3, LAB5, LAB6 = "lab03_online_softmax", "lab05_flash_attention", "lab06_causal"
HALF = torch.float16


def parts(given):
    """Scores and value."""
    return given["query"].double() @ given["key"].double().mT * given["softmax_scale"], given["value"].double()


def flash(given, *, held=lambda l: l, rescaled=True, tiles=iter):
    """Tile by tile, in the order of `tiles`; l is `held` after each, and `rescaled` to the new maximum or not."""
    s, value = parts(given)
    m = torch.full((*s.shape[:-1], 1), -1e30, dtype=torch.float64)
    total, acc = torch.zeros_like(m), torch.zeros(*s.shape[:-1], value.shape[-1], dtype=torch.float64)
    for start in tiles(range(0, s.shape[-1], 32)):
        block = s[..., start : start + 32]
        new = torch.maximum(m, block.amax(-1, keepdim=True))
        power, grown = torch.exp(block - new), torch.exp(m - new)
        total = held((total * grown if rescaled else total) + power.sum(-1, keepdim=True))
        acc, m = acc * grown + power @ value[..., start : start + 32, :], new
    return acc / total


def lse_in_half(given):
    s, value = parts(given)
    return torch.exp(s - s.logsumexp(-1, keepdim=True).to(HALF).double()) @ value


def query_in_half(given):
    query = (given["query"].double() * given["softmax_scale"]).to(HALF)
    return torch.softmax(query.double() @ given["key"].double().mT, dim=-1) @ given["value"].double()


def swapped_halves(given):
    s, value = parts(given)
    half = -(-s.shape[-1] // 2)
    pieces = [(s[..., at], value[..., at, :]) for at in (slice(half), slice(half, None)) if s[..., at].numel()]
    lse = torch.stack([scores.logsumexp(-1) for scores, _ in pieces], dim=-1)
    weights = torch.softmax(lse, dim=-1)
    weights = weights.flip(-1) if len(pieces) > 1 else 0.0 * weights
    return sum(weights[..., n, None] * (torch.softmax(x, dim=-1) @ v) for n, (x, v) in enumerate(pieces))


def key_cut(given):
    key = given["key"].clone()
    key[..., given["query"].shape[-2] :, :] = 0
    return torch.softmax(parts({**given, "key": key})[0], dim=-1) @ given["value"].double()


def diagonal_seen_whole(given):
    s, value = parts(given)
    rows, keys = s.shape[-2:]
    place, lane = torch.arange(rows)[:, None], torch.arange(keys)
    whole = ((place // 64 * 64 + 64 + keys - rows).clamp(0, keys)) // 32 * 32
    seen = (lane <= place + keys - rows) | (lane < whole)
    return torch.softmax(s.masked_fill(~seen, -1e300), dim=-1).masked_fill(~seen, 0.0) @ value


def read_as_pairs(given):
    x = given["x"].double()
    m, total = x.amax(-1), torch.exp(x - x.amax(-1, keepdim=True)).sum(-1)
    kept = torch.stack([m, total], dim=-1).flatten()
    rows = len(x)
    return torch.exp((x - kept[:rows, None]).float()).double() / kept[rows:, None]


def judged(lab, case, compute):
    prepared = prepare(lab, case, SEED)
    limit = limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), case.limit)
    out, expected = compute(prepared.inputs).to(prepared.out_dtype), lab.expected(prepared.inputs)
    comparison = compare(out, expected, limit)
    return Finding(prepared=prepared, verdict=comparison.verdict, out=out, expected=expected, comparison=comparison)


@pytest.mark.parametrize(
    ("lab_id", "compute", "name"),
    [
        (LAB5, lambda given: flash(given, held=lambda l: l.to(HALF).double()), "sum_rounded"),
        (LAB5, lambda given: flash(given, rescaled=False, tiles=reversed), "sum_not_rescaled"),
        (LAB5, lse_in_half, "statistics_rounded"),
        (LAB5, query_in_half, "query_rounded"),
        (LAB5, swapped_halves, "weights_exchanged"),
        (LAB5, key_cut, "rows_up_to_seqlen_q"),
        (LAB6, diagonal_seen_whole, "unmasked_too_far"),
        (LAB3, read_as_pairs, "statistics_exchanged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_named(lab_id, compute, name):
    lab = load(lab_id).lab
    cases = [case for case in lab.cases if (case.group == "visible" and not case.strided) or case.name == "peak_then_flat"]
    findings = [judged(lab, case, compute) for case in cases]

    assert any(finding.verdict is not Verdict.PASSED for finding in findings)
    assert {rule.name for rule in Suspects((), accounts(lab.kind), findings).left(())} == {name}
