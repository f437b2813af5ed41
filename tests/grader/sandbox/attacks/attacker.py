"""Runs one attack behind the walls, in the place of `grader.sandbox.session.session`."""

from __future__ import annotations

import os
import traceback

from attacks import Bait, load_all
from grader.sandbox import protocol

ATTACKS = load_all()


def main(*, kind: str, command_fd: int, reply_fd: int, inputs_fd: int | None, out_fd: int | None) -> None:
    """Run what is asked for. "fault" where it was stopped, "loaded" where it got what it wanted."""
    protocol.write_all(reply_fd, protocol.encode({"kind": "ready"}))
    message = protocol.read_message(command_fd)
    bait = Bait(**message["bait"], reply_fd=reply_fd, inputs_fd=inputs_fd, out_fd=out_fd)
    answer = {"kind": "fault", "stage": "run", "error_type": "", "text": "", "line": None, "raw": ""}
    parent = os.getpid()
    try:
        if ATTACKS[message["attack"]].run(bait):
            answer = {"kind": "loaded"}
    except Exception as error:
        answer["text"] = "".join(traceback.format_exception_only(error))[:500]
    if os.getpid() != parent:
        os._exit(0)  # a child of a fork bomb
    protocol.write_all(reply_fd, protocol.encode(answer))
    while True:
        os.read(command_fd, 1)
