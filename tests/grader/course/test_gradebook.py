"""Grades from attempts and the book: what counts, lateness, weights, overrides; a roster is read whole or not at all."""

from __future__ import annotations

import dataclasses
import random

import pytest

from grader.course.gradebook import roster
from grader.course.gradebook.book import Override
from grader.course.gradebook.exports.cells import write
from grader.course.gradebook.grades import Graded, Terms, grade
from grader.course.gradebook.rules import Counting, LabPoints, Late, Rules
from grader.course.gradebook.times import read_time
from grader.course.summary import Summary
from grader.faults import NotGradable
from tests.grader.course import pretend_class as made

DAY_S = 86_400.0
DUE = 1_000_000.0
PARTS = {"visible": 2.0, "hidden": 2.0, "hostile": 1.0, "performance": 4.0, "prediction": 1.0}


def attempt(name, *, after_due=-1.0, verdict="passed", passed=(), **earned):
    parts = {part: (earned.get(part, 0.0), most) for part, most in PARTS.items()}
    return Graded(
        id=name, user="ada", created=DUE + after_due, verdict=verdict, summary=Summary(parts=parts, passed=tuple(passed))
    )


def terms(due=DUE, points=None, **rules):
    return Terms(rules=Rules(**rules), points=points or LabPoints(), declared=10.0, due=due)


EARLY = attempt("early", visible=2.0)  # 2 of 10
LATE = attempt("late", after_due=1.5 * DAY_S, visible=2.0, hidden=2.0, hostile=1.0)  # 5 of 10, two days begun


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param({}, ("late", 5.0, 0.0), id="being_late_costs_nothing"),
        pytest.param({"late": Late(percent=10.0)}, ("late", 4.0, 1.0), id="a_day_begun_is_a_day"),
        pytest.param({"late": Late(percent=40.0)}, ("early", 2.0, 0.0), id="nobody_loses_by_trying_again"),
        pytest.param({"late": Late(percent=40.0), "counting": Counting.LAST}, ("late", 1.0, 4.0), id="last"),
        pytest.param({"late": Late(percent=40.0, most_percent=50.0)}, ("late", 2.5, 2.5), id="at_most"),
        pytest.param({"late": Late(percent=10.0, grace_minutes=1.5 * 1440)}, ("late", 5.0, 0.0), id="grace"),
        pytest.param({"late": Late(percent=1.0, closes_after_days=1.0)}, ("early", 2.0, 0.0), id="closed"),
        pytest.param({"counting": Counting.CHOSEN}, ("early", 2.0, 0.0), id="chosen"),
    ],
)
def test_what_counts(rules, expected):
    found = grade([EARLY, LATE], terms(**rules), chosen="early")

    assert (found.attempt, found.points, found.lost_late) == expected
    assert found.tries == 2


def test_a_date_that_moves_takes_its_penalty_with_it():
    late = Late(percent=10.0)

    assert grade([LATE], terms(late=late)).points == 4.0
    assert grade([LATE], terms(due=None, late=late)).points == 5.0
    assert grade([LATE], terms(due=DUE + 2 * DAY_S, late=late)).points == 5.0


def test_without_a_gpu_all_points_can_be_reached():
    best = attempt("best", visible=2.0, hidden=2.0, hostile=1.0, prediction=1.0)

    assert grade([best], terms()).points == 6.0
    assert grade([best], terms(speed_counts=False)).points == 10.0


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param(LabPoints(out_of=20.0), 4.0, id="out_of"),
        pytest.param(LabPoints(weights={"visible": 1.0, "hidden": 3.0}), 2.5, id="parts"),
        pytest.param(LabPoints(weights={"case:ones": 1.0, "case:nan": 1.0, "visible": 2.0}), 7.5, id="cases"),
    ],
)
def test_weights(points, expected):
    assert grade([attempt("one", visible=2.0, passed=["ones"])], terms(points=points)).points == expected


def test_of_two_worth_the_same_the_later_counts():
    twins = [attempt("first", visible=2.0, after_due=-9.0), attempt("second", visible=2.0)]

    assert grade(twins, terms()).attempt == "second"


def test_an_override_stands_in_place_of_everything():
    override = Override(points=9.5, comment="shown in class", by="instructor", when=0.0)

    found = grade([LATE], terms(late=Late(percent=50.0)), override=override)

    assert (found.points, found.lost_late, found.comment) == (9.5, 0.0, "shown in class")


def test_nothing_handed_in_is_nothing():
    found = grade([], terms())

    assert (found.points, found.out_of, found.attempt, found.tries) == (0.0, 10.0, "", 0)


def test_a_summary_survives_its_json():
    report = made.report("lab", 10.0, random.Random(3), timed=True)

    assert Summary.from_json(Summary.of(report).to_json()) == Summary.of(report)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"counting": "worst"}, "counting='worst' must be one of best, last, chosen."),
        ({"late": {"percent": 101}}, "percent=101 must be a number from 0 to 100."),
        ({"late": {"percnt": 1}}, "late has no 'percnt'; it has closes_after_days, grace_minutes, most_percent, percent."),
        ({"labs": {"lab": {"weights": {"speed": 1}}}}, "lab: the weight 'speed' must be one of visible, hidden"),
        ({"labs": {"lab": {"weights": {"visible": 0}}}}, "lab: the weights add up to 0; at least one must be above."),
        ({"speed_counts": "no"}, "speed_counts='no' must be true or false."),
        ({"labs": []}, "labs=[] must be an object."),
    ],
)
def test_rules_that_are_not_right(rules, sentence):
    with pytest.raises(NotGradable) as refused:
        Rules.read(rules)

    assert str(refused.value).startswith(sentence)


def test_rules_survive_their_json():
    rules = Rules(
        counting=Counting.LAST,
        speed_counts=False,
        late=Late(percent=5.0, closes_after_days=3.0),
        labs={"lab": LabPoints(out_of=5.0, weights={"visible": 1.0})},
    )

    assert Rules.read(rules.to_json()) == rules


def test_a_roster_of_our_columns():
    text = "student_id;Last Name;first_name;E-Mail;section;hf account\n1;Lovelace;Ada;ada@example.org;A;ada\n\n2;Byron;;;;\n"

    first, second = roster.read(text)

    assert first == roster.Student(
        student_id="1", last_name="Lovelace", first_name="Ada", email="ada@example.org", section="A", account="ada"
    )
    assert (second.name, second.email) == ("Byron", "")


@pytest.mark.parametrize("sign", ";,\t")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_roster_as_excel_writes_it(sign, end):
    """Its own first line says the separator, and every line has as many as the widest."""
    lines = [f"sep={sign}", "student_id;last_name;;", "1;Lovelace, Ada;;" if sign == ";" else "1;Lovelace;;"]

    (student,) = roster.read(end.join([lines[0], *(line.replace(";", sign) for line in lines[1:]), ""]))

    assert (student.student_id, student.last_name[:8]) == ("1", "Lovelace")


def test_a_roster_as_canvas_exports_it():
    text = (
        '\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Essay (17)\n"    Points Possible",,,,,10\n'
        '"Lovelace, Ada",4711,u1,ada,A,9\n"Student, Test",1,,,A,\n'
    )

    (student,) = roster.read(text)

    assert dataclasses.asdict(student) == {
        "student_id": "u1",
        "last_name": "Lovelace",
        "first_name": "Ada",
        "email": "",
        "section": "A",
        "account": "",
        "canvas_id": "4711",
        "sis_user_id": "u1",
        "sis_login_id": "ada",
        "code": "",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "The roster is empty", id="empty"),
        pytest.param("name\nx\n", "line 1 is 'name'; expected the columns student_id and last_name", id="no_id"),
        pytest.param("student_id,last_name\n", "the roster holds 0 learners", id="nobody"),
        pytest.param("student_id,last_name\né1,a\ne\u03011,b\n", "stands on line 2 already", id="id_with_its_accent_apart"),
        pytest.param("student_id,last_name\ns1,a\ns１,b\n", "stands on line 2 already", id="id_in_wide_digits"),
        pytest.param("student_id,last_name\nk1,a\n\u212a1,b\n", "stands on line 2 already", id="id_in_kelvin"),
        pytest.param("student_id,last_name\ns\x001,a\n", "must be printable", id="nul"),
        pytest.param("student_id,last_name\ns1," + "a" * 1_000_000 + "\n", "is no CSV", id="a_line_of_a_megabyte"),
        pytest.param("student_id,last_name,surname\n1,a,b\n", "line 1 names the column last_name twice", id="column_twice"),
        pytest.param(
            "student_id,last_name,email\n1,a,a@b\n,b,\n1,c,\n4,,\n5,e,nonsense\n",
            "line 3: the student_id is empty; line 4: student_id='1' stands on line 2 already; "
            "line 5: the last_name is empty; line 6: email='nonsense' is no address.",
            id="every_bad_line",
        ),
        pytest.param("student_id,last_name,account\n1,a,x y\n", "line 2: account='x y' is no account's name", id="account"),
        pytest.param("student_id,last_name,account\n1,a,ada\n2,b,Ada\n", "'ada' stands for two learners", id="account_twice"),
        pytest.param('student_id,last_name\n1,"a\n', "of the roster is no CSV", id="quote"),
        pytest.param(
            "student_id,last_name,email\n1,Lovelace, Ada,a@x.y\n",
            "line 2: it has 4 cells for the 3 columns of line 1; expected a name with a comma in quotes",
            id="comma_in_a_name",
        ),
        pytest.param("sep=;\n", "line 1 is ''", id="excels_line_alone"),
    ],
)
def test_a_roster_that_is_not_right(text, sentence):
    with pytest.raises(NotGradable) as refused:
        roster.read(text)

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-01 23:59", 1796169540.0),
        ("2026-12-01T23:59+01:00", 1796165940.0),
        ("2026-12-01", 1796169599.0),
    ],
)
def test_times(text, expected):
    assert read_time(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tomorrow", "'tomorrow' is no time; write 2026-12-01 23:59"),
        ("0001-01-01T00:00+23:59", "must lie between 1970 and 9999"),  # which no calendar could show
        ("9999-12-31T23:59-23:59", "must lie between 1970 and 9999"),
    ],
)
def test_a_time_that_is_none(text, sentence):
    with pytest.raises(NotGradable, match=sentence):
        read_time(text)


def test_a_spreadsheet_computes_nothing():
    assert write([["=1+1", "-3", "-x", "@a", "b"]]) == "'=1+1,-3,'-x,'@a,b\n"
    assert write([[" =1", "＝1", "a\r=1", "a\n=1"]]) == "' =1,'＝1,a =1,a =1\n"
