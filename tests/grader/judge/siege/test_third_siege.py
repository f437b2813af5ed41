"""Submissions that lie in their own session, or are made to be hard to tell of: each is answered and charged as it must."""

from __future__ import annotations

import time

import pytest

from grader.report import REPORT_LIMIT, Verdict
from labs import load

LAB = "lab02_safe_softmax"
SOLUTION = load(LAB).solution
pytestmark = [pytest.mark.slow, pytest.mark.process]

LIES = """
import json
_dumps = json.dumps


def _lying(told, **options):
    if isinstance(told, dict) and told.get("kind") == KIND:
        told = CHANGED
    return _dumps(told, **options)


json.dumps = _lying
"""
FORGED = """{
    "kind": "watched",
    "trace": {
        "case": "x",
        "scratch": [{"name": "<img src=x>", "shape": [1 << 52] * 8, "strides": [1 << 52] * 8, "itemsize": 1}],
        "launches": [{"kernel": "</script>", "grid": [1, 1, 1], "line": 1}],
        "forms": [{"kind": "load", "line": 1, "tensor": 0, "itemsize": 1, "steps": [[[1, 1]]],
                   "on": [[1, [0] * 20_000 + [1]]]}],
        "runs": [[0, 0, [0, 0] * 4000]],
        "race": None, "unwritten": None, "fault": None, "other": None,
        "rest": {"loaded": 0, "stored": 0, "atomic": 0, "masked": 0},
        "cut": "time",
    },
    "lines": [{"line": 2, "from": [1], "visits": [[0, 4, 1 << 30, 1 << 30]] * 16, "cells": "AAAA" * 100}] * 48,
}"""
HUGE = "{**told, 'loaded_bytes': 1 << 61, 'facts': {**told['facts'], 'configurations': 1 << 61, 'hidden_keys': 1 << 61}}"
AHEAD = """
import json, os, struct
_softmax, _calls = softmax, []


def softmax(x, out):
    _calls.append(x)
    if len(_calls) > 1:
        return
    _softmax(x, out)
    facts = dict(race=None, unwritten=None, never_loaded=[], never_stored=[], stores_scratch=False, configurations=1,
                 hidden_keys=0, loaded_keys=0, origins=[])
    body = json.dumps(dict(kind="done", loaded_bytes=1, stored_bytes=1, atomic_bytes=0, masked_bytes=0, scratch_bytes=0,
                           facts=facts)).encode()
    for fd in range(3, 16):
        try:
            os.write(fd, (struct.pack("<I", len(body)) + body) * 30)
        except OSError:
            pass
"""
RAISES = "\n\ndef softmax(x, out):\n    "
ODD_TEXT = """

class S(str):
    def __len__(self):
        return 1 << 62

    def __getitem__(self, place):
        raise SystemExit


class E(Exception):
    def __str__(self):
        return S("a")

    @property
    def __traceback__(self):
        raise KeyboardInterrupt
"""
LINES = "\nimport linecache\nlinecache.getlines = lambda *_, **__: ['x' * 10_000_000]\n"
WATCHERS = """
import gc, sys
sys.addaudithook(lambda *_: None)
sys.settrace(lambda *_: None)
gc.callbacks.append(print)
"""
RIGHT = {Verdict.PASSED}
WRONG = set(Verdict) - RIGHT  # which of them is chance: the frames go to the lent memory, too
ERROR = {Verdict.RUNTIME_ERROR}
SUBMISSIONS = {
    "counts_that_are_huge": (RIGHT, SOLUTION + LIES.replace("KIND", "'done'").replace("CHANGED", HUGE)),
    "a_trace_of_another_kernel": (
        RIGHT,
        SOLUTION + LIES.replace("KIND", "'watched'").replace("CHANGED", FORGED),
    ),
    "answers_before_they_are_asked_for": (WRONG, SOLUTION + AHEAD),
    "a_text_that_says_another_length": (ERROR, SOLUTION + ODD_TEXT + RAISES + "raise E(S('b'))\n"),
    "causes_in_a_circle": (
        ERROR,
        SOLUTION
        + RAISES
        + "a, b = ValueError('a'), ValueError('b')\n    a.__cause__, b.__cause__, a.__context__ = b, a, b\n"
        + "    a.add_note('n' * 1_000_000)\n    raise a\n",
    ),
    "lines_that_are_not_the_files": (ERROR, SOLUTION + LINES + RAISES + "raise ValueError\n"),
    "numbers_too_long_to_print": (ERROR, SOLUTION + RAISES + "raise ValueError(10**5000, -1 << 100_000)\n"),
    "watchers_of_everything": (RIGHT, SOLUTION + WATCHERS),
    "a_hook_at_exit_that_sleeps": (RIGHT, SOLUTION + "\nimport atexit, time\natexit.register(time.sleep, 600)\n"),
}
BOMBS = {
    "brackets": "x = " + "(" * 2000 + ")" * 2000,
    "signs": "x = " + "-" * 60_000 + "1",
    "attributes": "x" + ".a" * 30_000,
    "lambdas": "x = " + "lambda: " * 8000 + "0",
    "digits": "x = " + "9" * 60_000,
    "texts_in_texts": "x = " + 'f"{' * 3000,
    "branches": "if 0: pass\n" + "elif 0: pass\n" * 4000,
}


@pytest.mark.parametrize(("verdicts", "source"), SUBMISSIONS.values(), ids=SUBMISSIONS)
def test_what_lies_in_its_own_session_gains_nothing(siege_judge, verdicts, source):
    began = time.monotonic()

    report = siege_judge.grade(source.encode(), LAB, mode="check")

    assert report.verdict in verdicts, report.diagnosis
    assert report.costs_attempt
    assert time.monotonic() - began < 20
    assert len(report.to_json().encode()) <= REPORT_LIMIT
    assert report.diagnosis.line is None or 1 <= report.diagnosis.line <= source.count("\n") + 1


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS)
def test_a_source_that_no_parser_likes_is_told_at_once(siege_judge, source):
    began = time.monotonic()

    report = siege_judge.grade(f"{source}\n".encode(), LAB, mode="check")

    assert report.verdict is Verdict.SYNTAX_ERROR and report.diagnosis.sentence
    assert time.monotonic() - began < 10
