"""A submission that keeps something from one call to the next: a case that is right where it is run first, wrong after one."""

from __future__ import annotations

import re

from grader.judge.case.judged import Finding
from grader.report import Diagnosis, Fact, Verdict

NAME = "kept_from_another_call"
_OTHERS = (  # that say what they are, or took the attempt's time
    Verdict.REFUSED,
    Verdict.TIME_LIMIT,
    Verdict.CRASHED,
    Verdict.MEMORY_LIMIT,
    Verdict.CANCELLED,
    Verdict.NOT_RUN,
)
_CALL = re.compile(r"[\w.]{1,100}\(")


def keeps(source: str) -> bool:
    """Whether a submission may keep anything: a `global`, a container of the module, a cache, an attribute, a default.

    Looked for line by line, in the text: a stranger's syntax tree is read behind walls alone.
    """
    return any(map(_keeps, source.splitlines()))


def _keeps(line: str) -> bool:
    words = line.strip()
    if words.startswith(("global ", "nonlocal ")) or "cache" in words:
        return True
    target, equals, value = (part.strip() for part in words.partition("="))
    if words.startswith("def "):
        return any(part.lstrip()[:1] in ("[", "{") for part in words.split("=")[1:])
    if not equals or value.startswith("="):
        return False
    name = target.partition(":")[0].strip()
    if line[:1].isspace():
        return "." in name and name.replace(".", "").isidentifier()
    made = value[:1] in ("[", "{") or (_CALL.match(value) is not None and not value.startswith("tl.constexpr"))
    return name.isidentifier() and made


def to_run_alone(findings: list[Finding]) -> tuple[Finding, Finding] | None:
    """The first case, which is right, and the smallest visible one that is wrong; None where there are no such two."""
    visible = [finding for finding in findings if finding.visible and "cpu" in finding.prepared.case.devices]
    wrong = [finding for finding in visible if finding.failed and finding.verdict not in _OTHERS]
    if not wrong or visible[0].failed:
        return None
    return visible[0], min(wrong, key=lambda finding: sum(tensor.nbytes for tensor in finding.prepared.tensors.values()))


def kept(first: Finding, alone: Finding) -> tuple[Diagnosis, Fact]:
    """What is said of it, and what was measured."""
    sentence = (
        "Wrong only after another call: something is kept from one call to the next, and stale then. Nothing but the kernels "
        "may outlive a call: no global, no cache of sizes or arguments; buffers are made, and set to zero, in each."
    )
    given = f"case {alone.name}, run alone, and after case {first.name}"
    return Diagnosis(sentence=sentence, name=NAME), Fact(
        given=given, got="right alone, wrong after it", expected="right in both"
    )
