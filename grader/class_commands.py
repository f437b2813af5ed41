"""Commands for whoever runs the server, on its own machine: the instructor's token, the class, the archive.

Who can read the database needs no token: these ask the course directly, as an instructor.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grader.faults import NotGradable

DONE, NOT_WELL, OUR_FAULT = 0, 1, 3


def add_commands(commands: Any) -> None:
    """To the parser of `python -m grader`."""
    token = commands.add_parser("instructor-token", help="make a new instructor's token; the one before is worth nothing then")
    token.set_defaults(run=_token)

    archive = commands.add_parser("archive", help="look after the archive").add_subparsers(required=True, metavar="WHAT")
    verify = archive.add_parser("verify", help="hold every file against its checksum and the database; mend what can be mended")
    verify.set_defaults(run=_verify)

    parser = commands.add_parser("class", help="roster, gradebook, dump").add_subparsers(required=True, metavar="WHAT")
    roster = parser.add_parser("roster", help="take a CSV file of learners in, whole or not at all")
    roster.add_argument("file", metavar="FILE", type=Path)
    roster.add_argument("--replace", action="store_true", help="who is not in the file leaves the roster")
    roster.set_defaults(run=_roster)
    export = parser.add_parser("export", help="the gradebook as CSV: canvas, nbgrader, nbgrader-students, plain")
    export.add_argument("form", metavar="FORM")
    export.add_argument("--section", help="one section alone")
    export.set_defaults(run=_export)
    dump = parser.add_parser("dump", help="everything as one JSON text")
    dump.set_defaults(run=_dump)
    take_in = parser.add_parser("import", help="take a dump in; what is known already stays as it is")
    take_in.add_argument("file", metavar="FILE", type=Path)
    take_in.set_defaults(run=_import)


def _said(task: Callable[[], int]) -> int:
    """What the database or the archive says no with, in its own sentence."""
    from grader.course import StoreError
    from grader.course.places import keep_private

    keep_private()
    try:
        return task()
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return OUR_FAULT


def _with_course(task: Callable[[Any], int]) -> int:
    from grader.course import Course

    def opened() -> int:
        with Course() as course:
            return task(course)

    return _said(opened)


def _as_instructor(task: Callable[[Any], int]) -> int:
    from grader.course.roles import INSTRUCTOR

    return _with_course(lambda course: task(course.instructor(INSTRUCTOR)))


def _token(_: argparse.Namespace) -> int:
    def make(course: Any) -> int:
        print(course.new_instructor_token())
        return DONE

    return _with_course(make)


def _verify(_: argparse.Namespace) -> int:
    from grader.course import schema
    from grader.course.archive import Archive
    from grader.course.archive_check import check
    from grader.course.settings import Settings
    from grader.course.store import open_engine, storing

    settings = Settings.read()

    def verify() -> int:
        engine = open_engine(settings.db_url)
        try:
            with storing("Database and archive cannot be held against each other"):
                schema.prepare(engine)
                found = check(engine, Archive(settings.archive))
        finally:
            engine.dispose()
        for fault in found.faults:
            mended = "written anew" if fault.mended else "it could not be written anew"
            print(f"{fault.kind}/{fault.id}: {fault.sentence}; {mended}")
        print(found.sentence or f"All {found.files:,} files of {settings.archive} are as they were written.")
        return NOT_WELL if found.faults else DONE

    return _said(verify)


def _roster(options: argparse.Namespace) -> int:
    text = _read(options.file)

    def task(teacher: Any) -> int:
        counts = teacher.import_roster(text, replace=options.replace)
        print(", ".join(f"{count} {name}" for name, count in counts.items()))
        return DONE

    return _as_instructor(task)


def _export(options: argparse.Namespace) -> int:
    def task(teacher: Any) -> int:
        sys.stdout.write(teacher.export(options.form, section=options.section))
        return DONE

    return _as_instructor(task)


def _dump(_: argparse.Namespace) -> int:
    def task(teacher: Any) -> int:
        json.dump(teacher.dump(), sys.stdout, ensure_ascii=False)
        print()
        return DONE

    return _as_instructor(task)


def _import(options: argparse.Namespace) -> int:
    try:
        data = json.loads(_read(options.file))
    except (ValueError, RecursionError) as error:
        raise NotGradable(f"{options.file} is no JSON: {error}.") from error

    def task(teacher: Any) -> int:
        counts = teacher.take_in(data)
        print(", ".join(f"{count} {name}" for name, count in counts.items()))
        return DONE

    return _as_instructor(task)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotGradable(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise NotGradable(f"{path} is no UTF-8 text (byte {error.start}).") from error
