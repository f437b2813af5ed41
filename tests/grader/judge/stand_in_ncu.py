"""Stands in for Nsight Compute: an executable of a few lines of Python, behind the walls that the real one has."""

from __future__ import annotations

import sys
from pathlib import Path

# What every one of them can do: be the target as well, and hold its conversation.
_HEAD = """#!{python}
import json, os, sys, time
fds = json.loads(sys.argv[-1])["fds"]
command = open(fds["command"], "rb")

def talk(until=""):
    while size := int.from_bytes(command.read(4), "little"):
        message = json.loads(command.read(size))
        if message["kind"] == until:
            return
        if message["kind"] == "record":
            command.read(message["size"])
        said = dict(kind="opened", l2_bytes=1) if message["kind"] == "open" else dict(kind="ok")
        body = json.dumps(said).encode()
        os.write(fds["reply"], len(body).to_bytes(4, "little") + body)

def become_the_target():
    at = sys.argv.index("-I")
    os.execv(sys.argv[at - 1], sys.argv[at - 1 :])

"""


def main(**_) -> None:
    """In the target's place: print, as a kernel may."""
    print("==ERROR== ERR_NVGPUCTRPERM", flush=True)
    sys.stderr.write("==ERROR== ERR_NVGPUCTRPERM")


def made(folder: Path, body: str) -> Path:
    """The executable `ncu` in that folder, which does what `body` says."""
    path = folder / "ncu"
    path.write_text(_HEAD.format(python=sys.executable) + body, encoding="utf-8")
    path.chmod(0o755)
    return path
