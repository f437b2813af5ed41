"""A class at work: watchers who look twice a second, submitters who hand in and wait; how long a look takes, what is lost.

python -m tests.tabs.load.watchers [--watchers 100] [--submitters 20] [--minutes 2] [--json FILE]
        exit code 1 where the p95 of a look is over 100 ms, an attempt is lost, or memory grows by more than 20 MiB
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.tabs.load.page_process import page
from tests.tabs.load.programs import percentile, program, wait_until_quiet
from tests.tabs.load.status import cpu_s
from tests.tabs.load.visits import kept

LOOK_EVERY_S = 0.5
SIZED_EVERY_S = 5.0
P95_MS = 100.0
MAY_GROW = 20 * 2**20  # bytes, from a quarter of the time on
WORK = "seconds 0.5\n"  # the fake judge takes so long; what is measured is the page


class Class:
    """Everybody's answers, in one place."""

    def __init__(self, url: str, minutes: float) -> None:
        self._url = url
        self._until = time.monotonic() + 60 * minutes
        self._lock = threading.Lock()
        self.looks_ms: list[float] = []
        self.pages_ms: list[float] = []
        self.handed_in: dict[str, str] = {}  # attempt: its state at the end
        self.faults: list[str] = []

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self._until

    def watch(self, number: int) -> None:
        """Looks at an attempt of one's own, as a page that is seen does where nothing changes."""
        with program(self._url) as asking:
            attempt = asking.hand_in(f"{WORK}# watcher {number}\n")
            etag = ""
            time.sleep(LOOK_EVERY_S * number / 100)  # not all at once
            while self.goes_on:
                began = time.monotonic()
                headers = {"If_None_Match": etag} if etag else {}
                status, found, _ = asking.ask("GET", f"/api/v1/attempts/{attempt}", **headers)
                took = time.monotonic() - began
                etag = found.get("etag", etag)
                self._note(self.looks_ms, took, status in (200, 304), f"a look was answered with {status}")
                time.sleep(max(0.0, LOOK_EVERY_S - took))

    def submit(self, number: int) -> None:
        """Hands in, waits for the end by a held request, and hands in again."""
        with program(self._url) as asking:
            turn = 0
            while self.goes_on:
                turn += 1
                attempt = asking.hand_in(f"{WORK}# submitter {number}, turn {turn}\n", mode="submit")
                state = "queued"
                while self.goes_on and state in ("queued", "running"):
                    state = asking.json("GET", f"/api/v1/attempts/{attempt}?wait=10")["state"]
                with self._lock:
                    self.handed_in[attempt] = state

    def open_pages(self) -> None:
        """Somebody who opens the page every two seconds."""
        with program(self._url) as asking:
            while self.goes_on:
                began = time.monotonic()
                status, _, _ = asking.ask("GET", "/")
                self._note(self.pages_ms, time.monotonic() - began, status == 200, f"the page was answered with {status}")
                time.sleep(2.0)

    def _note(self, into: list[float], took_s: float, fine: bool, fault: str) -> None:
        with self._lock:
            into.append(1000 * took_s)
            if not fine:
                self.faults.append(fault)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tabs.load.watchers", description=__doc__.partition("\n")[0])
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--submitters", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written, too")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, page(Path(folder), port) as (url, process):
        wait_until_quiet(lambda: cpu_s(process))
        at_work = Class(url, options.minutes)
        threads = [threading.Thread(target=at_work.watch, args=(number,)) for number in range(options.watchers)]
        threads += [threading.Thread(target=at_work.submit, args=(number,)) for number in range(options.submitters)]
        threads.append(threading.Thread(target=at_work.open_pages))
        spent, began = cpu_s(process), time.monotonic()
        for thread in threads:
            thread.start()
        sizes = []
        while at_work.goes_on:
            time.sleep(SIZED_EVERY_S)
            sizes.append(kept(process))
        spent, lasted = cpu_s(process) - spent, time.monotonic() - began
        for thread in threads:
            thread.join()
    quarter = sizes[len(sizes) // 4 :]
    grown = min(quarter[len(quarter) // 2 :]) - min(quarter[: len(quarter) // 2 or 1])
    lost = [attempt for attempt, state in at_work.handed_in.items() if state not in ("done", "queued", "running")]
    p95 = percentile(at_work.looks_ms, 0.95)
    figures = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.tabs.load.watchers {' '.join(sys.argv[1:])}",
        "looks": len(at_work.looks_ms),
        "look_ms": {"p50": round(percentile(at_work.looks_ms, 0.5), 1), "p95": round(p95, 1)},
        "page_opened": len(at_work.pages_ms),
        "page_p95_ms": round(percentile(at_work.pages_ms, 0.95), 1),
        "handed_in": len(at_work.handed_in),
        "lost": len(lost),
        "faults": at_work.faults[:3],
        "page_percent_of_a_core": round(100 * spent / lasted, 1),
        "grown_mib": round(grown / 2**20, 1),
        "mib_each_minute": [round(size / 2**20, 1) for size in sizes[:: int(60 / SIZED_EVERY_S)]],
        "load": os.getloadavg(),
    }
    told = json.dumps(figures, indent=1)
    print(told)
    if options.json:
        options.json.write_text(f"{told}\n", encoding="utf-8")
    return 1 if p95 > P95_MS or lost or at_work.faults or grown > MAY_GROW else 0


if __name__ == "__main__":
    sys.exit(main())
