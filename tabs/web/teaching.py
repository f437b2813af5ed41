"""The class over HTTP, for instructors: roster, dates, rules, gradebook, regrades, exports. `course` looks at who asks."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

import labs
from grader.course.gradebook.regrades import for_table
from grader.course.gradebook.times import read_time
from tabs.web import models
from tabs.web.answer import as_json, tagged
from tabs.web.labs import lab_id_of
from tabs.web.who import Asks

router = APIRouter(prefix="/class", tags=["class"])
CSV = "text/csv; charset=utf-8"


def moment_of(text: str | None) -> float | None:
    return None if text is None else read_time(text)


@router.get("", responses={200: {"model": models.Anything}})
def overview(request: Request, asks: Asks, section: str | None = None) -> Response:
    """The gradebook: `labs` with points and dates, `learners` with a cell for each lab and the sum."""
    teacher = asks.instructor()
    table = teacher.table(section=section)
    book = teacher.book()
    learners = [
        {
            "student_id": student.student_id,
            "name": student.name,
            "section": student.section,
            "remark": book.remarks.get(student.student_id, ""),
            "total": table.total(student.student_id),
            "cells": {
                column.lab: dataclasses.asdict(table.cells[student.student_id, column.lab])
                | {"due": table.due[student.student_id, column.lab]}
                for column in table.columns
            },
        }
        for student in table.students
    ]
    columns = [
        {
            "lab": column.lab,
            "title": column.title,
            "out_of": table.out_of(column.lab),
            "due": {section or "everyone": due for (lab, section), due in book.due.items() if lab == column.lab},
        }
        for column in table.columns
    ]
    return tagged(request, as_json({"labs": columns, "learners": learners}))


@router.get("/roster", responses={200: {"model": models.Anything}})
def roster(request: Request, asks: Asks) -> Response:
    """Every learner with the code to join by, and whether it was used."""
    book = asks.instructor().book()
    found = [
        dataclasses.asdict(student) | {"joined": student.student_id in book.bound, "users": list(book.users_of(student))}
        for student in book.students.values()
    ]
    return tagged(request, as_json(found))


@router.put(
    "/roster",
    responses={200: {"model": dict[str, int]}},
    openapi_extra={"requestBody": {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def import_roster(
    text: Annotated[bytes, Body(media_type="text/csv")],
    asks: Asks,
    replace: Annotated[bool, Query(description="who is not in the file leaves the roster; their attempts stay")] = False,
) -> dict[str, int]:
    """Take a CSV file in, whole or not at all: student_id, last_name, first_name, email, section, account. Canvas's own
    gradebook file does, too. A refusal names every bad line. Answers with how many are new, changed, gone and there.
    """
    return asks.instructor().import_roster(text.decode("utf-8", "replace"), replace=replace)


@router.post("/roster/{student}/unbind", status_code=204)
def unbind(student: str, asks: Asks) -> None:
    """Whoever joined as this learner no longer does; the code may be used once more."""
    asks.instructor().unbind(student)


@router.put("/roster/{student}/remark", status_code=204)
def remark(student: str, said: models.Remark, asks: Asks) -> None:
    """A note on a learner that instructors alone see."""
    asks.instructor().remark(student, said.text)


@router.put("/labs/{lab}/due", status_code=204)
def due(lab: str, said: models.Due, asks: Asks) -> None:
    """Until when a lab is due, for the class or a section."""
    asks.instructor().set_due(lab_id_of(lab), moment_of(said.due), section=said.section)


@router.put("/labs/{lab}/extensions/{student}", status_code=204)
def extension(lab: str, student: str, said: models.NewExtension, asks: Asks) -> None:
    """One learner's own date."""
    asks.instructor().extend(lab_id_of(lab), student, moment_of(said.due), comment=said.comment)


@router.put("/labs/{lab}/overrides/{student}", status_code=204)
def override(lab: str, student: str, said: models.NewOverride, asks: Asks) -> None:
    """Points set by hand, with a reason, in place of whatever was earned."""
    asks.instructor().override(lab_id_of(lab), student, said.points, comment=said.comment)


@router.get("/rules", responses={200: {"model": models.Anything}})
def rules(request: Request, asks: Asks) -> Response:
    """Which attempt counts, what each part is worth, what being late costs, what is shown."""
    return tagged(request, as_json(asks.instructor().book().rules.to_json()))


@router.put("/rules", responses={200: {"model": models.Anything}})
def set_rules(said: dict[str, Any], asks: Asks) -> dict[str, Any]:
    """Replace the rules; what is left out is as by default: counting (best, last, chosen), speed_counts, late (percent,
    grace_minutes, most_percent, closes_after_days), reveal (names, counts, points), solutions (never, after_pass, after_due),
    labs (by id: out_of, weights by part or by case:NAME).
    """
    return asks.instructor().set_rules(said).to_json()


@router.get("/bugs", responses={200: {"model": models.Anything}})
def bugs(request: Request, asks: Asks, days: Annotated[float, Query(gt=0, le=3650)] = 7.0) -> Response:
    """The class by named bug: how many learners met which diagnosis at which lab, and how many of them have passed since."""
    return tagged(request, as_json([dataclasses.asdict(one) for one in asks.instructor().bugs(days=days)]))


@router.get("/labs/{lab}/similar", responses={200: {"model": models.Anything}})
def similar(lab: str, request: Request, asks: Asks) -> Response:
    """Pairs of learners whose newest Submits are similar, starter and solution taken away: share, and places as lines."""
    folder = labs.load(lab_id_of(lab))
    found = asks.instructor().similar(folder.id, ours=(folder.starter, folder.solution))
    return tagged(request, as_json([dataclasses.asdict(pair) for pair in found]))


@router.get("/regrades", responses={200: {"model": models.Anything}})
def regrades(request: Request, asks: Asks) -> Response:
    """Every regrade: `kept` is null until it was decided."""
    found = asks.instructor().book().regrades.values()
    return tagged(request, as_json([dataclasses.asdict(one) | {"targets": len(one.targets)} for one in found]))


@router.post("/regrades", status_code=202, responses={202: {"model": models.Anything}})
def regrade(said: models.NewRegrade, asks: Asks) -> dict[str, Any]:
    """Grade a lab's Submits anew in the background, while nobody waits."""
    started = asks.instructor().regrade(lab_id_of(said.lab), said.scope)
    return dataclasses.asdict(started) | {"targets": len(started.targets)}


@router.get("/regrades/{regrade}", responses={200: {"model": models.Anything}})
def comparison(regrade: str, request: Request, asks: Asks) -> Response:
    """Before and after, attempt by attempt, those that change first; who gains, who loses."""
    found = asks.instructor().comparison(regrade)
    told = {
        "id": regrade,
        "lab": found.regrade.lab,
        "kept": found.regrade.kept,
        "targets": len(found.regrade.targets),
        "done": found.done,
        "failed": found.failed,
        "over": found.is_over,
        "gain": found.count(1),
        "lose": found.count(-1),
        "same": found.count(0),
        "attempts": [dataclasses.asdict(row) for row in for_table(found.rows)],
    }
    return tagged(request, as_json(told))


@router.post("/regrades/{regrade}/keep", status_code=204)
def keep(regrade: str, asks: Asks) -> None:
    """Let all of it count, once it is over."""
    asks.instructor().end_regrade(regrade, keep=True)


@router.post("/regrades/{regrade}/drop", status_code=204)
def drop(regrade: str, asks: Asks) -> None:
    """Throw all of it away."""
    asks.instructor().end_regrade(regrade, keep=False)


@router.get("/export/{form}", responses={200: {"content": {"text/csv": {}}}}, response_class=Response)
def export(form: str, request: Request, asks: Asks, section: str | None = None) -> Response:
    """The gradebook as CSV: canvas, nbgrader, nbgrader-students or plain."""
    text = asks.instructor().export(form, section=section)
    return tagged(request, text.encode(), kind=CSV, name=f"{form}.csv")


@router.get("/dump", responses={200: {"model": models.Anything}})
def dump(request: Request, asks: Asks) -> Response:
    """Everything, for another installation: `python -m grader class import FILE`."""
    return tagged(request, as_json(asks.instructor().dump()), name="course.json")


@router.get("/archive", responses={200: {"model": models.Anything}})
def archive(request: Request, asks: Asks) -> Response:
    """Every file of the archive against its checksum and the database. Takes seconds to minutes."""
    found = asks.instructor().check_archive()
    return tagged(request, as_json(dataclasses.asdict(found) | {"sentence": found.sentence}))


@router.get("/attempts/{attempt}/report", responses={200: {"model": models.Anything}})
def report(attempt: str, request: Request, asks: Asks) -> Response:
    """Anybody's report, with nothing left out. `null` while there is none."""
    found = asks.instructor().report(attempt)
    return tagged(request, found.to_json().encode() if found else b"null")


@router.get("/attempts/{attempt}/source", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
def source(attempt: str, request: Request, asks: Asks) -> Response:
    """Anybody's source."""
    return tagged(request, asks.instructor().source(attempt).encode(), kind="text/plain; charset=utf-8")
