"""The report that a reader keeps: whole, in the order of the page, with nothing of a hidden case and no markup but ours."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import reports

from grader.report import CaseResult, Cell, Diagnosis, Fact, Verdict
from tabs.labs.report_kept import kept, markdown

POISON = "<script>alert(1)</script> | [a](javascript:b) # `<b>|</b>` *c*"
_ROW = re.compile(r"(?<!\\)\|")


def tables(text):
    """Runs of lines that begin with a bar."""
    return [block.split("\n") for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


@pytest.mark.parametrize("name", reports.ALL)
def test_every_report_is_kept_whole(name):
    report = reports.ALL[name]()

    text = markdown(report)

    assert text.startswith(f"# {report.title}: ")
    assert all(case.name in text for case in report.cases)
    assert "None" not in text
    assert "\n\n\n" not in text
    for table in tables(text):
        assert len({len(_ROW.findall(row)) for row in table if row}) == 1, table


def test_reads_in_the_order_of_the_page():
    fact = Fact(given="a row of 1 | 2", got="0.5", expected="0.25")
    text = markdown(dataclasses.replace(reports.wrong(), facts=(fact,)))

    order = (
        "✗ Wrong",
        "The old sum is not",
        "on inputs of ours",
        "1 \\| 2",
        "case by case",
        "(rows=3, cols=4000, float32)",
        "out\\[2, 3999\\] is 0.51234",
        "## Cases",
        "| `wide_rows` | hidden | ✗ failed |",
        "## Points",
        "## Bytes moved",
        "triton 3.7.1",
    )
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_a_hidden_case_is_its_name_and_sign():
    secret = reports.secret_case()

    text = markdown(dataclasses.replace(reports.wrong(), cases=(secret,)))

    assert "| `hidden_case` | hidden | ✗ failed |" in text
    for trace in ("SECRET", "7654321", "NaN", "0.123", "118 MiB", "942 MiB", "0.98765"):
        assert trace not in text


def test_no_text_of_a_submission_becomes_markup():
    diagnosis = Diagnosis(sentence=POISON, name="other", detail=POISON)
    failing = CaseResult(name="`a`|b", group="visible", verdict=Verdict.WRONG_ANSWER, sentence=POISON, shape=POISON)
    facts = (Fact(given=POISON, got=POISON, expected=POISON),)

    text = markdown(dataclasses.replace(reports.wrong(), diagnosis=diagnosis, cases=(failing,), facts=facts))

    prose = re.sub(r"`[^`\n]*`", "", text)
    assert re.findall(r"(?<!\\)[<>\[\]]", prose) == []
    for table in tables(text):
        assert len({len(_ROW.findall(row)) for row in table if row}) == 1, table


def test_the_link_holds_what_it_says_and_names_its_file():
    report = dataclasses.replace(reports.wrong(), diagnosis=Diagnosis(sentence='It says "100%25" & more', name="other"))
    found = {}

    class Links(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == "a":
                found.update(attributes)

    Links().feed(kept(report))

    kind, _, text = found["href"].partition(",")
    assert kind == "data:text/markdown;charset=utf-8"
    assert unquote(text) == markdown(report)
    assert found["download"] == "lab03-submit-wrong-answer.md"


def test_a_cell_is_of_the_output_that_it_lies_in():
    worst = Cell(index=(0, 3), got=1.5, expected="nan", name="dquery")
    failing = CaseResult(name="one_tile", group="visible", verdict=Verdict.WRONG_ANSWER, sentence="Wrong.", worst=worst)

    assert "dquery\\[0, 3\\] is 1.5, expected nan." in markdown(dataclasses.replace(reports.wrong(), cases=(failing,)))


@pytest.mark.parametrize(
    ("sentence", "written"),
    [
        ("https://evil.example/x", r"https:\//evil.example/x"),
        ("see www.evil.example", r"see www\.evil.example"),
        ("a@evil.example", r"a\@evil.example"),
        ("- a point", r"\- a point"),
        ("1. a point", r"1\. a point"),
        ("---", r"\---"),
        ("&lt;b&gt;", r"\&lt;b\&gt;"),
    ],
)
def test_no_text_of_a_submission_is_a_link_or_a_list(sentence, written):
    text = markdown(dataclasses.replace(reports.wrong(), diagnosis=Diagnosis(sentence=sentence, name="other")))

    assert text.split("\n")[2].startswith(written)
