"""How much the page's process grows with each visit: page, configuration, the load event, a heartbeat that is closed again.

python -m tests.tabs.load.visits [--visits 1000]        exit code 1 where a visit after the first 200 keeps more than 2 kB
"""

from __future__ import annotations

import argparse
import http.client
import secrets
import socket
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlparse

import psutil

from tests.tabs.load.page_process import page
from tests.tabs.load.programs import PATIENCE_S, Program

WARM = 200  # visits until every cache is as large as it gets
MAY_KEEP = 2048  # bytes a visit; below it is the noise of an allocator
EVERY = 100


def visit(url: str, load: int) -> None:
    """One browser comes and goes: what its first seconds ask of the server, in their order."""
    asking, session = Program(url), secrets.token_hex(6)
    where = urlparse(url)
    heartbeat = http.client.HTTPConnection(str(where.hostname), where.port, timeout=PATIENCE_S)
    try:
        asking.ask("GET", "/")
        heartbeat.request("GET", f"/gradio_api/heartbeat/{session}")
        heartbeat.getresponse().read(1)
        token = asking.event(load, ["", "", ""], session)["data"][0]
        asking.event(load, [token, "lab02", ""], session)
    finally:
        heartbeat.close()
        asking.close()


def kept(process: psutil.Process) -> int:
    """Bytes of memory that are the process's own; what it shares with files is not its growth."""
    return int(process.memory_full_info().uss)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tabs.load.visits", description=__doc__.partition("\n")[0])
    parser.add_argument("--visits", type=int, default=1000, help="after the first 200")
    visits = parser.parse_args().visits
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, page(Path(folder), port) as (url, process):
        asking = Program(url)
        (load,) = [index for index in asking.events_of("load") if len(asking.inputs_of(index)) == 3]
        asking.close()
        seen = []
        for number in range(WARM + visits + 1):
            visit(url, load)
            if number >= WARM and number % EVERY == 0:
                seen.append(kept(process))
                print(f"{number:6} visits: {seen[-1] / 2**20:8.2f} MiB", flush=True)
    half = len(seen) // 2  # the least of each half: what comes and goes is no growth
    growth = (min(seen[half:]) - min(seen[: half or 1])) / (EVERY * max(1, len(seen) - half))
    print(f"{growth:.0f} bytes a visit after {WARM}")
    return 1 if growth > MAY_KEEP else 0


if __name__ == "__main__":
    sys.exit(main())
