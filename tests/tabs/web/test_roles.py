"""Every address of the HTTP interface as nobody, as a learner and as an instructor; one that is not in the table fails."""

from __future__ import annotations

import dataclasses

import pytest
from fastapi.routing import APIRoute

from grader.course.roles import Role
from tabs.page.identity import Identities
from tabs.web.app import web_app
from tests.grader.course.by_hand import end_by_hand
from tests.tabs.web.server import KEY, LAB

ROSTER = "student_id,last_name\n1,Lovelace\n"


@dataclasses.dataclass(frozen=True)
class Expected:
    """Status by role. `data`: what is sent."""

    nobody: int
    learner: int
    instructor: int
    data: object = None

    def of(self, role: Role) -> int:
        return {Role.NOBODY: self.nobody, Role.LEARNER: self.learner, Role.INSTRUCTOR: self.instructor}[role]


def open_to_all(status: int = 200, data: object = None) -> Expected:
    return Expected(status, status, status, data)


def of_its_owner(status: int, data: object = None) -> Expected:
    """The attempt is the learner's: an instructor gets at it under /class."""
    return Expected(401, status, 404, data)


def for_somebody(status: int, data: object = None) -> Expected:
    return Expected(401, status, status, data)


def for_instructors(status: int, data: object = None) -> Expected:
    return Expected(401, 403, status, data)


TABLE = {
    "GET /grading": open_to_all(),
    "GET /labs": open_to_all(),
    "GET /labs/{lab}": open_to_all(),
    "GET /labs/{lab}/solution": Expected(403, 403, 200),
    "GET /labs/{lab}/board": open_to_all(),
    "POST /token": open_to_all(201),
    "GET /me": for_somebody(200),
    "POST /me/join": for_somebody(422, {"code": "none of ours"}),
    "PUT /me/nickname": for_somebody(204, {"nickname": ""}),
    "PUT /me/chosen/{lab}": for_somebody(204, {"attempt": None}),
    "GET /me/notes": for_somebody(200),
    "GET /me/answers": for_somebody(200),
    "GET /me/log": for_somebody(200),
    "GET /me/data": for_somebody(200),
    "POST /attempts": for_somebody(202, {"lab": LAB, "source": "x = 1"}),
    "GET /attempts": for_somebody(200),
    "GET /attempts/{attempt}": of_its_owner(200),
    "GET /attempts/{attempt}/events": of_its_owner(200),
    "GET /attempts/{attempt}/words": of_its_owner(200),
    "POST /attempts/{attempt}/cancel": of_its_owner(200),
    "GET /attempts/{attempt}/report": of_its_owner(200),
    "GET /attempts/{attempt}/gradescope": of_its_owner(200),
    "GET /attempts/{attempt}/source": of_its_owner(200),
    "GET /attempts/{attempt}/diff/{other}": of_its_owner(200),
    "PUT /attempts/{attempt}/note": of_its_owner(204, {"text": "odd"}),
    "PUT /attempts/{attempt}/shown": of_its_owner(204, {"hidden": False}),
    "GET /class": for_instructors(200),
    "GET /class/roster": for_instructors(200),
    "PUT /class/roster": for_instructors(200, ROSTER),
    "POST /class/roster/{student}/unbind": for_instructors(204),
    "PUT /class/roster/{student}/remark": for_instructors(204, {"text": ""}),
    "PUT /class/labs/{lab}/due": for_instructors(204, {"due": None}),
    "PUT /class/labs/{lab}/extensions/{student}": for_instructors(204, {"due": None}),
    "PUT /class/labs/{lab}/overrides/{student}": for_instructors(204, {"points": None}),
    "GET /class/rules": for_instructors(200),
    "PUT /class/rules": for_instructors(200, {}),
    "GET /class/bugs": for_instructors(200),
    "GET /class/labs/{lab}/similar": for_instructors(200),
    "GET /class/regrades": for_instructors(200),
    "POST /class/regrades": for_instructors(422, {"lab": "lab01", "scope": "last"}),  # nobody handed anything in there
    "GET /class/regrades/{regrade}": for_instructors(422),
    "POST /class/regrades/{regrade}/keep": for_instructors(422),
    "POST /class/regrades/{regrade}/drop": for_instructors(422),
    "GET /class/export/{form}": for_instructors(200),
    "GET /class/dump": for_instructors(200),
    "GET /class/archive": for_instructors(200),
    "GET /class/attempts/{attempt}/report": for_instructors(200),
    "GET /class/attempts/{attempt}/source": for_instructors(200),
}


def addresses():
    app = web_app(None, Identities(KEY))
    paths = app.openapi()["paths"]
    return sorted(f"{method.upper()} {path}" for path, methods in paths.items() for method in methods)


def test_every_address_is_described():
    """So that the table below, which is held against the description, misses none."""
    app = web_app(None, Identities(KEY))
    hidden = [route.path for route in app.routes if isinstance(route, APIRoute) and not route.include_in_schema]

    assert hidden == ["/docs"]


def test_every_address_is_in_the_table():
    assert addresses() == sorted(TABLE)


@pytest.fixture(scope="module")
def graded(web):
    attempt = web.hand_in("x = 0")
    end_by_hand(web.course, attempt)
    assert web.ask("PUT", "/class/roster", token=web.teacher, data=ROSTER).status == 200
    return attempt


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("address", sorted(TABLE))
def test_address_as_each_role(web, graded, address, role):
    method, _, path = address.partition(" ")
    for name, value in {
        "lab": LAB,
        "attempt": graded,
        "other": graded,
        "student": "1",
        "regrade": "none",
        "form": "canvas",
    }.items():
        path = path.replace(f"{{{name}}}", value)
    token = {Role.NOBODY: "", Role.LEARNER: web.learner, Role.INSTRUCTOR: web.teacher}[role]

    answer = web.ask(method, path, token=token, data=TABLE[address].data)

    assert answer.status == TABLE[address].of(role), answer.body
    if answer.status >= 400:
        assert answer.json.keys() == {"error"}
        assert answer.error.endswith(".")


@pytest.mark.parametrize(
    "token",
    ["ada", "instructor-guessed", Identities(b"another server's key").issue().token],
    ids=["made_up", "guessed", "anothers"],
)
def test_a_token_that_is_not_ours_is_told_so(web, token):
    answer = web.ask("GET", "/labs/2/board", token=token)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.error.startswith("That token is not one of this server's")


def test_the_instructors_token_can_be_renewed(web):
    old, web.teacher = web.teacher, web.course.new_instructor_token()

    assert web.ask("GET", "/class", token=old).status == 401
    assert web.ask("GET", "/class", token=web.teacher).status == 200
