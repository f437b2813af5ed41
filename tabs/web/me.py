"""Oneself over HTTP: who one is to the course, grades, notes, nickname, everything that is kept."""

from __future__ import annotations

import dataclasses

from fastapi import APIRouter, Request, Response

from grader.course.refusal import Ground, Refusal
from grader.course.roles import Role
from tabs.web import models
from tabs.web.answer import as_json, tagged
from tabs.web.labs import lab_id_of
from tabs.web.who import SIGN_IN, Asks

router = APIRouter(tags=["me"])


@router.post("/token", status_code=201)
def token(asks: Asks) -> models.Token:
    """A token for somebody new. Not where people sign in: there an account's token stands on the page."""
    identities = asks.doors.identities
    if identities.accounts_only:
        raise Refusal(SIGN_IN, Ground.NOT_ALLOWED)
    return models.Token(token=identities.issue().token)


@router.get("/me", responses={200: {"model": models.Me}})
def me(request: Request, asks: Asks) -> Response:
    """Who the token stands for, how far they are, and their grades as they are now."""
    user, learner = asks.somebody(), asks.learner()
    student = learner.student()
    found = models.Me(
        user=user,
        role="instructor" if asks.role is Role.INSTRUCTOR else "learner",
        name=student.name if student else "",
        section=student.section if student else "",
        nickname=learner.nickname(),
        passed=asks.course.passed_labs(user=user),
        submits_left={column.lab: asks.course.tokens_left(user, column.lab) for column in learner.columns},
        grades=[
            models.GradeNow(
                lab=lab,
                points=grade.points,
                out_of=grade.out_of,
                raw=grade.raw,
                lost_late=grade.lost_late,
                due=due,
                attempt=grade.attempt,
                overridden=grade.overridden,
                comment=grade.comment,
            )
            for lab, (grade, due) in learner.grades().items()
        ],
    )
    return tagged(request, found.model_dump_json().encode())


@router.post("/me/join", responses={200: {"model": models.Anything}})
def join(said: models.Code, asks: Asks) -> dict[str, str]:
    """Stand for a learner of the roster, by the code that whoever teaches gave you. Answers with name and section."""
    student = asks.learner().join(said.code)
    return {"name": student.name, "section": student.section}


@router.put("/me/nickname", status_code=204)
def nickname(said: models.Nickname, asks: Asks) -> None:
    """The name under which you stand on the boards; without one you stand on none."""
    asks.learner().set_nickname(said.nickname)


@router.put("/me/chosen/{lab}", status_code=204)
def chosen(lab: str, said: models.Chosen, asks: Asks) -> None:
    """Which of your Submits counts, where the class counts the chosen one."""
    asks.learner().choose(lab_id_of(lab), said.attempt)


@router.get("/me/notes", responses={200: {"model": dict[str, str]}})
def notes(request: Request, asks: Asks) -> Response:
    """Your notes, by attempt."""
    return tagged(request, as_json(asks.learner().notes()))


@router.get("/me/answers", responses={200: {"model": models.Anything}})
def answers(request: Request, asks: Asks) -> Response:
    """The chapter's questions that you have answered: by the question's id, right at some time, and how often tried."""
    told = asks.course.keep_answers({}, user=asks.somebody())
    return tagged(request, as_json({question: answered._asdict() for question, answered in told.items()}))


@router.get("/me/log", responses={200: {"content": {"text/markdown": {}}}}, response_class=Response)
def log(request: Request, asks: Asks) -> Response:
    """All your attempts with what they got and your notes, as Markdown."""
    return tagged(request, asks.learner().work_log().encode(), kind="text/markdown; charset=utf-8", name="work-log.md")


@router.get("/me/data", responses={200: {"model": models.Anything}})
def data(request: Request, asks: Asks) -> Response:
    """Everything that is kept about you, with sources and reports."""
    return tagged(request, as_json(asks.learner().own_data()), name="my-data.json")


def plain(found: object) -> bytes:
    """A dataclass as JSON."""
    return as_json(dataclasses.asdict(found))  # type: ignore[call-overload]
