"""The framed messages between judge and session, read as hostile on the judge's side. No pickle, no points, no paths.

A frame is a little-endian u32 length and so many bytes. The judge sends JSON objects; a session answers with JSON objects,
and after a `record` message with one raw frame, the launch record (`grader.sandbox.record.format`).

Judge → session                                             Session → judge
    load   source, entry, arguments, forbidden, target          parsed, then loaded | fault
    case   tensors, scalars, scratch_limit_bytes                done traffic scratch_bytes | record bytes | fault

A fault of stage "syntax" comes instead of `parsed` or not at all: a refund hangs on it, so it is only believed while no line
of the submission has run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from typing import Any

LENGTH = struct.Struct("<I")
MESSAGE_LIMIT = 256 * 1024  # bytes of one JSON message
RECORD_LIMIT = 32 * 1024 * 1024  # bytes of one launch record
TEXT_LIMIT = 8 * 1024  # characters of any text that a session sends

AT_IMPORT = "(This line runs while the file is imported.)"  # ends the text of a refusal that came before any case

# Where a fault happened; each maps to one verdict. The first three can only come while the submission is loaded.
STAGES = ("syntax", "import", "entry", "compile", "run", "refused", "bounds", "input_changed")
OF_LOADING = ("syntax", "import", "entry")
OF_PARSING = ("syntax",)
OF_IMPORTING = ("import", "entry", "refused", "bounds", "input_changed")
OF_A_CASE = ("compile", "run", "refused", "bounds", "input_changed")


class ProtocolError(Exception):
    """What arrived is not a message of this protocol; the session that sent it is not spoken to again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LentTensor:
    """A tensor of the case: where its cells lie in the lent memory (on the CPU) and how.

    `buffer` is "inputs" or "out"; `offset` counts bytes from that buffer's start to the tensor's first cell; `shape` and
    `strides` count cells. A recorder gets the same and allocates throw-away memory of that form.
    """

    name: str
    buffer: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str  # "float16"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A learner's fault as the session saw it. `line` is the submission's own, `raw` the untranslated text."""

    stage: str
    error_type: str
    text: str
    line: int | None = None
    raw: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """The case ran. The counts are information, never points."""

    loaded_bytes: int = 0
    stored_bytes: int = 0
    atomic_bytes: int = 0
    masked_bytes: int = 0
    scratch_bytes: int = 0


def encode(message: dict[str, Any]) -> bytes:
    """A JSON message as one frame."""
    body = json.dumps(message, allow_nan=False).encode()
    return LENGTH.pack(len(body)) + body


def write_all(fd: int, data: bytes) -> None:
    """Blocking write of everything to `fd`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_exactly(fd: int, size: int) -> bytes:
    """Blocking read of `size` bytes; used by the session, which trusts its reader's end.

    Raises:
        EOFError: the other side closed.
    """
    parts = bytearray()
    while len(parts) < size:
        part = os.read(fd, size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def read_message(fd: int) -> dict[str, Any]:
    """The session's side: the judge's next message."""
    (size,) = LENGTH.unpack(read_exactly(fd, LENGTH.size))
    return json.loads(read_exactly(fd, size))


def parse_reply(body: bytes) -> tuple[str, dict[str, Any]]:
    """A session's JSON frame, checked: its kind and its fields, every one of a known type and size.

    Raises:
        ProtocolError: anything else.
    """
    if len(body) > MESSAGE_LIMIT:
        raise ProtocolError(f"message of {len(body)} bytes")
    try:
        message = json.loads(body)
        kind = message.pop("kind")
    except (ValueError, AttributeError, KeyError, RecursionError, TypeError) as error:
        raise ProtocolError("not a message") from error
    checks = _REPLIES.get(kind) if isinstance(kind, str) else None
    if checks is None or set(message) != set(checks):
        raise ProtocolError(f"unknown message {str(kind)[:40]!r}")
    for name, check in checks.items():
        if not check(message[name]):
            raise ProtocolError(f"{kind}.{name} is out of range")
    return kind, message


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_LIMIT


_REPLIES = {
    "ready": {},
    "parsed": {},
    "loaded": {},
    "ok": {},
    "opened": {"l2_bytes": _count},
    "chosen": {"alternatives": lambda value: isinstance(value, list) and len(value) <= 64 and all(map(_count, value))},
    "timed": {"nanoseconds": _count},
    "done": {field.name: _count for field in dataclasses.fields(Done)},
    "record": {"size": lambda value: _count(value) and value <= RECORD_LIMIT},
    "fault": {
        "stage": lambda value: value in STAGES,
        "error_type": _text,
        "text": _text,
        "line": lambda value: value is None or _count(value),
        "raw": _text,
    },
}
