"""A judge for tests of everything around the judge; a grading process takes it by its `--judge`.

What it does is written in the source that is handed in, one word a line:

    seconds 2.5     takes so long, in steps of 50 ms, and reports progress
    child           runs a process of its own meanwhile, which notes its start and end in $FAKE_RUNS
    fail            raises, as a judge with a fault of ours would
    kill            kills its own process, every time
    stop            stops its own process with SIGSTOP, every time
    spin            holds the interpreter's lock in foreign code, every time
    eat             fills memory, every time
    refund          a report that costs no attempt
    wrong           a report that did not pass
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import time
from pathlib import Path

from grader.report import Diagnosis, Points, Report, Verdict


@dataclasses.dataclass(frozen=True)
class Progress:
    phase: str
    done: int = 0
    total: int = 0
    case: str = ""


@dataclasses.dataclass(frozen=True)
class SelfTest:
    ok: bool
    reason: str = ""


class FakeJudge:
    def __init__(self, *, device: str = "cpu") -> None:
        self.device = device
        self.closed = False
        self.eaten = bytearray()

    def self_test(self) -> SelfTest:
        down = os.environ.get("FAKE_WALLS_DOWN", "")
        return SelfTest(ok=not down, reason=down)

    def close(self) -> None:
        self.closed = True

    def grade(self, source, lab_id, *, mode, prediction, repair, progress, cancelled):
        assert not self.closed
        words = dict((line.split() + [""])[:2] for line in source.splitlines() if line.strip())
        _note("start", source)
        if "hurried" in words:
            _note(f"repair {repair}", source)
        if "fail" in words:
            raise RuntimeError("the fake judge was told to fail")
        if "kill" in words:
            os.kill(os.getpid(), signal.SIGKILL)
        if "stop" in words:
            os.kill(os.getpid(), signal.SIGSTOP)
        if "spin" in words:
            re.match(r"(a+)+$", "a" * 60 + "b")
        while "eat" in words:
            self.eaten += bytes(1 << 24)
        steps = max(1, round(float(words.get("seconds", "0")) / 0.05))
        for step in range(steps):
            progress(Progress("judging", step, steps, f"case{step}"))
            if cancelled():
                _note("stopped", source)
                return report(lab_id, mode, Verdict.CANCELLED)
            time.sleep(0.05 if "seconds" in words else 0)
        _note("end", source)
        return report(lab_id, mode, Verdict.WRONG_ANSWER if "wrong" in words else Verdict.PASSED, charged="refund" not in words)


def report(lab_id: str, mode: str, verdict: Verdict, *, charged: bool = True) -> Report:
    return Report(
        lab=lab_id,
        title="A lab",
        mode=mode,
        device="a fake device",
        verdict=verdict,
        diagnosis=Diagnosis(sentence=verdict.sentence),
        points=Points(visible=3.0),
        cases=(),
        costs_attempt=charged,
    )


def _note(event: str, source: str) -> None:
    """One line in the file that a test reads; appended by one write, so that several processes may."""
    path = os.environ.get("FAKE_RUNS")
    if path:
        line = {"event": event, "pid": os.getpid(), "time": time.time(), "source": source}
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")
