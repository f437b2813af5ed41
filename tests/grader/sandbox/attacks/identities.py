"""Who runs the attacks: root, whose sessions drop to a user of their own, or an ordinary user, whose sessions are that user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from grader.sandbox.walls import roots

ORDINARY_UID = 1000
# $1 lies below $2, which only root may enter: in a mount namespace of our own, $2 is hidden but for $1.
_OPEN_A_WAY = """
set -e
kept=/mnt
mount --bind "$1" "$kept"
mount -t tmpfs -o mode=755 tmpfs "$2"
mkdir -p "$1"
mount --bind "$kept" "$1"
shift 2
exec "$@"
"""


class Unavailable(Exception):
    """This machine cannot run anything as that user; the message says why."""


def prefix(identity: str) -> list[str]:
    """What to put before a command so that `identity` ("root" or "ordinary") runs it.

    Raises:
        Unavailable: we are not that user and cannot become it.
    """
    if identity == "root":
        if os.getuid() != 0:
            raise Unavailable("not root: sessions cannot drop to another user")
        return []
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise Unavailable("setpriv is missing")
    become = ["setpriv", f"--reuid={ORDINARY_UID}", f"--regid={ORDINARY_UID}", "--clear-groups", "--inh-caps=-all", "--"]
    barrier = roots.barrier(str(Path(sys.executable).resolve()), ORDINARY_UID)
    if barrier is None:
        return become
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        raise Unavailable(f"an ordinary user cannot enter {barrier}, and no mount namespace is to be had")
    return ["unshare", "--mount", "sh", "-c", _OPEN_A_WAY, "sh", sys.base_prefix, barrier, *become]
