"""How parts of the keys are joined: where weights are off by one factor a part, what that factor makes of the part's m and l.

A merge weighs a part by exp(m + ln l). With the weights of all keys in sight, the runs of keys that are off by one factor in
every row are the parts, however a launcher deals keys out. ln(factor), but for a constant of the row, is foretold by each way
to weigh them that is known; where none fits, c + a · m + b · ln l for all of them tells what they are weighed by.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.attention import READERS
from grader.judge.diagnosis.numbers import number, several
from grader.judge.diagnosis.probes.inputs import FP16, arguments, at_levels, identity, keys_a_channel, unit
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading, prepared
from grader.report import Fact
from labs.declaration import Lab

HEAD_DIM = 128
ROWS = 4  # sequences, each with scores of its own: two parts are told apart by them
NAME, FAMILY = "merge_weights", "merge"  # the symptom that says less, and of questions
MOST = 32  # parts
FIRST = 3  # of them are shown
ALIKE = 0.012  # of a factor within a part
NEAR = 0.012  # of ln(factor), where a way that is known explains it
LEFT = 0.03  # of ln(factor), where two exponents explain it
OFF = 0.03  # at least, between the parts of some row
LOW = -200.0  # a level at which fp16 tells numbers apart by 1/8
LN2 = math.log(2.0)

Parts: TypeAlias = torch.Tensor  # [rows, parts]
Weight: TypeAlias = Callable[[Parts, Parts], Parts]  # m, ln l -> ln(weight), but for a constant of the row


def _exponents(of_m: float, of_l: float) -> Weight:
    return lambda m, log_l: of_m * m + of_l * log_l


def _in_fp16(x: Parts) -> Parts:
    return x.to(FP16).double()


def _pairs_with_old_maximum(m: Parts, log_l: Parts) -> Parts:
    """Parts joined by pairs, in rounds, each pair under the larger maximum; then the left one's stands beside their sums."""
    weight, top, count = log_l.clone(), m.clone(), m.shape[1]
    distance = 1
    while distance < count:
        for left in range(0, count - distance, 2 * distance):
            right = left + distance
            larger = torch.maximum(top[:, left], top[:, right])
            weight[:, left:right] += (top[:, left] - larger)[:, None]
            weight[:, right : right + distance] += (top[:, right] - larger)[:, None]
        distance *= 2
    return weight


# What a part is weighed by.
WEIGHTS: tuple[tuple[str, Weight], ...] = (
    ("e^lse, where lse is in base 2", _exponents(1 / LN2, 1 / LN2)),
    ("2^lse, where lse is in base e", _exponents(LN2, LN2)),
    ("exp(m) · l, where m is in base 2", _exponents(1 / LN2, 1.0)),
    ("2^m · l, where m is in base e", _exponents(LN2, 1.0)),
    ("exp(m) alone: its sum l is missing", _exponents(1.0, 0.0)),
    ("its sum l alone: exp(m) is missing", _exponents(0.0, 1.0)),
    ("the same as every other", _exponents(0.0, 0.0)),
    ("exp(m + log2(l)): log2 for log", _exponents(1.0, 1 / LN2)),
    ("2^(m + log(l)), where m is in base 2: log for log2", _exponents(1.0, LN2)),
    ("exp(m) · l²: l is in it twice, as where lse weighs what is not divided by l", _exponents(1.0, 2.0)),
    ("exp(m) · (1 + l): 1 is added to l before its logarithm", lambda m, log_l: m + torch.log1p(log_l.exp())),
    ("exp(lse), where lse is in fp16: it must be in fp32", lambda m, log_l: _in_fp16(m + log_l)),
    ("exp(m) · l, where m is in fp16: it must be in fp32", lambda m, log_l: _in_fp16(m) + log_l),
    (
        "exp(m − the largest up to it) · l: what was joined before is not brought to a new maximum",
        lambda m, log_l: m - m.cummax(-1).values + log_l,
    ),
    (
        "exp(the largest m up to it) · l: what is added must be multiplied by exp(m − that maximum)",
        lambda m, log_l: m.cummax(-1).values + log_l,
    ),
    ("an old maximum: where two are joined, the larger m of both must be stored beside their sums", _pairs_with_old_maximum),
    ("the weight of another: their order is reversed", lambda m, log_l: (m + log_l).flip(1)),
)


def merges(lab: Lab, kind: str) -> Iterator[KernelQuestion]:
    """Rows over few keys, and over many, since a launcher splits long caches alone. Scores swing, and fall or climb: where they
    do one alone, a running sum that is not rescaled is as parts are that are not weighed. Once more where fp16 has few digits.
    """
    if kind not in ("decode", "fp8", "nvfp4"):
        return
    for keys, level in ((128, 0.0), (512, 0.0), (512, LOW)):
        place = torch.arange(keys) / keys
        made = []
        for row in range(ROWS):
            swings = (0.5 + 2.2 * place) * torch.sin(71.0 * place + 2.0 + 1.7 * row) + 0.8 * torch.sin(23.0 * place + row)
            slope = -4.0 if row % 2 == 0 else 4.0
            levels = level + slope * (place - 0.5) + swings  # runs of 16 to 128 differ from the next in m, in l and in m + ln l
            made.append(at_levels(torch.ones(1), levels, HEAD_DIM))
        query, key = (torch.cat(each) for each in zip(*made, strict=True))
        given = arguments(kind, query, key, identity(kind, ROWS, 1, keys, HEAD_DIM), scale=0.25)
        what = f"{keys} keys whose scores swing, and fall or climb" + (f", near {number(level)}" if level else "")
        name = f"{FAMILY}_{keys}" + ("_low" if level else "")
        case = prepared(lab, name, given, FP16, what=what)
        yield KernelQuestion(name=name, cases=(case,), read=functools.partial(_read, kind=kind, what=what))


def _read(found: Sequence[Finding], kind: str, what: str) -> Reading | None:
    finding = found[0]
    if finding.out is None or finding.expected is None:
        return None
    scores = READERS[kind](finding.prepared.inputs).scores()[:, 0, 0]
    keys = scores.shape[1]
    per = keys_a_channel(keys, HEAD_DIM)
    channels = -(-keys // per)
    got, wanted = (x.double().flatten(0, -2)[:, :channels] / unit(kind) for x in (finding.out, finding.expected))
    if not bool((got > 0).all() & torch.isfinite(got).all()):
        return None
    runs = _runs((got / wanted).log())
    if not 2 <= len(runs) <= MOST:
        return None
    off = torch.stack([(got / wanted).log()[:, run.start : run.stop].mean(1) for run in runs], dim=1)
    if float((off.amax(1) - off.amin(1)).max()) < OFF:
        return None
    told = min((_weighed(scores, parts, off[:, of]) for parts, of in _extents(runs, per, keys)), key=lambda each: each[0])
    if not told[1]:
        return None
    _, words, parts = told
    first = " / ".join(several(list(part)) for part in parts[:FIRST]) + (" …" if len(parts) > FIRST else "")
    given = f"{what}: parts of them (keys {first}) are joined, each weighed by"
    return Reading(fact=Fact(given=given, got=words, expected="exp(m + ln l) of its own maximum m and sum l"))


def _weighed(scores: torch.Tensor, parts: Sequence[range], off: Parts) -> tuple[float, str, Sequence[range]]:
    """How far `off` is from what is foretold of these parts; and in words, "" where that is far."""
    off = off - off.mean(1, keepdim=True)
    of_parts = [scores[:, part.start : part.stop] for part in parts]
    m = torch.stack([part.amax(1) for part in of_parts], dim=1)
    log_l = torch.stack([torch.exp(part - part.amax(1, keepdim=True)).sum(1).log() for part in of_parts], dim=1)
    far = []
    for words, weight in WEIGHTS:
        foretold = weight(m, log_l) - m - log_l
        far.append((float((foretold - foretold.mean(1, keepdim=True) - off).abs().max()), words))
    nearest, words = min(far)
    if nearest < NEAR:
        return nearest, words, parts
    known = torch.stack([(x - x.mean(1, keepdim=True)).flatten() for x in (m, log_l)], dim=1)
    found = torch.linalg.lstsq(known, off.flatten()[:, None], driver="gelsd").solution.flatten()
    left = float((known @ found - off.flatten()).abs().max())
    of_m, of_l = (number(round(1 + float(each), 2)) for each in found)
    enough = len(parts) > 3  # few parts are explained by any two exponents
    said = ("about " if left >= NEAR else "") + f"exp({of_m} · m + {of_l} · ln l)"
    return left, said if left < LEFT and enough else "", parts


def _extents(runs: Sequence[range], per: int, keys: int) -> Iterator[tuple[list[range], list[int]]]:
    """The keys of each part, and the run of channels that it is in: parts of one length, of which several may be in a run, and
    whose edges lie between the runs, or in the last channel of one. Or else the runs alone.
    """
    gaps = [(run.stop * per, after.start * per) for run, after in itertools.pairwise(runs)]
    alike = False
    for length in range(-(-keys // MOST), keys):
        edges = [length * round((first + last) / 2 / length) for first, last in gaps]
        if any(not first - per < edge < last + per for edge, (first, last) in zip(edges, gaps, strict=True)):
            continue
        alike = True
        parts = [range(start, min(start + length, keys)) for start in range(0, keys, length)]
        yield parts, [sum(part.start >= edge for edge in edges) for part in parts]
    if not alike:
        yield [range(run.start * per, min(run.stop * per, keys)) for run in runs], list(range(len(runs)))


def _runs(off: torch.Tensor) -> list[range]:
    """Runs of channels with one factor a row; a channel between two runs, which holds keys of both, is in neither. ln(factor):
    [rows, channels].
    """
    jumps = ((off[:, 1:] - off[:, :-1]).abs() > ALIKE).any(0).nonzero().flatten() + 1
    ends = [0, *jumps.tolist(), off.shape[1]]
    runs = [range(first, end) for first, end in itertools.pairwise(ends)]
    long = [run for run in runs if len(run) > 1]
    return long if len(runs) - len(long) <= len(long) else []
