"""The bug hunt without a browser: every task solved once, its key kept back until then, false mends told apart."""

from __future__ import annotations

import dataclasses
import json
import re
from html import escape, unescape

import pytest
import reports
from fake_course import FakeCourse

import labs
from grader.course.roles import Role
from grader.course.store import StoreError
from grader.report import CaseResult, Diagnosis, Verdict
from labs.hunt.schedule import ROUND_S, Reply
from labs.hunt.task import tasks
from tabs.labs import hunt_log, hunt_page
from tabs.labs.desk import Desk
from tabs.labs.hunt import EVERY, FREE, UNCHANGED, Hunt, as_hunter
from tabs.page.identity import Identities

TASKS = tuple(tasks().values())
NOW = 1_800_000_000
ONE = next(task for task in TASKS if task.mistake.name == "sum_not_rescaled" and task.lab == "lab03_online_softmax")
EASY = next(task for task in TASKS if task.lab == FREE)
REPORT, CASES = hunt_page.REPORT, hunt_page.CASES


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def hunt(monkeypatch):
    course = FakeCourse()
    monkeypatch.setattr(course, "passed_labs", lambda *, user: list(labs.lab_ids()))
    return Hunt(Desk(course, Identities(b"a key for tests, long enough")), Clock())


@pytest.fixture
def token(hunt):
    return hunt.desk.identities.issue().token


def judged(task, failing=(), verdict=None, **fields):
    """A report of a Check in which these cases fail."""
    told = Verdict.WRONG_ANSWER if verdict is None and failing else verdict or Verdict.PASSED
    cases = tuple(
        CaseResult(name=case.name, group="visible", verdict=Verdict.WRONG_ANSWER if case.name in failing else Verdict.PASSED)
        for case in (*task.shown, *task.hidden)
    )
    diagnosis = Diagnosis(sentence="The learner's own diagnosis.")
    told = {"lab": task.lab, "mode": "check", "verdict": told, "diagnosis": diagnosis, "cases": cases, **fields}
    return dataclasses.replace(reports.wrong(), **told)


def handed_in(hunt, token, task, source, report, kept=""):
    """What is shown once the mend was judged so."""
    view = hunt.hand_in(token, shown=task.id, source=source)
    hunt.desk.course.finish(view.attempt, report)
    hunt.desk.course.move(view.attempt, finished=hunt._clock())
    return hunt.look(token, kept, shown=task.id, attempt=view.attempt, level=CASES)


def all_of(told):
    return "".join((told.card, told.marked, told.named, told.answer, told.kinds, hunt_page.listing(told.task, told.lit)))


@pytest.mark.parametrize("lab_id", labs.lab_ids())
def test_every_task_is_solved_once(hunt, token, lab_id):
    for task in (task for task in TASKS if task.lab == lab_id):
        opened = hunt.open(token, "", wanted=task.id, lab=EVERY, level=REPORT)
        assert opened.task is task and not opened.over
        marked = hunt.mark(token, opened.kept, shown=task.id, line=str(min(task.lines)), level=REPORT)
        assert "✓" in marked.marked and marked.lit == task.lines, task.mistake.name
        named = hunt.name(token, marked.kept, shown=task.id, kind=task.kind.name, level=REPORT)
        assert escape(task.kind.says) in named.named, task.mistake.name
        view, mended = handed_in(hunt, token, task, task.mended, judged(task), named.kept)
        assert mended.over and view.state == "", task.mistake.name
        assert escape(task.mistake.what) in mended.answer.replace("<code>", "`").replace("</code>", "`"), task.mistake.name
        assert sorted(asked for _, _, asked, right in json.loads(mended.kept)["replies"] if right) == ["mark", "mend", "name"]
        assert_kept_back(task, opened)


def assert_kept_back(task, told):
    """Neither the kind beside its name among the choices, nor what is broken, nor a line as it should be; the file is the
    broken one, letter by letter, and no line of it is marked.
    """
    listed = hunt_page.listing(task, told.lit)
    around = "".join((told.card, told.marked, told.named, told.answer, told.kinds))
    keys = [task.kind.says, task.mistake.what, *(line.strip() for change in task.changes for line in change.right.splitlines())]
    assert [key for key in keys if key and escape(key) in around] == [], task.mistake.name
    lines = re.findall(r'<span class="number">\d+</span><code>(.*?)</code>', listed)
    assert [unescape(re.sub("<[^>]+>", "", line)).strip() for line in lines] == [
        line.strip() for line in task.source.splitlines()
    ], task.mistake.name
    assert " lit" not in listed and " checked" not in listed
    cases = " ".join(case.name for case in (*task.shown, *task.hidden))
    assert "_" not in task.mistake.name or task.mistake.name in cases or task.mistake.name not in around + listed


@pytest.mark.parametrize("level", [REPORT, CASES])
def test_a_report_does_not_name_the_line(hunt, token, level):
    named = [task for task in TASKS if "Line " in task.told.sentence]
    assert named
    for task in named:
        card = hunt.open(token, "", wanted=task.id, lab=EVERY, level=level).card
        assert "Line …" in card or level == CASES
        assert not [line for line in task.lines if f"Line {line}" in card]


def test_at_the_higher_level_only_the_cases_are_told(hunt, token):
    told = hunt.show(token, "", shown=ONE.id, level=REPORT).card
    less = hunt.show(token, "", shown=ONE.id, level=CASES).card

    assert escape(ONE.told.sentence)[:40] in told and escape(ONE.told.sentence)[:40] not in less
    assert all(case.name in less for case in (*ONE.shown, *ONE.hidden))


def test_a_wrong_mark_and_a_wrong_name_say_what_is_wrong_and_nothing_more(hunt, token):
    line = next(number for number in range(1, 20) if number not in ONE.lines)
    other = next(kind for kind in ONE.choices if kind is not ONE.kind)

    marked = hunt.mark(token, "", shown=ONE.id, line=str(line), level=CASES)
    named = hunt.name(token, marked.kept, shown=ONE.id, kind=other.name, level=CASES)

    assert f"Line {line} is not where the bug is." in marked.marked
    assert escape(other.title) in named.named and ONE.kind.says not in all_of(named)
    assert not named.lit and not named.over
    again = hunt.open(token, named.kept, wanted=ONE.id, lab=EVERY, level=CASES)
    assert "Tried once, not found yet." in again.marked and "Tried once" in again.named


@pytest.mark.parametrize("line", ["", "0", "999", "-1", "1e3", "١", None, "9" * 400])
def test_a_line_that_is_none_is_asked_for_again(hunt, token, line):
    told = hunt.mark(token, "", shown=ONE.id, line=line, level=CASES)

    assert "Choose a line first" in told.marked
    assert json.loads(told.kept)["replies"] == []


def test_a_kind_that_is_no_choice_is_asked_for_again(hunt, token):
    offered = {kind.name for kind in ONE.choices}
    for kind in (None, "no such", *(task.kind.name for task in TASKS if task.kind.name not in offered)):
        told = hunt.name(token, "", shown=ONE.id, kind=kind, level=CASES)
        assert "Choose a kind first" in told.named
        assert json.loads(told.kept)["replies"] == []


def test_whoever_gives_up_sees_the_answer_and_has_missed_the_kind(hunt, token):
    told = hunt.give_up(token, "", shown=ONE.id, level=CASES)

    assert escape(ONE.mistake.what) in told.answer and told.over and told.lit == ONE.lines
    assert "1 missed" in told.kinds and "back in a day" in told.kinds
    after = hunt.mark(token, told.kept, shown=ONE.id, line=str(min(ONE.lines)), level=CASES)
    assert after.kept == told.kept


def test_the_figure_waits_until_the_kind_is_known(hunt, token):
    wrong = next(number for number in range(1, 20) if number not in ONE.lines)
    marked = hunt.mark(token, "", shown=ONE.id, line=str(wrong), level=CASES)
    assert "0 missed" in marked.kinds

    named = hunt.name(token, marked.kept, shown=ONE.id, kind=ONE.kind.name, level=CASES)

    assert "1 missed" in named.kinds


def test_a_day_later_the_task_is_asked_anew(hunt, token):
    told = hunt.give_up(token, "", shown=ONE.id, level=CASES)
    hunt._clock.now = NOW + ROUND_S

    again = hunt.open(token, told.kept, wanted=ONE.id, lab=EVERY, level=CASES)

    assert not again.over and not again.lit and again.answer == ""
    assert "1 missed" in again.kinds


def test_what_was_missed_comes_back_with_another_task_of_its_kind(hunt, token):
    told = hunt.give_up(token, "", shown=ONE.id, level=CASES)
    hunt._clock.now = NOW + 86400

    following = hunt.onward(token, told.kept, shown=EASY.id, lab=EVERY, level=CASES).task

    assert following.kind is ONE.kind and following is not ONE


def test_bugs_of_one_lab_stay_in_it(hunt, token):
    kept, shown, seen = "", "", []
    for _ in range(6):
        told = hunt.onward(token, kept, shown=shown, lab="lab06_causal", level=CASES)
        kept, shown = hunt.give_up(token, told.kept, shown=told.task.id, level=CASES).kept, told.task.id
        seen.append(told.task)

    assert {task.lab for task in seen} == {"lab06_causal"}
    assert len({task.kind.name for task in seen}) == 6


def test_a_labs_bugs_open_once_it_was_passed(hunt, token, monkeypatch):
    monkeypatch.setattr(hunt.desk.course, "passed_labs", lambda *, user: ["lab02_safe_softmax"])
    user = hunt.desk.identities.read(token)

    assert {task.lab for task in hunt.open_tasks(user).values()} == {FREE, "lab02_safe_softmax"}
    assert {task.lab for task in hunt.open_tasks(None).values()} == {FREE}
    told = hunt.open(token, "", wanted=ONE.id, lab=EVERY, level=CASES)
    assert told.task is not ONE and "opens once you have passed lab 3" in told.card
    assert "no task of that link" in hunt.open(token, "", wanted="deadbeef", lab=EVERY, level=CASES).card
    assert "opens" not in hunt.open(token, "", wanted="", lab=EVERY, level=CASES).card
    for answer in (
        hunt.mark(token, "", shown=ONE.id, line="3", level=CASES),
        hunt.name(token, "", shown=ONE.id, kind=ONE.kind.name, level=CASES),
        hunt.give_up(token, "", shown=ONE.id, level=CASES),
        hunt.give_up(token, "", shown="", level=CASES),  # a press before anything is on show
    ):
        assert answer.task is not ONE and ONE.kind.says not in all_of(answer)
        assert json.loads(answer.kept)["replies"] == []
    assert f"{len(TASKS) - len(hunt.open_tasks(user))} more open" in hunt.locked(hunt.open_tasks(user))
    assert [lab for _, lab in hunt.choices(hunt.open_tasks(user))] == [EVERY, FREE, "lab02_safe_softmax"]


def test_an_instructor_sees_all(hunt, token, monkeypatch):
    monkeypatch.setattr(hunt.desk.course, "passed_labs", lambda *, user: [])
    monkeypatch.setattr(hunt.desk.course, "role", lambda user: Role.INSTRUCTOR)

    assert len(hunt.open_tasks(hunt.desk.identities.read(token))) == len(TASKS)
    assert hunt.locked(hunt.open_tasks(hunt.desk.identities.read(token))) == ""


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        pytest.param([case.name for case in ONE.shown], "still fail", id="as_before"),
        pytest.param(
            [ONE.hidden[0].name], f"Another bug: what failed before passes now, and {ONE.hidden[0].name} fails.", id="new"
        ),
    ],
)
def test_a_mend_that_fails_is_none(hunt, token, failing, said):
    view, told = handed_in(hunt, token, ONE, ONE.source + "x = 1\n", judged(ONE, failing))

    assert said in view.state
    assert "The learner&#x27;s own diagnosis." in view.report or "The learner's own diagnosis." in view.report
    assert not told.over and [row[2:] for row in json.loads(told.kept)["replies"]] == [["mend", False]]


def test_another_kernel_that_passes_is_no_mend(hunt, token):
    other = "\n".join(f"x{number} = {number}" for number in range(60))

    view, told = handed_in(hunt, token, ONE, other, judged(ONE))

    assert "It passes, but it is another kernel" in view.state
    assert not told.over


def test_a_mend_that_python_cannot_read_is_none(hunt, token):
    report = judged(ONE, verdict=Verdict.SYNTAX_ERROR, cases=())

    view, _ = handed_in(hunt, token, ONE, "def", report)

    assert "cases could not be run any more. Python could not read the file" in view.state


def test_a_refused_kernel_that_is_refused_still_is_told_by_its_cases(hunt, token):
    task = next(task for task in TASKS if task.told.verdict == "refused")

    view, _ = handed_in(
        hunt, token, task, task.source + "x = 1\n", judged(task, [case.name for case in task.shown], Verdict.REFUSED)
    )

    assert "still fail" in view.state


def test_an_unchanged_kernel_is_not_handed_in(hunt, token):
    assert UNCHANGED in hunt.hand_in(token, shown=ONE.id, source=ONE.source + "\n# a comment\n").state
    assert hunt.hand_in(token, shown=ONE.id, source=None).state  # refused by the course as empty
    assert hunt.desk.course.attempts == {}


def test_a_mend_stands_among_nobodys_attempts_and_a_stranger_sees_nothing_of_it(hunt, token):
    view = hunt.hand_in(token, shown=ONE.id, source=ONE.mended)
    user = hunt.desk.identities.read(token)

    assert hunt.desk.course.attempts[view.attempt].mode == "check"
    assert hunt.desk.course.history(user=user.id) == []
    assert hunt.desk.course.owners[view.attempt] == as_hunter(user).id
    stranger = hunt.desk.identities.issue().token
    hunt.desk.course.finish(view.attempt, judged(ONE))
    for who, task in ((stranger, ONE), ("made up", ONE), (token, EASY)):  # the last: it is of another lab
        seen, told = hunt.look(who, "", shown=task.id, attempt=view.attempt, level=CASES)
        assert seen.state == "" and not told.over
    assert "no valid token" in hunt.hand_in("made up", shown=ONE.id, source=ONE.mended).state


def test_a_mend_is_counted_once_however_often_it_is_looked_at(hunt, token):
    _, told = handed_in(hunt, token, ONE, ONE.mended, judged(ONE))
    attempt = hunt.desk.course.newest

    _, again = hunt.look(token, told.kept, shown=ONE.id, attempt=attempt, level=CASES)

    assert again.kept == told.kept and again.over
    hunt._clock.now = NOW + ROUND_S
    view, later = hunt.look(token, told.kept, shown=ONE.id, attempt=attempt, level=CASES)
    assert view.state == "" and not later.over and later.kept == told.kept


def test_while_it_is_judged_the_page_waits(hunt, token):
    view = hunt.hand_in(token, shown=ONE.id, source=ONE.mended)

    seen, told = hunt.look(token, "", shown=ONE.id, attempt=view.attempt, level=CASES)

    assert view.live and seen.live and "Next in line" in seen.state and not told.over


def test_an_account_keeps_replies_and_gives_back_those_of_its_other_browsers(hunt):
    ada = hunt.desk.identities.issue("ada")
    first = hunt.give_up(ada.token, "", shown=ONE.id, level=CASES)

    elsewhere = hunt.open(ada.token, "", wanted=ONE.id, lab=EVERY, level=CASES)

    assert elsewhere.over and json.loads(elsewhere.kept) == json.loads(first.kept)
    assert json.loads(first.kept)["owner"] == "ada"
    assert len(hunt.desk.course.replies[ada.id]) == 1


def test_what_a_browser_knew_before_goes_to_the_account_and_no_other_accounts(hunt, token):
    ada, bob = (hunt.desk.identities.issue(name) for name in ("ada", "bob"))
    told = hunt.give_up(token, "", shown=ONE.id, level=CASES)
    hers = hunt.open(ada.token, told.kept, wanted="", lab=EVERY, level=CASES)
    hunt.open(bob.token, hers.kept, wanted="", lab=EVERY, level=CASES)

    assert len(hunt.desk.course.replies[ada.id]) == 1
    assert hunt.desk.course.replies[bob.id] == set()
    assert json.loads(hunt.open(token, hers.kept, wanted="", lab=EVERY, level=CASES).kept)["replies"] == []


def test_a_full_disk_leaves_the_reply_in_the_browser(hunt, monkeypatch):
    def full(told, *, user):
        raise StoreError("The disk is full.")

    ada = hunt.desk.identities.issue("ada")
    monkeypatch.setattr(hunt.desk.course, "keep_replies", full)

    assert len(json.loads(hunt.give_up(ada.token, "", shown=ONE.id, level=CASES).kept)["replies"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(None, id="none"),
        pytest.param("{", id="cut_short"),
        pytest.param("[" * 50_000, id="deep"),
        pytest.param("[1]", id="list"),
        pytest.param('{"replies": 3}', id="no_list"),
        pytest.param('{"replies": [3, [], [1, 2, 3, 4], {"a": 1}]}', id="no_rows"),
        pytest.param(f'{{"replies": [[{NOW}, "00000000", "mark", true]]}}', id="no_task"),
        pytest.param(f'{{"replies": [[{NOW}, "{ONE.id}", "guess", true]]}}', id="not_asked"),
        pytest.param(f'{{"replies": [[{NOW}, "{ONE.id}", "mark", 1]]}}', id="not_a_flag"),
        pytest.param(f'{{"replies": [[{NOW}.5, "{ONE.id}", "mark", true]]}}', id="no_whole_second"),
        pytest.param(f'{{"replies": [[{NOW + 86400}, "{ONE.id}", "mark", true]]}}', id="tomorrow"),
        pytest.param(f'{{"replies": [[-5, "{ONE.id}", "mark", true]]}}', id="before_all_time"),
        pytest.param(f'{{"replies": [[{NOW}, ["{ONE.id}"], "mark", true]]}}', id="a_list_as_a_task"),
        pytest.param(f'{{"replies": [[{NOW}, "{ONE.id}", ["mark"], true]]}}', id="a_list_as_a_question"),
        pytest.param(f'{{"owner": ["ada"], "replies": [[{NOW}, "{ONE.id}", "mark", true]]}}', id="a_list_as_an_owner"),
        pytest.param(" " * 300_000, id="too_long"),
    ],
)
def test_rubbish_is_no_reply(hunt, token, text):
    assert hunt_log.read(text, account="", now=NOW) == []
    assert hunt.open(token, text, wanted=ONE.id, lab=EVERY, level=CASES).task is ONE


def test_a_browser_keeps_the_newest():
    many = [Reply(NOW - number, ONE.id, "mark", True) for number in range(hunt_log.MOST + 10)]

    text = hunt_log.write(many, account="")

    assert hunt_log.read(text, account="", now=NOW) == sorted(many)[10:]
    assert len(text) < hunt_log.MOST_TEXT


def test_code_is_escaped_and_coloured():
    lines = hunt_page.coloured('"""Two\nlines."""\nif a < b:  # <b>\n    return "&"\n')

    assert lines == [
        '<span class="comment">&quot;&quot;&quot;Two</span>',
        '<span class="comment">lines.&quot;&quot;&quot;</span>',
        '<span class="keyword">if</span> a &lt; b:  <span class="comment"># &lt;b&gt;</span>',
        '    <span class="keyword">return</span> &quot;&amp;&quot;',
    ]
