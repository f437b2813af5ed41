"""Whose value comes out where one key has all the weight: rows of key and of value that are not the same key's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.probes.inputs import FP16, arguments, drawn, identity, unit
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Lab

KEYS = 128  # and as many channels: the value of key j is 1 in channel j alone
HEIGHT = 1.25  # of a query, times its key
SCALE = 0.075  # a score of 12, about 4 for the next one at most: no more, so that what lacks the key is still a number in fp16
PEAKS = (0, 1, 15, 16, 31, 32, 33, 63, 64, 65, 100, 127)
NARROWEST = 16  # keys of a tile, at least
ALL = 0.1  # a weight of 1 is known within this
SHOWN = 3


def peaks(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """In the decode labs each key in a sequence of its own; else two queries for each key up to the middle.

    Keys are drawn from −1 and 1 in every channel: channels that are exchanged make no key of another.
    """
    keys = torch.where(drawn(81, KEYS, KEYS) > 0, 1.0, -1.0)
    if kind in ("decode", "fp8", "nvfp4"):
        own = torch.tensor(PEAKS)
        query = HEIGHT * keys[own][:, None, None]
    else:
        own = torch.arange(KEYS) // 2
        query = HEIGHT * keys[own][None, None]
    batch = query.shape[0]
    key = keys.expand(batch, 1, KEYS, KEYS)
    given = arguments(kind, query, key, identity(kind, batch, 1, KEYS, KEYS), scale=SCALE)
    case = prepared(lab, "peaks", given, FP16, what=f"{KEYS} keys, of which one has all the weight")

    def read(found: Sequence[Finding]) -> Reading | None:
        if found[0].out is None or not bool(torch.isfinite(found[0].out).all()):
            return None
        weights = found[0].out.double().reshape(len(own), KEYS) / unit(kind)
        largest, where = weights.max(-1)
        alone = ((largest - 1).abs() < ALL) & ((weights.sum(-1) - 1).abs() < ALL)
        wrong = (where != own) & alone
        if kind in ("causal", "window"):  # the first keys of a row's last tile have all the weight where others are lost, too
            wrong &= where < torch.arange(len(own)) - NARROWEST
        wrong = wrong.nonzero().flatten().tolist()
        if not wrong:
            return None
        right = sorted(set(own[(where == own) & alone].tolist()))
        met = {int(own[row]): int(where[row]) for row in reversed(wrong)}
        shown = sorted(met)[:SHOWN]
        said = "; ".join(f"where key {of} has it, the value of key {met[of]} comes out" for of in shown)
        before = f" (keys {right[0]} to {right[-1]} are right)" if len(right) > 1 and right[-1] < shown[0] else ""
        fact = Fact(given=f"{KEYS} keys, of which one has all the weight", got=said + before, expected="its own value")
        return Reading(fact=fact)

    yield KernelQuestion(name="peaks", cases=(case,), read=read)
