"""The framed messages between judge and session, read as hostile on the judge's side. No pickle, no points, no paths.

A frame is a little-endian u32 length and so many bytes. The judge sends JSON objects; a session answers with JSON objects,
and after a `record` message with one raw frame, the launch record (`grader.sandbox.record.format`).

Judge → session                                             Session → judge
    load   source, entry, arguments, forbidden, target          parsed, then loaded | fault
    case   tensors, scalars, scratch_limit_bytes,               done traffic scratch_bytes facts | record bytes | fault
           order, in_turn, sight, turn, compile_with, watch_s,  | watched trace, lines
           origins, litter
    repairs  source, first                                      repairs changes

A fault of stage "syntax" comes instead of `parsed` or not at all: a refund hangs on it, so it is only believed while no line
of the submission has run.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
from typing import Any

LENGTH = struct.Struct("<I")
MESSAGE_LIMIT = 256 * 1024  # bytes of one JSON message
RECORD_LIMIT = 32 * 1024 * 1024  # bytes of one launch record
TEXT_LIMIT = 8 * 1024  # characters of any text that a session sends
NAME_LIMIT = 100  # characters of a tensor's name, or of a kind of access
NAMES_LIMIT = 64
LINES_LIMIT = 48  # lines of a watched run whose results are told
LINE_VISITS = 16  # of each, spread over the run
ORIGINS_LIMIT = 3  # events from which NaN and Inf come that are told of one run
REPAIRS_LIMIT = 1000  # changes of a source that are proposed
PLACES_LIMIT = 6  # of one change
CHANGE_LIMIT = 1000  # characters of what stands in one place after it

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
    spread: tuple[int, ...] | None = None  # strides of a copy that an interpreting session lays out in sparse memory of its own


def extent(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Cells from a tensor's first to its last, both counted: 1 + sum((shape[i] - 1) * strides[i]); 0 for an empty one."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def sampled_cells(rows: int, columns: int) -> tuple[list[int], list[int]]:
    """Which rows and columns of a block are sampled: 32 cells at the most, the first and the last of each among them."""
    most = (4, 8) if rows > 1 else (1, 32)
    first, second = (
        sorted({at * (size - 1) // max(1, many - 1) for at in range(many)})
        for size, many in ((rows, most[0]), (columns, most[1]))
    )
    return first, second


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in cells: strides[i] = product of shape[i+1:]."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SightOf:
    """What the judge may ask of a case: query row i of `queries` sees rows i + `first` to i + `last` of `keys`.

    `first` None: every row up to the last. Rows are counted along the last axis but one.
    """

    queries: str
    keys: tuple[str, ...]
    first: int | None
    last: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class LentCase:
    """A case as a session gets it.

    For the interpreter: `order` names the order of a launch's programs, None for the grid's; `in_turn`: an autotuner's
    configurations run one after the other on the same buffers; `sight`: which keys are of use; `watch_s`: the case is run to be
    watched, and ended after so many seconds; `origins`: NaN and Inf are followed to where they come from;
    `litter`: scratch that nobody filled holds large numbers, not NaN.
    For a recorder: `turn` is the case's place among the others, between which the configurations are shared out, None where
    all are wanted; `compile_with` overrides options of every launch (num_warps, num_stages).
    """

    tensors: tuple[LentTensor, ...]
    scalars: dict[str, Any]
    scratch_limit_bytes: int | None = None
    order: int | None = None
    in_turn: bool = False
    sight: SightOf | None = None
    watch_s: float | None = None
    origins: bool = False
    litter: bool = False
    turn: int | None = None
    compile_with: dict[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, message: dict[str, Any]) -> LentCase:
        """The session's side: from a `case` message."""
        tensors = tuple(LentTensor(**_with_tuples(item)) for item in message["tensors"])
        sight = message.get("sight")
        return cls(
            tensors=tensors,
            scalars=message["scalars"],
            scratch_limit_bytes=message["scratch_limit_bytes"],
            order=message.get("order"),
            in_turn=message.get("in_turn", False),
            sight=sight and SightOf(**{**sight, "keys": tuple(sight["keys"])}),
            watch_s=message.get("watch_s"),
            origins=message.get("origins", False),
            litter=message.get("litter", False),
            turn=message.get("turn"),
            compile_with=message.get("compile_with") or {},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A learner's fault as the session saw it. `line` is the submission's own, `raw` the untranslated text."""

    stage: str
    error_type: str
    text: str
    line: int | None = None
    raw: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Race:
    """Two programs of one launch touched a cell of the tensor `name`, one of them storing, and nothing orders them.

    `kind`: load, volatile load, store, atomic, or atomic of scope cta. The other ran first here; on a GPU either may.
    """

    name: str
    kind: str
    line: int | None
    program: int
    other_kind: str
    other_line: int | None
    other_program: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unwritten:
    """A kernel read a cell of scratch or `out` that nobody had written: the tensor, and the line of the first such load."""

    name: str
    line: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """An operation that made NaN or Inf out of numbers, or of −inf: its line, what went in, as text, and the cells of `out`
    that come from it.

    `operation`: subtract, divide, exp …; "cast" has the type in `right`, "sum" and "dot" the smallest and the largest number.
    """

    line: int | None
    operation: str
    left: str
    right: str
    cells: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What the interpreter's book showed of one case.

    `never_loaded`: inputs no kernel loads from. `never_stored`: `out` or scratch no kernel stores to. `configurations`: of the
    autotuner that has the most. `hidden_keys` of `loaded_keys`: key rows of loads that no row of their program may see.
    `origins`: of NaN and Inf in `out`, where they are followed.
    """

    race: Race | None = None
    unwritten: Unwritten | None = None
    never_loaded: tuple[str, ...] = ()
    never_stored: tuple[str, ...] = ()
    stores_scratch: bool = False
    configurations: int = 1
    hidden_keys: int = 0
    loaded_keys: int = 0
    origins: tuple[Origin, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """The case ran. The counts are information, never points."""

    loaded_bytes: int = 0
    stored_bytes: int = 0
    atomic_bytes: int = 0
    masked_bytes: int = 0
    scratch_bytes: int = 0
    facts: Facts = Facts()


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
    if kind == "done":
        message["facts"] = _facts_of(message["facts"])
    return kind, message


def _facts_of(message: dict[str, Any]) -> Facts:
    """Checked facts as what they are."""
    race, unwritten = message["race"], message["unwritten"]
    return Facts(
        **{
            **message,
            "race": None if race is None else Race(**race),
            "unwritten": None if unwritten is None else Unwritten(**unwritten),
            "never_loaded": tuple(message["never_loaded"]),
            "never_stored": tuple(message["never_stored"]),
            "origins": tuple(Origin(**origin) for origin in message["origins"]),
        }
    )


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_LIMIT


def _name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= NAME_LIMIT


def _line(value: Any) -> bool:
    return value is None or _count(value)


def _names(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= NAMES_LIMIT and all(map(_name, value))


def _change(value: Any) -> bool:
    """A change of a source: its places, each with where it begins and ends, what is put there, and the same in words."""
    return isinstance(value, list) and 0 < len(value) <= PLACES_LIMIT and all(map(_place, value))


def _place(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 7:
        return False
    operator, *where, new, told = value
    return _name(operator) and all(map(_count, where)) and all(map(_text, (new, told)))


def _fields(**checks: Any) -> Any:
    """A check of an object that has these fields and no others."""

    def check(value: Any) -> bool:
        return isinstance(value, dict) and set(value) == set(checks) and all(each(value[name]) for name, each in checks.items())

    return check


_RACE = _fields(
    name=_name, kind=_name, line=_line, program=_count, other_kind=_name, other_line=_line, other_program=_count
)  # fmt: skip
_UNWRITTEN = _fields(name=_name, line=_line)
_ORIGIN = _fields(line=_line, operation=_name, left=_name, right=_name, cells=_count)
_FACTS = _fields(
    race=lambda value: value is None or _RACE(value),
    unwritten=lambda value: value is None or _UNWRITTEN(value),
    never_loaded=_names,
    never_stored=_names,
    stores_scratch=lambda value: type(value) is bool,
    configurations=_count,
    hidden_keys=_count,
    loaded_keys=_count,
    origins=lambda value: isinstance(value, list) and len(value) <= ORIGINS_LIMIT and all(map(_ORIGIN, value)),
)

_REPLIES = {
    "ready": {},
    "parsed": {},
    "loaded": {},
    "ok": {},
    "opened": {"l2_bytes": _count},
    "chosen": {"alternatives": lambda value: isinstance(value, list) and len(value) <= 64 and all(map(_count, value))},
    "timed": {"nanoseconds": _count},
    "done": {field.name: _FACTS if field.name == "facts" else _count for field in dataclasses.fields(Done)},
    "repairs": {"changes": lambda value: isinstance(value, list) and len(value) <= REPAIRS_LIMIT and all(map(_change, value))},
    "watched": {"trace": lambda value: isinstance(value, dict), "lines": lambda value: isinstance(value, list)},  # read there
    "record": {"size": lambda value: _count(value) and value <= RECORD_LIMIT},
    "fault": {
        "stage": lambda value: value in STAGES,
        "error_type": _text,
        "text": _text,
        "line": _line,
        "raw": _text,
    },
}
