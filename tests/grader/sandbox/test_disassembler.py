"""nvdisasm runs behind the walls and for our own process alone: a recorder, which a submission is in, may not execute it."""

from pathlib import Path

import pytest

from grader.sandbox.process.door import Kind, Limits
from grader.sandbox.walls import roots

HERE = Path(__file__).resolve().parent
SOON_S = 30.0

pytestmark = pytest.mark.skipif(not roots.nvdisasm(), reason="this Triton brings no nvdisasm")


def test_a_recorder_may_not_execute_it(sandbox):
    code = f"import subprocess; subprocess.run([{roots.nvdisasm()[0]!r}, '--version'], check=True)"
    with sandbox._start_session(Kind.RECORD, [], Limits(), main="walled_program:main", search=[str(HERE)]) as session:
        session.receive(SOON_S)
        session.send({"code": code})
        answer, _ = session.receive(SOON_S)

    assert answer == "fault"
    assert b"PermissionError" in session.output


def test_what_is_no_binary_gets_an_empty_answer_and_the_next_is_read(sandbox):
    with sandbox.start_disassembler(Limits(time_limit_s=60)) as session:
        session.receive(SOON_S)
        for binary in (b"", b"\x7fELF" + bytes(1000), b"not at all"):
            session.send({"size": len(binary)})
            session.send_raw(binary)
            kind, fields = session.receive(SOON_S)

            assert (kind, session.receive_blob(fields["size"], SOON_S)) == ("record", b"")
