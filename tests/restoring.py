"""How long a start takes whose database is lost, with a course's worth of attempts in the archive.

    python -m tests.restoring --attempts 36000 --report FILE [--folder FOLDER] [--json FILE]

The archive is made first, of copies of one real report (`python -m grader grade … --json FILE`), each with its own source and
checksum. Ends with 1 where an attempt did not come back as it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from grader.course import Course, State
from grader.course.archive import Archive
from grader.report import Report
from tests.grader.course import pretend_class as made

PEOPLE, LABS = 300, 12


def make(archive: Archive, *, attempts: int, report: Report) -> None:
    chance = random.Random(1)
    with mock.patch("os.fsync"):  # a minute instead of an hour; nobody pulls this machine's plug for it
        for number in range(attempts):
            source = f"# attempt {number}\n" + "".join(chance.choices("abcdef \n", k=1500))
            lab = f"lab{number % LABS:02d}"
            created = made.START + 60 * number
            submission = made.handed_in(user=f"hf:acc{number % PEOPLE}", lab=lab, source=source, created=created)
            archive.keep_submission(submission)
            archive.keep_end(made.ended(submission, dataclasses.replace(report, lab=lab)))


def start(folder: Path, *, attempts: int) -> dict[str, Any]:
    began, began_cpu = time.monotonic(), time.process_time()
    with Course(folder / "database", archive=folder / "archive", lab_ids=lambda: ()) as course:
        served_s = time.monotonic() - began
        while course._restore.left:
            time.sleep(0.1)
        back_s, cpu_s = time.monotonic() - began, time.process_time() - began_cpu
        while course._archive_findings is None:
            time.sleep(0.1)
        verified_s = time.monotonic() - began
        tally = course.tally()
        return {
            "page_s": round(served_s, 1),
            "all_back_s": round(back_s, 1),
            "all_back_cpu_s": round(cpu_s, 1),
            "checksums_s": round(verified_s, 1),
            "restored": sum(counted.number for counted in tally),
            "files": course._archive_findings.files,
            "faults": len(course._archive_findings.faults),
            "lost": attempts - sum(counted.number for counted in tally if counted.state == State.DONE),
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.restoring", description=__doc__.splitlines()[0])
    parser.add_argument("--attempts", type=int, default=36_000)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="keeps the archive for another run (default: a temporary one)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = Report.from_json(options.report.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        archive = Archive(folder / "archive")
        if not any(archive.ids("submissions")):
            make(archive, attempts=options.attempts, report=report)
        with tempfile.TemporaryDirectory(dir=folder) as lost:
            (Path(lost) / "archive").symlink_to(folder / "archive")
            found = start(Path(lost), attempts=options.attempts)
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.restoring {' '.join(sys.argv[1:])}",
        "attempts": options.attempts,
        **found,
        "load": os.getloadavg(),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(bool(found["lost"] or found["faults"]))


if __name__ == "__main__":
    sys.exit(main())
