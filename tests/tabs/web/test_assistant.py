"""The MCP server by the SDK's own client: each tool as each role, under the same limits as the routes; never a solution."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import labs
from grader.course import Quota
from grader.course.roles import Role
from grader.report import Verdict
from tabs.web.app import MCP, PREFIX
from tests.grader.course.by_hand import end_by_hand
from tests.tabs.web.server import LAB, serving

FOLDER = labs.load(LAB)
# What each tool answers to nobody, to a learner who asks about an own attempt, and to an instructor who asks about it.
NEEDS_TOKEN, NOT_YOURS = "That needs a token", "There is no attempt"
TOOLS = {
    "labs": ({}, "lab02_safe_softmax", "lab02_safe_softmax", "lab02_safe_softmax"),
    "spec": ({"lab": "2"}, "## The file to begin with", "## The file to begin with", "## The file to begin with"),
    "check": ({"lab": "2", "source": "x = 3"}, NEEDS_TOKEN, '"state": "queued"', '"state": "queued"'),
    "report": ({"attempt": ...}, NEEDS_TOKEN, '"verdict": "wrong_answer"', NOT_YOURS),
    "hint": ({"attempt": ..., "step": 3}, NEEDS_TOKEN, "What the right line must do: ", NOT_YOURS),
}


def ask(web, *calls, token=""):
    """The names of all tools, and what each call was answered, as text."""

    async def talk():
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"{web.url}{PREFIX}{MCP}", http_client=http)
            async with Client(transport) as client:
                tools = (await client.list_tools()).tools
                answers = [await client.call_tool(name, arguments) for name, arguments in calls]
                return tools, ["".join(part.text for part in answer.content) for answer in answers]

    with ThreadPoolExecutor(1) as elsewhere:  # Playwright's loop runs in this thread once a browser test was here
        return elsewhere.submit(asyncio.run, talk()).result()


@pytest.fixture(scope="module")
def graded(web):
    """A wrong answer of the learner's."""
    attempt = web.hand_in("x = 0", mode="check")
    end_by_hand(web.course, attempt, Verdict.WRONG_ANSWER)
    return attempt


def test_every_tool_is_in_the_table_and_says_what_it_does(web):
    tools, _ = ask(web)

    assert [tool.name for tool in tools] == list(TOOLS)
    assert all(tool.description for tool in tools)
    assert all("asking" not in tool.input_schema["properties"] for tool in tools)


@pytest.mark.parametrize("role", list(Role))
def test_tools_as_each_role(web, graded, monkeypatch, role):
    monkeypatch.setattr("tabs.web.assistant.LONGEST_CHECK_S", 0.2)
    token = {Role.NOBODY: "", Role.LEARNER: web.learner, Role.INSTRUCTOR: web.teacher}[role]
    calls = [
        (name, {key: graded if value is ... else value for key, value in arguments.items()})
        for name, (arguments, *_) in TOOLS.items()
    ]

    _, answers = ask(web, *calls, token=token)

    for (name, _), answer in zip(calls, answers, strict=True):
        assert TOOLS[name][1 + list(Role).index(role)] in answer, name


def test_a_token_that_is_not_ours(web, graded):
    _, (answer,) = ask(web, ("report", {"attempt": graded}), token="made up")

    assert "That token is not one of this server's" in answer


def test_what_is_refused_is_one_sentence(web):
    _, answers = ask(web, ("spec", {"lab": "77"}), ("check", {"lab": "2", "source": " "}), token=web.learner)

    assert "There is no lab '77'" in answers[0]
    assert "The source is empty" in answers[1]


def test_the_limits_are_those_of_the_routes(tmp_path):
    with serving(tmp_path, quota=Quota(rate=1, rate_window_s=100.0)) as web:
        web.hand_in("x = 1")
        _, (answer,) = ask(web, ("check", {"lab": "2", "source": "x = 2"}), token=web.learner)

    assert "It will be taken in" in answer


def test_a_check_waits_for_its_report(web, monkeypatch):
    async def ended(attempt, wanted, *, within_s):
        end_by_hand(web.course, attempt)
        status = web.course.status(attempt, user=web.user)
        assert wanted(status) and within_s == 50.0
        return status

    monkeypatch.setattr("tabs.web.watching.Watchers.until", lambda self, *asked, **within: ended(*asked, **within))
    _, (answer,) = ask(web, ("check", {"lab": "2", "source": "x = 'waits'"}), token=web.learner)

    assert json.loads(answer)["report"]["verdict"] == "passed"


def test_no_answer_holds_a_line_of_the_solution_that_the_starter_has_not(web, graded):
    calls = [("labs", {}), ("spec", {"lab": LAB}), ("report", {"attempt": graded})]
    calls += [("hint", {"attempt": graded, "step": step}) for step in (1, 2, 3)]
    _, answers = ask(web, *calls, token=web.learner)
    given = {line.strip() for line in (FOLDER.starter + FOLDER.spec).splitlines()}
    secret = [line.strip() for line in FOLDER.solution.splitlines() if line.strip() not in given and len(line.strip()) > 12]

    assert secret
    assert not [line for line in secret if any(line in answer for answer in answers)]
    assert [tool for tool in TOOLS if "solution" in tool] == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_nobody_holds_a_stream_that_never_says_anything(web, method):
    """Each took 95 kB of the page's memory for as long as whoever opened it liked, and needed no token."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=5)) as connection:
        connection.request(method, f"{PREFIX}{MCP}", headers={"Accept": "text/event-stream"})
        answer = connection.getresponse()

        assert (answer.status, answer.headers["Allow"], answer.read()) == (405, "POST", b"")
