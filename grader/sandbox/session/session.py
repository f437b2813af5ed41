"""The submission's process, from the moment the walls stand: it loads one submission and runs cases until it is told no more.

It imports neither `labs` nor `kernels` nor `judge`: what it does not have, a submission cannot take.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grader.sandbox import protocol
from grader.sandbox.case import own_operators
from grader.sandbox.case.address_map import AddressMap
from grader.sandbox.case.pretended_gpu import pretend
from grader.sandbox.case.refusals import HostRules
from grader.sandbox.protocol import Fault, LentCase
from grader.sandbox.record.gpus import DEFAULT_TARGET, GPUS
from grader.sandbox.repairs import making, place
from grader.sandbox.session import reading
from grader.sandbox.session.culprit import fault_of, syntax_fault

KINDS = ("interpret", "record")
REPAIRS_BYTES = protocol.MESSAGE_LIMIT - 1024  # of a message; its frame takes less than the rest


def warm_up(kind: str) -> None:
    """For the parent that forks sessions: do once what each of them would do first. No submission is near."""
    pretend(GPUS[DEFAULT_TARGET])
    own_operators.install()
    if kind == "interpret":
        from grader.sandbox.interpret import interpreter

        interpreter.warm_up()
    else:
        from grader.sandbox.recording import recorder

        recorder.warm_up()


def main(*, kind: str, command_fd: int, reply_fd: int, inputs_fd: int | None, out_fd: int | None) -> None:
    """Answer the judge's messages until it closes the pipe.

    Args:
        kind: "interpret" (triton was imported with TRITON_INTERPRET=1) or "record" (without).
        command_fd: the judge's messages are read from it.
        reply_fd: the answers go to it.
        inputs_fd: the lent inputs, read only; None for a recorder.
        out_fd: the lent `out`; None for a recorder.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} must be one of {KINDS}")
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    _reply(reply_fd, "ready")
    session: _Session | None = None
    while True:
        try:
            message = protocol.read_message(command_fd)
        except EOFError:
            return
        if message["kind"] == "load":
            session = _Session(message, kind=kind, inputs_fd=inputs_fd, out_fd=out_fd)
            fault = session.parse()
            if fault is None:
                _reply(reply_fd, "parsed")
                fault = session.load()
            _answer(reply_fd, fault or {"kind": "loaded"})
        elif message["kind"] == "repairs":
            _answer(reply_fd, proposed(**{name: message[name] for name in ("source", "first")}))
        elif session is not None:
            _answer(reply_fd, session.run(message))
        sys.stdout.flush()
        sys.stderr.flush()


class _Session:
    """One submission in this process."""

    def __init__(self, message: dict[str, Any], *, kind: str, inputs_fd: int | None, out_fd: int | None) -> None:
        self._source: str = message["source"]
        self._entry_name: str = message["entry"]
        self._arguments = tuple(message["arguments"])
        self._forbidden = tuple(message["forbidden"])
        self._gpu = GPUS[message.get("target") or DEFAULT_TARGET]
        self._entry: Callable[..., Any] | None = None
        pretend(self._gpu)
        if kind == "interpret":
            from grader.sandbox.interpret.interpreter import InterpretedRun

            self._backend: Any = InterpretedRun(inputs_fd=inputs_fd, out_fd=out_fd, forbidden=self._forbidden)
        else:
            from grader.sandbox.recording.recorder import RecordedRun

            self._backend = RecordedRun(gpu=self._gpu, forbidden=self._forbidden)

    def parse(self) -> Fault | None:
        """Read the source, without running any of it; what is wrong with it, or None."""
        try:
            self._code = reading.parse(self._source)
        except reading.BadSyntax as error:
            return syntax_fault(str(error), error.line)
        return None

    def load(self) -> Fault | None:
        """Import what was parsed; what stopped it, or None."""
        rules = HostRules(AddressMap())
        stage = "import"
        try:
            reading.refuse_names(self._source, self._code, self._forbidden)
            with rules.in_force():
                module = reading.load(self._source, self._code)
            stage = "entry"
            self._entry = reading.entry_of(module, self._entry_name, self._arguments)
        except BaseException as error:
            return fault_of(rules.first_refusal or error, stage=stage, source=self._source)
        refusal = rules.first_refusal
        return None if refusal is None else fault_of(refusal, stage=stage, source=self._source)

    def run(self, message: dict[str, Any]) -> dict[str, Any] | Fault | bytes:
        """One case: what to answer."""
        try:
            return self._backend.run(self._entry, LentCase.of(message))
        except BaseException as error:
            return fault_of(self._backend.first_fault or error, stage="run", source=self._source)


def proposed(source: str, first: Sequence[str]) -> dict[str, Any]:
    """Changes of a source that might repair it, as many as fit into a message, none where it is nested too deeply. No line of
    it is run: asked before it is loaded, what is answered is ours.
    """
    changes: list[list[Any]] = []
    size = 0
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        for places in making.repairs(place.one_line_end(source), first):
            change = [list(dataclasses.astuple(each)) for each in places]
            size += len(json.dumps(change))
            if size > REPAIRS_BYTES or len(changes) == protocol.REPAIRS_LIMIT:
                break
            if all(len(each.new) <= protocol.CHANGE_LIMIT for each in places):
                changes.append(change)
    return {"kind": "repairs", "changes": changes}


def _answer(fd: int, answer: dict[str, Any] | Fault | bytes) -> None:
    if isinstance(answer, Fault):
        _reply(fd, "fault", **dataclasses.asdict(answer))
    elif isinstance(answer, bytes):
        _reply(fd, "record", size=len(answer))
        protocol.write_all(fd, protocol.LENGTH.pack(len(answer)) + answer)
    else:
        _reply(fd, **answer)


def _reply(fd: int, kind: str, **fields: Any) -> None:
    protocol.write_all(fd, protocol.encode({"kind": kind, **fields}))
