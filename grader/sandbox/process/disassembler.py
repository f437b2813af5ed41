"""Turns a binary into SASS behind the walls: nvdisasm reads what a hostile process made, so it gets nothing else to reach.

Runs in a walled process of the kind "record" in the place of a session; a submission never comes near it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from grader.sandbox import protocol
from grader.sandbox.walls import roots

TIME_LIMIT_S = 20.0
MOST_BYTES = 1 << 20  # of the text of one binary; what is longer is cut


def main(*, kind: str, command_fd: int, reply_fd: int, inputs_fd: int | None, out_fd: int | None) -> None:
    """Answer each binary (its size, then one raw frame of it) with its SASS or with what nvdisasm says, until the pipe closes.

    An answer is a `record` of the protocol: a size, then one raw frame.
    """
    (tool,) = roots.nvdisasm()
    protocol.write_all(reply_fd, protocol.encode({"kind": "ready"}))
    while True:
        try:
            message = protocol.read_message(command_fd)
            binary = protocol.read_exactly(command_fd, message["size"])
        except EOFError:
            return
        text = _sass(tool, binary)
        protocol.write_all(reply_fd, protocol.encode({"kind": "record", "size": len(text)}))
        protocol.write_all(reply_fd, protocol.LENGTH.pack(len(text)) + text)


def _sass(tool: str, binary: bytes) -> bytes:
    """Code alone, with the lines of the source that it came from; empty where nvdisasm cannot read it."""
    path = Path("kernel.cubin")  # in the scratch directory
    path.write_bytes(binary)
    try:
        ran = subprocess.run([tool, "-c", "-g", path], capture_output=True, timeout=TIME_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return ran.stdout[:MOST_BYTES] if ran.returncode == 0 else b""
