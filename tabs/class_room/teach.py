"""What the instructor's room shows, as values for its components: each function asks the course as whoever holds the token."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import gradio as gr

import labs
from grader import wording
from grader.course.gradebook.regrades import for_table
from grader.course.gradebook.times import read_time, write_time
from grader.course.instructor import Instructor
from grader.faults import NotGradable
from tabs.class_room.wiring import number_of, person, said, titled
from tabs.web.who import Doors

ROSTER = ["student_id", "name", "email", "section", "account", "code to join", "joined"]
DATES = ["lab", "for whom", "due (UTC)", "why"]
BUGS = ["lab", "bug", "learners", "attempts", "passed since", "explained in", "what is said of it"]
COMPARED = ["learner", "before", "after", "change", "outcome before", "outcome after"]
SIMILAR = ["one", "other", "similar", "lines of the one and the other"]
SECTIONS = {1: "similarity", 2: "memory", 3: "tiling", 4: "online", 5: "tiling"}  # tab by the lab's objective
FORMATS = "precision"  # of labs without an objective


def room(doors: Doors, token: object) -> Instructor:
    """
    Raises:
        Refusal, NotAllowed: whoever holds the token is no instructor.
    """
    return person(doors, token).instructor()


def opened(teacher: Instructor, section: str) -> list[Any]:
    book, found = teacher.book(), teacher.archive_says
    rules = json.dumps(book.rules.to_json(), indent=2)
    told = found or (
        f"{number_of(book.students, 'learner')}, {number_of(book.due, 'due date')}, "
        f"{number_of(book.overrides, 'grade')} set by hand."
    )
    tone = "wrong" if found else "muted"
    return [_grid(teacher, section), _roster(teacher), _dates(teacher), _regrades(teacher), rules, said(told, tone)]


def verified(teacher: Instructor) -> list[Any]:
    found = teacher.check_archive()
    right = f"{found.files:,} files of the archive were read: each is as it was written, and as the database has it."
    return [said(found.sentence or right, "wrong" if found.sentence else "muted")]


def overridden(teacher: Instructor, student: str, lab: str | None, points: str, why: str, section: str) -> list[Any]:
    teacher.override(_chosen(lab), student.strip(), number(points), comment=why)
    return [_grid(teacher, section), said("Set." if points.strip() else "As earned again.")]


def imported(teacher: Instructor, text: str, replace: bool) -> list[Any]:
    counts = teacher.import_roster(text, replace=replace)
    return [_roster(teacher), said(", ".join(f"{count} {name}" for name, count in counts.items()) + ".")]


def dated(teacher: Instructor, lab: str | None, due: str, section: str) -> list[Any]:
    teacher.set_due(_chosen(lab), _moment(due), section=section.strip())
    return [_dates(teacher), said("Set." if due.strip() else "Taken back.")]


def extended(teacher: Instructor, lab: str | None, student: str, until: str, why: str) -> list[Any]:
    teacher.extend(_chosen(lab), student.strip(), _moment(until), comment=why)
    return [_dates(teacher), said("Extended." if until.strip() else "Taken back.")]


def counted(teacher: Instructor, days: float) -> list[Any]:
    found = [
        [titled(one.lab), _bug(one.bug), one.learners, one.attempts, one.solved, _explained(one.lab), one.sentence]
        for one in teacher.bugs(days=float(days or 7))
    ]
    return [found, said("" if found else "Nobody met a bug in these days.")]


def started(teacher: Instructor, lab: str | None, scope: str) -> list[Any]:
    regrade = teacher.regrade(_chosen(lab), scope)
    return [_regrades(teacher), said(f"Graded anew while nobody waits: {number_of(regrade.targets, 'attempt')}.")]


def compared(teacher: Instructor, regrade: str | None) -> list[Any]:
    found = teacher.comparison(_chosen(regrade, "regrade"))
    rows = [
        [
            row.student or row.user,
            row.before,
            row.after,
            None if row.after is None else round(row.after - row.before, 4),
            wording.outcome(row.verdict_before, "done"),
            wording.outcome(row.verdict_after, row.state),
        ]
        for row in for_table(found.rows)
    ]
    total = len(found.regrade.targets)
    told = f"{found.done} of {total} graded: {found.count(1)} gain, {found.count(-1)} lose, {found.count(0)} stay."
    return [rows, said(told + (f" {found.failed} could not be graded and stay as they were." if found.failed else ""))]


def kept(teacher: Instructor, regrade: str | None) -> list[Any]:
    teacher.end_regrade(_chosen(regrade, "regrade"), keep=True)
    return [_regrades(teacher), said("All of it counts now.")]


def dropped(teacher: Instructor, regrade: str | None) -> list[Any]:
    teacher.end_regrade(_chosen(regrade, "regrade"), keep=False)
    return [_regrades(teacher), said("All of it was thrown away.")]


def looked(teacher: Instructor, lab: str | None) -> list[Any]:
    folder = labs.load(_chosen(lab))
    found = teacher.similar(folder.id, ours=(folder.starter, folder.solution))
    rows = [
        [pair.first, pair.second, f"{100 * pair.share:.0f}%", ", ".join(f"{one}:{other}" for one, other in pair.lines)]
        for pair in found
    ]
    return [rows, said("" if rows else "No two are similar.")]


def ruled(teacher: Instructor, text: str) -> list[Any]:
    try:
        data = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise NotGradable(f"The rules are no JSON: {error}.") from error
    if not isinstance(data, dict):
        raise NotGradable("The rules must be a JSON object.")
    return [json.dumps(teacher.set_rules(data).to_json(), indent=2), said("The class is held to these.")]


def number(text: str) -> float | None:
    """Empty is none.

    Raises:
        NotGradable: it is no number.
    """
    if not text.strip():
        return None
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise NotGradable(f"points={text!r:.40} must be a number, or empty.") from None


def _grid(teacher: Instructor, section: str) -> dict[str, Any]:
    table = teacher.table(section=section.strip() or None)
    headers = ["learner", "section", *(column.lab.partition("_")[0] for column in table.columns), "sum"]
    rows = [
        [
            student.name,
            student.section,
            *(_cell(table.cells[student.student_id, column.lab]) for column in table.columns),
            f"{table.total(student.student_id):g}",
        ]
        for student in table.students
    ]
    return {"headers": headers, "data": rows}


def _cell(grade: Any) -> str:
    """Points; * set by hand; ✓ passed; – nothing handed in; (late)."""
    if grade.overridden:
        return f"{grade.points:g} *"
    if not grade.tries:
        return "–"
    return f"{grade.points:g}{' ✓' if grade.passed else ''}{' (late)' if grade.late_s else ''}"


def _roster(teacher: Instructor) -> list[list[Any]]:
    book = teacher.book()
    return [
        [
            one.student_id,
            one.name,
            one.email,
            one.section,
            one.account,
            one.code,
            "yes" if book.users_of(one) else "no",
        ]
        for one in book.students.values()
    ]


def _dates(teacher: Instructor) -> list[list[Any]]:
    book = teacher.book()
    due = [[titled(lab), section or "everyone", write_time(due), ""] for (lab, section), due in sorted(book.due.items())]
    own = [
        [titled(lab), book.students[student].name if student in book.students else student, write_time(one.due), one.comment]
        for (lab, student), one in sorted(book.extensions.items())
    ]
    return due + own


def _regrades(teacher: Instructor) -> Any:
    words = {None: "not decided", True: "kept", False: "thrown away"}
    found = sorted(teacher.book().regrades.values(), key=lambda one: one.when, reverse=True)
    choices = [(f"{titled(one.lab)}, {one.scope}, {write_time(one.when)}: {words[one.kept]}", one.id) for one in found]
    return gr.Dropdown(choices, value=choices[0][1] if choices else None)


def _explained(lab: str) -> str:
    """A link to the section that works on what the lab asks for."""
    objectives = labs.load(lab).lab.objectives if lab in labs.lab_ids() else ()
    tab = SECTIONS.get(objectives[0], FORMATS) if objectives else FORMATS
    return f'<a href="?tab={escape(tab)}">{escape(tab)}</a>'


def _bug(name: str) -> str:
    """A named diagnosis as words; where none was named, the verdict's word."""
    verdict = {one.value: word for one, word in wording.WORDS.items()}
    return verdict.get(name, name.replace("_", " "))


def _chosen(value: str | None, what: str = "lab") -> str:
    if not value:
        raise NotGradable(f"Choose a {what} first.")
    return value


def _moment(text: str) -> float | None:
    return read_time(text) if text.strip() else None
