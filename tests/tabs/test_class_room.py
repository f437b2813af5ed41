"""The Class tab: every event handler of the page as each role over HTTP, and an instructor's morning in a browser."""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request

import pytest
from driving import free_port
from playwright.sync_api import expect

import labs
from grader.course import Course, Quota
from grader.course.roles import Role
from labs.hunt.task import tasks
from tabs.labs.hunt import FREE
from tabs.page.identity import Identities
from tests.grader.course import pretend_class as made
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
    "look_again",
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
    "note_of": (LEARNER, "before", [""]),
    "shown_1": (NOBODY, "after", [LAB]),
    "named": (LEARNER, "after", [""]),
    "kept_off": (LEARNER, "after", ["", LAB]),
    "kept_off_1": (LEARNER, "after", ["", LAB]),
    "opened": (INSTRUCTOR, "room", [""]),
    "verified": (INSTRUCTOR, "room", []),
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
    sent = {"fn_index": handlers(page)[name][0], "data": asked, "session_hash": f"{name} {role}"}

    said = json.dumps(call(address, sent)["data"])

    assert any(sentence in said for sentence in REFUSED) == (list(Role).index(role) < list(Role).index(least)), said


def test_nothing_of_the_page_is_kept_for_a_visit(served):
    """Gradio forgets visits (tabs/page/visits.py): a `gr.State` would be empty then. And no `gr.Timer` asks for its page."""
    page, _, _ = served
    kinds = {block.get_block_name() for block in page.blocks.values()}

    assert "html" in kinds
    assert not kinds & {"state", "timer", "browserstate"}


@pytest.mark.parametrize("function", ["name", "onward"])
def test_a_forgotten_visit_may_choose_what_the_hunt_offered(served, tokens, function):
    page, address, _ = served
    task = next(task for task in tasks().values() if task.lab == FREE)
    chosen = {"name": task.kind.name, "onward": task.lab}[function]
    number = next(number for number, found in handlers(page).values() if found == function)
    asked = [tokens[LEARNER], "", task.id, chosen, "report"]

    said = call(address, {"fn_index": number, "data": asked, "session_hash": f"forgotten {function}"})

    assert said["data"][0].startswith('{"owner"')


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
    with page.expect_download() as loaded:
        page.locator("#teach-export").click()
    expect(page.locator("#teach-said")).to_contain_text("canvas.csv is among your downloads.")
    text = loaded.value.path().read_text()

    assert text.startswith("Student,ID,SIS User ID,SIS Login ID,Section,")
    assert "Babbage" in text


@pytest.fixture
def teach(served, tokens, open_page):
    """The Teach page, opened."""
    _, address, _ = served
    page = open_page("?tab=class", address=address)
    page.get_by_role("tab", name="Teach").click()
    page.locator("#teach-token input").fill(tokens[INSTRUCTOR])
    page.locator("#teach-open").click()
    expect(page.locator("#teach-said")).to_contain_text("learners")
    return page


def choose(page, field, option):
    page.locator(f"{field} input").click()
    page.get_by_role("option", name=option).click()


@pytest.mark.browser
def test_dates_a_regrade_bugs_and_the_archive(served, teach):
    _, _, course = served
    said, title = teach.locator("#teach-said"), labs.load(LAB).lab.title
    bad, alike = made.report(LAB, 8.0, random.Random(2)), labs.load("lab06_causal").solution  # nothing of this lab's
    handed = [
        (made.handed_in(user=user, lab=LAB, source=f"# {user}\n{alike}", created=time.time() - 3600), bad)
        for user in ("hf:bob", "hf:eve")
    ]
    course.instructor("instructor").import_roster("student_id,last_name,account\nb1,Bob,bob\ne1,Eve,eve\n")
    made.put(course, handed)
    assert bad.diagnosis.name

    teach.get_by_role("tab", name="Dates").click()
    choose(teach, "#teach-lab", title)
    teach.get_by_label("Due, UTC: 2026-12-01 23:59").fill("soon")
    teach.locator("#teach-due").click()
    expect(said).to_contain_text("'soon' is no time")
    teach.get_by_label("Due, UTC: 2026-12-01 23:59").fill("2026-12-01 23:59")
    teach.locator("#teach-due").click()
    expect(said).to_contain_text("Set.")
    teach.get_by_label("student_id").filter(visible=True).fill("s2")
    teach.get_by_label("Extended until, for the lab above").fill("2026-12-03")
    teach.locator("#teach-extend").click()
    expect(said).to_contain_text("Extended.")
    assert {student for _, student in course.instructor("instructor").book().extensions} == {"s2"}

    teach.get_by_role("tab", name="Regrade").click()
    choose(teach, "#teach-regrade-lab", title)
    teach.get_by_label("all", exact=True).check()
    teach.locator("#teach-regrade").click()
    expect(said).to_contain_text("Graded anew while nobody waits")
    (regrade,) = course.instructor("instructor").book().regrades
    made.grade_regrade(course, regrade, random.Random(5), {LAB: 8.0})
    teach.locator("#teach-compare").click()
    expect(said).to_contain_text("gain")
    teach.locator("#teach-keep").click()
    expect(said).to_contain_text("All of it counts now.")

    teach.get_by_role("tab", name="Bugs").click()
    teach.locator("#teach-count").click()
    expect(teach.locator("#teach-bugs")).to_contain_text(bad.diagnosis.name.replace("_", " "))
    teach.get_by_role("tab", name="Similar", exact=True).click()
    choose(teach, "#teach-alike", title)
    teach.locator("#teach-search").click()
    expect(teach.locator("#teach-similar")).to_contain_text("%")
    teach.locator("#teach-verify").click()
    expect(said).to_contain_text("files of the archive")


@pytest.mark.browser
def test_a_learners_own_work(served, open_page):
    """History, what changed, a note, the log and everything to take away, an attempt kept off the board."""
    _, address, course = served
    page = open_page("?tab=class", address=address)
    user = Identities(KEY).read(page.evaluate("localStorage.getItem('attention-labs-token')")).id
    best = next(
        found for found in (made.report(LAB, 8.0, random.Random(seed), timed=True) for seed in range(99)) if found.timing
    )
    made.put(
        course,
        [
            (made.handed_in(user=user, lab=LAB, source=f"a = 1\nb = {number}\n", created=time.time() - 60 + number), best)
            for number in (2, 3)
        ],
    )
    course.learner(user).set_nickname("Countess")

    page.locator("#mine-look").click()
    expect(page.locator("#mine-said")).to_contain_text("2 attempts.")
    expect(page.locator("#mine-history")).to_contain_text("2 · Safe softmax")
    expect(page.locator("#mine-history")).to_contain_text("✓ Passed")
    page.locator("#mine-compare").click()
    expect(page.locator("#mine-diff")).to_contain_text("+b = 3")
    page.locator("#mine-note textarea").fill("three is *better*")
    page.locator("#mine-keep").click()
    expect(page.locator("#mine-said")).to_contain_text("The note is kept.")
    page.locator("#mine-note textarea").fill("")
    page.locator("#mine-look").click()
    expect(page.locator("#mine-note textarea")).to_have_value("three is *better*")
    page.get_by_text("Join a class, take everything away").click()
    with page.expect_download() as log:
        page.locator("#mine-log").click()
    with page.expect_download() as data:
        page.locator("#mine-data").click()

    assert "> three is *better*" in log.value.path().read_text()
    assert [one["source"] for one in json.loads(data.value.path().read_text())["attempts"]] != []
    page.get_by_role("tab", name="Boards").click()
    choose(page, "#board-lab", labs.load(LAB).lab.title)
    page.locator("#board-look").click()
    expect(page.locator("#board-lines")).to_contain_text("Countess")
    page.locator("#board-hide").click()
    expect(page.locator("#board-said")).to_contain_text("It stands on no board.")
    expect(page.locator("#board-trend")).to_contain_text("no")
