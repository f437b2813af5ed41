"""From an exception to the fault that is reported: the root cause, the submission's own line, the text cut and cleaned."""

from __future__ import annotations

import traceback
from types import FrameType

from triton.compiler.errors import CompilationError
from triton.runtime.errors import OutOfResources, PTXASError

from grader.sandbox.case.address_map import AccessFault
from grader.sandbox.case.current_case import kernel_code
from grader.sandbox.case.refusals import Refused
from grader.sandbox.protocol import AT_IMPORT, TEXT_LIMIT, Fault

FILENAME = "submission.py"  # the name under which a submission is compiled
UNPRINTABLE = "an exception that cannot be printed"


def fault_of(error: BaseException, *, stage: str, source: str) -> Fault:
    """What to report of `error`, whose attributes and methods may be made by a stranger.

    Args:
        error: raised while the submission ran.
        stage: where it was, unless the error itself says more: `refused`, `bounds`, `input_changed`, `compile`.
        source: the submission's text; kernels' own line numbers are turned into lines of it.
    """
    try:
        return _fault_of(error, stage=stage, source=source)
    except BaseException:
        return Fault(stage=stage, error_type="Exception", text=UNPRINTABLE)


def _fault_of(error: BaseException, *, stage: str, source: str) -> Fault:
    cause = root_cause(error)
    line = _line(error, cause, source)
    text = _text_of(cause)
    if isinstance(cause, AccessFault):
        stage = cause.stage
    elif isinstance(cause, Refused):
        text = f"{text} {AT_IMPORT}" if stage == "import" and _own_lines(error) else text
        stage = "refused"
    elif stage == "run" and _is_compile_error(error, cause):
        stage = "compile"
    elif isinstance(cause, SystemExit):
        text = f"the submission called exit({cause.code!r})"
    raw = _own_traceback(error, cause)
    return Fault(stage=stage, error_type=clean(type(cause).__name__), text=clean(text), line=line, raw=clean(raw, tail=True))


def syntax_fault(text: str, line: int | None = None) -> Fault:
    return Fault(stage="syntax", error_type="SyntaxError", text=clean(text), line=line, raw="")


def root_cause(error: BaseException) -> BaseException:
    """The exception that everything started with; what only wraps another is looked through."""
    seen: set[int] = set()
    while error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, CompilationError) and not isinstance(error.__cause__, (CompilationError, Refused)):
            break  # its message shows the kernel's source with the place marked
        error = error.__cause__
    return error


def clean(text: str, *, tail: bool = False) -> str:
    """At most TEXT_LIMIT characters, without control characters; a long text keeps its start, or its end.

    Cut before it is walked: an exception may carry megabytes.
    """
    most = TEXT_LIMIT - 1
    cut = text if len(text) <= TEXT_LIMIT else "…" + text[-most:] if tail else text[:most] + "…"
    return "".join(c if c in "\n\t" or c.isprintable() else "�" for c in cut.replace("\r\n", "\n"))


def _text_of(error: BaseException) -> str:
    """What it says; an exception is a stranger's code, too, and may not be able to say anything."""
    try:
        return str.__str__(str(error))[: TEXT_LIMIT + 1]
    except BaseException:
        return UNPRINTABLE


def _is_compile_error(error: BaseException, cause: BaseException) -> bool:
    """On a GPU the compiler would have found it: whatever goes wrong inside a kernel but for its own assertions."""
    if isinstance(cause, (CompilationError, PTXASError, OutOfResources)):
        return True
    if isinstance(cause, (MemoryError, RecursionError, KeyboardInterrupt, SystemExit)):
        return False
    frames = list(_frames(error))
    in_kernel = any(frame.f_code in kernel_code for frame in frames)
    asserted = bool(frames) and frames[-1].f_code.co_name in ("create_assert", "create_assume")
    return in_kernel and not asserted


def _line(error: BaseException, cause: BaseException, source: str) -> int | None:
    """A line that the source has, or none."""
    line = _claimed_line(error, cause, source)
    return line if type(line) is int and 0 < line <= source.count("\n") + 1 else None


def _claimed_line(error: BaseException, cause: BaseException, source: str) -> int | None:
    if isinstance(cause, CompilationError) and cause.node is not None and cause.src:
        start = source.find(cause.src)
        if start >= 0:
            return source.count("\n", 0, start) + cause.node.lineno
    lines = [line for link in (error, cause) for line in _own_lines(link)]
    return lines[-1] if lines else getattr(cause, "line", None)


def _own_traceback(error: BaseException, cause: BaseException) -> str:
    """As Python shows it, with the submission's own frames alone."""
    frames = traceback.extract_tb(cause.__traceback__)
    own = [frame for frame in frames if frame.filename == FILENAME]
    if not own:
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILENAME]
    head = ["Traceback (most recent call last):\n", *traceback.format_list(own)] if own else []
    said = "".join(traceback.format_exception_only(type(cause), cause)) if _text_of(cause) != UNPRINTABLE else UNPRINTABLE
    return "".join(head) + said


def _own_lines(error: BaseException) -> list[int]:
    entries = traceback.walk_tb(error.__traceback__)
    return [line for frame, line in entries if frame.f_code.co_filename == FILENAME]


def _frames(error: BaseException) -> list[FrameType]:
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
