"""What is said of a race: two programs of one launch and a cell, both lines; an answer that depends on the order of programs,
or on how often the autotuner has run.
"""

from __future__ import annotations

from grader.report import Diagnosis
from grader.sandbox.protocol import Race

_ANY_ORDER = "On a GPU programs run in any order, or at once."
APART = (
    f"{_ANY_ORDER} Let each program store cells of its own: its program ids belong into the offset, each times what it covers."
)
REMEDY = (
    f"{_ANY_ORDER} Where one needs what the other makes, put a second launch between them; or let the first end with "
    "tl.debug_barrier() and an atomic with sem='acq_rel', and the second begin with one. "
    "Else let each program touch cells of its own."
)
IN_ONE = f"{_ANY_ORDER} What several programs add to one cell goes through tl.atomic_add, or each has a cell of its own."
_DOES = {
    "load": "loads",
    "volatile load": "loads",
    "store": "stores",
    "atomic": "changes by an atomic operation",
    "atomic of scope cta": "changes by an atomic operation that no other program sees (scope='cta')",
}
ORDER = (
    "The answer depends on the order in which the programs of a launch run: it was right in one order and is wrong in another. "
    "On a GPU they run in any order, or at once."
)
IN_TURN = (
    "Right when the kernel runs once, wrong when the autotuner has timed its configurations on the same buffers: what a kernel "
    "adds to, or reads before it writes it, must be named in reset_to_zero or restore_value of @triton.autotune."
)


def race_diagnosis(race: Race) -> Diagnosis:
    """Both lines, and what is done in each."""
    later, earlier = _does(race.kind, race.line), _does(race.other_kind, race.other_line)
    same = race.kind == race.other_kind and race.line == race.other_line
    if same:
        what = f"each of two programs {later} the same cells of {race.name}"
    else:
        what = f"one program {later} cells of {race.name} that another {earlier}"
    in_one = race.line == race.other_line and {race.kind, race.other_kind} == {"load", "store"}
    remedy = APART if race.kind == race.other_kind == "store" else IN_ONE if in_one else REMEDY
    sentence = f"A race: {what} (programs {race.program} and {race.other_program}), and nothing orders them. {remedy}"
    return Diagnosis(sentence=sentence, name="race", line=race.line)


def _does(kind: str, line: int | None) -> str:
    where = f" in line {line}" if line is not None else ""
    return f"{_DOES.get(kind, 'touches')}{where}"
