"""The trace of a submission: one visible case run once more to be watched, in a session of its own.

That session has seen no hidden case and is thrown away, so whatever it sends can tell nothing of one and costs only itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from grader.faults import SandboxError
from grader.judge.case.inputs import PreparedCase, prepare
from grader.judge.case.judged import Finding, Judged
from grader.judge.case.outcome import Briefing
from grader.judge.cpu import line_values
from grader.judge.cpu.runner import CpuRunner
from grader.judge.verdict.gate import wrong_cells
from grader.report import Verdict
from grader.sandbox.process.door import Sandbox
from grader.sandbox.protocol import Done, LentTensor
from grader.trace import COUNTS, MOST_WRONG, Trace, checked, counted
from labs.declaration import Case, Lab

SHARE = 0.25  # of the time that the attempt has taken so far, and no more
LONGEST_S = 2.0
ASKED_FOR_S = 60.0  # where somebody waits for the trace itself
KEPT_FOR_THE_END = 0.2  # of that time: for the session to send what it has, and to end
TELLING_CELLS = 64  # of `out`: a smaller case shows little, and is watched only where no other fails
PLAIN = ("normal", "drawn")  # a case's values
_NOT_RUN = (Verdict.NOT_RUN, Verdict.CANCELLED, Verdict.SYNTAX_ERROR, Verdict.BAD_ENTRY)
logger = logging.getLogger(__name__)


def watched(
    sandbox: Sandbox,
    submission: Briefing,
    cases: Sequence[Judged],
    seed: bytes,
    *,
    seconds: float,
    cancelled: Callable[[], bool],
) -> Trace | None:
    """The trace of the smallest telling case; None where there is none in time, or where it is not to be believed.

    Args:
        cases: of the attempt; of one that failed in view its smallest is watched, else the lab's choice.
        seed: what the attempt's inputs were drawn from.
        seconds: that it may take (`allowed_s`).
    """
    lab = submission.lab
    case = telling(lab, cases)
    if case is None:
        return None
    until = time.monotonic() + seconds
    with torch.device("cpu"):
        prepared = prepare(lab, case, seed)
    try:
        with CpuRunner(sandbox, submission, [prepared], lambda: cancelled() or time.monotonic() > until) as runner:
            if runner.load() is not None:
                return None
            left = until - time.monotonic() - KEPT_FOR_THE_END * seconds
            told, lines = runner.watch(prepared, left) if left > 0 else (None, None)
            tensors = runner.tensors(prepared)
    except SandboxError:
        if time.monotonic() < until and not cancelled():
            raise
        told = None  # the time was over before the session was there
    if told is None:
        return None
    judged = next(judged for judged in cases if judged.prepared.case.name == case.name)
    sight = lab.sight(prepared.inputs)
    ours = {
        "ideal_bytes": int(lab.ideal_bytes(prepared.inputs)),
        "sight": sight and [sight.first, sight.last],
        **_wrong(judged.finding),
        **_made(lines, lab, prepared, until, failed=judged.finding.failed),
    }
    return _believed(told, prepared, tensors, ours, judged.outcome.done)


def allowed_s(took_s: float, *, asked: bool) -> float:
    """Seconds that a trace may take after an attempt that took `took_s`; enough to end it where it was `asked` for."""
    return ASKED_FOR_S if asked else min(SHARE * took_s, LONGEST_S)


def telling(lab: Lab, cases: Sequence[Judged]) -> Case | None:
    """The visible case that is watched: the smallest of those with the attempt's verdict, else the lab's choice.

    One of plain random numbers of which much is wrong comes first: where many are alike, or large, it cannot be told what a
    line holds.
    """
    visible = [judged for judged in cases if judged.visible and "cpu" in judged.prepared.case.devices]
    failed = [judged for judged in visible if judged.finding.failed]
    if any(judged.verdict in _NOT_RUN for judged in visible) and not failed:
        return None
    alike = [judged for judged in failed if judged.verdict is failed[0].verdict]
    if alike:
        if alike[0].verdict in _NOT_RUN:
            return None
        plain = [judged for judged in alike if judged.prepared.case.values in PLAIN]
        return _smallest([judged for judged in plain if _much_wrong(judged.finding)] or plain or alike).case
    chosen = next((judged.prepared.case for judged in visible if judged.prepared.case.name == lab.watch), None)
    return chosen or (_smallest(visible).case if visible else None)


def _much_wrong(finding: Finding) -> bool:
    rows = finding.prepared.out_shape[:-1]
    return finding.comparison is not None and 2 * len(finding.comparison.bad_rows) >= torch.Size(rows).numel()


def _smallest(cases: Sequence[Judged]) -> PreparedCase:
    prepared = [judged.prepared for judged in cases]
    large = [each for each in prepared if torch.Size(each.out_shape).numel() >= TELLING_CELLS]
    return min(large or prepared, key=lambda each: sum(tensor.nbytes for tensor in each.tensors.values()))


def _made(told: Any, lab: Lab, prepared: PreparedCase, until: float, *, failed: bool) -> dict[str, Any]:
    """What the lines hold of the case as it was watched; where it `failed`, from where on that is no quantity of the lab."""
    quantities = lab.quantities(prepared.inputs) if lab.quantities and time.monotonic() < until else {}
    try:
        lines = line_values.read(told, quantities, until) if quantities else []
    except ValueError as error:
        logger.info("what lines hold is left out", extra={"why": str(error)})
        lines = []
    parts = line_values.parts_from(lines) if failed and not prepared.outputs else None  # sums of several outputs cancel
    known = [[line.number, list(line.taken), line.holds if line.none_at is None else ""] for line in lines]
    return {"lines": known, "parts": parts}


def _wrong(finding: Finding) -> dict[str, Any]:
    """The elements of `out` that are not right, as runs; none where there are more runs than a picture shows."""
    out, expected, found = finding.out, finding.expected, finding.comparison
    if not finding.failed or out is None or expected is None or found is None or finding.prepared.outputs:
        return {"wrong": []}
    cells = wrong_cells(out.cpu(), expected.cpu(), found).flatten().int()
    edges = torch.diff(cells, prepend=cells.new_zeros(1), append=cells.new_zeros(1)).nonzero().flatten()
    runs = torch.stack([edges[::2], edges[1::2] - edges[::2]], 1).flatten().tolist()
    return {"wrong": runs if len(runs) <= MOST_WRONG else []}


def _believed(
    told: Any, prepared: PreparedCase, tensors: Sequence[LentTensor], ours: dict[str, Any], done: Done | None
) -> Trace | None:
    """The trace with what the judge knows better; None where it is none, or counts other bytes than the case did."""
    try:
        trace = checked(
            {
                **told,
                "case": prepared.case.name,
                "shape": prepared.shape,
                **ours,
                "tensors": [*map(_tensor, tensors), *({**scratch, "role": "scratch"} for scratch in told["scratch"])],
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        logger.warning("a trace is left out", extra={"why": str(error)})
        return None
    if not trace["runs"]:
        return None
    of_case = done and {name: getattr(done, f"{name}_bytes") for name in COUNTS}
    if of_case and any(of_case.values()):
        of_trace = counted(trace)
        part = trace["cut"] == "time" and all(of_trace[name] <= of_case[name] for name in COUNTS)
        if not part and of_trace != of_case:
            return None  # a submission that runs otherwise when it is watched is not shown
    return trace


def _tensor(lent: LentTensor) -> dict[str, Any]:
    return {
        "name": lent.name,
        "shape": lent.shape,
        "strides": lent.spread or lent.strides,
        "itemsize": getattr(torch, lent.dtype).itemsize,
        "role": "out" if lent.buffer == "out" else "input",
    }
