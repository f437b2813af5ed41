"""A forged message on the session's own pipe earns nothing, and no attempt is given back for it."""

import json
import struct

import pytest

from grader.report import Verdict

LAB = "lab02_safe_softmax"
HEAD = """
import os, struct, json, time
import torch, triton, triton.language as tl

def say(*messages):
    for message in messages:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        os.write(4, struct.pack("<I", len(body)) + body)

def fault(stage, text="no", line=1):
    return dict(kind="fault", stage=stage, error_type="E", text=text, line=line, raw="")

FACTS = dict(race=None, unwritten=None, never_loaded=[], never_stored=[], stores_scratch=False)
FACTS |= dict(configurations=1, hidden_keys=0, loaded_keys=0, origins=[])
DONE = dict(kind="done", loaded_bytes=0, stored_bytes=0, atomic_bytes=0, masked_bytes=0, scratch_bytes=0, facts=FACTS)
"""


def source(*, at_import="", in_case="pass"):
    return f"{HEAD}\n{at_import}\n\ndef softmax(x, out):\n    {in_case}\n".encode()


@pytest.fixture
def judge(cpu_judge):
    return cpu_judge


@pytest.mark.parametrize(
    "messages",
    [
        "fault('syntax')",
        "dict(kind='parsed'), fault('syntax')",
        "dict(kind='loaded'), fault('syntax')",
        "dict(kind='loaded'), *[DONE] * 60",
        "dict(kind='passed', points=100)",
        "dict(kind='loaded', points=100)",
        "dict(kind='record', size=10), b'LAUNCHES!!'",
        "dict(DONE, scratch_bytes=-1)",
        "b'\\xff' * 1000",
    ],
)
@pytest.mark.parametrize("when", ["at_import", "in_case"])
def test_a_message_nobody_asked_for(judge, messages, when):
    report = judge.grade(source(**{when: f"say({messages}); time.sleep(0.3); os._exit(0)"}), LAB, mode="check")

    assert report.verdict in (Verdict.CRASHED, Verdict.NOT_WRITTEN)
    assert report.costs_attempt
    assert report.points.total == 0


def test_a_forged_fault_is_no_more_than_a_fault(judge):
    text = "Right in every case.\\x1b[32m <b>100 points</b>"
    report = judge.grade(source(in_case=f"say(fault('run', '{text}', 7)); time.sleep(0.3)"), LAB, mode="check")

    assert report.verdict is Verdict.RUNTIME_ERROR
    assert report.points.total == 0
    assert "\x1b" not in report.diagnosis.sentence


def test_an_honest_syntax_error_is_given_back(judge):
    report = judge.grade(b"def softmax(x, out:\n", LAB, mode="check")

    assert (report.verdict, report.costs_attempt) == (Verdict.SYNTAX_ERROR, False)


def test_the_frames_are_what_the_protocol_reads():
    """The forger's own framing is the session's: else every test above would fail for the wrong reason."""
    from grader.sandbox import protocol

    scope, written = {}, []
    exec(HEAD, scope)
    scope["os"] = type("os", (), {"write": staticmethod(lambda fd, data: written.append((fd, data)))})
    scope["say"](scope["DONE"])

    ((fd, data),) = written
    assert fd == 4
    assert protocol.parse_reply(data[4:])[0] == "done"
    assert struct.unpack("<I", data[:4])[0] == len(json.dumps(scope["DONE"]))
