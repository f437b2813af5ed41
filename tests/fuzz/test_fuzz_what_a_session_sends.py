"""Frames, records and binaries of a hostile session: read or refused, and nothing else."""

import contextlib
import dataclasses
import json
import struct
import time

from hypothesis import given
from hypothesis import strategies as st
from spoiling import ANY_JSON, changed_bytes, changed_json

from grader.judge.binaries import listings
from grader.judge.binaries.anatomy import anatomy_of
from grader.judge.diagnosis.messages import explain
from grader.report import Listing
from grader.sandbox import protocol
from grader.sandbox.protocol import STAGES, Fault, ProtocolError
from grader.sandbox.record import cubin
from grader.sandbox.record.format import RecordError, parse
from grader.sandbox.session import culprit
from grader.source import clean

FAULT = {"kind": "fault", "stage": "run", "error_type": "E", "text": "t", "line": 3, "raw": "r"}
DONE = {
    "kind": "done",
    "loaded_bytes": 1,
    "stored_bytes": 1,
    "atomic_bytes": 0,
    "masked_bytes": 0,
    "scratch_bytes": 0,
    "facts": dataclasses.asdict(protocol.Facts(never_loaded=("x",))) | {"never_loaded": ["x"], "never_stored": []},
}
TEXTS = st.text(max_size=200) | st.text(st.sampled_from(' \t\n\0"/*;.():0aA_$L\u202e\U00020000'), max_size=400)


@given(st.binary(max_size=400) | ANY_JSON.map(lambda item: json.dumps(item).encode()))
def test_a_frame_is_a_message_or_refused(body):
    check_message(body)


@given(changed_json(FAULT) | changed_json(DONE))
def test_a_changed_message_is_read_or_refused(message):
    check_message(json.dumps(message).encode())


def check_message(body):
    try:
        kind, fields = protocol.parse_reply(body)
    except ProtocolError:
        return
    if kind == "fault":
        _, diagnosis = explain(Fault(**fields))
        assert len(diagnosis.sentence) < 3 * protocol.TEXT_LIMIT


@given(st.sampled_from(STAGES), TEXTS, TEXTS, TEXTS, st.none() | st.integers(0, 1 << 62))
def test_any_fault_is_told(stage, error_type, text, raw, line):
    verdict, diagnosis = explain(Fault(stage=stage, error_type=error_type, text=text, raw=raw, line=line))

    assert verdict.sentence and diagnosis.sentence


@given(data=st.data())
def test_a_changed_record_is_read_or_refused(record_bytes, data):
    check_record(data.draw(changed_bytes(record_bytes)))


@given(data=st.data())
def test_a_record_with_a_changed_header_is_read_or_refused(record_bytes, data):
    length = struct.unpack_from("<I", record_bytes, 12)[0]
    header = data.draw(changed_json(json.loads(record_bytes[16 : 16 + length])))
    text = json.dumps(header).encode()

    check_record(struct.pack("<8sII", b"LAUNCHES", 1, len(text)) + text + record_bytes[16 + length :])


def check_record(changed):
    began = time.perf_counter()
    try:
        read = parse(changed, arguments=("x", "out"))
    except RecordError as error:
        assert len(str(error)) < 1000
    else:
        anatomy_of(read)
        for listing in listings.listings_of(read, None):
            assert isinstance(listing, Listing)
    assert time.perf_counter() - began < 2


@given(data=st.data())
def test_a_changed_cubin_is_read_or_refused(cubin_bytes, data):
    with contextlib.suppress(cubin.CubinError):
        cubin.facts(data.draw(changed_bytes(cubin_bytes)))


@given(TEXTS)
def test_any_listing_is_made_readable(text):
    for read in (listings.readable_ptx, listings.readable_sass):
        lines = read(text)
        assert all(len(line) <= 4 * listings.LINE_LIMIT for line in lines)
        for most in (0, 10, 100, 1000):
            assert listings._size(listings._cut(lines, most)) <= max(most, listings._LAST_LINE)


@given(TEXTS, st.integers(1, 50))
def test_a_cleaned_text_is_short_and_harmless(text, most):
    assert len(clean(text, most)) <= most
    assert not set(clean(text, most)) & set("\0\x1b\u202e")
    assert len(culprit.clean(text)) <= protocol.TEXT_LIMIT


class Strange(Exception):
    """Whatever can be asked of it answers with what it was given, or raises it."""

    def __init__(self, answer):
        self.answer = answer

    def __str__(self):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    line = lineno = property(__str__)


@given(ANY_JSON | st.sampled_from([ValueError(), KeyboardInterrupt(), SystemExit(3), RecursionError()]), TEXTS)
def test_any_exception_becomes_a_fault(answer, source):
    for error in (Strange(answer), SyntaxError("m", ("submission.py", answer, 1, "x", 1, 1))):
        fault = culprit.fault_of(error, stage="run", source=source)

        protocol.parse_reply(json.dumps({"kind": "fault", **vars(fault)}).encode())
        assert fault.line is None or 1 <= fault.line <= source.count("\n") + 1
