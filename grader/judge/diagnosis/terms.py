"""Terms of the sum l that no key has: how many of score 0 and value 0 make a right row what came out.

Lanes beyond the end, and splits without keys whose lse is 0, add such terms, as many as tiles or splits are wide. A row that is
f times what it should be holds (1 / f − 1) · Σ exp(score) of them, which must be a whole number, and one for all heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.attention import READERS, Attention
from grader.judge.diagnosis.oracles import on_cpu
from grader.report import Diagnosis

NEAR = 0.05  # of a whole number
LIMITS = 4.0  # a row is off by one factor where what is left is within so many of the case's limits
SIGMAS = 3.0  # of a row's factor, which is a mean over its channels
LEAST = 2.0**-12  # of what rounding leaves of a row
ROWS = 2  # that show a number of terms, at least
SHOWN = 3


def terms(kind: str, wrong: Sequence[Finding]) -> Diagnosis | None:
    """How many such terms each failing case has; None where they do not explain all of them."""
    if kind not in READERS:
        return None
    found: list[tuple[Finding, dict[int, int], Attention]] = []
    shown = 0
    for finding in wrong:
        if finding.out is None or finding.expected is None or finding.comparison is None:
            return None
        attention = READERS[kind](on_cpu(finding).prepared.inputs)
        counted = _counted(on_cpu(finding), attention)
        if counted is None:
            return None
        shown += sum(rows for _, rows in counted.values())
        found.append((finding, {batch: count for batch, (count, _) in counted.items()}, attention))
    if shown < ROWS or not any(counts for _, counts, _ in found):
        return None
    said = [
        f"{count} beside {_keys(int(attention.kv_len[batch]))} (case {finding.name})"
        for finding, counts, attention in found
        if finding.visible
        for batch, count in list(counts.items())[:1]
    ]
    listed = f": {', '.join(said[:SHOWN])}" if said else ""
    sentence = (
        f"The sum l holds terms of score 0 that belong to no key{listed}. Lanes beyond the end, and splits or parts without "
        "keys, must weigh nothing: a score, or an lse, of −inf."
    )
    return Diagnosis(sentence=sentence, name="terms_without_key")


def _keys(count: int) -> str:
    return "one key" if count == 1 else f"{count} keys"


def _counted(finding: Finding, a: Attention) -> dict[int, tuple[int, int]] | None:
    """By sequence, the number of terms and how many rows show it; None where some wrong row is not explained."""
    assert finding.out is not None and finding.expected is not None and finding.comparison is not None
    rows = (a.kv_len.shape[0], -1, finding.out.shape[-1])
    got, want = (x.double().reshape(rows) for x in (finding.out, finding.expected))
    if not bool(torch.isfinite(got).all()):
        return None
    size = want.square().sum(-1)
    factor = (got * want).sum(-1) / size.clamp(min=1e-300)
    limit = LIMITS * finding.comparison.limit
    left = (got - factor[..., None] * want).norm(dim=-1) / (factor.abs() * size.sqrt()).clamp(min=1e-30)
    off = left > limit
    total = torch.exp(a.scores().masked_fill(~a.counted(), -torch.inf)).sum(-1).reshape(factor.shape)
    count = total * (1 / factor.clamp(min=1e-30) - 1)
    unsure = total * SIGMAS * left.clamp(min=LEAST) * got.shape[-1] ** -0.5 / factor.clamp(min=1e-30).square()
    counted: dict[int, tuple[int, int]] = {}
    for batch in range(rows[0]):
        telling = (size[batch] > 0) & (unsure[batch] < 2 * NEAR)
        bad = off[batch] | (telling & ((count[batch] - count[batch].round()).abs() > NEAR + unsure[batch]))
        numbers = set(count[batch][telling].round().long().tolist())
        if bool(bad.any()) or len(numbers) > 1 or any(number < 0 for number in numbers):
            return None
        if numbers and (number := numbers.pop()):
            counted[batch] = number, int(telling.sum())
    return counted
