"""How a case ended (`Outcome`), and what is said to a session: its briefing, its cases, and what it may answer to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.memory import Layout, Snapshot
from grader.report import Verdict
from grader.sandbox.process.ending import Ending, Reason
from grader.sandbox.protocol import OF_IMPORTING, OF_PARSING, Done, Fault
from labs.declaration import Lab

CASE_LIMIT_S = 20.0

VERDICT_OF_ENDING = {
    Reason.EXITED: Verdict.CRASHED,
    Reason.SIGNAL: Verdict.CRASHED,
    Reason.STOPPED: Verdict.CRASHED,
    Reason.PROTOCOL: Verdict.CRASHED,
    Reason.TIME_LIMIT: Verdict.TIME_LIMIT,
    Reason.MEMORY_LIMIT: Verdict.MEMORY_LIMIT,
    Reason.PROCESS_LIMIT: Verdict.MEMORY_LIMIT,
    Reason.OUTPUT_LIMIT: Verdict.OUTPUT_LIMIT,
    Reason.SCRATCH_LIMIT: Verdict.OUTPUT_LIMIT,
    Reason.CANCELLED: Verdict.CANCELLED,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one case ended: with answers (`snapshots`, `done`), with a fault, or with the session (`ending`).

    `snapshots` holds one for each configuration that was run; `changed` names inputs that are not as they were lent;
    `limit_s` is the time that it was given, or, where `of_all`, that all cases together were given, which was over;
    `compiled`: for the compiler, which takes no case.
    """

    snapshots: tuple[Snapshot, ...] = ()
    changed: tuple[str, ...] = ()
    done: Done | None = None
    fault: Fault | None = None
    ending: Ending | None = None
    duration_ms: float = 0.0
    limit_s: float = CASE_LIMIT_S
    of_all: bool = False
    compiled: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Briefing:
    """What a session is told of a submission."""

    source: str
    lab: Lab
    target: str

    @property
    def load_message(self) -> dict[str, Any]:
        return {
            "kind": "load",
            "source": self.source,
            "entry": self.lab.entry,
            "arguments": list(self.lab.arguments),
            "forbidden": list(self.lab.forbidden),
            "target": self.target,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Again:
    """How a case is run a second time: its programs in another order, an autotuner's configurations in turn before it, watched,
    for so many seconds at the most, with NaN and Inf followed to their `origins`, or with numbers for NaN in unwritten scratch.
    """

    other_order: bool = False
    in_turn: bool = False
    watch_s: float | None = None
    origins: bool = False
    litter: bool = False


def case_message(prepared: PreparedCase, layout: Layout, lab: Lab, again: Again | None = None) -> dict[str, Any]:
    """What a session is told of a case: forms and scalars, no name, no value of a tensor."""
    limit = lab.scratch_limit(prepared.inputs)
    sight = lab.sight(prepared.inputs)
    again = again or Again()
    return {
        "kind": "case",
        "tensors": [vars(lent) for lent in layout.tensors],
        "scalars": prepared.scalars,
        "scratch_limit_bytes": limit,
        "order": prepared.order ^ again.other_order,
        "in_turn": again.in_turn,
        "sight": sight and dataclasses.asdict(sight),
        "watch_s": again.watch_s,
        "origins": again.origins,
        "litter": again.litter,
    }


def answer_to_load(receive: Callable[[], tuple[str, dict[str, Any]]]) -> Fault | Ending | None:
    """What a session answers to a load message: None where the submission is ready for cases."""
    kind, fields = receive()
    if kind != "parsed":
        return fault_in(kind, fields, OF_PARSING)
    kind, fields = receive()
    return None if kind == "loaded" else fault_in(kind, fields, OF_IMPORTING)


def fault_in(kind: str, fields: dict[str, Any], stages: Sequence[str]) -> Fault | Ending:
    """A fault of one of the stages that can be now; anything else was not asked for, and ends the conversation."""
    if kind == "fault" and fields["stage"] in stages:
        return Fault(**fields)
    what = f"a fault of stage {fields['stage']}" if kind == "fault" else kind
    return Ending(Reason.PROTOCOL, f"{what} was not asked for")
