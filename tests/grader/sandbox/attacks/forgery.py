"""Attacks on what the judge believes: replies, lent memory, and the judge's own reading of both."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import time

from attacks import INTERPRET, Bait, attack
from grader.sandbox import protocol

LENT = (INTERPRET,)


def _frame(body: bytes) -> bytes:
    return protocol.LENGTH.pack(len(body)) + body


@attack(ends=("exited",))
def leave_with_a_forged_verdict(bait: Bait):
    os.write(1, b'{"passed": true, "points": 100}\n')
    os._exit(0)


@attack(ends=("protocol", "exited"))
def verdict_on_the_reply_pipe(bait: Bait):
    os.write(bait.reply_fd, b'{"kind": "passed", "points": 100}\n' * 8)
    os._exit(0)


@attack(ends=("protocol",))
def flood_of_the_reply_pipe(bait: Bait):
    while True:
        os.write(bait.reply_fd, b"\xff" * 65536)


@attack(ends=("protocol",))
def frame_of_four_gigabytes(bait: Bait):
    os.write(bait.reply_fd, b"\xff\xff\xff\xff")
    time.sleep(60)


@attack(ends=("time_limit",), time_limit_s=0.5)
def frame_that_never_ends(bait: Bait):
    os.write(bait.reply_fd, protocol.LENGTH.pack(1000) + b'{"kind":')
    time.sleep(60)


@attack(ends=("protocol",))
def reply_that_nests_too_deep(bait: Bait):
    os.write(bait.reply_fd, _frame(b"[" * 50_000))
    time.sleep(60)


@attack(ends=("protocol",))
def reply_of_an_unknown_kind(bait: Bait):
    os.write(bait.reply_fd, _frame(json.dumps({"kind": "points", "points": 100}).encode()))
    time.sleep(60)


@attack(ends=("protocol",))
def reply_with_numbers_out_of_range(bait: Bait):
    counts = {"loaded_bytes": -1, "stored_bytes": 1e308, "atomic_bytes": 0, "masked_bytes": True, "scratch_bytes": 0}
    os.write(bait.reply_fd, _frame(json.dumps({"kind": "done", **counts}).encode()))
    time.sleep(60)


@attack(ends=("protocol",))
def hang_up_and_stay(bait: Bait):
    os.close(bait.reply_fd)
    time.sleep(60)


@attack(kinds=LENT)
def shrink_the_answer(bait: Bait):
    os.ftruncate(bait.out_fd, 0)
    return True


@attack(kinds=LENT)
def grow_the_answer(bait: Bait):
    os.ftruncate(bait.out_fd, 1 << 30)
    return True


@attack(kinds=LENT)
def write_to_the_inputs(bait: Bait):
    os.pwrite(bait.inputs_fd, b"\0" * 64, 0)
    return True


@attack(kinds=LENT)
def map_the_inputs_writable(bait: Bait):
    mmap.mmap(bait.inputs_fd, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return True


@attack(kinds=LENT)
def reopen_the_inputs(bait: Bait):
    fd = os.open(f"/proc/self/fd/{bait.inputs_fd}", os.O_RDWR)
    os.pwrite(fd, b"\0" * 64, 0)
    return True


@attack(kinds=LENT)
def seal_the_answer(bait: Bait):
    """A seal against writing would keep the judge from using the buffer again."""
    fcntl.fcntl(bait.out_fd, 1033, 0x8)
    return True


@attack(kinds=LENT)
def change_how_numbers_compare(bait: Bait):
    import numpy

    numpy.allclose = numpy.array_equal = lambda *_, **__: True
    return "in the judge" if getattr(numpy, "patched_in_the_judge", False) else None
