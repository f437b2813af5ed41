"""A forged record goes no further than the judge's parser, though it comes through the session's own pipe in a good frame."""

import time
from pathlib import Path

import pytest
from forged import FORGED

from grader.judge.case.inputs import prepare
from grader.judge.case.memory import lay_out
from grader.judge.case.outcome import Briefing
from grader.judge.recording import start_recorder
from grader.sandbox.process.ending import Reason
from labs import load

LAB = load("lab02_safe_softmax").lab
SOURCE = (
    (Path(__file__).parent / "forged.py").read_text(encoding="utf-8")
    + """

import torch
import triton
import triton.language as tl


@triton.jit
def _kernel(x_ptr, out_ptr, cols):
    tl.store(out_ptr, tl.load(x_ptr) + cols)


NAMES = ["", *FORGED]


def softmax(x, out):
    if len(NAMES) <= len(FORGED):
        install(NAMES[0])
    NAMES.pop(0)
    _kernel[(1,)](x, out, x.shape[1])
"""
)


@pytest.fixture(scope="module")
def recorded(sandbox):
    """By name what came of each, and how long the judge took; "" is the honest record that comes first."""
    prepared = prepare(LAB, LAB.cases[1], b"s" * 32)
    found = {}
    with start_recorder(sandbox, Briefing(source=SOURCE, lab=LAB, target="sm_90"), lambda: False) as recording:
        for name in ("", *FORGED):
            began = time.process_time()
            found[name] = recording.record(prepared, lay_out(prepared)), time.process_time() - began
    return found


def test_the_honest_one_is_taken(recorded):
    made, _ = recorded[""]

    assert made.record is not None, made.fault or made.ending


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_one_is_refused_with_a_sentence(recorded, name):
    made, seconds = recorded[name]

    assert made.record is None and made.blob == b""
    assert made.fault is None, made.fault
    assert made.ending.reason is Reason.PROTOCOL
    assert made.ending.detail.startswith("its launch record is not valid: ")
    assert "\n" not in made.ending.detail and len(made.ending.detail) < 300
    assert seconds < 3
