"""A report in a terminal: everything in its order, within the width, no control character of a submission's."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import re
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from grader import terminal_grading
from grader.__main__ import main
from grader.report import Diagnosis, Verdict
from grader.terminal import ProgressLine, render

sys.path.insert(0, str(Path(__file__).parents[1] / "tabs"))
import reports  # noqa: E402


@pytest.mark.parametrize("name", reports.ALL)
@pytest.mark.parametrize("width", [20, 60, 200])
def test_lines_keep_to_the_width(name, width):
    text = render(reports.ALL[name](), colour=False, width=width)

    assert max(len(line) for line in text.splitlines()) <= max(75, min(width, 100) + 4)
    assert "\x1b" not in text


def test_reads_in_the_order_of_a_letter():
    text = render(reports.wrong(), colour=False, width=100)

    order = ("✗ Wrong", "The old sum", "Points", "Cases", "What went wrong", "error ÷ limit", "Bytes moved", "Anatomy")
    places = [text.index(word) for word in (*order, "What it printed")]
    assert places == sorted(places)


def test_listings_are_shown_when_asked_for():
    plain = render(reports.computing(), colour=False, width=80)
    listed = render(reports.computing(), colour=False, width=80, listings=("ptx", "sass"))

    assert "ctaid" not in plain
    assert "mov.u32 %r9, %ctaid.x;" in listed
    assert listed.index("PTX of _rescale_kernel") < listed.index("0030  EXIT") < listed.index("SASS is made by Submit.")


def test_a_roofline_is_a_sentence():
    text = render(reports.computing(), colour=False, width=80)

    assert "At 4097 operations a byte, memory allows 12080 TFLOP/s" in text


def test_colour_changes_no_word():
    coloured = render(reports.wrong(), colour=True, width=80)

    assert re.sub(r"\x1b\[\d*m", "", coloured) == render(reports.wrong(), colour=False, width=80)
    assert "\x1b[31m✗ Wrong\x1b[0m" in coloured


def test_says_what_was_not_measured():
    text = render(reports.not_finite(), colour=False, width=80)

    assert "run by Submit" in text
    assert "needs a GPU" in text


def test_a_submission_cannot_drive_the_terminal():
    report = dataclasses.replace(
        reports.wrong(),
        output="\x1b[2J\x1b]0;title\x07gone\r",
        raw_error="\x9b31m\x00",
        diagnosis=Diagnosis(sentence="\x1b[41mred", detail="\x07"),
    )

    text = render(report, colour=False, width=80)

    assert not [char for char in text if not char.isprintable() and char != "\n"]


def test_a_hidden_case_shows_its_name_alone():
    shown = reports.wrong().cases[2]
    hidden = dataclasses.replace(shown, name="secret_case", group="hidden", verdict=Verdict.WRONG_ANSWER)
    text = render(dataclasses.replace(reports.wrong(), cases=(hidden,), output=""), colour=False, width=80)

    assert "secret_case" in text
    for trace in (shown.shape, "3999", "0.392", "error ÷ limit", "Bytes moved"):
        assert trace not in text


def test_progress_line_is_wiped_at_the_end():
    stream = io.StringIO()

    with ProgressLine(stream, width=60) as line:
        line.show(SimpleNamespace(phase="running", done=2, total=8, case="ragged\x1b[31m_tail"))
        shown = stream.getvalue()

    assert "running  █████···············  2 of 8  ragged [31m_tail" in shown
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_progress_line_can_be_silent():
    stream = io.StringIO()

    with ProgressLine(stream, enabled=False) as line:
        line.show(SimpleNamespace(phase="running", done=0, total=0, case=""))

    assert stream.getvalue() == ""


@pytest.mark.parametrize("wanted", [[], ["--trace", "watch.html"]])
def test_whoever_wants_a_trace_asks_the_judge_for_it(wanted):
    parser, asked = argparse.ArgumentParser(), {}
    terminal_grading.add_arguments(parser)
    judge = SimpleNamespace(grade=lambda source, lab, **how: asked.update(how))

    terminal_grading._graded(judge, b"", "lab", parser.parse_args(["lab", "file.py", *wanted]), None)

    assert asked["trace"] is bool(wanted)


def test_a_trace_is_written_as_one_page_that_needs_no_other_file(tmp_path, capsys):
    from test_trace import TRACE

    from grader.__main__ import _written

    report = dataclasses.replace(reports.wrong(), trace=TRACE)
    options = SimpleNamespace(json=None, gradescope=None, trace=tmp_path / "watch.html")
    _written(report, "x = 1  # </div><script>alert(1)</script>\n", options)
    page = options.trace.read_text(encoding="utf-8")

    assert "&lt;/div&gt;&lt;script&gt;alert(1)" in page and "<script>alert(1)" not in page
    assert "_softmax" in page and "Wrong." in page
    assert not re.search(r"""(?:src|href)=|url\(['"]?http|import\(|fetch\(""", page)

    _written(dataclasses.replace(report, trace=None), "", options)
    assert "no trace is written" in capsys.readouterr().err


def test_why_a_file_was_not_recorded_cannot_write_on_the_terminal(tmp_path, monkeypatch, capsys):
    """The sentence is the session's, and a session may be a liar."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("request.json", "{}")
        archive.writestr("ones.json", json.dumps({"fault": {"text": "\x1b]0;mine\x07\x9b2J\u202eno"}, "ending": None}))

    class Judge:
        def __init__(self, **_):
            """Records nothing."""

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda *_: None  # noqa: E731
        record = lambda *_, **__: packed.getvalue()  # noqa: E731

    monkeypatch.setattr("grader.judge.Judge", Judge)
    monkeypatch.setattr("grader.sandbox.process.door.start_ahead", lambda: None)
    (tmp_path / "mine.py").write_text("x = 1")

    assert main(["record", "2", str(tmp_path / "mine.py"), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "not recorded:  ]0;mine  2J no\n"
