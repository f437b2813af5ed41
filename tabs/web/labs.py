"""The labs over HTTP: what there is, what is asked, our solution where the class shows it, the boards. No token is needed."""

from __future__ import annotations

import dataclasses

from fastapi import APIRouter, Request, Response

import labs
from grader.course.refusal import Ground, Refusal
from tabs.web import models
from tabs.web.answer import as_json, tagged
from tabs.web.who import Asks

router = APIRouter(prefix="/labs", tags=["labs"])


def lab_id_of(text: str) -> str:
    """The lab that is named so (`labs.named`).

    Raises:
        Refusal: there is no such lab.
    """
    try:
        return labs.named(text)
    except KeyError:
        raise Refusal(f"There is no lab {text!r:.80}; the labs are {', '.join(labs.lab_ids())}.", Ground.NOT_THERE) from None


def entry(lab_id: str) -> models.LabEntry:
    lab = labs.load(lab_id).lab
    return models.LabEntry(id=lab_id, title=lab.title, points=lab.points, entry=lab.entry, arguments=list(lab.arguments))


@router.get("", responses={200: {"model": list[models.LabEntry]}})
def every(request: Request) -> Response:
    """Every lab, in the order of the ladder."""
    return tagged(request, as_json([entry(lab_id).model_dump() for lab_id in labs.lab_ids()]))


@router.get("/{lab}", responses={200: {"model": models.LabPage}})
def one(lab: str, request: Request) -> Response:
    """One lab with what is asked and the starter."""
    folder = labs.load(lab_id_of(lab))
    page = models.LabPage(**entry(folder.id).model_dump(), spec=folder.spec, starter=folder.starter)
    return tagged(request, page.model_dump_json().encode())


@router.get("/{lab}/solution", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
def solution(lab: str, request: Request, asks: Asks) -> Response:
    """Our own solution, where the class shows it: never, after a pass or after the due date."""
    folder = labs.load(lab_id_of(lab))
    if not asks.course.shows_solution(folder.id, user=asks.user):
        raise Refusal("The solution of this lab is not shown to you, or not yet.", Ground.NOT_ALLOWED)
    return tagged(request, folder.solution.encode(), kind="text/plain; charset=utf-8")


@router.get("/{lab}/board", responses={200: {"model": models.Anything}})
def board(lab: str, request: Request, asks: Asks) -> Response:
    """Who chose a nickname, by kind of device, the fastest first: place, nickname, roof (bandwidth ÷ that of a copy), ratio
    (our reference's time ÷ the attempt's), when. `yours`: your own timed attempts, which nobody else sees. No source is shown.
    """
    return tagged(request, as_json(dataclasses.asdict(asks.course.board(lab_id_of(lab), user=asks.user))))
