"""The Class tab: every event handler of the page as each role over HTTP, and an instructor's morning in a browser."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from driving import free_port
from playwright.sync_api import expect

from grader.course import Course, Quota
from grader.course.roles import Role
from tabs.page.identity import Identities
from tests.grader.course.by_hand import end_by_hand

KEY = b"a key for tests, long enough"
LAB = "lab02_safe_softmax"
ROSTER = "student_id,last_name,first_name,section\ns1,Lovelace,Ada,A\ns2,Byron,,B\n"
NOBODY, LEARNER, INSTRUCTOR = Role

# What each handler takes besides its token, and the least role that it answers with more than a refusal. Where a token stands
# among the arguments: "before" or "after" them, or "room" (typed and kept by the browser, before).
OPEN_HANDLERS = {
    "mark",  # of the bug hunt: the learner whose token it is
    "name",
    "give_up",
    "onward",
    "told",
    "look",
    "enter",
    "pick",
    "starter",
    "press",
    "tick",
    "stop",
    "look_back",
    "source_of",
    "show",
    "go_on",
    "hand_in",
    "visit",
    "show_design",
    "<lambda>",
}
ENDPOINTS = {"list_labs", "submit", "status", "report"}  # held by test_page_api.py
TABLE = {
    "shown": (LEARNER, "before", []),
    "changed": (LEARNER, "before", ["", ""]),
    "noted": (LEARNER, "before", ["", ""]),
    "joined": (LEARNER, "before", ["no such code"]),
    "logged": (LEARNER, "before", []),
    "all_data": (LEARNER, "before", []),
    "shown_1": (NOBODY, "after", [LAB]),
    "named": (LEARNER, "after", [""]),
    "opened": (INSTRUCTOR, "room", [""]),
    "exported": (INSTRUCTOR, "room", ["canvas", ""]),
    "overridden": (INSTRUCTOR, "room", ["s1", LAB, "", "", ""]),
    "imported": (INSTRUCTOR, "room", [ROSTER, False]),
    "dated": (INSTRUCTOR, "room", [LAB, "", ""]),
    "extended": (INSTRUCTOR, "room", [LAB, "s1", "", ""]),
    "counted": (INSTRUCTOR, "room", [7]),
    "started": (INSTRUCTOR, "room", [LAB, "best"]),
    "compared": (INSTRUCTOR, "room", [""]),
    "kept": (INSTRUCTOR, "room", [""]),
    "dropped": (INSTRUCTOR, "room", [""]),
    "looked": (INSTRUCTOR, "room", [LAB]),
    "ruled": (INSTRUCTOR, "room", ["{}"]),
}
REFUSED = ("That is for instructors.", "This browser has no token yet")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, Course(tmp_path_factory.mktemp("course"), quota=Quota()) as course:
        patch.setenv("GRADER_IDENTITY_KEY", KEY.decode())
        patch.delenv("OAUTH_CLIENT_ID", raising=False)
        import app

        page = app.build(course)
        where = {"server_name": "127.0.0.1", "server_port": free_port()}
        _, address, _ = app.launch(page, course, prevent_thread_lock=True, quiet=True, **where)
        course.instructor("instructor").import_roster(ROSTER)
        yield page, address, course
        page.close()


@pytest.fixture(scope="module")
def tokens(served):
    _, _, course = served
    return {NOBODY: "", LEARNER: Identities(KEY).issue().token, INSTRUCTOR: course.new_instructor_token()}


def handlers(page):
    return {fn.api_name: (number, fn.fn.__name__) for number, fn in page.fns.items() if fn.fn is not None}


def test_every_handler_is_in_the_table(served):
    page, _, _ = served
    of_class = {name: function for name, (_, function) in handlers(page).items() if function not in OPEN_HANDLERS | ENDPOINTS}

    assert set(of_class) == set(TABLE)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("name", sorted(TABLE))
def test_handler_as_each_role(served, tokens, name, role):
    page, address, _ = served
    least, place, arguments = TABLE[name]
    token = tokens[role]
    asked = {"before": [token, *arguments], "after": [*arguments, token], "room": [token, "", *arguments]}[place]
    sent = {"fn_index": handlers(page)[name][0], "data": asked, "session_hash": "test"}

    said = json.dumps(call(address, sent)["data"])

    assert any(sentence in said for sentence in REFUSED) == (list(Role).index(role) < list(Role).index(least)), said


def call(address, sent):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address + "gradio_api/run/predict", json.dumps(sent).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_the_pages_server_answers_programs_too(served):
    _, address, course = served

    with urllib.request.urlopen(address + "api/v1/labs", timeout=30) as answer:
        assert LAB in [lab["id"] for lab in json.loads(answer.read())]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address + "api/v1/class", timeout=30)
    with refused.value as error:
        assert error.code == 401


@pytest.mark.browser
def test_an_instructors_morning(served, tokens, open_page):
    """Roster, due date, the gradebook with a hand-in, an export."""
    _, address, course = served
    end_by_hand(course, course.submit(user="ada", lab_id=LAB, source="x = 1", mode="submit"))
    teacher = course.instructor("instructor")
    course.learner("ada").join(teacher.book().students["s1"].code)
    page = open_page("?tab=class", address=address)

    page.get_by_role("tab", name="Teach").click()
    page.locator("#teach-token input").fill(tokens[INSTRUCTOR])
    page.locator("#teach-open").click()
    expect(page.locator("#teach-said")).to_contain_text("2 learners")
    expect(page.locator("#teach-grid")).to_contain_text("Lovelace, Ada")
    expect(page.locator("#teach-grid")).to_contain_text("✓")
    page.get_by_role("tab", name="Roster").click()
    page.locator("#teach-csv textarea").fill("student_id,last_name\ns3,\n")
    page.locator("#teach-import").click()
    expect(page.locator("#teach-said")).to_contain_text("Nothing was imported: line 2: the last_name is empty.")
    page.locator("#teach-csv textarea").fill("student_id,last_name\ns3,Babbage\n")
    page.locator("#teach-import").click()
    expect(page.locator("#teach-said")).to_contain_text("1 new")
    expect(page.locator("#teach-roster")).to_contain_text("Babbage")
    page.get_by_role("tab", name="Gradebook").click()
    page.locator("#teach-export").click()
    with page.expect_download() as loaded:
        page.get_by_text("Take canvas.csv away").click()
    text = loaded.value.path().read_text()

    assert text.startswith("Student,ID,SIS User ID,SIS Login ID,Section,")
    assert "Babbage" in text
