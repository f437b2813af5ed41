"""How parts of the keys are joined: where weights are off by one factor a part, what that factor makes of the part's m and l.

A merge weighs a part by exp(m + ln l). With the weights of all keys in sight, the runs of keys that are off by one factor are
the parts, however a launcher deals keys out; ln(factor) = c + a · m + b · ln l for all of them tells what it weighs them by.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.attention import READERS
from grader.judge.diagnosis.probes.inputs import FP16, arguments, at_levels, identity, keys_a_channel, unit
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, number, prepared, several
from grader.report import Fact
from labs.declaration import Lab

HEAD_DIM = 128
LEAST = 4  # parts, of two channels each: two exponents and a constant explain any three
MOST = 32
SHOWN = 3
ALIKE = 0.012  # of a factor within a part
NEAR = 0.03  # of an exponent
LEFT = 0.03  # of ln(factor), where the two exponents explain it
LN2 = math.log(2.0)

# What a part is weighed by, as exponents of e^m and of l; right are 1 and 1.
WEIGHTS = (
    ((1 / LN2, 1 / LN2), "e^lse, where lse is in base 2"),
    ((LN2, LN2), "2^lse, where lse is in base e"),
    ((1 / LN2, 1.0), "exp(m) · l, where m is in base 2"),
    ((LN2, 1.0), "2^m · l, where m is in base e"),
    ((1.0, 0.0), "exp(m) alone: its sum l is missing"),
    ((0.0, 1.0), "its sum l alone: exp(m) is missing"),
    ((0.0, 0.0), "the same as every other"),
    ((1.0, 1 / LN2), "exp(m + log2(l)): log2 for log"),
    ((1.0, LN2), "2^(m + log(l)), where m is in base 2: log for log2"),
    ((1.0, 2.0), "exp(m) · l²: l is in it twice"),
)


def merges(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """A row over few keys, and over many, since a launcher splits long caches alone. Scores swing and fall: where they climb, a
    running sum that is not rescaled is off as parts are that are not weighed.
    """
    if kind not in ("decode", "fp8", "nvfp4"):
        return
    for keys in (128, 512):
        place = torch.arange(keys) / keys
        swings = (0.5 + 2.2 * place) * torch.sin(71.0 * place + 2.0) + 0.8 * torch.sin(23.0 * place)
        levels = 2.0 - 4.0 * place + swings  # runs of 16 to 128 differ from the next in m, in l and in m + ln l
        query, key = at_levels(torch.ones(1), levels, HEAD_DIM)
        given = arguments(kind, query, key, identity(kind, 1, 1, keys, HEAD_DIM), scale=0.25)
        what = f"{keys} keys whose scores swing and fall"
        case = prepared(lab, f"merge_{keys}", given, FP16, what=what)

        def read(found: Sequence[Finding], what: str = what) -> Reading | None:
            return _read(found[0], kind, what)

        yield KernelQuestion(name=f"merge_{keys}", cases=(case,), read=read)


def _read(finding: Finding, kind: str, what: str) -> Reading | None:
    if finding.out is None or finding.expected is None:
        return None
    scores = READERS[kind](finding.prepared.inputs).scores().flatten()
    per = keys_a_channel(len(scores), HEAD_DIM)
    channels = -(-len(scores) // per)
    got, wanted = (x.double().flatten()[:channels] / unit(kind) for x in (finding.out, finding.expected))
    if not bool((got > 0).all() & torch.isfinite(got).all()):
        return None
    parts = [range(run.start * per, run.stop * per) for run in _runs((got / wanted).tolist())]
    if not LEAST <= len(parts) <= MOST:
        return None
    off = torch.log(torch.tensor([float((got / wanted)[part.start // per]) for part in parts], dtype=torch.float64))
    runs = [scores[part.start : part.stop] for part in parts]
    m = torch.stack([run.amax() for run in runs])
    log_l = torch.stack([torch.exp(run - run.amax()).sum().log() for run in runs])
    known = torch.stack((m, log_l, torch.ones_like(m)), dim=1)
    found = torch.linalg.lstsq(known, off[:, None], driver="gelsd").solution.flatten()
    if float((known @ found - off).abs().max()) > LEFT or float(off.max() - off.min()) < 2 * LEFT:
        return None
    of_m, of_l = 1 + float(found[0]), 1 + float(found[1])
    words = [said for (a, b), said in WEIGHTS if abs(a - of_m) < NEAR and abs(b - of_l) < NEAR]
    said = words[0] if words else f"exp({number(round(of_m, 2))} · m + {number(round(of_l, 2))} · ln l)"
    first = " / ".join(several(list(part)) for part in parts[:SHOWN]) + " …"
    given = f"{what}: parts of them (keys {first}) are joined, each weighed by"
    return Reading(fact=Fact(given=given, got=said, expected="exp(m + ln l) of its own maximum m and sum l"))


def _runs(times: Sequence[float]) -> list[range]:
    """Runs of channels with one factor each; a channel between two runs, which holds keys of both, is in neither."""
    ends = [0, *(at for at in range(1, len(times)) if abs(times[at] / times[at - 1] - 1) > ALIKE), len(times)]
    runs = [range(first, end) for first, end in itertools.pairwise(ends)]
    long = [run for run in runs if len(run) > 1]
    return long if len(runs) - len(long) <= len(long) else []
