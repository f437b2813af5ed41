"""Many grading processes on PostgreSQL, one killed again and again: is everything graded once, and does the simulation hold?

    python -m tests.fleet --processes 8 --seconds 300 --kill-every 20 --json FILE

Real processes under a real supervisor with a judge that only waits (`fake_judge`): it says how jobs are handed out, not how
fast this machine computes. Silence counts as in production: the tests' three seconds are over while eight processes start on
two cores, and then each is killed again and again. `GRADER_TEST_PG` names a server; without it Debian's is started. Ends with 1
where an attempt was lost or recorded twice.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.capacity import Phases, Wish, simulate
from grader.course import State
from grader.course.quota import Quota
from grader.course.settings import Settings
from tests.grader.course import postgres
from tests.grader.course.conftest import new_database
from tests.grader.course.service import LAB, Service, until

USERS = 12
TAKES_S = 1.0  # each attempt
AHEAD = 2  # attempts that wait for each grading process, at least


@contextlib.contextmanager
def database() -> Iterator[str]:
    if os.environ.get("GRADER_TEST_PG"):
        yield new_database()
        return
    programs = postgres.programs()
    if programs is None:
        raise SystemExit("No PostgreSQL server is installed here; name one in GRADER_TEST_PG.")
    with postgres.server(programs) as server:
        yield server.new_database()


def run(service: Service, *, processes: int, seconds: float, kill_every: float, draw: random.Random) -> dict[str, Any]:
    page = service.start_web("serve", GRADER_WORKERS=str(processes))
    page.stdout.readline()
    until(lambda: len(service.ready_processes()) == processes, service, within_s=600)
    killed, number, next_kill = 0, 0, time.monotonic() + kill_every
    with service.course() as course:
        began = time.time()
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            waiting = course.health()["queue"]["queued"]
            for _ in range(AHEAD * processes - waiting):
                number += 1
                user = f"user{number % USERS}"
                course.submit(user=user, lab_id=LAB, source=f"seconds {TAKES_S}\nnumber {number}", mode="check")
            if kill_every and time.monotonic() > next_kill:
                next_kill += kill_every
                killed += kill_one(page.pid, draw)
            time.sleep(0.1)
        with service.engine.connect() as connection:
            connections = connection.exec_driver_sql("SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL").scalar()
        ended_meanwhile = sum(row.state == State.DONE for row in service.rows().values())
        took = time.time() - began
        until(lambda: not sum(course.health()["queue"].values()), service, within_s=600)
    rows = service.rows()
    ended = [line["attempt"] for line in service.logged("attempt ended")]
    return {
        "attempts": len(rows),
        "connections": connections,
        "killed": killed,
        "not_passed": sum(row.verdict != "passed" for row in rows.values()),
        "ended_twice": len(ended) - len(set(ended)),
        "without_an_end": len(set(rows) - {path.stem for path in service.archive.glob("ends/*/*.json")}),
        "taken_up_again": sum(row.fence > 1 for row in rows.values()),
        "a_minute": round(ended_meanwhile / took * 60, 1),
    }


def kill_one(page: int, draw: random.Random) -> int:
    found = [child for child in psutil.Process(page).children() if grades(child)]
    if found:
        os.kill(draw.choice(found).pid, signal.SIGKILL)
    return len(found[:1])


def grades(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "grader.course.grading_process" in process.cmdline()
    return False


def simulated_a_minute(processes: int) -> float:
    """Of as many processes that are never killed, as `benchmarks.capacity` has it."""
    asked = [Wish(0.0, number % USERS, True, Phases(core_s=TAKES_S, gpu_s=0.0)) for number in range(100 * processes)]
    outcome = simulate(asked, gpus=processes, recorders=1, seed=1, quota=Quota(open_per_user=10_000))
    return round(len(outcome.waits) / outcome.lasted_s * 60, 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds; 0: never")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that server and processes end, too
    with database() as url, tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory), url, heartbeat_s=Settings.heartbeat_s, dead_after_s=Settings.dead_after_s)
        try:
            found = run(
                service,
                processes=options.processes,
                seconds=options.seconds,
                kill_every=options.kill_every,
                draw=random.Random(1),
            )
        finally:
            service.stop()
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.fleet {' '.join(sys.argv[1:])}",
        "processes": options.processes,
        "attempt_s": TAKES_S,
        **found,
        "simulated_a_minute_unkilled": simulated_a_minute(options.processes),
        "load": os.getloadavg(),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(bool(found["not_passed"] or found["ended_twice"] or found["without_an_end"]))


if __name__ == "__main__":
    sys.exit(main())
