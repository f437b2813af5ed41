"""What the self-test asks from behind the walls: operations that must work, and operations that must not.

Runs in a walled process in the place of `grader.sandbox.worker`, with code of ours alone.
"""

from __future__ import annotations

from grader.sandbox import protocol


def main(*, kind: str, command_fd: int, reply_fd: int, inputs_fd: int, out_fd: int) -> None:
    """Say that the walls stand."""
    protocol.write_all(reply_fd, protocol.encode({"kind": "ready"}))
