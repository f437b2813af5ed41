"""Which keys a query gives a weight where all scores are equal: the shape of a mask, and of a loop's bounds."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import keys_named, several
from grader.judge.diagnosis.probes.inputs import FP16, WIDE_OPEN, arguments, identity
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Lab

SEEN = "seen"  # the questions' family
HEAD_DIM = 128  # and as many keys at most: each has a channel of its own
SHAPES = ((100, 100, 30), (96, 128, 33), (128, 60, 20), (70, 128, 3), (128, 128, WIDE_OPEN), (101, 37, WIDE_OPEN))
# Windows that begin inside tiles; the least and the largest.
SHIFTED = ((40, 125, 29), (35, 93, 1), (80, 30, 1), (40, 125, 125))


def seen(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """As many queries as keys, fewer and more; in the window's lab windows that end inside tiles, too."""
    if kind not in ("causal", "window"):
        return
    for rows, keys, window in SHAPES + SHIFTED if kind == "window" else SHAPES:
        query, key = torch.zeros(1, 1, rows, HEAD_DIM), torch.zeros(1, 1, keys, HEAD_DIM)
        given = arguments(kind, query, key, identity(kind, 1, 1, keys, HEAD_DIM), scale=0.25, window=window)
        what = f"{rows} queries, {keys} keys of equal score"
        what += f", window {window}" if kind == "window" and window != WIDE_OPEN else ""
        name = f"{SEEN}_{rows}_{keys}"
        case = prepared(lab, name, given, FP16, what=what)
        yield KernelQuestion(name=name, cases=(case,), read=functools.partial(_read, keys=keys, what=what))


def _read(found: Sequence[Finding], keys: int, what: str) -> Reading | None:
    """The first of the queries that give a weight to most keys that they should not, or none to most that they should."""
    finding = found[0]
    if finding.out is None or finding.expected is None or not bool(torch.isfinite(finding.out).all()):
        return None
    got, wanted = (x[0, 0, :, :keys] != 0 for x in (finding.out, finding.expected))
    count = (got != wanted).sum(-1)
    wrong = count.nonzero().flatten().tolist()
    if not wrong:
        return None
    worst = int(count.argmax())
    more = f" (wrong are queries {several(wrong)})" if len(wrong) > 1 else ""
    fact = Fact(given=what, got=f"query {worst} gives a weight to {_keys(got[worst])}{more}", expected=_keys(wanted[worst]))
    return Reading(fact=fact, tells="mask")


def loses_seen(found: Sequence[Finding]) -> bool:
    """Whether some query gives no weight to a key that it sees, of those of equal score."""
    return any(
        finding.out is not None and finding.expected is not None and bool(((finding.out == 0) & (finding.expected != 0)).any())
        for finding in found
    )


def _keys(weighed: torch.Tensor) -> str:
    return keys_named(weighed.nonzero().flatten().tolist()) or "none"
