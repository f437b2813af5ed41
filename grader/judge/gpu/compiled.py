"""Right in the interpreter and wrong as compiled: compiled again with one stage, and with one warp, to see what mends it.

The interpreter runs a program as one thread. Where one stage or one warp is right and the submission's own options are not,
the threads of one program race: a buffer in shared memory is filled again too early, or a barrier is missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from grader.judge.case.judged import Judged
from grader.report import Diagnosis, Verdict

WRONG = (Verdict.WRONG_ANSWER, Verdict.NOT_FINITE)
OPTIONS = ({"num_stages": 1}, {"num_warps": 1})
_BECAUSE = {
    "num_stages": "stages of the loop overlap: what one iteration reads is loaded, or written, by another",
    "num_warps": "warps of one program race: a tl.debug_barrier() is missing between a store and a load of the same cells",
}


def suspects(cases: Sequence[Judged], seen: dict[str, Judged]) -> list[Judged]:
    """The cases that are wrong on the GPU and right in the interpreter, the smallest first.

    Where every visible case is right in both, those that are wrong and not visible: they have programs enough for a race.
    """
    wrong = [judged for judged in cases if judged.verdict in WRONG]
    visible = [judged for judged in cases if judged.visible]
    if all(_right(judged) for judged in visible) and all(_right(judged) for judged in seen.values()):
        found = wrong
    else:
        found = [judged for judged in wrong if judged.visible and _right(seen.get(judged.prepared.case.name))]
    return sorted(found, key=lambda judged: sum(tensor.nbytes for tensor in judged.prepared.tensors.values()))


def what_mends(suspect: Judged, run: Callable[[Judged, dict[str, int]], Judged | None]) -> Diagnosis | None:
    """What is said where one stage or one warp makes the case right.

    Args:
        suspect: wrong on the GPU; if it is visible, right in the interpreter.
        run: compiles the case with options and runs it; None where it cannot be compiled so.
    """
    for options in OPTIONS:
        again = run(suspect, options)
        if again is not None and again.verdict is Verdict.PASSED:
            ((name, value),) = options.items()
            mended = f"compiled with {name}={value} it is right, so {_BECAUSE[name]}"
            hidden = f"Case {suspect.prepared.case.name} is wrong"
            where = "Right in Triton's interpreter and wrong as compiled" if suspect.visible else hidden
            sentence = f"{where}; {mended}."
            return Diagnosis(sentence=sentence, name=f"right_with_one_{name.removeprefix('num_')[:-1]}")
    return None


def told(cases: Sequence[Judged], about: Sequence[Judged], diagnosis: Diagnosis) -> list[Judged]:
    """The cases, the suspects among them with what was found."""
    return [
        dataclasses.replace(judged, finding=dataclasses.replace(judged.finding, own=diagnosis))
        if any(judged is suspect for suspect in about)
        else judged
        for judged in cases
    ]


def _right(judged: Judged | None) -> bool:
    return judged is not None and judged.verdict is Verdict.PASSED
