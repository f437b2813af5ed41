"""Lets a second worker compile the submission for a GPU and write its launches down, on a machine that may have none.

The shapes are those of the timed case where they can be had without making its data; else those of the largest case.
"""

from __future__ import annotations

from collections.abc import Callable

from grader.judge.inputs import PreparedCase
from grader.judge.memory import lay_out
from grader.judge.messages import explain
from grader.judge.runner import Submission, case_message
from grader.sandbox.protocol import Fault
from grader.sandbox.record import Record, RecordError, parse
from grader.sandbox.supervisor import Ended, Kind, Limits, Nursery

RECORD_LIMIT_S = 60.0


def record_for_anatomy(
    nursery: Nursery,
    submission: Submission,
    cases: list[PreparedCase],
    cancelled: Callable[[], bool],
) -> Record | str:
    """The record of the largest case, or one sentence on why there is none."""
    largest = max(cases, key=lambda prepared: sum(tensor.nbytes for tensor in prepared.tensors.values()))
    return record(nursery, submission, largest, cancelled)


def record(nursery: Nursery, submission: Submission, prepared: PreparedCase, cancelled: Callable[[], bool]) -> Record | str:
    """Compile and record one case for `submission.target`."""
    layout = lay_out(prepared)
    worker = nursery.start_worker(Kind.RECORD, (), Limits(time_limit_s=RECORD_LIMIT_S))
    try:
        worker.receive(RECORD_LIMIT_S, cancelled=cancelled)
        worker.send(submission.load_message)
        kind, fields = worker.receive(RECORD_LIMIT_S, cancelled=cancelled)
        if kind == "loaded":
            worker.send(case_message(prepared, layout, submission.lab))
            kind, fields = worker.receive(RECORD_LIMIT_S, cancelled=cancelled)
        if kind == "fault":
            return f"Not compiled for {submission.target}: {explain(Fault(**fields))[1].sentence}"
        if kind != "record":
            return f"Not compiled for {submission.target}: the worker answered {kind}."
        blob = worker.receive_blob(fields["size"], RECORD_LIMIT_S)
    except Ended as ended:
        return f"Not compiled for {submission.target}: the compiler ended ({ended.ending.reason.replace('_', ' ')})."
    finally:
        worker.stop()
    try:
        return parse(blob, arguments=submission.lab.arguments)
    except RecordError as error:
        return f"The launch record is not valid: {error}"
