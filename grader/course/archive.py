"""Every accepted submission and every end of an attempt as one immutable JSON file: what is left when the database is lost.

    submissions/ef/…ef.json   who handed in what, when
    ends/ef/…ef.json          how it ended: state, charge and report
    events/ef/…ef.json        what was decided about the class: `grader.course.gradebook.events`
    set_aside/                files that could not be read

A file is complete or not there: written under another name, flushed to the disk, then renamed. The first file of a name
stands; whoever comes later gets what it says. Its second field is the SHA-256 of all that follows, so a file that was cut or
edited later is told from a good one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import logging
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grader.course.gradebook.events import ClassEvent
from grader.course.gradebook.times import write_time
from grader.course.intake import HandIn
from grader.course.states import OPEN, State
from grader.report import Report
from grader.typed import typed

FORMAT = 3  # 1 called the grading process a worker, 2 had no checksum
KINDS = ("submissions", "ends", "events")
HEAD = re.compile(rb'\{"format": (\d+), "sha256": "([0-9a-f]{64})", ')
LEFTOVER_AFTER_S = 3600.0  # an unfinished file of that age belongs to a process that died
FILE_LIMIT = 64 << 20  # bytes; the largest of ours is a roster of 5,000 learners
CANNOT_LINK = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class End:
    """How an attempt ended. `report` is there where the state is done and the attempt was graded itself.

    `report_kept`: the report as it is kept, where it was read from the archive; to pack it anew would take as long as all else.
    """

    id: str
    state: State
    charged: bool
    fault: str
    process: str
    started: float | None
    finished: float
    report: Report | None
    report_kept: str = dataclasses.field(default="", compare=False, repr=False)

    def facts(self) -> dict[str, Any]:
        """All but the report."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if "report" not in field.name}

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> End:
        """From its fields as the archive and the dump hold them.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        kept = "" if fields["report"] is None else json.dumps(fields["report"], ensure_ascii=False)
        report = Report.from_json(kept) if kept else None
        made = typed(cls, {**fields, "state": State(fields["state"]), "report": report, "report_kept": kept})
        write_time(made.started)
        write_time(made.finished)
        if made.state in OPEN:
            raise ValueError(f"state={made.state} is no end")
        return made


class Archive:
    """The directory. Raises OSError where it cannot be written; reading never raises for a bad file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in (*KINDS, "set_aside"):
            (directory / name).mkdir(parents=True, exist_ok=True)

    def keep_submission(self, submission: HandIn) -> None:
        self._keep("submissions", submission.id, dataclasses.asdict(submission))

    def withdraw(self, attempt_id: str, kind: str = "submissions") -> None:
        """Forget what the database then refused: it was never acknowledged."""
        self._path(kind, attempt_id).unlink(missing_ok=True)

    def keep_event(self, event: ClassEvent) -> None:
        self._keep("events", event.id, dataclasses.asdict(event))

    def event(self, event_id: str) -> ClassEvent | None:
        data = self._read("events", event_id)
        if data is None:
            return None
        try:
            return ClassEvent.read(data)
        except (KeyError, TypeError, ValueError) as error:
            self.set_aside("events", event_id, error)
            return None

    def keep_end(self, end: End) -> End:
        """Store it, or get the end that already stands."""
        fields = {**end.facts(), "report": end.report and json.loads(end.report.to_json(packed=True))}
        for _ in range(2):
            if self._keep("ends", end.id, fields):
                return end
            standing = self.end(end.id)
            if standing is not None:
                return standing
            # it could not be read and was set aside: the name is free now
        raise OSError(
            errno.EIO, "an unreadable file stands in the way and cannot be set aside", str(self._path("ends", end.id))
        )

    def submission(self, attempt_id: str) -> HandIn | None:
        data = self._read("submissions", attempt_id)
        if data is None:
            return None
        try:
            return HandIn.read(data)
        except (KeyError, TypeError, ValueError) as error:
            self.set_aside("submissions", attempt_id, error)
            return None

    def end(self, attempt_id: str) -> End | None:
        data = self._read("ends", attempt_id)
        if data is None:
            return None
        try:
            data.setdefault("process", data.get("worker"))  # its name in files of format 1
            return End.read(data)
        except (KeyError, TypeError, ValueError) as error:
            self.set_aside("ends", attempt_id, error)
            return None

    def has(self, kind: str, attempt_id: str) -> bool:
        return self._path(kind, attempt_id).exists()

    def ids(self, kind: str) -> Iterator[str]:
        """Who has a file of that kind; unfinished files of dead processes are removed."""
        for shard in sorted((self.directory / kind).iterdir()):
            for path in shard.iterdir() if shard.is_dir() else ():
                if path.suffix == ".json":
                    yield path.stem
                elif time.time() - path.lstat().st_mtime > LEFTOVER_AFTER_S:
                    path.unlink(missing_ok=True)

    def _path(self, kind: str, attempt_id: str) -> Path:
        return self.directory / kind / attempt_id[-2:] / f"{attempt_id}.json"

    def _keep(self, kind: str, attempt_id: str, fields: dict[str, Any]) -> bool:
        """True if the file is new, False if one stands already."""
        path = self._path(kind, attempt_id)
        path.parent.mkdir(exist_ok=True)
        body = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()[1:]
        data = b'{"format": %d, "sha256": "%s", ' % (FORMAT, hashlib.sha256(body).hexdigest().encode()) + body
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            _write(part, data, os.O_EXCL)
            try:
                os.link(part, path)  # unlike a rename, it never replaces a file that stands
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in CANNOT_LINK:
                    raise
                if path.exists():
                    return False
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _flush_directory(path.parent)
        return True

    def _read(self, kind: str, attempt_id: str) -> dict[str, Any] | None:
        try:
            raw = _bytes_of(self._path(kind, attempt_id))
            if fault := checksum_fault(raw):
                raise ValueError(fault)
            data: dict[str, Any] = json.loads(raw)
            if data["id"] != attempt_id or data["format"] > FORMAT:
                raise ValueError(f"id={data['id']!r:.40}, format={data['format']!r:.10} do not belong to this name and version")
            return data
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.error("archive file not readable", extra={"kind": kind, "attempt": attempt_id, "why": repr(error)})
            return None
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            self.set_aside(kind, attempt_id, error)
            return None

    def damage(self, kind: str, attempt_id: str) -> str:
        """What is wrong with a file, by its checksum alone; empty where nothing is, or where it is of a time without one."""
        try:
            data = _bytes_of(self._path(kind, attempt_id))
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        return checksum_fault(data)

    def count_set_aside(self) -> int:
        """How many files could not be read, ever since this archive began."""
        return sum(1 for _ in (self.directory / "set_aside").iterdir())

    def set_aside(self, kind: str, attempt_id: str, error: Exception) -> None:
        """Take a file that is not right out of the way, and keep it."""
        logger.error("archive file set aside", extra={"kind": kind, "attempt": attempt_id, "why": repr(error)})
        with contextlib.suppress(OSError):
            target = self.directory / "set_aside" / f"{kind}-{attempt_id}-{uuid.uuid4().hex[:8]}.json"
            self._path(kind, attempt_id).replace(target)


def checksum_fault(data: bytes) -> str:
    """Whether a file's bytes are those that were written; empty where they are, or where it is of a time without a checksum."""
    head = HEAD.match(data)
    if head is None:
        old = re.match(rb'\{"format": [12],', data)
        return "" if old else "it does not begin as an archive file does"
    if hashlib.sha256(data[head.end() :]).hexdigest().encode() != head[2]:
        return "its content does not match its checksum: it was cut or edited"
    return ""


def _bytes_of(path: Path) -> bytes:
    """What a file holds; never waits, and never takes in more than any file of ours has.

    Raises:
        OSError: there is none; it is a link, a pipe or a device; or it is larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb", closefd=True) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > FILE_LIMIT:
            raise OSError(errno.EFBIG, "it is no file, or larger than any of ours", str(path))
        return file.read()


def _write(path: Path, data: bytes, flags: int) -> None:
    """Write it and have it on the disk; on a bucket's mount a file is durable once it is closed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o640)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _flush_directory(path: Path) -> None:
    """The new name itself must survive too; some mounts cannot be asked for that."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
