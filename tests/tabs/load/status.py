"""What one look at an attempt costs the page's process, by each door that answers it, in milliseconds of CPU; and idleness.

python -m tests.tabs.load.status [--looks 400]
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.tabs.load.page_process import page
from tests.tabs.load.programs import LAB, Program, program, wait_until_quiet

IDLE_S = 20.0
SLOW = "seconds 3000\n"  # the fake judge holds it for as long


def doors(asking: Program, attempt: str) -> dict[str, Callable[[], object]]:
    """What asks once, by the name of the door."""
    shown = f"/api/v1/attempts/{attempt}"
    again = asking.ask("GET", shown)[1]["etag"]
    found: dict[str, Callable[[], object]] = {
        "plain": lambda: asking.ask("GET", shown),
        "plain, nothing new": lambda: asking.ask("GET", shown, If_None_Match=again),
        "as the page shows it": lambda: asking.ask("GET", f"{shown}/words"),
        "Gradio's named endpoint": lambda: asking.json("POST", "/gradio_api/run/status", {"data": [attempt, asking.token]}),
    }
    for name in ("tick", "ended"):
        for index in asking.events_of(name)[:1]:
            found[f"Gradio's event {name!r}"] = lambda index=index: asking.event(index, [asking.token, LAB, attempt], "load")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tabs.load.status", description=__doc__.partition("\n")[0])
    parser.add_argument("--looks", type=int, default=400)
    looks = parser.parse_args().looks
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, page(Path(folder), port) as (url, process), program(url) as asking:
        attempt = asking.hand_in(SLOW)
        wait_until_quiet(lambda: cpu_s(process))
        before = cpu_s(process)
        time.sleep(IDLE_S)
        asking.close()  # the server has, after five seconds of silence
        print(f"nobody looks: {100 * (cpu_s(process) - before) / IDLE_S:.1f}% of a core", flush=True)
        for name, look in doors(asking, attempt).items():
            for _ in range(20):
                look()
            before = cpu_s(process)
            for _ in range(looks):
                look()
            print(f"{name:28} {1000 * (cpu_s(process) - before) / looks:6.2f} ms", flush=True)


def cpu_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


if __name__ == "__main__":
    main()
