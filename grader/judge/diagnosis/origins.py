"""Where NaN and Inf in `out` come from, in words: the operation that made them out of numbers, its line, and what went in.

What a session says of it is a stranger's word: only known operations are told, and numbers that are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.numbers import number
from grader.judge.diagnosis.probes.asking import AskedQuestion
from grader.report import Diagnosis, Fact, Verdict
from grader.sandbox.protocol import Origin

NAME = "not_finite_from"
LARGEST = {"fp16": "65504", "bf16": "3.4e38", "fp32": "3.4e38"}
_OF_TWO = {"subtract": "−", "add": "+", "multiply": "·", "divide": "/"}


def to_follow(findings: Sequence[Finding], answered: Sequence[AskedQuestion]) -> Finding | None:
    """The smallest case of NaN or Inf that may be spoken of: a visible one, or where only hidden ones fail, one of ours."""
    failed = [finding for finding in findings if finding.failed]
    if any(finding.verdict is Verdict.NOT_FINITE and not _unwritten(finding) for finding in failed):
        own = [finding for finding in failed if finding.visible and "cpu" in finding.prepared.case.devices]
        asked = [finding for each in answered for finding in each.findings if finding.failed]
        for group in (own, asked):
            found = [finding for finding in group if finding.verdict is Verdict.NOT_FINITE and not finding.prepared.case.spread]
            if found:
                return min(found, key=lambda finding: sum(tensor.nbytes for tensor in finding.prepared.tensors.values()))
    return None


def _unwritten(finding: Finding) -> bool:
    return finding.done is not None and finding.done.facts.unwritten is not None


def facts(origins: Sequence[Origin], finding: Finding | None) -> tuple[Fact, ...]:
    """What was computed where in that case, and what became of it."""
    told = []
    for origin in origins:
        computed = _computed(origin)
        if computed is None or finding is None or finding.out is None:
            continue
        where = f"line {origin.line}" if origin.line else "the kernel"
        ours = not finding.prepared.case.sizes  # a question, whose inputs are told in words
        case = finding.prepared.case.values if ours else f"case {finding.name}"
        cells = f"{min(origin.cells, finding.out.numel())} of {finding.out.numel()} cells of out are NaN or Inf by it"
        told.append(Fact(given=f"{where}, {case}", got=f"{computed[0]} is {computed[1]}; {cells}", expected="numbers"))
    return tuple(told)


def diagnosis(origins: Sequence[Origin]) -> Diagnosis | None:
    """The operation that most of it comes from, by its line, and what mends it; None where it is not known."""
    origin = next(iter(origins), None)
    computed = _computed(origin) if origin is not None else None
    if origin is None or computed is None:
        return None
    given, got = computed
    at = f"Line {origin.line}: " if origin.line else ""
    sentence = f"{at}{given} is {got}, and out gets its NaN or Inf from there. {_remedy(origin)}"
    return Diagnosis(sentence=sentence, name=NAME, line=origin.line)


def names(origins: Sequence[Origin]) -> tuple[str, ...]:
    """Which of the bugs that end in the same NaN it is, where most of it comes from 0 / 0: no maximum of −∞ was subtracted."""
    match next(iter(origins), None):
        case Origin(operation="divide", left="0", right="0"):
            return "no_visible_key", "no_keys"
        case _:
            return ()


def _computed(origin: Origin) -> tuple[str, str] | None:
    """ "−∞ − (−∞)" and "NaN"."""
    left, right = _value(origin.left), _value(origin.right)
    name = origin.operation
    if name == "load":
        return "what is loaded", "NaN (the gaps between rows, or memory that nobody wrote)"
    if left is None:
        return None
    if name in _OF_TWO and right is not None:
        return f"{_shown(left)} {_OF_TWO[name]} {_in_brackets(right)}", _result(name, left, right)
    if name in ("exp", "exp2"):
        return f"{name}({_shown(left)})", "Inf"
    if name in ("log", "log2", "sqrt", "rsqrt"):
        return f"{name}({_shown(left)})", "NaN" if left < 0 or math.isnan(left) else "infinite"
    if name == "cast" and origin.right in LARGEST:
        return f"{_shown(left)} in {origin.right}", f"Inf (its largest number is {LARGEST[origin.right]})"
    if name == "sum" and right is not None:
        return f"a sum of numbers from {_shown(left)} to {_shown(right)}", "NaN or Inf"
    if name == "dot" and right is not None:
        inf = math.isinf(left) or math.isinf(right)
        said = "a tl.dot of a block that holds Inf" if inf else f"a tl.dot of numbers up to {_shown(left)} and {_shown(right)}"
        return said, "NaN or Inf"
    return None


def _result(name: str, left: float, right: float) -> str:
    if name == "divide" and right == 0 and left != 0 and not math.isnan(left):
        return "infinite"
    finite = math.isfinite(left) and math.isfinite(right)
    return "Inf" if finite and not (name == "divide" and left == right == 0) else "NaN"


def _remedy(origin: Origin) -> str:
    left, right = _value(origin.left) or 0.0, _value(origin.right) or 0.0
    match origin.operation:
        case "subtract" if left == right == -math.inf:
            return (
                "What is subtracted is −inf there, the maximum of nothing that counts, as in a tile that is masked as a whole: "
                "it must be the maximum of more, or 0 in its place."
            )
        case "exp" | "exp2":
            return "Its argument must not be above 0: what is subtracted there is less than the largest score."
        case "divide" if right == 0:
            return "The divisor is 0 there: nothing was added to it, or all that was added underflowed."
        case "multiply" if math.inf in (left, right):
            return (
                "Where the infinite one is an exp, its argument must not be above 0: the old maximum less the new one, not the "
                "other way round."
            )
        case "multiply" if -math.inf in (left, right):
            return "Take the infinite one out with tl.where before it is multiplied."
        case "load":
            return "Is its address, and its mask, what it should be?"
        case "cast":
            return "Either it should not be so large (a weight is at most 1 under the right maximum), or it must stay in fp32."
        case "sum" if math.inf not in (abs(left), abs(right)):
            return "Add in fp32."
        case _:
            return ""


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shown(value: float) -> str:
    return ("∞" if value > 0 else "−∞") if math.isinf(value) else number(value)


def _in_brackets(value: float) -> str:
    return f"({_shown(value)})" if value < 0 else _shown(value)
