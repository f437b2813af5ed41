"""A fault's raw text turned into one plain sentence. What no rule knows is shown as it is, cut to one line."""

from __future__ import annotations

import dataclasses
import re

from grader.judge.diagnosis.errors import RULES
from grader.report import Diagnosis, Verdict
from grader.sandbox.protocol import AT_IMPORT, Fault

VERDICT_OF_STAGE = {
    "syntax": Verdict.SYNTAX_ERROR,
    "import": Verdict.RUNTIME_ERROR,
    "entry": Verdict.BAD_ENTRY,
    "compile": Verdict.COMPILE_ERROR,
    "run": Verdict.RUNTIME_ERROR,
    "refused": Verdict.REFUSED,
    "bounds": Verdict.OUT_OF_BOUNDS,
    "input_changed": Verdict.INPUT_CHANGED,
}

LOOKED_AT = 32 * 1024  # characters of a fault's text; a session may send 24 Ki
LINES_LIMIT, LINE_LIMIT = 500, 300


_OFFSET = "the offset is wrong: each index times its own stride, once."

# By where an access went; the first that is found in the fault's text.
REMEDIES = (
    (
        "through a block pointer",
        "give it boundary_check=(0, 1), the axes along which the tensor may end inside a block. "
        "Where it has that, its base, shape or strides are wrong.",
    ),
    ("was cast to another width", "step and load in the tensor's own type, and convert the values: .to(tl.float32)."),
    (", by one number", "the index is too large, or it is multiplied by the wrong number."),
    (", with every lane", f"mask the lanes beyond it, if a tile may begin behind the end. If it lies inside: {_OFFSET}"),
    (
        ", within its mask",
        f"the mask lets lanes through that lie beyond. Hold each index against its own length, joined with &. Or: {_OFFSET}",
    ),
    ("past the end of", "mask the lanes beyond it, as in mask=offs < length; or mend the offset, if none should lie there."),
    ("before the start of", "some offset is negative."),
    ("far outside", "some offset is far too large: is a stride or an index of another tensor used?"),
)


_AT_IMPORT = (
    "this line runs while the file is imported, before there is a case. "
    'Put what tries the kernel out under `if __name__ == "__main__":`.'
)

# Our own rules, by what a refusal says: of a case that is not shown no more than this is told, and none of it is the case's.
RULES_OF_OURS = (
    ("of scratch", "a call may allocate only so much scratch"),
    ("launches", "one call may make 64 launches"),
    ("tensors;", "a call may make only so many tensors"),
    ("values on the host", "the host may not read a tensor's values"),
    ("may be filled", "only out and scratch may be filled"),
    ("neither got nor made", "kernels work on tensors of this call alone"),
    ("launches no Triton kernel", "the work is to be done by a Triton kernel"),
    ("is not allowed here", "the work is to be done by your own kernels"),
)
# What no GPU does, or no compiler, and a size that nobody sees may ask for.
LIMITS = (
    ("is not possible on a GPU", "a grid has at most 65535 programs along its second and its third axis"),
    ("out of resource: shared memory", "a tile, or its stages, take more shared memory than a block has"),
    ("out of resource: ", "a tile takes more registers or threads than a block has"),
    ("exceeds triton maximum tensor numel", "a tile has at most 1048576 elements"),
)


def rule_of(fault: Fault) -> str:
    """Which rule of ours a refusal was, or which limit was passed, in words that hold nothing of the case; "": neither."""
    rules = {"refused": RULES_OF_OURS, "run": LIMITS, "compile": LIMITS}.get(fault.stage, ())
    return next((rule for mark, rule in rules if mark in fault.text), "")


def explain(fault: Fault) -> tuple[Verdict, Diagnosis]:
    """The verdict of a session's fault, and one sentence on it with the learner's own line."""
    verdict, diagnosis = _explain(fault)
    if not any(c.isalnum() for c in diagnosis.sentence):  # it may say nothing, or only that something was not printable
        diagnosis = dataclasses.replace(diagnosis, sentence=verdict.sentence)
    return verdict, diagnosis


def _explain(fault: Fault) -> tuple[Verdict, Diagnosis]:
    verdict = VERDICT_OF_STAGE[fault.stage]
    if fault.stage == "refused" and AT_IMPORT in fault.text:
        return verdict, Diagnosis(sentence=_with_line(_AT_IMPORT, fault.line), name="at_import", line=fault.line)
    if fault.stage in ("refused", "bounds", "input_changed", "entry"):
        text = _with_remedy(fault.text) if fault.stage == "bounds" else fault.text
        return verdict, Diagnosis(sentence=_with_line(text, fault.line), name=fault.stage, line=fault.line)
    if fault.stage == "syntax":
        text = _closed(f"Python cannot read the file: {_one_line(fault.text)}")
        return verdict, Diagnosis(sentence=_with_line(text, fault.line), name="syntax", line=fault.line)
    searched = legible(f"{fault.error_type}: {fault.text}\n{fault.raw}")
    for rule in RULES:
        found = re.search(rule.pattern, searched, flags=re.M)
        if found:
            groups = [group for group in found.groups() if group is not None]
            sentence = rule.sentence.format(*groups, *[""] * 4)
            if rule.name == "not_implemented" and fault.text:
                sentence = _closed(_one_line(fault.text))
            diagnosis = Diagnosis(sentence=_with_line(sentence, fault.line), name=rule.name, line=fault.line)
            return rule.verdict or verdict, diagnosis
    text = _closed(f"{fault.error_type}: {_one_line(fault.text)}".rstrip(": "))
    return verdict, Diagnosis(sentence=_with_line(text, fault.line), name=fault.stage, line=fault.line)


def legible(text: str) -> str:
    """The beginning of a hostile text, its lines cut: rules look for a stretch within a line, and hostile lines have no end."""
    return "\n".join(line[:LINE_LIMIT] for line in text[:LOOKED_AT].split("\n", LINES_LIMIT)[:LINES_LIMIT])


def _with_remedy(text: str) -> str:
    """What usually mends an access outside a tensor."""
    remedy = next((remedy for where, remedy in REMEDIES if where in text), "")
    if remedy and "past the end of scratch" in text:
        remedy += " Scratch is loaded with the offsets that it was stored with: the same pitch, the same order."
    return f"{text.rstrip('.')}: {remedy}" if remedy else text


def without_remedy(sentence: str) -> str:
    """What an access outside was, without what usually mends it: something else is known to."""
    measured = next((sentence.partition(f": {remedy}")[0] for _, remedy in REMEDIES if f": {remedy}" in sentence), "")
    return f"{measured}." if measured else sentence


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    return line if len(line) <= 240 else line[:239] + "…"


def _closed(text: str) -> str:
    """With a full stop, unless it ends as a sentence does: Python asks "perhaps you meant '=='?"."""
    return text if text.endswith((".", "?", "!", "…")) else text + "."


def _with_line(sentence: str, line: int | None) -> str:
    return f"Line {line}: {sentence}" if line else sentence
